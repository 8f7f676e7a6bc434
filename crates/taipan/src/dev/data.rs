//! The data of the Worker's bindings, which outlives its versions.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use taipan_bindings::{BindingTable, Stores};
use taipan_storage::{StateFolder, StorageError, SystemClock};

use super::project::Project;
use crate::report::hinted;

/// The stores of this process. The folder is taken when the first binding needs it: two Workers without any may run beside each
/// other.
#[derive(Default)]
pub(crate) struct Data(Option<Stores>);

impl Data {
    /// Opens what the project's bindings reach.
    pub(crate) fn bind(
        &mut self,
        project: &Project,
        persist_to: Option<&PathBuf>,
    ) -> Result<Arc<BindingTable>> {
        if project.bindings.is_empty() {
            return Ok(Arc::default());
        }
        let stores = match &mut self.0 {
            Some(stores) => stores,
            None => {
                let folder =
                    persist_to.cloned().unwrap_or_else(|| project.config_folder.join(".wrangler/state"));
                let command = env::args().collect::<Vec<_>>().join(" ");
                let folder = StateFolder::take(&folder, &command, Arc::new(SystemClock));
                self.0.insert(Stores::new(folder.map_err(|e| hinted(e, StorageError::hint))?))
            }
        };
        let table = stores.bind(&project.bindings).map_err(|e| hinted(e, StorageError::hint))?;
        Ok(Arc::new(table))
    }
}

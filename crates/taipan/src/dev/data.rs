//! The data of the Worker's bindings, which outlives its versions.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use taipan_bindings::{BindingTable, Stores};
use taipan_server::{Local, S3Keys};
use taipan_storage::{StateFolder, StorageError, SystemClock};

use super::project::Project;
use crate::env_vars::EnvVars;
use crate::report::hinted;

/// The access key of S3's clients when the environment says none.
const S3_ID: &str = "taipan";

/// The stores of this process. The folder is taken when the first binding needs it: two Workers without any may run beside each
/// other.
pub(crate) struct Data {
    stores: Option<Stores>,
    local: Arc<Local>,
    /// Where this process listens.
    address: String,
}

impl Data {
    /// None yet. `local` is told when there are some.
    pub(crate) fn new(local: Arc<Local>, address: String) -> Self {
        Self { stores: None, local, address }
    }

    /// Opens what the project's bindings reach; `note` is told what else reaches it.
    pub(crate) fn bind(
        &mut self,
        project: &Project,
        persist_to: Option<&PathBuf>,
        note: &dyn Fn(&str),
    ) -> Result<Arc<BindingTable>> {
        if project.bindings.is_empty() {
            return Ok(Arc::default());
        }
        let stores = match &mut self.stores {
            Some(stores) => stores,
            None => {
                let folder =
                    persist_to.cloned().unwrap_or_else(|| project.config_folder.join(".wrangler/state"));
                let (stores, keys) =
                    take(folder, &self.address, &self.local).map_err(|e| hinted(e, StorageError::hint))?;
                if !project.bindings.r2_buckets.is_empty() {
                    let S3Keys { id, secret } = keys;
                    note(&format!(
                        "Buckets for S3's clients: {}/cdn-cgi/local/r2/s3, AWS_ACCESS_KEY_ID={id}, \
                         AWS_SECRET_ACCESS_KEY={secret}",
                        self.address
                    ));
                }
                self.stores.insert(stores)
            }
        };
        let table = stores.bind(&project.bindings).map_err(|e| hinted(e, StorageError::hint))?;
        Ok(Arc::new(table))
    }
}

fn take(folder: PathBuf, address: &str, local: &Local) -> Result<(Stores, S3Keys), StorageError> {
    let command = env::args().collect::<Vec<_>>().join(" ");
    let folder = StateFolder::take(&folder, &command, Arc::new(SystemClock))?;
    let token = folder.announce(address)?;
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let secret = match variable(EnvVars::S3_SECRET_ACCESS_KEY) {
        Some(secret) => secret,
        None => folder.secret("s3-secret")?,
    };
    let id = variable(EnvVars::S3_ACCESS_KEY_ID).unwrap_or_else(|| S3_ID.to_owned());
    let keys = S3Keys { id, secret };
    let stores = Stores::new(folder);
    local.open(stores.clone(), keys.clone(), token);
    Ok((stores, keys))
}

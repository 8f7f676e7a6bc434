//! What the Workers' bindings reach, which outlives their versions.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use taipan_bindings::{BindingTable, Stores};
use taipan_server::{Assets, Console, Local, Reach, S3Keys};
use taipan_storage::queues::Queues;
use taipan_storage::{StateFolder, StorageError, SystemClock};

use tokio::runtime::Handle;

use crate::console::Terminal;
use crate::env_vars::EnvVars;
use crate::object_stores::places;
use crate::project::Project;
use crate::report::hinted;

/// The access key of S3's clients when the environment says none.
const S3_ID: &str = "taipan";

/// The page that shows data, on the address of this process.
pub(crate) const EXPLORER: &str = "/cdn-cgi/local/explorer";

/// The stores of this process, and its Workers. The folder is taken when the first binding needs it: two Workers without any may run beside each
/// other.
pub(crate) struct Data {
    stores: Option<Stores>,
    /// The folder for the stores.
    folder: PathBuf,
    pub(crate) reach: Reach,
    terminal: Arc<Terminal>,
    local: Arc<Local>,
    /// Where this process listens.
    address: String,
}

impl Data {
    /// None yet. `local` is told when there are some.
    pub(crate) fn new(folder: PathBuf, terminal: Arc<Terminal>, local: Arc<Local>, address: String) -> Self {
        Self { stores: None, folder, reach: Reach::default(), terminal, local, address }
    }

    /// Opens what the project's bindings reach.
    pub(crate) fn bind(
        &mut self,
        project: &Project,
        assets: Option<&Arc<Assets>>,
    ) -> Result<Arc<BindingTable>> {
        let table = self.stores(project)?;
        let console: Arc<dyn Console> = self.terminal.clone();
        Ok(self.reach.bind(table, &project.bindings, assets, &console, &Handle::current()))
    }

    /// The queues whose messages Workers are called for, if there are any.
    pub(crate) fn queues(&self) -> Result<Option<Arc<Queues>>> {
        let queues = self.stores.as_ref().map(Stores::queues).transpose();
        queues.map_err(|e| hinted(e, StorageError::hint))
    }

    /// Waits until all that Workers wrote is on disk.
    pub(crate) fn settle(&self) {
        self.stores.iter().for_each(Stores::settle);
    }

    /// Opens stores, and says what else reaches them.
    fn stores(&mut self, project: &Project) -> Result<BindingTable> {
        if project.bindings.are_without_data() {
            return Ok(BindingTable::default());
        }
        let stores = match &mut self.stores {
            Some(stores) => stores,
            None => {
                let (stores, keys) = take(self.folder.clone(), &self.address, &self.local)
                    .map_err(|e| hinted(e, StorageError::hint))?;
                self.terminal.note(&format!("Explorer of its data: {}{EXPLORER}", self.address));
                if !project.bindings.r2_buckets.is_empty() {
                    let S3Keys { id, secret } = keys;
                    self.terminal.note(&format!(
                        "Buckets for S3's clients: {}/cdn-cgi/local/r2/s3, AWS_ACCESS_KEY_ID={id}, \
                         AWS_SECRET_ACCESS_KEY={secret}",
                        self.address
                    ));
                }
                self.stores.insert(stores)
            }
        };
        for (bucket, place) in places(&project.object_stores, &project.bindings)? {
            stores.place(&bucket, place);
        }
        stores.bind(&project.bindings).map_err(|e| hinted(e, StorageError::hint))
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

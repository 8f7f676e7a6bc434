//! What a Worker's configuration binds, opened: the names that its operations use.

use std::collections::HashMap;
use std::sync::Arc;

use taipan_config::Bindings;
use taipan_storage::d1::D1Database;
use taipan_storage::kv::KvNamespace;
use taipan_storage::r2::R2Bucket;
use taipan_storage::{StateFolder, StorageError};

/// The stores of a process, by what the configuration calls them: a version of a Worker and the one before it share them.
#[derive(Debug)]
pub struct Stores {
    folder: StateFolder,
    kv: HashMap<String, Arc<KvNamespace>>,
    d1: HashMap<String, Arc<D1Database>>,
    r2: HashMap<String, Arc<R2Bucket>>,
}

impl Stores {
    /// Stores in the folder, each opened when it is first bound.
    pub fn new(folder: StateFolder) -> Self {
        Self { folder, kv: HashMap::new(), d1: HashMap::new(), r2: HashMap::new() }
    }

    /// Opens what the configuration binds.
    ///
    /// # Errors
    /// When a store cannot be opened; those that could stay open.
    pub fn bind(&mut self, bindings: &Bindings) -> Result<BindingTable, StorageError> {
        let mut table = BindingTable::default();
        for kv in &bindings.kv_namespaces {
            let store = open(&mut self.kv, &kv.id, |id| KvNamespace::open(&self.folder, id))?;
            table.kv.insert(kv.binding.clone(), store);
        }
        for d1 in &bindings.d1_databases {
            let store = open(&mut self.d1, &d1.id, |id| D1Database::open(&self.folder, id))?;
            table.d1.insert(d1.binding.clone(), store);
        }
        for r2 in &bindings.r2_buckets {
            let store = open(&mut self.r2, &r2.name, |id| R2Bucket::open(&self.folder, id))?;
            table.r2.insert(r2.binding.clone(), store);
        }
        Ok(table)
    }
}

fn open<T>(
    stores: &mut HashMap<String, Arc<T>>,
    id: &str,
    open: impl FnOnce(&str) -> Result<T, StorageError>,
) -> Result<Arc<T>, StorageError> {
    if let Some(store) = stores.get(id) {
        return Ok(store.clone());
    }
    let store = Arc::new(open(id)?);
    stores.insert(id.to_owned(), store.clone());
    Ok(store)
}

/// The stores that a Worker reaches, by their names in `env`.
#[derive(Debug, Default)]
pub struct BindingTable {
    pub(crate) kv: HashMap<String, Arc<KvNamespace>>,
    pub(crate) d1: HashMap<String, Arc<D1Database>>,
    pub(crate) r2: HashMap<String, Arc<R2Bucket>>,
}

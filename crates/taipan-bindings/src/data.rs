//! What a Worker's configuration binds, opened: the names that its operations use.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use taipan_config::Bindings;
use taipan_storage::analytics::Analytics;
use taipan_storage::d1::D1Database;
use taipan_storage::kv::KvNamespace;
use taipan_storage::queues::Queues;
use taipan_storage::r2::{Place, R2Bucket};
use taipan_storage::{StateFolder, StorageError};

use crate::rate::{Counts, RateLimit};
use crate::{Fetcher, Functions};

/// The stores of a process, by what the configuration calls them: versions of Workers share them, and so does whoever looks into
/// them from outside. A cheap handle; clones are the same stores.
#[derive(Clone, Debug)]
pub struct Stores {
    folder: StateFolder,
    kv: Shelf<KvNamespace>,
    d1: Shelf<D1Database>,
    r2: Shelf<R2Bucket>,
    /// Where buckets have their bytes, if not in the folder.
    places: Arc<Mutex<BTreeMap<String, Arc<dyn Place>>>>,
    queues: Shelf<Queues>,
    analytics: Shelf<Analytics>,
    /// The names of queues and of datasets, which are in one file each.
    names: Arc<Mutex<[BTreeSet<String>; 2]>>,
}

/// Open stores by their ids, each with the name that a Worker has for it.
type Shelf<T> = Arc<Mutex<BTreeMap<String, (String, Arc<T>)>>>;

/// An open store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What the configuration calls it.
    pub id: String,
    /// What a Worker does.
    pub name: String,
}

impl Stores {
    /// Stores in the folder, each opened when it is first bound or asked for.
    pub fn new(folder: StateFolder) -> Self {
        Self {
            folder,
            kv: Shelf::default(),
            d1: Shelf::default(),
            r2: Shelf::default(),
            places: Arc::default(),
            queues: Shelf::default(),
            analytics: Shelf::default(),
            names: Arc::default(),
        }
    }

    /// Opens what the configuration binds.
    ///
    /// # Errors
    /// When a store cannot be opened; those that could stay open.
    pub fn bind(&mut self, bindings: &Bindings) -> Result<BindingTable, StorageError> {
        let mut table = BindingTable::default();
        for kv in &bindings.kv_namespaces {
            let store = open(&self.kv, &kv.id, &kv.binding, |id| KvNamespace::open(&self.folder, id))?;
            table.kv.insert(kv.binding.clone(), store);
        }
        for d1 in &bindings.d1_databases {
            let name = d1.name.as_ref().unwrap_or(&d1.binding);
            let store = open(&self.d1, &d1.id, name, |id| D1Database::open(&self.folder, id))?;
            table.d1.insert(d1.binding.clone(), store);
        }
        for r2 in &bindings.r2_buckets {
            let store = open(&self.r2, &r2.name, &r2.binding, |id| self.bucket(id))?;
            table.r2.insert(r2.binding.clone(), store);
        }
        for producer in &bindings.queue_producers {
            let queue = Arc::new(Producer {
                queues: self.queues()?,
                queue: producer.queue.clone(),
                delay: producer.delivery_delay,
            });
            table.queues.insert(producer.binding.clone(), queue);
        }
        for (binding, dataset) in &bindings.datasets {
            let dataset = Dataset { analytics: self.analytics()?, name: dataset.clone() };
            table.datasets.insert(binding.clone(), Arc::new(dataset));
        }
        if !bindings.queue_consumers.is_empty() {
            self.queues()?;
        }
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let [queues, datasets] = &mut *names;
        queues.extend(bindings.queues().into_iter().map(str::to_owned));
        datasets.extend(bindings.datasets.iter().map(|(_, dataset)| dataset.clone()));
        drop(names);
        Ok(table)
    }

    /// The queues, opened when somebody first sends to one or is called for one.
    ///
    /// # Errors
    /// When they cannot be.
    pub fn queues(&self) -> Result<Arc<Queues>, StorageError> {
        open(&self.queues, "queues", "queues", |_| Queues::open(&self.folder))
    }

    /// Waits until what nobody waited for is on disk, too: a process that ends does this last.
    pub fn settle(&self) {
        let shelf = self.analytics.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.values().for_each(|(_, analytics)| analytics.settle());
    }

    /// The data points, opened when somebody first notes or asks for some.
    ///
    /// # Errors
    /// When they cannot be.
    pub fn analytics(&self) -> Result<Arc<Analytics>, StorageError> {
        open(&self.analytics, "analytics", "analytics", |_| Analytics::open(&self.folder))
    }

    /// The queues that Workers have named.
    pub fn known_queues(&self) -> Vec<Known> {
        let [queues, _] = &*self.names.lock().unwrap_or_else(PoisonError::into_inner);
        queues.iter().map(|name| Known { id: name.clone(), name: name.clone() }).collect()
    }

    /// The datasets that Workers have named.
    pub fn known_datasets(&self) -> Vec<Known> {
        let [_, datasets] = &*self.names.lock().unwrap_or_else(PoisonError::into_inner);
        datasets.iter().map(|name| Known { id: name.clone(), name: name.clone() }).collect()
    }

    /// A namespace, bound or not.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn kv(&self, id: &str) -> Result<Arc<KvNamespace>, StorageError> {
        open(&self.kv, id, id, |id| KvNamespace::open(&self.folder, id))
    }

    /// A database, bound or not.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn d1(&self, id: &str) -> Result<Arc<D1Database>, StorageError> {
        open(&self.d1, id, id, |id| D1Database::open(&self.folder, id))
    }

    /// A bucket, bound or not.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn r2(&self, id: &str) -> Result<Arc<R2Bucket>, StorageError> {
        open(&self.r2, id, id, |id| self.bucket(id))
    }

    /// Has a bucket that is not open yet keep its bytes in a place.
    pub fn place(&self, bucket: &str, place: Arc<dyn Place>) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).insert(bucket.to_owned(), place);
    }

    fn bucket(&self, id: &str) -> Result<R2Bucket, StorageError> {
        let place = self.places.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        R2Bucket::open(&self.folder, id, place)
    }

    /// The namespaces that are open.
    pub fn known_kv(&self) -> Vec<Known> {
        known(&self.kv)
    }

    /// The databases that are open.
    pub fn known_d1(&self) -> Vec<Known> {
        known(&self.d1)
    }

    /// The buckets that are open.
    pub fn known_r2(&self) -> Vec<Known> {
        known(&self.r2)
    }
}

fn open<T>(
    shelf: &Shelf<T>,
    id: &str,
    name: &str,
    open: impl FnOnce(&str) -> Result<T, StorageError>,
) -> Result<Arc<T>, StorageError> {
    let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, store)) = shelf.get(id) {
        return Ok(store.clone());
    }
    let store = Arc::new(open(id)?);
    shelf.insert(id.to_owned(), (name.to_owned(), store.clone()));
    Ok(store)
}

fn known<T>(shelf: &Shelf<T>) -> Vec<Known> {
    let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
    shelf.iter().map(|(id, (name, _))| Known { id: id.clone(), name: name.clone() }).collect()
}

/// What a Worker reaches, by their names in `env`.
#[derive(Debug, Default)]
pub struct BindingTable {
    pub(crate) kv: HashMap<String, Arc<KvNamespace>>,
    pub(crate) d1: HashMap<String, Arc<D1Database>>,
    pub(crate) r2: HashMap<String, Arc<R2Bucket>>,
    pub(crate) queues: HashMap<String, Arc<Producer>>,
    pub(crate) limits: HashMap<String, Arc<RateLimit>>,
    pub(crate) datasets: HashMap<String, Arc<Dataset>>,
    pub(crate) fetchers: HashMap<String, Arc<dyn Fetcher>>,
    pub(crate) functions: Functions,
}

/// A dataset that points are noted in.
#[derive(Debug)]
pub(crate) struct Dataset {
    pub(crate) analytics: Arc<Analytics>,
    pub(crate) name: String,
}

/// How often keys have done something, by namespace. It lives as long as the process, whatever becomes of Workers.
#[derive(Debug, Default)]
pub struct RateCounts(HashMap<String, Arc<Counts>>);

/// A queue that messages are sent to.
#[derive(Debug)]
pub(crate) struct Producer {
    pub(crate) queues: Arc<Queues>,
    pub(crate) queue: String,
    /// Of a message that has none of its own, in seconds; otherwise the queue's.
    pub(crate) delay: Option<u32>,
}

impl BindingTable {
    /// Has its Worker share functions with the others that are given the same.
    pub fn share(&mut self, functions: &Functions) {
        self.functions = functions.clone();
    }

    /// Adds limits, which go on counting where those before them were.
    pub fn limit(&mut self, limits: &[taipan_config::RateLimit], counts: &mut RateCounts) {
        for limit in limits {
            let counts = counts.0.entry(limit.namespace.clone()).or_default().clone();
            let period = Duration::from_secs(limit.period.into());
            self.limits
                .insert(limit.name.clone(), Arc::new(RateLimit { counts, limit: limit.limit, period }));
        }
    }

    /// Adds what answers requests.
    pub fn add_fetcher(&mut self, binding: &str, fetcher: Arc<dyn Fetcher>) {
        self.fetchers.insert(binding.to_owned(), fetcher);
    }
}

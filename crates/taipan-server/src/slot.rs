//! Which version of a Worker is current.

use std::sync::{Arc, PoisonError, RwLock};

use crate::{Assets, Worker};

/// Holds the current version of a Worker. New requests go to it, even while it boots; those in flight stay with the
/// version that began them.
pub struct Slot(RwLock<Current>);

struct Current {
    worker: Arc<Worker>,
    assets: Option<Arc<Assets>>,
    body_limit: Option<u64>,
}

impl Slot {
    /// A slot with its first version.
    pub fn new(worker: Arc<Worker>) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Current { worker, assets: None, body_limit: None })))
    }

    fn with<T>(&self, look: impl FnOnce(&Current) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Current)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The current version.
    pub fn current(&self) -> Arc<Worker> {
        self.with(|current| current.worker.clone())
    }

    /// The files that are served beside it.
    pub fn assets(&self) -> Option<Arc<Assets>> {
        self.with(|current| current.assets.clone())
    }

    /// The largest body of a request in bytes, where the version says one.
    pub(crate) fn body_limit(&self) -> Option<u64> {
        self.with(|current| current.body_limit)
    }

    /// Serves other files beside it.
    pub fn serve(&self, assets: Option<Arc<Assets>>) {
        self.change(|current| current.assets = assets);
    }

    /// Makes another version the current one. The one before ends when its last request does.
    pub fn replace(&self, worker: Arc<Worker>) {
        self.change(|current| current.worker = worker);
    }

    /// The same with all that belongs to the version, at once.
    pub(crate) fn switch(&self, worker: Arc<Worker>, assets: Option<Arc<Assets>>, body_limit: Option<u64>) {
        self.change(|current| *current = Current { worker, assets, body_limit });
    }
}

//! Which version of a Worker is current.

use std::sync::{Arc, PoisonError, RwLock};

use crate::{Assets, Worker};

/// Holds the current version of a Worker. New requests go to it, even while it boots; those in flight stay with the
/// version that began them.
pub struct Slot {
    worker: RwLock<Arc<Worker>>,
    assets: RwLock<Option<Arc<Assets>>>,
}

impl Slot {
    /// A slot with its first version.
    pub fn new(worker: Arc<Worker>) -> Arc<Self> {
        Arc::new(Self { worker: RwLock::new(worker), assets: RwLock::default() })
    }

    /// The current version.
    pub fn current(&self) -> Arc<Worker> {
        self.worker.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The files that are served beside it.
    pub fn assets(&self) -> Option<Arc<Assets>> {
        self.assets.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves other files beside it.
    pub fn serve(&self, assets: Option<Arc<Assets>>) {
        *self.assets.write().unwrap_or_else(PoisonError::into_inner) = assets;
    }

    /// Makes another version the current one. The one before ends when its last request does.
    pub fn replace(&self, worker: Arc<Worker>) {
        *self.worker.write().unwrap_or_else(PoisonError::into_inner) = worker;
    }
}

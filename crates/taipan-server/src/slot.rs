//! Which version of a Worker is current.

use std::sync::{Arc, PoisonError, RwLock};

use crate::Worker;

/// Holds the current version of a Worker. New requests go to it, even while it boots; those in flight stay with the
/// version that began them.
pub struct Slot(RwLock<Arc<Worker>>);

impl Slot {
    /// A slot with its first version.
    pub fn new(worker: Arc<Worker>) -> Arc<Self> {
        Arc::new(Self(RwLock::new(worker)))
    }

    /// The current version.
    pub fn current(&self) -> Arc<Worker> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes another version the current one. The one before ends when its last request does.
    pub fn replace(&self, worker: Arc<Worker>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = worker;
    }
}

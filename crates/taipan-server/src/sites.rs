//! Which Worker a request is for.

use std::sync::Arc;

use url::Url;

use crate::Slot;

/// Knows Workers by the addresses that clients ask for.
pub trait Sites: Send + Sync {
    /// The Worker that is called for the address, if there is one.
    fn find(&self, url: &Url) -> Option<Arc<Slot>>;
}

/// One Worker, whatever the address.
impl Sites for Arc<Slot> {
    fn find(&self, _url: &Url) -> Option<Arc<Slot>> {
        Some(self.clone())
    }
}

impl Sites for Arc<dyn Sites> {
    fn find(&self, url: &Url) -> Option<Arc<Slot>> {
        (**self).find(url)
    }
}

//! Which deployed Worker an address is for: the closest of all `routes`; else the one whose name is the first label of the host; else the
//! only one there is.

use std::sync::{Arc, PoisonError, RwLock};

use taipan_config::Route;
use url::Url;

use crate::{Sites, Slot};

/// The Workers by their addresses.
#[derive(Default)]
pub(super) struct Routing(RwLock<Vec<Entry>>);

struct Entry {
    name: String,
    routes: Vec<Route>,
    slot: Arc<Slot>,
}

impl Routing {
    pub(super) fn set(&self, name: &str, routes: Vec<Route>, slot: Arc<Slot>) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.name != name);
        entries.push(Entry { name: name.to_owned(), routes, slot });
    }

    pub(super) fn remove(&self, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|entry| entry.name != name);
    }

    /// The other Worker that has one of the routes, and the route.
    pub(super) fn taken(&self, name: &str, routes: &[Route]) -> Option<(String, String)> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.iter().filter(|entry| entry.name != name).find_map(|entry| {
            let both = entry.routes.iter().find(|route| routes.contains(route))?;
            Some((entry.name.clone(), both.to_string()))
        })
    }
}

impl Sites for Routing {
    fn find(&self, url: &Url) -> Option<Arc<Slot>> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let host = url.host_str()?;
        let closest =
            |entry: &Entry| entry.routes.iter().filter_map(|route| route.matches(host, url.path())).max();
        let routed = entries.iter().filter_map(|entry| Some((closest(entry)?, entry)));
        if let Some((_, entry)) = routed.max_by_key(|(closeness, _)| *closeness) {
            return Some(entry.slot.clone());
        }
        let label = host.split('.').next()?;
        let named = entries.iter().find(|entry| entry.name == label);
        let found = named.or(match entries.as_slice() {
            [only] => Some(only),
            _ => None,
        });
        found.map(|entry| entry.slot.clone())
    }
}

//! The way back into an isolate.

use std::fmt;
use std::sync::Arc;

use taipan_engine::Event;

/// Delivers events to one isolate, from any thread and without blocking.
///
/// A handle belongs to one *instance*: whoever owns the isolates must drop what arrives for an instance that is
/// gone, because the next one counts its operations from the beginning.
#[derive(Clone)]
pub struct EventSender(Arc<dyn Fn(Event) + Send + Sync>);

impl EventSender {
    /// A handle that gives each event to `deliver`, which must not block.
    pub fn new(deliver: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(deliver))
    }

    /// Queues an event for the isolate's next turn.
    pub fn send(&self, event: Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for EventSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventSender")
    }
}

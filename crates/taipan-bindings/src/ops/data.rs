//! What the operations of all stores have in common.

use std::cell::Cell;
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use taipan_engine::{Event, OpReply};
use taipan_guest::protocol::{Field, Message};
use taipan_storage::StorageError;

use super::OpError;
use crate::EventSender;
use crate::blobs::Blobs;
use crate::data::BindingTable;

/// So many operations are answered on the spot, one after the other; then the next one's answer comes as an event, so that whoever asks
/// again and again lets others of its isolate go on.
const MOST_AT_ONCE: u32 = 64;

pub(super) struct Parts<'a> {
    pub(super) table: Option<&'a BindingTable>,
    pub(super) blobs: &'a Blobs,
    pub(super) events: &'a EventSender,
    /// How many have been answered on the spot.
    pub(super) at_once: &'a Cell<u32>,
}

impl Parts<'_> {
    /// The store that the first field names.
    pub(super) fn store<T>(
        &self,
        args: &Message<'_>,
        of: impl Fn(&BindingTable) -> &HashMap<String, Arc<T>>,
    ) -> Result<Arc<T>, OpError> {
        let name = args.str(0)?;
        let Some(table) = self.table else {
            return Err(OpError { name: "Error", message: "there is no storage here".to_owned() });
        };
        let store = of(table).get(name).cloned();
        store.ok_or_else(|| OpError::type_error(format!("the configuration has no such binding: {name}")))
    }

    /// Answers on the spot.
    pub(super) fn now(&self, id: u32, fields: Vec<Field>) -> OpReply {
        let count = self.at_once.get() + 1;
        self.at_once.set(count % MOST_AT_ONCE);
        if count < MOST_AT_ONCE {
            return OpReply::Ready(fields);
        }
        self.events.send(Event::Complete { id, fields });
        OpReply::Later
    }

    /// Sends the guest what a store answers.
    pub(super) fn answer<T>(
        &self,
        id: u32,
        fields: impl FnOnce(T) -> Result<Vec<Field>, String> + Send + 'static,
    ) -> impl FnOnce(Result<T, StorageError>) + Send + 'static {
        let events = self.events.clone();
        move |answer| {
            let answer = answer.map_err(OpError::from);
            let answer = answer.and_then(|value| fields(value).map_err(OpError::range_error));
            events.send(match answer {
                Ok(fields) => Event::Complete { id, fields },
                Err(OpError { name, message }) => Event::Failed { id, name, message },
            });
        }
    }
}

impl From<StorageError> for OpError {
    fn from(error: StorageError) -> Self {
        let mut message = error.to_string();
        match error {
            StorageError::Refused { .. } => return Self::range_error(message),
            StorageError::Statement { code, .. } => {
                // As D1 has it: programs look for parts of it.
                return Self { name: "Error", message: format!("D1_ERROR: {message}: {code}") };
            }
            _ => {}
        }
        let mut cause = error.source();
        while let Some(source) = cause {
            message = format!("{message}: {source}");
            cause = source.source();
        }
        Self { name: "Error", message }
    }
}

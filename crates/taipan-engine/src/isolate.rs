//! One running instance of a Worker.

use std::sync::Arc;

use crate::{BootError, Event, IsolateError, IsolateOptions, Runtime, Turn};

/// The stack that a thread must have to call [`Isolate::boot`] or [`Isolate::turn`]; guest calls nest on it.
pub const STACK_SIZE: usize = 64 << 20;

/// One running instance of a Worker. It belongs to no thread: any thread with [`STACK_SIZE`] of stack may run
/// its next turn.
pub struct Isolate {}

impl Isolate {
    /// Starts Python and runs the Worker's module scope.
    pub fn boot(_runtime: &Arc<Runtime>, _options: IsolateOptions) -> Result<Self, BootError> {
        Err(BootError::Isolate(IsolateError::Internal { reason: "not wired in yet".into() }))
    }

    /// Delivers events to the guest and runs it until it has nothing left to do. After an error the isolate is
    /// dead: drop it.
    pub fn turn(&mut self, _events: Vec<Event>) -> Result<Turn, IsolateError> {
        Err(IsolateError::Internal { reason: "not wired in yet".into() })
    }

    /// The size of the linear memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        0
    }
}

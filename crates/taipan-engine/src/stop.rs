//! Why guest code is unwound all the way to the host, and what that means to the embedder.

use std::fmt;
use std::sync::atomic::Ordering;

use wasmtime::{ThrownException, Trap};

use crate::IsolateError;
use crate::state::State;

/// A reason of ours to end the isolate; travels as a Wasmtime error through the guest's frames.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    Cpu,
    OutOfMemory,
    StackOverflow,
    Exit(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("out of CPU time"),
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::StackOverflow => f.write_str("stack overflow"),
            Self::Exit(reason) => write!(f, "exit: {reason}"),
        }
    }
}

impl std::error::Error for Stop {}

/// Names what ended a call into the guest.
pub(crate) fn explain(state: &State, error: &wasmtime::Error) -> IsolateError {
    let limit = state.limits.memory;
    // Code that could not get memory usually aborts or crashes next: the refusal is the cause.
    let by_memory = |other: IsolateError| {
        if state.limits.refused { IsolateError::OutOfMemory { limit } } else { other }
    };
    if state.spent_too_much.load(Ordering::Relaxed) {
        return IsolateError::CpuLimit { limit: state.cpu_limit };
    }
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return match stop {
            Stop::Cpu => IsolateError::CpuLimit { limit: state.cpu_limit },
            Stop::OutOfMemory => IsolateError::OutOfMemory { limit },
            Stop::StackOverflow => IsolateError::StackOverflow,
            Stop::Exit(reason) => by_memory(IsolateError::Aborted { reason: reason.clone() }),
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => IsolateError::StackOverflow,
        Some(trap) => by_memory(IsolateError::Trap { reason: trap.to_string() }),
        None if error.is::<ThrownException>() => {
            by_memory(IsolateError::Aborted { reason: "an exception left the interpreter".into() })
        }
        None => by_memory(IsolateError::Internal { reason: format!("{error:#}") }),
    }
}

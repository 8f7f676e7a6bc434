//! One per process: the Wasmtime engine and the compiled code that all isolates share.

use std::sync::Arc;

use crate::{RuntimeError, RuntimeOptions};

/// Compiled code and settings that all isolates of a process share.
pub struct Runtime {
    #[expect(dead_code, reason = "the isolate comes in the next commit")]
    options: RuntimeOptions,
}

impl Runtime {
    /// Loads the release's code from the cache, compiling it first when it is not there.
    pub fn new(options: RuntimeOptions) -> Result<Arc<Self>, RuntimeError> {
        Ok(Arc::new(Self { options }))
    }
}

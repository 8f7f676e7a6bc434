//! Compiles the native modules of packages before anything loads them: several at once, and not in the time of a request.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fs_err as fs;

use crate::{CompileStep, Runtime};

/// A native module to compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeModule {
    /// Its file.
    pub path: PathBuf,
    /// The file's size, in bytes.
    pub size: u64,
}

impl Runtime {
    /// Makes sure that the cache has the code of all these modules. `name` says what is in them: for the same name it is done once.
    /// What cannot be compiled is left for the one who loads it, whom it concerns.
    pub fn compile_ahead(&self, name: &str, mut modules: Vec<NativeModule>) {
        let marker = self.mark_of_modules(name);
        if modules.is_empty() || marker.exists() {
            return;
        }
        // The largest first, so that no thread is left alone with it at the end.
        modules.sort_by_key(|module| std::cmp::Reverse(module.size));
        self.report(CompileStep::CompilingModules { bytes: modules.iter().map(|module| module.size).sum() });
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(module) = modules.get(next.fetch_add(1, Ordering::Relaxed)) {
                let code = fs::read(&module.path).map(|wasm| self.compile_module(&wasm));
                if let Ok(Err(error)) = code {
                    tracing::debug!("cannot compile: {}: {error}", module.path.display());
                }
                self.report(CompileStep::CompiledModule { bytes: module.size });
            }
        };
        thread::scope(|scope| {
            // The functions of one module are spread over all processors as well.
            for _ in 1..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(work);
            }
            work();
        });
        self.report(CompileStep::Compiled);
        // Otherwise it is found out again that there is nothing to do.
        drop(fs::write(marker, ""));
    }
}

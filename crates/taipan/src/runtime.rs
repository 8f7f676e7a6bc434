//! From a release to something that runs.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use taipan_engine::{CompileStep, Runtime, RuntimeError, RuntimeFiles, RuntimeOptions};
use taipan_packages::pyodide::{self, Cache, ObtainError, Progress as _, Release, Source};
pub(crate) use taipan_server::compile_packages;

use crate::progress::Progress;
use crate::report::hinted;

/// Obtains the release's files and the compiled code for them, as far as the cache does not have them.
pub(crate) fn prepare(release: &'static Release, cache: Cache, source: Source) -> Result<Arc<Runtime>> {
    let progress = Arc::new(Progress::new());
    let cache_dir = cache.folder().to_owned();
    let (shown, obtaining) = (progress.clone(), progress);
    let options = RuntimeOptions {
        files: RuntimeFiles {
            version: release.version.to_owned(),
            digest: release.tarball.sha256.to_owned(),
            folder: Box::new(move || Ok(pyodide::obtain(release, &cache, &source, &*obtaining)?)),
        },
        cache_dir,
        progress: Box::new(move |step| match step {
            CompileStep::Compiling => shown.start("Compiling the Python runtime (once per machine)", None),
            CompileStep::CompilingModules { bytes } => {
                shown.start("Compiling native modules of packages (once per machine)", Some(bytes));
            }
            CompileStep::CompiledModule { bytes } => shown.advance(bytes),
            CompileStep::Starting => shown.start("Starting Python (once per machine)", None),
            CompileStep::Compiled | CompileStep::Started => shown.finish(),
        }),
    };
    Runtime::new(options).map_err(|error| match error {
        RuntimeError::Files(source) => match source.downcast() {
            Ok(error) => hinted(*error, ObtainError::hint),
            Err(source) => anyhow!(source),
        },
        other => other.into(),
    })
}

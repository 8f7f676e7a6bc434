//! From a release to something that runs.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use taipan_engine::{CompileStep, Runtime, RuntimeError, RuntimeFiles, RuntimeOptions, Spares};
use taipan_packages::pyodide::{self, ObtainError, Progress as _, Release, Source};
pub(crate) use taipan_server::compile_packages;
use taipan_server::{Builder, Ground};

use crate::progress::Progress;
use crate::report::hinted;
use crate::settings::ReleaseSettings;

/// Isolates that are kept ready: one for the next save, one for a burst of requests.
const SPARES: usize = 2;

/// What Workers of the release start from. Their snapshots are made by another process of this program, which finds the release in the cache,
/// or in the folder that it was given as.
pub(crate) fn ground(release: &'static Release, releases: ReleaseSettings) -> Result<Ground> {
    let program = env::current_exe().context("the program's own file is gone")?;
    let ReleaseSettings { source, cache } = releases.clone();
    let runtime = prepare(release, releases)?;
    let builder = move || {
        let mut command = Command::new(&program);
        command.args(["build-snapshots", "--release", release.version, "--cache-dir"]).arg(cache.folder());
        if let Source::Folder(folder) = &source {
            command.arg("--pyodide").arg(folder);
        }
        command
    };
    Ok(Ground { spares: Arc::new(Spares::new(runtime, SPARES)), builder: Arc::new(Builder::new(builder)) })
}

/// The folder with the release's files, which are obtained if the cache does not have them.
pub(crate) fn obtain(
    release: &'static Release,
    releases: &ReleaseSettings,
    progress: &dyn pyodide::Progress,
) -> Result<PathBuf, ObtainError> {
    pyodide::obtain(release, &releases.cache, &releases.source, progress)
}

/// Obtains the release's files and the compiled code for them, as far as the cache does not have them.
pub(crate) fn prepare(release: &'static Release, releases: ReleaseSettings) -> Result<Arc<Runtime>> {
    let progress = Arc::new(Progress::new());
    let cache_dir = releases.cache.folder().to_owned();
    let (shown, obtaining) = (progress.clone(), progress);
    let options = RuntimeOptions {
        files: RuntimeFiles {
            version: release.version.to_owned(),
            digest: release.tarball.sha256.to_owned(),
            folder: Box::new(move || Ok(obtain(release, &releases, &*obtaining)?)),
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

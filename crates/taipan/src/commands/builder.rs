//! `taipan build-snapshots`, which nobody types: the process in which `dev` has snapshots made.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use anyhow::{Context, Result};
use taipan_engine::Spares;
use taipan_packages::pyodide::{self, Cache, ObtainError, Release, Source};

use crate::cli::BuilderArgs;
use crate::report::hinted;
use crate::runtime;

/// The next build, which is of the same layers, finds an isolate ready.
const SPARES: usize = 1;

/// What starts the process. The release is in the cache already, or in a folder.
pub(super) fn command(
    program: &Path,
    release: &'static Release,
    cache: &Cache,
    pyodide: Option<PathBuf>,
) -> impl Fn() -> Command + Send + Sync + 'static {
    let (program, cache) = (program.to_owned(), cache.folder().to_owned());
    move || {
        let mut command = Command::new(&program);
        command.args(["build-snapshots", "--release", release.version, "--cache-dir"]).arg(&cache);
        if let Some(folder) = &pyodide {
            command.arg("--pyodide").arg(folder);
        }
        command
    }
}

pub(super) fn run(args: BuilderArgs) -> Result<ExitCode> {
    let release = pyodide::release(&args.release).map_err(|e| hinted(e, ObtainError::hint))?;
    let cache = Cache::new(Some(args.cache_dir)).map_err(|e| hinted(e, ObtainError::hint))?;
    let runtime = runtime::prepare(release, cache, args.pyodide.map_or(Source::Npm, Source::Folder))?;
    let served = taipan_server::serve_builder(Arc::new(Spares::new(runtime, SPARES)));
    served.context("cannot talk with the process that wants snapshots")?;
    Ok(ExitCode::SUCCESS)
}

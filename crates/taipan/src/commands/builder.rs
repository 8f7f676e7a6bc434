//! `taipan build-snapshots`, which nobody types: the process in which `dev` and `serve` have snapshots made.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use taipan_engine::Spares;
use taipan_packages::pyodide::{self, Cache, ObtainError, Source};

use crate::cli::BuilderArgs;
use crate::report::hinted;
use crate::runtime;

/// The next build, which is of the same layers, finds an isolate ready.
const SPARES: usize = 1;

pub(super) fn run(args: BuilderArgs) -> Result<ExitCode> {
    let release = pyodide::release(&args.release).map_err(|e| hinted(e, ObtainError::hint))?;
    let cache = Cache::new(Some(args.cache_dir)).map_err(|e| hinted(e, ObtainError::hint))?;
    let runtime = runtime::prepare(release, cache, args.pyodide.map_or(Source::Npm, Source::Folder))?;
    let served = taipan_server::serve_builder(Arc::new(Spares::new(runtime, SPARES)));
    served.context("cannot talk with the process that wants snapshots")?;
    Ok(ExitCode::SUCCESS)
}

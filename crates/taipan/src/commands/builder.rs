//! `taipan build-snapshots`, which nobody types: the process in which `dev` and `serve` have snapshots made.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use taipan_engine::Spares;
use taipan_packages::pyodide::{self, ObtainError, Source};

use crate::cli::BuilderArgs;
use crate::report::hinted;
use crate::runtime;
use crate::settings::{ReleaseSettings, cache};

/// The next build, which is of the same layers, finds an isolate ready.
const SPARES: usize = 1;

pub(super) fn run(args: BuilderArgs) -> Result<ExitCode> {
    let release = pyodide::release(&args.release).map_err(|e| hinted(e, ObtainError::hint))?;
    let source = args.pyodide.map_or(Source::Npm, Source::Folder);
    let releases = ReleaseSettings { source, cache: cache(Some(args.cache_dir))? };
    let runtime = runtime::prepare(release, releases)?;
    let served = taipan_server::serve_builder(Arc::new(Spares::new(runtime, SPARES)));
    served.context("cannot talk with the process that wants snapshots")?;
    Ok(ExitCode::SUCCESS)
}

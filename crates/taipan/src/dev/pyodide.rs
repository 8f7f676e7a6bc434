//! The files of a Pyodide release.

use std::path::Path;

use anyhow::{Result, anyhow};
use taipan_engine::RuntimeFiles;

use super::progress::Progress;
use crate::report::hint;
use crate::settings::DevSettings;

/// Finds or fetches a release.
pub(crate) fn obtain(settings: &DevSettings, release: &str, _progress: &Progress) -> Result<RuntimeFiles> {
    let folder = settings
        .pyodide
        .as_deref()
        .ok_or_else(|| hint(anyhow!("Pyodide is not there: {release}"), "name its folder with --pyodide"))?;
    Ok(RuntimeFiles { version: release.to_owned(), folder: Path::new(folder).to_owned() })
}

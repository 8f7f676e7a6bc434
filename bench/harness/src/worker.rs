//! The Workers that are measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use taipan_config::SecretsAtImport;
use taipan_engine::Source;
use taipan_server::WorkerSpec;

/// The folder of a Worker's packages.
pub(crate) const PACKAGES: &str = "python_modules/";

pub(crate) const MAIN: &str = "entry.py";

/// As in `dev`.
pub(crate) const MEMORY_LIMIT: usize = 128 << 20;

pub(crate) const CPU: Duration = Duration::from_secs(60);

/// A folder with `entry.py`, and what it is asked.
#[derive(Clone, Deserialize)]
pub(crate) struct Worker {
    pub(crate) folder: PathBuf,
    /// Path and query of the request.
    pub(crate) path: String,
    /// What it imports from its packages.
    #[serde(default)]
    pub(crate) imports: Vec<String>,
}

impl Worker {
    pub(crate) fn sources(&self) -> Result<Vec<Source>> {
        let mut sources = vec![];
        collect(&self.folder, "", &mut sources)?;
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(sources)
    }
}

fn collect(folder: &Path, prefix: &str, to: &mut Vec<Source>) -> Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "__pycache__" {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), to)?;
        } else {
            to.push(Source { path, content: fs_err::read(entry.path())?.into() });
        }
    }
    Ok(())
}

pub(crate) fn spec(sources: Vec<Source>) -> WorkerSpec {
    WorkerSpec {
        sources: Arc::from(sources),
        main: MAIN.to_owned(),
        vars: serde_json::Map::new(),
        secrets: [].into(),
        secrets_at_import: SecretsAtImport::None,
        global_handlers: false,
        packages: Arc::default(),
        memory_limit: MEMORY_LIMIT,
        turn_cpu: CPU,
        boot_cpu: CPU,
    }
}

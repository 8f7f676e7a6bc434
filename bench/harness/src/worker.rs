//! The Workers that are measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use taipan_config::SecretsAtImport;
use taipan_engine::Source;
use taipan_packages::pyodide::Release;
use taipan_packages::python::{Lock, PackageTree, Store, Target};
use taipan_server::WorkerSpec;

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
        for entry in fs_err::read_dir(&self.folder)? {
            let entry = entry?;
            let path = entry.file_name().to_string_lossy().into_owned();
            if path.ends_with(".py") {
                sources.push(Source { path, content: fs_err::read(entry.path())?.into() });
            }
        }
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(sources)
    }

    /// The packages that are locked in its folder, which `taipan sync` has brought into the cache.
    pub(crate) fn packages(&self, cache: &Path, release: &Release) -> Result<Arc<PackageTree>> {
        let target = Target { python: release.python.to_owned(), platform: release.platform_tag.to_owned() };
        let Some(lock) = Lock::read(&self.folder, &target)? else { return Ok(Arc::default()) };
        let wheels = Store::new(cache).open(&lock).context("run `taipan sync` with the same cache first")?;
        Ok(Arc::new(PackageTree::new(&wheels)))
    }
}

pub(crate) fn spec(sources: Vec<Source>, packages: Arc<PackageTree>) -> WorkerSpec {
    WorkerSpec {
        sources: Arc::from(sources),
        main: MAIN.to_owned(),
        vars: serde_json::Map::new(),
        secrets: [].into(),
        secrets_at_import: SecretsAtImport::None,
        global_handlers: false,
        bindings: vec![],
        data: Arc::default(),
        caches: Default::default(),
        packages,
        memory_limit: MEMORY_LIMIT,
        needs_snapshot: false,
        request_cpu: CPU,
        boot_cpu: CPU,
    }
}

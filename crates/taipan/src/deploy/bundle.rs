//! What a Worker is, as its server needs it: a manifest, and the contents that it names.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use fs_err as fs;
use taipan_packages::pyodide;
use taipan_server::{
    ContentFile, Manifest, PackageFiles, PinnedRelease, ServedAssets, is_plain_path, list_assets,
};
use taipan_storage::sha256;

use crate::project::Project;
use crate::report::hint;

/// Where a content is.
#[derive(Clone)]
pub(crate) enum Place {
    Memory(Arc<[u8]>),
    File(PathBuf),
    /// One of the files of the Worker's Pyodide release, by its name.
    Release(String),
}

/// A manifest and the contents that it names, by their digests.
pub(crate) struct Bundle {
    pub(crate) manifest: Manifest,
    pub(crate) contents: HashMap<String, Place>,
}

impl Bundle {
    /// Reads all that goes with the Worker.
    pub(crate) fn new(project: &Project) -> Result<Self> {
        let (spec, pool) = (&project.spec, project.pool);
        let release = pyodide::release(project.release)?;
        let mut contents = HashMap::new();
        let pinned = PinnedRelease::of(release);
        for file in &pinned.files {
            contents.insert(file.sha256.clone(), Place::Release(file.path.clone()));
        }
        let mut add = |path: &str, bytes: &[u8], place: Place| -> Result<ContentFile> {
            if !is_plain_path(path) {
                let error = anyhow!("the file's path cannot be part of a deployed Worker: {path:?}");
                return Err(hint(error, "give it a shorter name without control characters and backslashes"));
            }
            let sha256 = sha256(bytes);
            contents.entry(sha256.clone()).or_insert(place);
            Ok(ContentFile { path: path.to_owned(), sha256, size: bytes.len() as u64 })
        };
        let mut sources = Vec::new();
        for source in spec.sources.iter() {
            sources.push(add(&source.path, &source.content, Place::Memory(source.content.clone()))?);
        }
        let mut packages: Vec<PackageFiles> = spec
            .packages
            .packages()
            .map(|(name, _)| PackageFiles { name: name.to_owned(), files: vec![] })
            .collect();
        let indices: HashMap<String, usize> =
            packages.iter().enumerate().map(|(index, package)| (package.name.clone(), index)).collect();
        for (package, path, place, _) in spec.packages.files() {
            let file = add(path, &fs::read(place)?, Place::File(place.to_owned()))?;
            let known = indices.get(package).and_then(|index| packages.get_mut(*index));
            known.context("a file belongs to no package")?.files.push(file);
        }
        let mut assets = None;
        if let Some(config) = &project.assets {
            let mut files = Vec::new();
            for (path, place) in list_assets(&config.directory)? {
                files.push(add(&path, &fs::read(&place)?, Place::File(place))?);
            }
            assets = Some(ServedAssets { config: config.clone(), files });
        }
        let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let manifest = Manifest {
            format: Manifest::FORMAT,
            name: project.name.clone(),
            compatibility_date: project.date.clone(),
            compatibility_flags: project.flags.clone(),
            release: pinned,
            main: spec.main.clone(),
            global_handlers: spec.global_handlers,
            vars: spec.vars.clone(),
            secrets_at_import: spec.secrets_at_import.clone(),
            bindings: project.bindings.clone(),
            assets,
            crons: project.crons.iter().map(ToString::to_string).collect(),
            routes: project.routes.iter().map(ToString::to_string).collect(),
            memory_mib: (spec.memory_limit >> 20) as u64,
            cpu_ms: milliseconds(spec.request_cpu),
            startup_cpu_ms: milliseconds(spec.boot_cpu),
            request_body_mib: project.body_limit.map(|bytes| bytes >> 20),
            isolates: (pool.min, pool.max, pool.idle.as_secs()),
            sources,
            packages,
        };
        Ok(Self { manifest, contents })
    }
}

//! A version of a Worker that was deployed, and what it runs with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use taipan_bindings::BindingTable;
use taipan_config::Secret;
use taipan_engine::Source;
use taipan_packages::python::PackageTree;

use super::folder::Folder;
use super::manifest::{ContentFile, Manifest};
use super::refusal::Refusal;
use crate::local::time::iso;
use crate::{WorkerSpec, declared};

/// A version.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Version {
    pub(super) id: String,
    /// When it was deployed, in milliseconds since the epoch.
    pub(super) created_ms: i64,
    pub(super) manifest: Manifest,
}

impl Version {
    pub(super) fn created(&self) -> String {
        iso(self.created_ms)
    }

    /// What isolates are made from. Reads its sources.
    pub(super) fn spec(
        &self,
        folder: &Folder,
        secrets: BTreeMap<String, Secret>,
    ) -> Result<WorkerSpec, Refusal> {
        let manifest = &self.manifest;
        let source = |file: &ContentFile| {
            Ok(Source { path: String::clone(&file.path), content: folder.read(file)?.into() })
        };
        let fields = |file: &ContentFile| format!("{}\0{}\0{}\0", file.path, file.sha256, file.size);
        let sources = manifest.sources.iter().map(source).collect::<std::io::Result<Vec<_>>>()?;
        // By what the files are: others' layers of packages are named by it, too.
        let mut name = blake3::Hasher::new();
        for package in &manifest.packages {
            name.update(package.name.as_bytes()).update(b"\0");
            package.files.iter().for_each(|file| {
                name.update(fields(file).as_bytes());
            });
        }
        let packages = match manifest.packages.is_empty() {
            true => PackageTree::default(),
            false => PackageTree::placed(
                name.finalize().to_hex().to_string(),
                manifest.packages.iter().map(|package| {
                    let files = package.files.iter();
                    let placed =
                        files.map(|file| (file.path.as_str(), folder.place(&file.sha256), file.size));
                    (package.name.as_str(), placed)
                }),
            ),
        };
        let mut vars = manifest.vars.clone();
        if let Some(binding) = &manifest.bindings.version {
            vars.insert(binding.clone(), json!({ "id": self.id, "tag": "", "timestamp": self.created() }));
        }
        Ok(WorkerSpec {
            sources: sources.into(),
            main: manifest.main.clone(),
            vars,
            secrets,
            secrets_at_import: manifest.secrets_at_import.clone(),
            global_handlers: manifest.global_handlers,
            bindings: declared(&manifest.bindings),
            data: Arc::new(BindingTable::default()),
            caches: Default::default(),
            packages: Arc::new(packages),
            memory_limit: usize::try_from(manifest.memory_mib).unwrap_or(usize::MAX >> 20) << 20,
            needs_snapshot: false,
            request_cpu: Duration::from_millis(manifest.cpu_ms),
            boot_cpu: Duration::from_millis(manifest.startup_cpu_ms),
        })
    }
}

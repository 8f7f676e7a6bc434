//! Which Pyodide release a command runs.

use std::path::Path;

use anyhow::{Result, anyhow};
use taipan_config::{CONFIG_NAMES, ConfigError, WorkerConfig};
use taipan_packages::pyodide::{self, ObtainError, RELEASES, Release};

use crate::report::{hint, hinted};

/// The release of the Worker in a folder, or the newest when there is no Worker.
pub(crate) fn of_folder(folder: &Path) -> Result<&'static Release> {
    if has_worker(folder) {
        let config = WorkerConfig::load(folder, None).map_err(|e| hinted(e, ConfigError::hint))?;
        return pyodide::release(config.release.version).map_err(|e| hinted(e, ObtainError::hint));
    }
    RELEASES.first().ok_or_else(|| anyhow!("this build knows no release of Python"))
}

/// Whether there is a Worker in a folder.
pub(crate) fn has_worker(folder: &Path) -> bool {
    CONFIG_NAMES.iter().any(|name| folder.join(name).exists())
}

/// The release with this Python, such as `3.13`, or of this version, such as `0.28.3`.
pub(crate) fn of_python(version: &str) -> Result<&'static Release> {
    let found = RELEASES
        .iter()
        .find(|release| minor(release) == version || release.python == version || release.version == version);
    found.ok_or_else(|| {
        let mut known: Vec<_> = RELEASES.iter().map(minor).collect();
        known.dedup();
        hint(anyhow!("there is no such Python: {version}"), format!("choose one of {}", known.join(", ")))
    })
}

fn minor(release: &Release) -> &str {
    release.python.rsplit_once('.').map_or(release.python, |(minor, _)| minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pythons_have_names() {
        for (name, version) in [
            ("3.14", "314.0.7"),
            ("3.13", "0.29.5"),
            ("3.12", "0.27.7"),
            ("3.12.7", "0.27.7"),
            ("0.28.3", "0.28.3"),
        ] {
            assert_eq!(of_python(name).unwrap().version, version);
        }
        for name in ["3.11", "3", "", "3.1"] {
            assert!(of_python(name).is_err(), "{name}");
        }
    }
}

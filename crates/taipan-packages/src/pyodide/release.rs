//! The supported releases, as data: adding one is adding an entry.
//!
//! `taipan-config` knows which date and flags select a release; this table knows its files.

use super::ObtainError;

/// A file and what it must be.
#[derive(Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its name, without a folder.
    pub name: &'static str,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 digest of its content, in lower-case hexadecimal.
    pub sha256: &'static str,
}

/// A release of Pyodide.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    /// Its version, which is also that of the npm package.
    pub version: &'static str,
    /// The version of CPython in it.
    pub python: &'static str,
    /// The platform tag of the wheels that it can load.
    pub platform_tag: &'static str,
    /// The archive that npm publishes.
    pub tarball: Artifact,
    /// The files of the archive that are needed, which lie in its folder `package`.
    pub files: &'static [Artifact],
}

/// Every supported release, the newest first.
pub static RELEASES: &[Release] = &[Release {
    version: "314.0.7",
    python: "3.14.2",
    platform_tag: "pyemscripten_2026_0_wasm32",
    tarball: Artifact {
        name: "pyodide-314.0.7.tgz",
        size: 6_488_647,
        sha256: "66b7949e5a0cba2250b586d7e368bf12fb482800748d182c4618254b685ffaa0",
    },
    files: &[
        Artifact {
            name: "package.json",
            size: 2_999,
            sha256: "40ca48e43ce4ddc68412d5b7a7ca9e2477cd4f0e672277ae468ac2245717079b",
        },
        Artifact {
            name: "pyodide-lock.json",
            size: 119_077,
            sha256: "5dc2fc119108bc148c7457dc86e7675b5c87e1cafd420b9c34c1eaef7b36c010",
        },
        Artifact {
            name: "pyodide.asm.mjs",
            size: 1_250_344,
            sha256: "f7cdc8ece80678ceb712f8e65ebe6d3a83203a180c399865f49612a051693635",
        },
        Artifact {
            name: "pyodide.asm.wasm",
            size: 9_598_218,
            sha256: "cc36e3cab04fdfc9a63ff13eb52eae2b911bf46c025cc7b281f394bd3de1d5e6",
        },
        Artifact {
            name: "pyodide.mjs",
            size: 17_931,
            sha256: "6f1d60f7bf529beb300f0f47983c921d3982363640ba20af0e38efdddbc66109",
        },
        Artifact {
            name: "python_stdlib.zip",
            size: 2_545_637,
            sha256: "fa1957e5777068fc4f7437f96d860ae2fbe9c19732ba06c84e004ec16dd7dd7a",
        },
    ],
}];

/// The release with this version.
///
/// # Errors
/// When it is not in the table.
pub fn release(version: &str) -> Result<&'static Release, ObtainError> {
    let unknown = || ObtainError::UnknownRelease { version: version.to_owned() };
    RELEASES.iter().find(|release| release.version == version).ok_or_else(unknown)
}

impl Release {
    /// The package as the npm client names it: `pyodide@314.0.7`.
    pub fn package(&self) -> String {
        format!("pyodide@{}", self.version)
    }

    /// A name that no other content has: the version and the beginning of the archive's digest.
    pub(super) fn content_name(&self) -> String {
        let prefix = self.tarball.sha256.get(..16).unwrap_or(self.tarball.sha256);
        format!("{}-{prefix}", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_that_a_configuration_can_select_is_in_the_table() {
        for selectable in taipan_config::compat::RELEASES.iter().filter(|release| release.supported) {
            let release = release(selectable.version).unwrap();
            assert!(release.python.starts_with(&format!("{}.", selectable.python)));
        }
    }

    #[test]
    fn digests_are_digests_and_names_have_no_folder() {
        for release in RELEASES {
            for artifact in release.files.iter().chain([&release.tarball]) {
                assert_eq!(artifact.sha256.len(), 64);
                assert!(
                    artifact
                        .sha256
                        .bytes()
                        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
                );
                assert!(!artifact.name.contains(['/', '\\']));
            }
        }
    }
}

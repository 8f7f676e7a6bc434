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
    /// Modules of the standard library that are not in it, but beside it.
    pub lacks: &'static [&'static str],
    /// The archive that npm publishes.
    pub tarball: Artifact,
    /// The files of the archive that are needed, which lie in its folder `package`.
    pub files: &'static [Artifact],
}

/// Before 314. What they have beside these is `test`, for CPython's own tests, a name that Workers have for theirs.
const UNVENDORED: &[&str] =
    &["_hashlib", "_lzma", "_pydecimal", "_sqlite3", "_ssl", "lzma", "pydoc_data", "sqlite3", "ssl"];

/// Every supported release, the newest first.
pub static RELEASES: &[Release] = &[
    Release {
        version: "314.0.7",
        python: "3.14.2",
        platform_tag: "pyemscripten_2026_0_wasm32",
        lacks: &[],
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
    },
    Release {
        version: "0.29.5",
        python: "3.13.2",
        platform_tag: "pyemscripten_2025_0_wasm32",
        lacks: UNVENDORED,
        tarball: Artifact {
            name: "pyodide-0.29.5.tgz",
            size: 5_598_317,
            sha256: "6749b10ee515a1458ecea36d860c8ce2a48366e85b3f92d749ad1840e4aff181",
        },
        files: &[
            Artifact {
                name: "package.json",
                size: 3_018,
                sha256: "d4803005d5a661faecd1046b8cdd31e61e0859c56e707bcf9fba08946dcc9cba",
            },
            Artifact {
                name: "pyodide-lock.json",
                size: 122_027,
                sha256: "14d2c2dba101277999e17135e653d8f15389ad1437f53eae213bf0c3cdff723d",
            },
            Artifact {
                name: "pyodide.asm.js",
                size: 1_074_322,
                sha256: "356c42f69e1695397e9d8670bd3c2e678248cde76e18bdae1731e848537b47d7",
            },
            Artifact {
                name: "pyodide.asm.wasm",
                size: 8_647_684,
                sha256: "54309a5a2cfd757b1f0fdbc9093c92503f7b341500110329d932487183912718",
            },
            Artifact {
                name: "pyodide.mjs",
                size: 17_616,
                sha256: "510ca14305230018f50c40fb81be673afd68080e70ce7733fcce6600dd6a1714",
            },
            Artifact {
                name: "python_stdlib.zip",
                size: 2_424_003,
                sha256: "831fd1e535084b972f87c6a35275de3d236efd5166f5e77ce89497710635e73c",
            },
        ],
    },
    Release {
        version: "0.28.3",
        python: "3.13.2",
        platform_tag: "pyodide_2025_0_wasm32",
        lacks: UNVENDORED,
        tarball: Artifact {
            name: "pyodide-0.28.3.tgz",
            size: 5_586_594,
            sha256: "bc3accb122c2c5d840b26ce56b100a21ab94aea4fe387a5b5c072ec6a88b7a62",
        },
        files: &[
            Artifact {
                name: "package.json",
                size: 3_302,
                sha256: "7e0d33e986f04657f82f5f6d3b80fbc77593a2e53bf886637e4ecf0975219c43",
            },
            Artifact {
                name: "pyodide-lock.json",
                size: 109_732,
                sha256: "f6e6f42f451f42affbbcddb00e8c9a3278dcbf399f57aab9f3f568839a7ff4a6",
            },
            Artifact {
                name: "pyodide.asm.js",
                size: 1_073_033,
                sha256: "b22e5831eade9ff10e6fe2c811c68688cd91f10154377b4f80debcf5bafa1e56",
            },
            Artifact {
                name: "pyodide.asm.wasm",
                size: 8_645_967,
                sha256: "5effb6a1a6cc4a1a85bec4622701aa797c031e1de923cbbaf2ad47abdc4ab325",
            },
            Artifact {
                name: "pyodide.mjs",
                size: 16_347,
                sha256: "635a6da3218fe4e5668da595acfe8b5ce77453d597d602f19a423dd250653441",
            },
            Artifact {
                name: "python_stdlib.zip",
                size: 2_416_866,
                sha256: "71fee17f88a6260ec8c9c7c063533ee59c021fdc88a1ce76247378d3c4a35f4c",
            },
        ],
    },
    Release {
        version: "0.27.7",
        python: "3.12.7",
        platform_tag: "pyodide_2024_0_wasm32",
        lacks: UNVENDORED,
        tarball: Artifact {
            name: "pyodide-0.27.7.tgz",
            size: 5_898_824,
            sha256: "89d5d952675eb08e11286e52c7238f1248ce71726e896db9703e73bef23dc343",
        },
        files: &[
            Artifact {
                name: "package.json",
                size: 3_267,
                sha256: "bf221f60c881626236d3501375a97753672a7fa6fed70e469e083f157c8a30d4",
            },
            Artifact {
                name: "pyodide-lock.json",
                size: 112_205,
                sha256: "9c45b916001a750f4102fc287494f3eab215909c7535c626a20db80fd6333e2c",
            },
            Artifact {
                name: "pyodide.asm.js",
                size: 1_255_688,
                sha256: "6b4c90de5b7172873f04f21884d0e9d2274e305fe32116558fe3e4fbe3618d51",
            },
            Artifact {
                name: "pyodide.asm.wasm",
                size: 10_105_545,
                sha256: "a50dd1843f805a0b7c45b61037ee0d7b26dfe85efe0e18ef95a34ad24e401f5f",
            },
            Artifact {
                name: "pyodide.mjs",
                size: 13_931,
                sha256: "04c052c815abb0bf2981fa38c2dfa58e3120ee5288c956df2b2a15e301782c5f",
            },
            Artifact {
                name: "python_stdlib.zip",
                size: 2_360_737,
                sha256: "16611534726e5d8ac2bd8f926410b2dcb8d6f49aa24913463533b457a2115c16",
            },
        ],
    },
];

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
        for selectable in &taipan_config::compat::RELEASES {
            let release = release(selectable.version).unwrap();
            assert!(release.python.starts_with(&format!("{}.", selectable.python)));
        }
    }

    /// What was deployed with a release runs on it for ever.
    #[test]
    fn no_release_that_was_ever_offered_is_gone() {
        const OFFERED: [&str; 4] = [
            "| 314.0.7 | 3.14.2 | `66b7949e5a0cba2250b586d7e368bf12fb482800748d182c4618254b685ffaa0` |",
            "| 0.29.5 | 3.13.2 | `6749b10ee515a1458ecea36d860c8ce2a48366e85b3f92d749ad1840e4aff181` |",
            "| 0.28.3 | 3.13.2 | `bc3accb122c2c5d840b26ce56b100a21ab94aea4fe387a5b5c072ec6a88b7a62` |",
            "| 0.27.7 | 3.12.7 | `89d5d952675eb08e11286e52c7238f1248ce71726e896db9703e73bef23dc343` |",
        ];
        let row = |release: &Release| {
            format!("| {} | {} | `{}` |", release.version, release.python, release.tarball.sha256)
        };
        let rows: Vec<String> = RELEASES.iter().map(row).collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../SPECIFICATION.md");
        let text = fs_err::read_to_string(path).unwrap();
        let (_, section) = text.split_once("## Releases of Python").unwrap();
        let section = section.split("\n## ").next().unwrap();
        for offered in OFFERED {
            assert!(rows.iter().any(|row| row == offered), "it is not in RELEASES any more: {offered}");
        }
        for row in &rows {
            assert!(section.contains(row.as_str()), "it is not in SPECIFICATION.md: {row}");
            assert!(OFFERED.contains(&row.as_str()), "add it to what was ever offered: {row}");
        }
        assert_eq!(section.matches("| `").count(), rows.len(), "SPECIFICATION.md has others");
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

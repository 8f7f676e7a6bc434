//! What packages need that is part of a Pyodide release and lies beside it: shared libraries, as scipy needs OpenBLAS on Python 3.12, and
//! modules of the standard library that older releases have taken out of it, as httpx needs `ssl` there.
//!
//! No index has them, so uv cannot obtain them: Pyodide publishes them as archives, and the list of packages in its release says who
//! needs which, and their digests. As the release's own digest is known, so are theirs: a lock need not name them.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;

use super::tags::canonical;
use super::{Index, Lock, LockedPackage, PackageError, unzip};
use crate::pyodide::http;

/// The list of packages among a release's files.
const LIST: &str = "pyodide-lock.json";

/// What the list calls things that are no packages of their own.
const KINDS: &[&str] = &["shared_library", "cpython_module"];

/// The largest archive, and the largest sum of its files, in bytes.
const MOST: u64 = 512 << 20;

/// Where libraries of a release are.
pub struct Libraries<'a> {
    /// The release's tag in wheels.
    pub platform: &'a str,
    /// The folder with the release's files.
    pub release: &'a dyn Fn() -> Result<PathBuf, String>,
    /// Folders with archives, and addresses below which they are. The first that has one is used.
    pub places: &'a [Index],
}

/// A shared library, or a module of the standard library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) sha256: String,
    /// The name of its archive.
    file: String,
    /// A package that needs it, or a file that imports it.
    by: String,
}

#[derive(Deserialize)]
struct List {
    packages: BTreeMap<String, Listed>,
}

#[derive(Deserialize)]
struct Listed {
    version: String,
    file_name: String,
    sha256: String,
    package_type: String,
    #[serde(default)]
    depends: Vec<String>,
    #[serde(default)]
    imports: Vec<String>,
}

impl Libraries<'_> {
    /// The libraries that each of the packages needs, by itself or for another library.
    pub(super) fn of(&self, packages: &[&LockedPackage]) -> Result<Vec<Vec<Library>>, PackageError> {
        if packages.is_empty() {
            return Ok(vec![]);
        }
        let list = self.list()?;
        Ok(packages.iter().map(|package| list.needed_by(&package.name)).collect())
    }

    /// What comes along with locked packages, once for each that needs it.
    ///
    /// # Errors
    /// When the release's list cannot be read.
    pub fn of_lock(&self, lock: &Lock) -> Result<Vec<Library>, PackageError> {
        let packages: Vec<&LockedPackage> = lock.packages().iter().collect();
        Ok(self.of(&packages)?.into_iter().flatten().collect())
    }

    /// What the release has beside it of these modules of the standard library, and what that needs. With each is the file that
    /// imports it.
    ///
    /// # Errors
    /// When the release's list cannot be read.
    pub fn of_imports(&self, imports: &[(String, String)]) -> Result<Vec<Library>, PackageError> {
        if imports.is_empty() {
            return Ok(vec![]);
        }
        let list = self.list()?;
        let mut found: Vec<Library> = vec![];
        for (module, by) in imports {
            for library in list.closure(list.having(module), by) {
                if found.iter().all(|known| known.name != library.name) {
                    found.push(library);
                }
            }
        }
        Ok(found)
    }

    fn list(&self) -> Result<List, PackageError> {
        let unknown = |reason| PackageError::Libraries { reason };
        let path = (self.release)().map_err(unknown)?.join(LIST);
        let text = fs::read(&path).map_err(PackageError::io(&path))?;
        serde_json::from_slice(&text).map_err(|e| unknown(e.to_string()))
    }

    /// The files of a library, by name.
    pub(super) fn obtain(&self, library: &Library) -> Result<Vec<(String, Vec<u8>)>, PackageError> {
        let failed = |reason: String| PackageError::Library {
            library: format!("{} {}", library.name, library.version),
            package: library.by.clone(),
            reason,
        };
        let mut tried = vec![];
        for place in self.places {
            match place.archive(&library.file) {
                Ok(archive) if format!("{:x}", Sha256::digest(&archive)) == library.sha256 => {
                    return unzip::files(&archive, MOST).map_err(failed);
                }
                Ok(_) => tried.push(format!("hash mismatch: {}", place.place(&library.file))),
                Err(reason) => tried.push(format!("{}: {reason}", place.place(&library.file))),
            }
        }
        Err(failed(tried.join("; ")))
    }
}

impl Library {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A package that needs it, or a file that imports it.
    pub fn by(&self) -> &str {
        &self.by
    }

    /// Where a file of its archive belongs on the module search path; `None` if it is of no use there.
    pub(super) fn place(&self, path: &str) -> Option<String> {
        let is_within = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_within || path.contains('\\') {
            return None;
        }
        if self.file.ends_with(".whl") {
            return (!path.contains(".dist-info/")).then(|| path.to_owned());
        }
        // Where the loader of native modules looks for them: as tools that repair wheels put them.
        let name = path.rsplit('/').next().filter(|name| name.ends_with(".so"))?;
        Some(format!("{}.libs/{name}", self.name))
    }
}

impl Index {
    fn place(&self, file: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(file).display().to_string(),
            Self::Url { url } => below(url, file).map_or_else(|| url.clone(), |url| http::shown(&url)),
        }
    }

    fn archive(&self, file: &str) -> Result<Vec<u8>, String> {
        match self {
            Self::Folder(folder) => read(&folder.join(file)),
            Self::Url { url } => {
                http::read(&below(url, file).ok_or("not an address")?, MOST).map_err(|e| e.to_string())
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let size = fs::metadata(path).map_err(|_| "there is no such file")?.len();
    if size > MOST {
        return Err(format!("it is larger than {} MiB", MOST >> 20));
    }
    fs::read(path).map_err(|e| e.to_string())
}

fn below(url: &str, file: &str) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    url.path_segments_mut().ok()?.pop_if_empty().push(file);
    Some(url)
}

impl List {
    fn needed_by(&self, package: &str) -> Vec<Library> {
        self.closure(self.depends(package), package)
    }

    /// The names of what has a module of the standard library.
    fn having(&self, module: &str) -> Vec<String> {
        let has =
            |p: &Listed| p.package_type == "cpython_module" && p.imports.iter().any(|name| name == module);
        self.packages.iter().filter(|(_, p)| has(p)).map(|(name, _)| name.clone()).collect()
    }

    fn closure(&self, mut waiting: Vec<String>, by: &str) -> Vec<Library> {
        let mut found: Vec<Library> = vec![];
        while let Some(name) = waiting.pop() {
            let Some(listed) = self.packages.get(&name).filter(|p| KINDS.contains(&&*p.package_type)) else {
                continue;
            };
            if found.iter().all(|library| library.name != name) {
                waiting.extend(self.depends(&name));
                let Listed { version, file_name, sha256, .. } = listed;
                let (version, sha256, file) = (version.clone(), sha256.clone(), file_name.clone());
                found.push(Library { name, version, sha256, file, by: by.to_owned() });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    fn depends(&self, package: &str) -> Vec<String> {
        self.packages
            .get(package)
            .map(|p| p.depends.iter().map(|name| canonical(name)).collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_libraries_are_needed_too() {
        let listed = |kind: &str, depends: &[&str]| {
            serde_json::json!({
                "version": "1", "file_name": "x.zip", "sha256": "", "package_type": kind, "depends": depends
            })
        };
        let list = serde_json::json!({ "packages": {
            "rasterio": listed("package", &["numpy", "GDAL"]),
            "numpy": listed("package", &["openblas"]),
            "gdal": listed("shared_library", &["geos"]),
            "geos": listed("shared_library", &["gdal"]),
            "openblas": listed("shared_library", &[]),
        }});
        let list: List = serde_json::from_value(list).unwrap();
        let names =
            |package| list.needed_by(package).into_iter().map(|library| library.name).collect::<Vec<_>>();
        assert_eq!(names("rasterio"), ["gdal", "geos"]);
        assert_eq!(names("numpy"), ["openblas"]);
        assert!(names("idna").is_empty());
    }

    #[test]
    fn addresses_of_archives() {
        for url in ["https://a.invalid/x", "https://a.invalid/x/"] {
            assert_eq!(below(url, "b.zip").unwrap().as_str(), "https://a.invalid/x/b.zip");
        }
        assert!(below("mailto:a", "b").is_none());
    }
}

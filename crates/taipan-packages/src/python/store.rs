//! What wheels hold, unpacked once per machine and shared by all Workers.
//!
//! ```text
//! <cache>/packages/<SHA-256 of the wheel>/index.json   which files there are; a folder without it is none of the store's
//! <cache>/packages/<SHA-256 of the wheel>/files/…      as they lie on the module search path
//! <cache>/packages/.lock                               held while wheels come in
//! <cache>/packages/.partial/                           work in progress; belongs to the holder of the lock
//! <cache>/packages/.builds/                            uv's cache for what it builds of sources
//! ```
//! Wheels that say that they hold too much are refused first (`sizes.rs`), and what uv writes is bounded (`watch.rs`).
//! uv downloads wheels, compares their digests with those in the lock, and unpacks them. Then each file is compared with the digest
//! that its wheel says it has, and moved to its place; folders get their final names whole. Of a package that has only a source, uv
//! builds the wheel first; its folder is named by the SHA-256 of the source. What a wheel needs of a release's own (`libraries.rs`)
//! lies beside it, each in a folder of that kind, named by the SHA-256 of its archive; `needs-<platform>.json` says which those are.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::tags::canonical;
use super::uv::Answer;
use super::{Libraries, Library, Lock, LockedPackage, PackageError, Uv, sizes};

/// The largest sum of the files of a wheel, in bytes.
pub(super) const MOST: u64 = 1 << 30;

const INDEX: &str = "index.json";

/// What installers add.
const ADDED: &[&str] =
    &["INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json", "uv_build.json"];

/// Ends of names of files with native code.
const NATIVE: &[&str] = &[".so", ".pyd", ".dylib", ".dll"];

/// The store of a cache folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// A wheel in the store.
#[derive(Clone, Debug)]
pub struct StoredWheel {
    sha256: String,
    folder: PathBuf,
    index: Index,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Index {
    name: String,
    version: String,
    /// Paths with `/`, and sizes in bytes.
    files: Vec<(String, u64)>,
    /// Bytes of files that no Worker needs.
    left_out: u64,
}

impl StoredWheel {
    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The canonical name of the package.
    pub fn name(&self) -> &str {
        &self.index.name
    }

    /// The version of the package.
    pub fn version(&self) -> &str {
        &self.index.version
    }

    /// Paths relative to the module search path, and sizes in bytes.
    pub fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.index.files.iter().map(|(path, size)| (path.as_str(), *size))
    }

    /// The size of all files together, in bytes.
    pub fn size(&self) -> u64 {
        self.index.files.iter().map(|(_, size)| size).sum()
    }

    /// The size in bytes of what the wheel has and no Worker needs: scripts, tests and bytecode.
    pub fn left_out(&self) -> u64 {
        self.index.left_out
    }

    pub(super) fn place(&self, path: &str) -> PathBuf {
        self.folder.join("files").join(path)
    }
}

impl Store {
    /// The store of the cache folder `cache`. Nothing is created yet.
    pub fn new(cache: &Path) -> Self {
        Self { folder: cache.join("packages") }
    }

    fn stored(&self, sha256: &str) -> Option<StoredWheel> {
        let (sha256, folder) = (sha256.to_owned(), self.folder.join(sha256));
        let index = serde_json::from_slice(&fs::read(folder.join(INDEX)).ok()?).ok()?;
        Some(StoredWheel { sha256, folder, index })
    }

    /// The libraries that a package needs on a platform, if the store has them and knows that.
    fn libraries_of(&self, package: &LockedPackage, platform: &str) -> Option<Vec<StoredWheel>> {
        let path = self.needs(package, platform);
        let digests: Vec<String> = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        digests.iter().map(|sha256| self.stored(sha256)).collect()
    }

    /// The file that names them. A pure wheel is for several platforms.
    fn needs(&self, package: &LockedPackage, platform: &str) -> PathBuf {
        let sha256 = package.wheel.sha256().unwrap_or_default();
        self.folder.join(sha256).join(format!("needs-{platform}.json"))
    }

    fn stored_package(&self, package: &LockedPackage) -> Option<StoredWheel> {
        self.stored(package.wheel.sha256()?)
    }

    /// The locked packages, and the libraries that they need, if the store has them all.
    pub fn open(&self, lock: &Lock) -> Option<Vec<StoredWheel>> {
        self.open_all(lock.packages(), Some(lock.platform()))
    }

    fn open_all(&self, packages: &[LockedPackage], platform: Option<&str>) -> Option<Vec<StoredWheel>> {
        let mut all =
            packages.iter().map(|package| self.stored_package(package)).collect::<Option<Vec<_>>>()?;
        let mut libraries = BTreeMap::new();
        for package in packages {
            let needed = platform.map(|platform| self.libraries_of(package, platform));
            for library in needed.unwrap_or_else(|| Some(vec![]))? {
                libraries.insert(library.sha256.clone(), library);
            }
        }
        all.extend(libraries.into_values());
        Some(all)
    }

    /// The locked packages and the libraries that they need; what the store does not have is obtained. `folder` is that of the lock
    /// file. When several processes want the same at once, one obtains it and the others wait.
    ///
    /// # Errors
    /// When a package cannot be obtained or is not what was locked.
    pub fn obtain(
        &self,
        lock: &Lock,
        folder: &Path,
        uv: &Uv,
        interpreter: &Path,
        libraries: &Libraries<'_>,
    ) -> Result<Vec<StoredWheel>, PackageError> {
        self.obtain_all(lock.packages(), folder, uv, interpreter, Some(libraries))
    }

    pub(super) fn obtain_all(
        &self,
        packages: &[LockedPackage],
        folder: &Path,
        uv: &Uv,
        interpreter: &Path,
        libraries: Option<&Libraries<'_>>,
    ) -> Result<Vec<StoredWheel>, PackageError> {
        let platform = libraries.map(|libraries| libraries.platform);
        if let Some(all) = self.open_all(packages, platform) {
            return Ok(all);
        }
        self.add(|partial| {
            let missing: Vec<_> = packages.iter().filter(|p| self.stored_package(p).is_none()).collect();
            self.fill(&missing, folder, uv, interpreter, partial)?;
            let Some(libraries) = libraries else { return Ok(()) };
            let is_unknown =
                |package: &&LockedPackage| self.libraries_of(package, libraries.platform).is_none();
            let unknown: Vec<_> = packages.iter().filter(is_unknown).collect();
            self.add_libraries(libraries, &unknown, partial)
        })?;
        self.open_all(packages, platform)
            .ok_or_else(|| PackageError::Download { reason: "not every package arrived".into() })
    }

    /// These libraries; what the store does not have is obtained.
    ///
    /// # Errors
    /// When one cannot be obtained.
    pub fn obtain_libraries(
        &self,
        wanted: &[Library],
        libraries: &Libraries<'_>,
    ) -> Result<Vec<StoredWheel>, PackageError> {
        let missing = |library: &&Library| self.stored(&library.sha256).is_none();
        if wanted.iter().any(|library| missing(&library)) {
            self.add(|partial| {
                let mut missing = wanted.iter().filter(missing);
                missing.try_for_each(|library| self.add_library(library, libraries.obtain(library)?, partial))
            })?;
        }
        Ok(wanted.iter().filter_map(|library| self.stored(&library.sha256)).collect())
    }

    /// Does what adds to the store, while no other process does, with a folder for what is not whole yet.
    fn add(&self, work: impl FnOnce(&Path) -> Result<(), PackageError>) -> Result<(), PackageError> {
        fs::create_dir_all(&self.folder).map_err(PackageError::io(&self.folder))?;
        let _guard = self.lock()?;
        let partial = self.folder.join(".partial");
        // What an interrupted process has left.
        remove(&partial)?;
        let done = work(&partial);
        remove(&partial)?;
        done
    }

    /// A folder for uv's cache of what it builds.
    pub(super) fn builds(&self) -> PathBuf {
        self.folder.join(".builds")
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Obtains the libraries that packages need, and notes which those are.
    fn add_libraries(
        &self,
        libraries: &Libraries<'_>,
        packages: &[&LockedPackage],
        partial: &Path,
    ) -> Result<(), PackageError> {
        for (package, needed) in packages.iter().zip(libraries.of(packages)?) {
            for library in needed.iter().filter(|library| self.stored(&library.sha256).is_none()) {
                self.add_library(library, libraries.obtain(library)?, partial)?;
            }
            let digests: Vec<&str> = needed.iter().map(|library| library.sha256.as_str()).collect();
            let path = self.needs(package, libraries.platform);
            let text = serde_json::to_vec(&digests).map_err(|e| PackageError::io(&path)(e.into()))?;
            fs::write(&path, text).map_err(PackageError::io(&path))?;
        }
        Ok(())
    }

    fn add_library(
        &self,
        library: &Library,
        files: Vec<(String, Vec<u8>)>,
        partial: &Path,
    ) -> Result<(), PackageError> {
        let (name, version) = (library.name.clone(), library.version.clone());
        let mut index = Index { name, version, files: vec![], left_out: 0 };
        let new = partial.join("library");
        remove(&new)?;
        for (path, content) in files {
            let size = content.len() as u64;
            let Some(path) = library.place(&path).filter(|path| is_needed(path)) else {
                index.left_out += size;
                continue;
            };
            let file = new.join("files").join(&path);
            let above = file.parent().unwrap_or(&new);
            fs::create_dir_all(above).map_err(PackageError::io(above))?;
            fs::write(&file, &content).map_err(PackageError::io(&file))?;
            index.files.push((path, size));
        }
        index.files.sort();
        fs::create_dir_all(&new).map_err(PackageError::io(&new))?;
        self.finish(&new, &index, &library.sha256)
    }

    fn fill(
        &self,
        missing: &[&LockedPackage],
        folder: &Path,
        uv: &Uv,
        interpreter: &Path,
        partial: &Path,
    ) -> Result<(), PackageError> {
        let (sources, wheels): (Vec<&LockedPackage>, Vec<_>) = missing.iter().partition(|p| p.is_source);
        if !wheels.is_empty() {
            let more = [Path::new("--no-build"), Path::new("--python"), interpreter];
            // The lock says all that an index could, so none is asked about what uv has downloaded before.
            let known = [&more[..], &[Path::new("--offline")]].concat();
            let install = |wheels: &[&LockedPackage], uv: &Uv, more: &[&Path]| {
                self.install(wheels, folder, partial, more, |all| uv.run(folder, all, ""))
            };
            sizes::check_local(&wheels, folder)?;
            let done = match install(&wheels, uv, &known) {
                Err(PackageError::Download { .. }) => {
                    sizes::check_remote(&wheels)?;
                    install(&wheels, uv, &more)
                }
                done => done,
            };
            if let Err(PackageError::Expands { .. }) = done {
                // Which of them is it, or are they many?
                let uv = uv.bounded(2 * MOST);
                for wheel in &wheels {
                    install(&[wheel], &uv, &more).map_err(|error| refused(wheel, error))?;
                }
            } else {
                done?;
            }
        }
        // Any Python of this machine will do.
        let more = ["--no-deps", "--python", "3"].map(Path::new);
        for source in sources {
            let uv = uv.bounded(4 * MOST);
            let build = |all: &[&Path]| uv.build(folder, all, "", &self.builds());
            self.install(&[source], folder, partial, &more, build).map_err(|error| match error {
                PackageError::Download { reason } => {
                    PackageError::Unbuildable { package: source.name.clone(), reason }
                }
                error => refused(source, error),
            })?;
        }
        Ok(())
    }

    /// Has uv unpack packages into a folder, and adopts them from there.
    fn install(
        &self,
        packages: &[&LockedPackage],
        folder: &Path,
        partial: &Path,
        more: &[&Path],
        run: impl FnOnce(&[&Path]) -> Result<Result<Answer, String>, PackageError>,
    ) -> Result<(), PackageError> {
        let tree = partial.join("tree");
        remove(&tree)?;
        fs::create_dir_all(&tree).map_err(PackageError::io(&tree))?;
        let excerpt = partial.join("pylock.toml");
        fs::write(&excerpt, Lock::excerpt(packages, folder)).map_err(PackageError::io(&excerpt))?;
        // Links would make the store's files those of uv's cache, and of whatever environment else, where people edit them.
        let arguments = ["pip", "install", "--quiet", "--link-mode=copy"].map(Path::new);
        let paths = [Path::new("--target"), &tree, Path::new("--requirements"), &excerpt];
        if let Err(reason) = run(&[&arguments[..], &paths[..], more].concat())? {
            return Err(PackageError::Download { reason });
        }
        let records = records(&tree)?;
        for package in packages {
            let lost = || PackageError::Download { reason: format!("{} did not arrive", package.name) };
            let (_, info) = records.iter().find(|(name, _)| *name == package.name).ok_or_else(lost)?;
            self.adopt(package, &tree, info, partial)?;
        }
        Ok(())
    }

    /// Checks a package's files and moves them into the store.
    fn adopt(
        &self,
        package: &LockedPackage,
        tree: &Path,
        info: &str,
        partial: &Path,
    ) -> Result<(), PackageError> {
        let refused = |reason: String| PackageError::Refused { package: package.name.clone(), reason };
        let record = tree.join(info).join("RECORD");
        let text = fs::read_to_string(&record).map_err(PackageError::io(&record))?;
        let new = partial.join("wheel");
        remove(&new)?;
        let mut index = Index {
            name: package.name.clone(),
            version: package.version.clone(),
            files: vec![],
            left_out: 0,
        };
        let mut kept = String::new();
        let mut seen = BTreeSet::new();
        let mut sum = 0_u64;
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (path, digest) =
                entry(line).ok_or_else(|| refused(format!("its list of files is broken: {line}")))?;
            let added = path.strip_prefix(info).and_then(|rest| rest.strip_prefix('/'));
            if added.is_some_and(|name| ADDED.contains(&name)) {
                continue;
            }
            if !Path::new(&path).components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(refused(format!("it has a file outside of its folder: {path}")));
            }
            let file = tree.join(&path);
            let data = fs::symlink_metadata(&file).map_err(|e| refused(format!("{path}: {e}")))?;
            if !data.is_file() {
                return Err(refused(format!("it has something that is no file: {path}")));
            }
            sum = sum.saturating_add(data.len());
            if sum > MOST {
                return Err(refused(format!("unpacked it is larger than {} MiB", MOST >> 20)));
            }
            if package.is_source && NATIVE.iter().any(|end| path.ends_with(end)) {
                return Err(refused(format!(
                    "built of its source it has native code for this machine: {path}"
                )));
            }
            if !is_needed(&path) {
                index.left_out += data.len();
                continue;
            }
            if !seen.insert(path.clone()) {
                return Err(refused(format!("it has a file twice: {path}")));
            }
            let content = fs::read(&file).map_err(PackageError::io(&file))?;
            if digest != format!("sha256={}", base64(&Sha256::digest(&content))) {
                return Err(refused(format!("a file is not what it says: {path}")));
            }
            let place = new.join("files").join(&path);
            let above = place.parent().unwrap_or(&new);
            fs::create_dir_all(above).map_err(PackageError::io(above))?;
            fs::rename(&file, &place).map_err(PackageError::io(&place))?;
            kept.push_str(line);
            kept.push('\n');
            index.files.push((path, data.len()));
        }
        let path = format!("{info}/RECORD");
        let place = new.join("files").join(&path);
        kept.push_str(&format!("{path},,\n"));
        fs::create_dir_all(place.parent().unwrap_or(&new)).map_err(PackageError::io(&place))?;
        fs::write(&place, &kept).map_err(PackageError::io(&place))?;
        index.files.push((path, kept.len() as u64));
        index.files.sort();
        self.finish(&new, &index, package.wheel.sha256().unwrap_or_default())
    }

    /// Gives a folder its index and its place.
    fn finish(&self, new: &Path, index: &Index, sha256: &str) -> Result<(), PackageError> {
        let path = new.join(INDEX);
        let text = serde_json::to_vec(index).map_err(|e| PackageError::io(&path)(e.into()))?;
        fs::write(&path, text).map_err(PackageError::io(&path))?;
        let place = self.folder.join(sha256);
        // Without its index it is what the removal of it has left.
        remove(&place)?;
        fs::rename(new, &place).map_err(PackageError::io(&place))
    }

    /// Held until it is dropped, or its process ends.
    fn lock(&self) -> Result<std::fs::File, PackageError> {
        let path = self.folder.join(".lock");
        let open = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let (file, _) = open.map_err(PackageError::io(&path))?.into_parts();
        file.lock().map_err(PackageError::io(&path))?;
        Ok(file)
    }
}

/// A package's own error, if it is one of its size.
fn refused(package: &LockedPackage, error: PackageError) -> PackageError {
    let PackageError::Expands { most, is_file, .. } = error else { return error };
    let reason = if is_file {
        format!("it has a file that is larger than {} MiB", most >> 20)
    } else {
        format!("unpacked it is larger than {} MiB", MOST >> 20)
    };
    PackageError::Refused { package: package.name.clone(), reason }
}

/// The names of installed packages, and of the folders that describe them.
fn records(tree: &Path) -> Result<Vec<(String, String)>, PackageError> {
    let mut found = vec![];
    for folder in fs::read_dir(tree).map_err(PackageError::io(tree))? {
        let name = folder.map_err(PackageError::io(tree))?.file_name().to_string_lossy().into_owned();
        if let Some((package, _)) = name.strip_suffix(".dist-info").and_then(|n| n.rsplit_once('-')) {
            found.push((canonical(package), name));
        }
    }
    Ok(found)
}

/// The path and the digest in a line of a list of files.
fn entry(line: &str) -> Option<(String, &str)> {
    let (path, rest) = match line.strip_prefix('"') {
        Some(quoted) => {
            let (path, rest) = quoted.split_once("\",")?;
            (path.replace("\"\"", "\""), rest)
        }
        None => line.split_once(',').map(|(path, rest)| (path.to_owned(), rest))?,
    };
    Some((path, rest.split(',').next()?))
}

/// Whether a Worker may need a file: scripts have no shell there, bytecode is made for another Python or in no time, and tests are
/// for those who work on the package.
fn is_needed(path: &str) -> bool {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let is_test = folders.split('/').skip(1).any(|folder| folder == "tests");
    let is_script = path.starts_with("bin/");
    let is_bytecode = path.ends_with(".pyc") || folders.split('/').any(|folder| folder == "__pycache__");
    !(is_test || is_script || is_bytecode)
}

/// As lists of files have digests: for addresses, without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0_u32, |sum, i| sum << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for digit in 0..=chunk.len() {
            let at = (group >> (18 - 6 * digit)) as usize & 63;
            out.push(DIGITS.get(at).copied().map_or('A', char::from));
        }
    }
    out
}

fn remove(folder: &Path) -> Result<(), PackageError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(PackageError::Io { path: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}

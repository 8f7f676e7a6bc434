//! From a release to a folder with its files.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf, absolute};

use super::progress::{Progress, Step};
use super::verify::{check, damaged_file};
use super::{Cache, ObtainError, Release, archive, http, npm};

/// Where a release comes from when the cache does not have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The npm client.
    Npm,
    /// A folder with the unpacked npm package. It is used where it is; nothing is copied.
    Folder(PathBuf),
    /// A mirror: the address of a folder with the archive that npm publishes (`pyodide-VERSION.tgz`), or of the archive itself.
    Url(String),
}

/// A folder with the files of `release`, all of them verified just now.
///
/// What the cache has is used; a corrupted file there is noticed and replaced. When several processes want the same release at
/// once, one obtains it and the others wait. An interrupted call leaves nothing that the next would mistake for the release.
///
/// # Errors
/// When the release cannot be had from the source, or is not what was published, or the cache cannot be written.
pub fn obtain(
    release: &Release,
    cache: &Cache,
    source: &Source,
    progress: &dyn Progress,
) -> Result<PathBuf, ObtainError> {
    match source {
        Source::Folder(folder) => given_folder(release, folder),
        Source::Npm => cached(release, cache, progress, |partial| {
            from_npm(release, Path::new(npm::NPM), partial, progress)
        }),
        Source::Url(base) => {
            cached(release, cache, progress, |partial| from_mirror(release, base, partial, progress))
        }
    }
}

fn given_folder(release: &Release, folder: &Path) -> Result<PathBuf, ObtainError> {
    if !folder.is_dir() {
        return Err(ObtainError::NoFolder { folder: folder.to_owned() });
    }
    let Some((file, damage)) = damaged_file(release, folder) else {
        return Ok(absolute(folder).unwrap_or_else(|_| folder.to_owned()));
    };
    match version_in(folder) {
        Some(found) if found != release.version => {
            Err(ObtainError::WrongRelease { folder: folder.to_owned(), found, expected: release.version })
        }
        _ => Err(ObtainError::WrongFile { version: release.version, file, damage }),
    }
}

/// The version that the package in a folder says it has.
fn version_in(folder: &Path) -> Option<String> {
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs_err::read(folder.join("package.json")).ok()?).ok()?;
    Some(manifest.get("version")?.as_str()?.to_owned())
}

/// The release from the cache; `fetch` puts its archive into a folder, when that is needed, and returns the archive's path.
pub(super) fn cached(
    release: &Release,
    cache: &Cache,
    progress: &dyn Progress,
    fetch: impl FnOnce(&Path) -> Result<PathBuf, ObtainError>,
) -> Result<PathBuf, ObtainError> {
    let folder = cache.release_folder(release);
    if damaged_file(release, &folder).is_none() {
        return Ok(folder);
    }
    let _lock = lock(&cache.lock_file(release), release, progress)?;
    // Another process may have obtained it while this one waited.
    let Some((file, damage)) = damaged_file(release, &folder) else { return Ok(folder) };
    let corrupted = folder.is_dir();
    if corrupted {
        progress.note(&format!(
            "A file in the cache is corrupted, obtaining it again: {}: {damage}",
            file.display()
        ));
    }
    let partial = cache.partial_folder(release);
    match fill(release, &partial, fetch) {
        Ok(files) => {
            remove(&folder)?;
            fs_err::rename(&files, &folder).map_err(unusable(&folder))?;
            remove(&partial)?;
            Ok(folder)
        }
        Err(source) if corrupted => Err(ObtainError::Corrupted { file, damage, source: Box::new(source) }),
        Err(error) => Err(error),
    }
}

/// Puts a release together in `partial` and returns the folder with its files.
fn fill(
    release: &Release,
    partial: &Path,
    fetch: impl FnOnce(&Path) -> Result<PathBuf, ObtainError>,
) -> Result<PathBuf, ObtainError> {
    fs_err::create_dir_all(partial).map_err(unusable(partial))?;
    let tarball = fetch(partial)?;
    let files = partial.join("files");
    remove(&files)?;
    fs_err::create_dir_all(&files).map_err(unusable(&files))?;
    archive::unpack(release, &tarball, &files)?;
    match damaged_file(release, &files) {
        None => Ok(files),
        Some((file, damage)) => Err(ObtainError::WrongFile { version: release.version, file, damage }),
    }
}

/// The archive through the npm client `program`.
pub(super) fn from_npm(
    release: &Release,
    program: &Path,
    partial: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf, ObtainError> {
    let tarball = npm::pack(program, release, partial, progress)?;
    verified(release, tarball, "npm")
}

/// The archive from the mirror at `base`.
pub(super) fn from_mirror(
    release: &Release,
    base: &str,
    partial: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf, ObtainError> {
    let url = http::address(base, &release.tarball)?;
    let part = partial.join(format!("{}.part", release.tarball.name));
    let resumed = part.exists();
    http::download(&url, &release.tarball, &part, progress)?;
    match verified(release, part.clone(), &http::shown(&url)) {
        // What an earlier process left may have been the beginning of something else.
        Err(ObtainError::WrongArchive { .. }) if resumed => {
            http::download(&url, &release.tarball, &part, progress)?;
            verified(release, part, &http::shown(&url))
        }
        result => result,
    }
}

/// `tarball` if it is the published archive; otherwise it is removed, so that nothing is built on it.
fn verified(release: &Release, tarball: PathBuf, origin: &str) -> Result<PathBuf, ObtainError> {
    match check(&release.tarball, &tarball) {
        Ok(()) => Ok(tarball),
        Err(damage) => {
            fs_err::remove_file(&tarball).map_err(unusable(&tarball))?;
            Err(ObtainError::WrongArchive { origin: origin.to_owned(), name: release.tarball.name, damage })
        }
    }
}

/// Takes the lock, and tells when that means waiting. It is given back when the file is dropped, or its process ends.
fn lock(path: &Path, release: &Release, progress: &dyn Progress) -> Result<std::fs::File, ObtainError> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder).map_err(unusable(folder))?;
    }
    let open = fs_err::OpenOptions::new().write(true).create(true).truncate(false).open(path);
    let (file, _) = open.map_err(unusable(path))?.into_parts();
    if file.try_lock().is_err() {
        let what = format!("waiting for another process that obtains {}", release.package());
        let _step = Step::start(progress, &what, None);
        file.lock().map_err(unusable(path))?;
    }
    Ok(file)
}

fn remove(folder: &Path) -> Result<(), ObtainError> {
    match fs_err::remove_dir_all(folder) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(ObtainError::Cache { path: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn unusable(path: &Path) -> impl FnOnce(io::Error) -> ObtainError + use<> {
    let path = path.to_owned();
    |source| ObtainError::Cache { path, source }
}

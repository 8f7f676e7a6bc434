//! What is deployed, on disk.
//!
//! ```text
//! <state>/taipan-v1/deployed/contents/ab/ab…            a file's content, named by its SHA-256
//! <state>/taipan-v1/deployed/releases/<version>-<…>/    the files of a Pyodide release, linked to their contents
//! <state>/taipan-v1/deployed/workers/NAME/versions/ID/  manifest.json, and the assets below assets/, linked to their contents
//! <state>/taipan-v1/deployed/workers/NAME/current       the ID of the version that is served
//! <state>/taipan-v1/deployed/workers/NAME/secrets.json  readable by this user only
//! <state>/taipan-v1/deployed/partial/                   work in progress; emptied at each start
//! ```
//! Whatever gets a final name is whole and synced before, and `current` is written last: a process may end at any moment. Contents that came
//! for a version which was never kept are removed at the next start.

use std::collections::HashSet;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use ring::digest::{Context, SHA256};
use serde::Serialize;
use taipan_storage::{StateFolder, hex, sha256};

use super::manifest::{ContentFile, PinnedRelease, is_digest};
use super::version::Version;
use crate::identity::random_id;

/// So many versions of a Worker are kept.
const KEPT: usize = 50;

const MANIFEST: &str = "manifest.json";
const CURRENT: &str = "current";

/// The folder of all that is deployed.
pub(super) struct Folder {
    root: PathBuf,
    /// Contents that this process has written and not synced yet.
    fresh: Mutex<HashSet<String>>,
}

impl Folder {
    /// Opens it, and removes what a process that ended has left.
    pub(super) fn open(state: &StateFolder) -> io::Result<Self> {
        let root = state.path().join("deployed");
        let folder = Self { root, fresh: Mutex::default() };
        remove(&folder.partial())?;
        for name in ["partial", "contents", "releases", "workers"] {
            fs::create_dir_all(folder.root.join(name))?;
        }
        folder.sweep()?;
        Ok(folder)
    }

    fn partial(&self) -> PathBuf {
        self.root.join("partial")
    }

    /// A name in the folder of work in progress that nobody else has.
    fn new_partial(&self) -> io::Result<PathBuf> {
        Ok(self.partial().join(random_id()?))
    }

    fn worker(&self, name: &str) -> PathBuf {
        self.root.join("workers").join(name)
    }

    fn version_folder(&self, name: &str, id: &str) -> PathBuf {
        self.worker(name).join("versions").join(id)
    }

    /// Where the content with a digest is, or would be.
    pub(super) fn place(&self, sha256: &str) -> PathBuf {
        self.root.join("contents").join(sha256.get(..2).unwrap_or_default()).join(sha256)
    }

    /// Whether the content is there.
    pub(super) fn has(&self, file: &ContentFile) -> bool {
        fs::metadata(self.place(&file.sha256)).is_ok_and(|data| data.len() == file.size)
    }

    /// Reads a content, and compares it with its digest.
    pub(super) fn read(&self, file: &ContentFile) -> io::Result<Vec<u8>> {
        let place = self.place(&file.sha256);
        let content = fs::read(&place)?;
        if sha256(&content) != file.sha256 {
            return Err(damaged(&place));
        }
        Ok(content)
    }

    /// Begins to write a content.
    pub(super) fn receive(&self) -> io::Result<Incoming<'_>> {
        let path = self.new_partial()?;
        Ok(Incoming { folder: self, file: fs::File::create(&path)?, path, digest: Context::new(&SHA256) })
    }

    /// Sees to it that contents are on disk, whatever happens.
    pub(super) fn sync<'a>(&self, files: impl Iterator<Item = &'a ContentFile>) -> io::Result<()> {
        let mut folders = HashSet::new();
        for file in files {
            if !self.lock_fresh().contains(&file.sha256) {
                continue;
            }
            let place = self.place(&file.sha256);
            fs::File::open(&place)?.sync_all()?;
            folders.extend(place.parent().map(Path::to_owned));
            self.lock_fresh().remove(&file.sha256);
        }
        for folder in &folders {
            sync_folder(folder)?;
        }
        if !folders.is_empty() {
            sync_folder(&self.root.join("contents"))?;
        }
        Ok(())
    }

    fn lock_fresh(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder with a release's files, all of which are as they should be.
    pub(super) fn release(&self, release: &PinnedRelease) -> io::Result<PathBuf> {
        let name = format!("{}-{}", release.version, release.sha256.get(..16).unwrap_or_default());
        let place = self.root.join("releases").join(name);
        if !place.is_dir() {
            let new = self.new_partial()?;
            self.lay_out(&new, &release.files)?;
            sync_tree(&new)?;
            if let Err(error) = fs::rename(&new, &place)
                && !place.is_dir()
            {
                return Err(error);
            }
        }
        Ok(place)
    }

    /// Makes a folder of files of their contents.
    fn lay_out(&self, folder: &Path, files: &[ContentFile]) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for file in files {
            let path = folder.join(&file.path);
            if let Some(above) = path.parent() {
                fs::create_dir_all(above)?;
            }
            let content = self.place(&file.sha256);
            // Where there are no links, or no more of them, it is a copy.
            if fs::hard_link(&content, &path).is_err() {
                fs::copy(&content, &path)?;
            }
        }
        Ok(())
    }

    /// The names of all Workers.
    pub(super) fn workers(&self) -> io::Result<Vec<String>> {
        names(&self.root.join("workers"))
    }

    /// The version that is served, by what the disk says.
    pub(super) fn current(&self, name: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.worker(name).join(CURRENT)) {
            Ok(id) => Ok(Some(id.trim().to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn version(&self, name: &str, id: &str) -> io::Result<Version> {
        let path = self.version_folder(name, id).join(MANIFEST);
        serde_json::from_slice(&fs::read(&path)?).map_err(|error| {
            io::Error::new(ErrorKind::InvalidData, format!("cannot be read: {}: {error}", path.display()))
        })
    }

    /// The versions of a Worker, the newest first. What cannot be read is left out.
    pub(super) fn versions(&self, name: &str) -> io::Result<Vec<Version>> {
        let ids = match names(&self.worker(name).join("versions")) {
            Err(error) if error.kind() == ErrorKind::NotFound => vec![],
            ids => ids?,
        };
        let mut versions: Vec<Version> = ids.iter().filter_map(|id| self.version(name, id).ok()).collect();
        versions.sort_by_key(|version| std::cmp::Reverse(version.created_ms));
        Ok(versions)
    }

    /// The folder of a version's assets.
    pub(super) fn assets(&self, version: &Version) -> PathBuf {
        self.version_folder(&version.manifest.name, &version.id).join("assets")
    }

    /// Keeps a version whose contents are there. It is not served yet.
    pub(super) fn keep(&self, version: &Version) -> io::Result<()> {
        let new = self.new_partial()?;
        fs::create_dir_all(&new)?;
        if let Some(assets) = &version.manifest.assets {
            self.lay_out(&new.join("assets"), &assets.files)?;
            sync_tree(&new.join("assets"))?;
        }
        write(&new.join(MANIFEST), version)?;
        sync_folder(&new)?;
        let place = self.version_folder(&version.manifest.name, &version.id);
        if let Some(above) = place.parent() {
            fs::create_dir_all(above)?;
            fs::rename(&new, &place)?;
            sync_folder(above)?;
            sync_folder(&self.worker(&version.manifest.name))?;
            sync_folder(&self.root.join("workers"))?;
        }
        Ok(())
    }

    /// Removes a version that is not served.
    pub(super) fn discard(&self, version: &Version) -> io::Result<()> {
        self.vanish(&self.version_folder(&version.manifest.name, &version.id))
    }

    /// Has a version served from the next start on.
    pub(super) fn make_current(&self, name: &str, id: &str) -> io::Result<()> {
        let new = self.new_partial()?;
        let mut file = fs::File::create(&new)?;
        file.write_all(format!("{id}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, self.worker(name).join(CURRENT))?;
        sync_folder(&self.worker(name))
    }

    /// Removes versions that are too many.
    pub(super) fn prune(&self, name: &str, current: &str) -> io::Result<()> {
        for version in self.versions(name)?.iter().skip(KEPT).filter(|version| version.id != current) {
            self.discard(version)?;
        }
        Ok(())
    }

    /// Removes a Worker with its versions and secrets.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        self.vanish(&self.worker(name))
    }

    /// Removes a folder at once, as others see it.
    fn vanish(&self, folder: &Path) -> io::Result<()> {
        let away = self.new_partial()?;
        match fs::rename(folder, &away) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        if let Some(above) = folder.parent() {
            sync_folder(above)?;
        }
        remove(&away)
    }

    /// Reads a file of a Worker's that is not a version's.
    pub(super) fn read_of(&self, name: &str, file: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.worker(name).join(file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes one that only this user may read.
    pub(super) fn write_private(&self, name: &str, file: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.new_partial()?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use fs_err::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let mut opened = options.open(&new)?;
        opened.write_all(bytes)?;
        opened.sync_all()?;
        fs::create_dir_all(self.worker(name))?;
        fs::rename(&new, self.worker(name).join(file))?;
        sync_folder(&self.worker(name))
    }

    /// Removes contents that no version has.
    fn sweep(&self) -> io::Result<()> {
        let mut wanted = HashSet::new();
        for name in self.workers()? {
            let versions = self.worker(&name).join("versions");
            let ids = match names(&versions) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                ids => ids?,
            };
            for id in ids {
                match self.version(&name, &id) {
                    Ok(version) => {
                        wanted.extend(version.manifest.files().map(|file| file.sha256.clone()));
                    }
                    Err(error) => {
                        // Whose contents it would have, nobody knows: none is removed.
                        tracing::error!("a version of the Worker {name} is lost: {id}: {error}");
                        return Ok(());
                    }
                }
            }
        }
        let contents = self.root.join("contents");
        for part in names(&contents)? {
            for sha256 in names(&contents.join(&part))? {
                if !is_digest(&sha256) || !wanted.contains(&sha256) {
                    fs::remove_file(contents.join(&part).join(&sha256))?;
                }
            }
        }
        Ok(())
    }
}

/// A content on its way in. Dropped before it is complete, it leaves nothing.
pub(super) struct Incoming<'a> {
    folder: &'a Folder,
    path: PathBuf,
    file: fs::File,
    digest: Context,
}

impl Incoming<'_> {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.file.write_all(bytes)
    }

    /// Takes it in if it has the digest. False: it has another.
    pub(super) fn finish(self, sha256: &str) -> io::Result<bool> {
        if hex(self.digest.clone().finish().as_ref()) != sha256 {
            return Ok(false);
        }
        let place = self.folder.place(sha256);
        if let Some(above) = place.parent() {
            fs::create_dir_all(above)?;
        }
        self.folder.lock_fresh().insert(sha256.to_owned());
        fs::rename(&self.path, &place)?;
        Ok(true)
    }
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        // It has another name when it is complete.
        drop(fs::remove_file(&self.path));
    }
}

fn damaged(path: &Path) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the file is damaged: {}", path.display()))
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        // We write none that is no text.
        found.extend(entry?.file_name().into_string().ok());
    }
    found.sort();
    Ok(found)
}

fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(&serde_json::to_vec_pretty(value)?)?;
    file.sync_all()
}

/// The names in a folder are on disk only when the folder is.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    sync_folder(folder)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

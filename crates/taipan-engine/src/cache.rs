//! Compiled code on disk.
//!
//! Machine code that is mapped and jumped into is as trusted as this program. Every file therefore has a keyed digest
//! beside it, made with a key of this cache folder that only its owner can read, and nothing is mapped whose digest does
//! not fit: a truncated, damaged or foreign file is compiled again. The name says what the code was made from, by
//! whom and for which machine.

use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use wasmtime::{Engine, Module};

use crate::RuntimeError;
use crate::code::{Code, CodeName, First};
use crate::view::View;
use crate::{interrupt, stamp};

const KEY_LENGTH: usize = 32;

/// Compiled modules, by what they were made from.
pub(crate) struct CodeCache {
    folder: PathBuf,
    key: [u8; KEY_LENGTH],
    compatibility: u64,
}

fn cache_error(path: &Path, source: io::Error) -> RuntimeError {
    RuntimeError::Cache { path: path.to_owned(), source }
}

impl CodeCache {
    /// Opens the folder and makes its key when there is none.
    pub(crate) fn open(folder: &Path, engine: &Engine) -> Result<Self, RuntimeError> {
        fs::create_dir_all(folder).map_err(|e| cache_error(folder, e))?;
        let path = folder.join("key");
        let key = match read_key(&path) {
            Some(key) => key,
            None => new_key(&path).map_err(|e| cache_error(&path, e))?,
        };
        let mut hasher = StableHasher(blake3::Hasher::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self { folder: folder.to_owned(), key, compatibility: hasher.finish() })
    }

    /// The name of the code that `recipe` makes from `input`.
    pub(crate) fn name(&self, recipe: &str, input: &[u8]) -> CodeName {
        let mut name = blake3::Hasher::new();
        name.update(recipe.as_bytes()).update(&[0]).update(&self.compatibility.to_le_bytes()).update(input);
        *name.finalize().as_bytes()
    }

    /// The code of this name, from the cache or else by `compile`, whose result is kept. When several threads or processes want the
    /// same at once, one compiles it and the others wait.
    pub(crate) fn get(
        &self,
        engine: &Engine,
        name: CodeName,
        compile: impl FnOnce() -> Result<(Vec<u8>, First), RuntimeError>,
    ) -> Result<Arc<Code>, RuntimeError> {
        let first_path = self.path(name, "first");
        let whole = || self.load(engine, name).filter(|_| self.checked(&first_path).is_some());
        if let Some(code) = whole() {
            return Ok(code);
        }
        let _turn = Turn::wait(self.path(name, "lock"));
        // Another one may have made it meanwhile.
        if let Some(code) = whole() {
            return Ok(code);
        }
        let path = self.path(name, "cwasm");
        let (code, first) = compile()?;
        let first_bytes = postcard::to_stdvec(&first).map_err(|e| cache_error(&path, io::Error::other(e)))?;
        self.store(&first_path, &first_bytes).map_err(|e| cache_error(&path, e))?;
        self.store(&path, &code).map_err(|e| cache_error(&path, e))?;
        self.load(engine, name).ok_or_else(|| {
            cache_error(&path, io::Error::other("the code that was just written does not load"))
        })
    }

    fn path(&self, name: CodeName, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", blake3::Hash::from_bytes(name).to_hex()))
    }

    /// The code of this name if it is there and undamaged.
    pub(crate) fn load(&self, engine: &Engine, name: CodeName) -> Option<Arc<Code>> {
        let path = self.path(name, "cwasm");
        let file = self.checked(&path)?;
        // SAFETY: the digest says that this cache folder's owner wrote these bytes through `store`, from Wasmtime's own
        // output for this engine configuration (part of the name). Files are replaced by renaming, never changed in
        // place, so the mapping stays what was checked; the same open file is mapped that was read.
        let module = unsafe { Module::deserialize_open_file(engine, file) }.ok()?;
        let code = Arc::new(Code { name, module, first: OnceLock::new() });
        interrupt::know(&code);
        Some(code)
    }

    /// What the first instantiation of the code does; an error when the cache has lost it.
    pub(crate) fn first(&self, code: &Code) -> io::Result<Arc<First>> {
        if let Some(first) = code.first.get() {
            return Ok(first.clone());
        }
        let path = self.path(code.name, "first");
        let lost = || io::Error::other(format!("compiled code has lost its data: {}", path.display()));
        let mut bytes = vec![];
        self.checked(&path).ok_or_else(lost)?.read_to_end(&mut bytes)?;
        let first: First = postcard::from_bytes(&bytes).map_err(|_| lost())?;
        Ok(code.first.get_or_init(|| Arc::new(first)).clone())
    }

    /// The file, open and at its beginning, if the digest beside it fits.
    fn checked(&self, path: &Path) -> Option<File> {
        let file = File::open(path).ok()?;
        if !stamp::is_checked(&file, path, &self.key) {
            let expected = fs::read(mac_of(path)).ok()?;
            let view = View::of(&file).ok()?;
            let mut digest = blake3::Hasher::new_keyed(&self.key);
            digest.update_rayon(view.bytes());
            // `blake3::Hash` compares in constant time.
            if digest.finalize() != blake3::Hash::from_slice(&expected).ok()? {
                tracing::warn!("compiled code is damaged and will be made again: {}", path.display());
                return None;
            }
            stamp::note_check(&file, path, &self.key);
        }
        note_use(&file);
        Some(file)
    }

    fn store(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mac = blake3::keyed_hash(&self.key, bytes);
        replace(path, bytes)?;
        replace(&mac_of(path), mac.as_bytes())
    }

    /// The key that authenticates what this installation wrote.
    pub(crate) fn key(&self) -> &[u8; KEY_LENGTH] {
        &self.key
    }
}

/// The turn to compile something. It ends when it is dropped, or its process ends.
struct Turn {
    path: PathBuf,
    file: Option<File>,
}

impl Turn {
    fn wait(path: PathBuf) -> Self {
        let open = || fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = || {
            let (file, _) = open()?.into_parts();
            file.lock().map(|()| file)
        };
        // Where files cannot be locked, it may be compiled twice, which costs time and nothing else.
        let file = lock().ok();
        Self { path, file }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Those who wait for this file find what they want as soon as they have it; others come with a file of their own.
        if self.file.is_some() {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn mac_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".mac");
    name.into()
}

/// A use is noted so often at the most: a file that was dated is checked again.
const USE: Duration = Duration::from_secs(60 * 60);

/// Dates the file now, so that what has not been used for longest can be found and removed. Systems themselves note reading
/// once a day or never. A file of which that cannot be noted is only taken to be older than it is.
pub(crate) fn note_use(file: &File) {
    let age = file.metadata().and_then(|m| m.modified()).map(|date| date.elapsed().unwrap_or_default());
    if age.is_ok_and(|age| age >= USE) {
        drop(file.set_modified(SystemTime::now()));
    }
}

/// Several processes may write the same file: each its own copy, the last rename wins.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

fn read_key(path: &Path) -> Option<[u8; KEY_LENGTH]> {
    fs::read(path).ok()?.try_into().ok()
}

fn new_key(path: &Path) -> io::Result<[u8; KEY_LENGTH]> {
    let mut key = [0; KEY_LENGTH];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => file.write_all(&key)?,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => match wait_for_key(path) {
            // Another process was first.
            Some(key) => return Ok(key),
            // Not a key: what it protected is worthless as well.
            None => replace(path, &key)?,
        },
        Err(e) => return Err(e),
    }
    Ok(key)
}

/// The process that makes the key writes it right after it created the file.
fn wait_for_key(path: &Path) -> Option<[u8; KEY_LENGTH]> {
    for _ in 0..20 {
        if let Some(key) = read_key(path) {
            return Some(key);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    None
}

/// The same value in every process, which the standard hasher does not promise.
struct StableHasher(blake3::Hasher);

impl Hasher for StableHasher {
    fn finish(&self) -> u64 {
        let hash = self.0.finalize();
        hash.as_bytes().first_chunk().map_or(0, |b| u64::from_le_bytes(*b))
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

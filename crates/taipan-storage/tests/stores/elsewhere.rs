//! Buckets whose bytes are in another place, which may fail.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fs_err as fs;
use taipan_storage::r2::{Found, Place, R2Bucket, Receiving, Sending};
use taipan_storage::{StorageError, on_io_thread};

use crate::{folder, r2, wait};

/// A folder that stands for a store elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    path: PathBuf,
    is_broken: Arc<AtomicBool>,
    /// It answers no reader while this is held.
    gate: RwLock<()>,
}

#[derive(Debug)]
struct Part {
    file: fs::File,
    to: PathBuf,
    is_broken: Arc<AtomicBool>,
}

fn check(is_broken: &AtomicBool) -> io::Result<()> {
    if is_broken.load(Ordering::Relaxed) { Err(io::Error::other("it is broken")) } else { Ok(()) }
}

impl Elsewhere {
    pub(crate) fn within(dir: &Path) -> Arc<Self> {
        Arc::new(Self { path: dir.join("elsewhere"), ..Self::default() })
    }

    /// What is there, and no part of something.
    pub(crate) fn count(&self) -> usize {
        let Ok(folders) = fs::read_dir(&self.path) else { return 0 };
        let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
        files.filter(|file| file.as_ref().unwrap().path().extension().is_none()).count()
    }

    /// Waits until so much is there: what is garbage goes after the answer.
    pub(crate) fn comes_to(&self, count: usize) {
        let begun = Instant::now();
        while self.count() != count {
            assert!(begun.elapsed() < Duration::from_secs(60), "{} instead of {count}", self.count());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn set_broken(&self, is_broken: bool) {
        self.is_broken.store(is_broken, Ordering::Relaxed);
    }
}

impl Place for Elsewhere {
    fn name(&self) -> &str {
        "elsewhere"
    }

    fn begin(&self, name: &str) -> io::Result<Box<dyn Sending>> {
        let to = self.path.join(name);
        fs::create_dir_all(to.parent().unwrap())?;
        let file = fs::File::create(to.with_extension("part"))?;
        Ok(Box::new(Part { file, to, is_broken: self.is_broken.clone() }))
    }

    fn read(&self, name: &str, offset: u64, length: u64) -> io::Result<Box<dyn Receiving>> {
        drop(self.gate.read().unwrap());
        check(&self.is_broken)?;
        let mut file = fs::File::open(self.path.join(name))?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file.take(length)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check(&self.is_broken)?;
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Sending for Part {
    fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        check(&self.is_broken)?;
        self.file.write_all(&bytes)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        check(&self.is_broken)?;
        fs::rename(self.to.with_extension("part"), &self.to)
    }
}

pub(crate) fn open(dir: &Path) -> R2Bucket {
    R2Bucket::open(&folder(dir), "b", Some(Elsewhere::within(dir))).unwrap()
}

#[test]
fn objects_whose_bytes_are_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let place = Elsewhere::within(dir.path());
    let bucket = R2Bucket::open(&folder(dir.path()), "b", Some(place.clone())).unwrap();
    r2::put(&bucket, "a", b"one");
    r2::put(&bucket, "a", b"two");
    r2::put_in_parts(&bucket, "b", b"in parts");
    place.comes_to(2);
    assert_eq!(r2::get(&bucket, "a").unwrap(), b"two");
    assert_eq!(r2::get(&bucket, "b").unwrap(), b"in parts");
    assert_eq!(fs::read_dir(dir.path().join("taipan-v1/r2/b.blobs")).unwrap().count(), 0);
    // A checksum that is not MD5 is of what the place has.
    let mut upload = bucket.upload().unwrap();
    upload.write(&b"abc"[..]).unwrap();
    let sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d";
    upload.finish(Some(("sha1", sha1))).unwrap();
    let mut upload = bucket.upload().unwrap();
    upload.write(&b"abd"[..]).unwrap();
    upload.finish(Some(("sha1", sha1))).unwrap_err();
    wait(|reply| bucket.delete(vec!["b".into()], reply)).unwrap();
    place.comes_to(1);
    drop(bucket);
    assert_eq!(r2::get(&open(dir.path()), "a").unwrap(), b"two");
}

#[test]
fn a_place_that_fails_is_named_and_nothing_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let place = Elsewhere::within(dir.path());
    let bucket = R2Bucket::open(&folder(dir.path()), "b", Some(place.clone())).unwrap();
    r2::put(&bucket, "a", b"one");
    let (mut half, mut whole) = (bucket.upload().unwrap(), bucket.upload().unwrap());
    whole.write(&b"whole"[..]).unwrap();
    place.set_broken(true);
    let error = half.write(&b"half"[..]).unwrap_err();
    assert_eq!(error.to_string(), "cannot use the object store: elsewhere");
    assert!(error.hint().unwrap().contains("AWS_ACCESS_KEY_ID"));
    assert!(matches!(whole.finish(None), Err(StorageError::Elsewhere { .. })));
    drop(half);
    // What is known of objects is here.
    assert_eq!(wait(|reply| bucket.head("a".into(), reply)).unwrap().unwrap().size, 3);
    wait(|reply| bucket.delete(vec!["a".into()], reply)).unwrap();
    assert_eq!(place.count(), 1);
    drop(bucket);
    // What could not be removed is, once the place is there again.
    place.set_broken(false);
    let bucket = R2Bucket::open(&folder(dir.path()), "b", Some(place.clone())).unwrap();
    place.comes_to(0);
    r2::put(&bucket, "a", b"again");
    assert_eq!(r2::get(&bucket, "a").unwrap(), b"again");
    // Somebody else has removed it.
    fs::remove_dir_all(&place.path).unwrap();
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| r2::get(&bucket, "a")));
    let text = found.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("bytes of an object are gone"), "{text}");
}

#[test]
fn who_waits_for_the_place_keeps_no_other_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let place = Elsewhere::within(dir.path());
    let bucket = R2Bucket::open(&folder(dir.path()), "b", Some(place.clone())).unwrap();
    r2::put(&bucket, "a", b"one");
    let held = place.gate.write().unwrap();
    let (done, all) = mpsc::channel();
    for _ in 0..16 {
        let found = wait(|reply| bucket.get("a".into(), Default::default(), None, reply)).unwrap();
        let Some(Found::Object(_, _, _, mut body)) = found else { panic!() };
        let done = done.clone();
        on_io_thread(move || done.send(body.read(9).unwrap().unwrap()).unwrap());
    }
    let (free, came) = mpsc::channel();
    on_io_thread(move || free.send(()).unwrap());
    came.recv_timeout(Duration::from_secs(60)).unwrap();
    drop(held);
    (0..16).for_each(|_| assert_eq!(all.recv_timeout(Duration::from_secs(60)).unwrap(), b"one"));
}

#[test]
fn a_bucket_stays_where_its_bytes_are() {
    let dir = tempfile::tempdir().unwrap();
    r2::put(&open(dir.path()), "a", b"one");
    let error = R2Bucket::open(&folder(dir.path()), "b", None).unwrap_err();
    assert_eq!(error.to_string(), "the bucket's bytes are in elsewhere, not in files beside its index");
    let local = tempfile::tempdir().unwrap();
    r2::put(&R2Bucket::open(&folder(local.path()), "b", None).unwrap(), "a", b"one");
    let place = Elsewhere::within(local.path());
    let error = R2Bucket::open(&folder(local.path()), "b", Some(place)).unwrap_err();
    assert_eq!(error.to_string(), "the bucket's bytes are files beside its index, not in elsewhere");
}

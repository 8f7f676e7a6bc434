use std::path::Path;

use fs_err as fs;
use taipan_storage::StorageError;
use taipan_storage::r2::{Body, Conditions, Found, Metadata, Object, R2Bucket, Range, Stored};

use crate::{folder, wait};

fn stored(bucket: &R2Bucket, bytes: &[u8]) -> Stored {
    let mut upload = bucket.upload().unwrap();
    upload.write(bytes).unwrap();
    upload.finish(None).unwrap()
}

pub(crate) fn put(bucket: &R2Bucket, key: &str, bytes: &[u8]) -> Object {
    let (stored, metadata) = (stored(bucket, bytes), Metadata { http: "{}".into(), custom: "{}".into() });
    wait(|reply| bucket.put(key.into(), stored, metadata, Conditions::default(), reply)).unwrap().unwrap()
}

pub(crate) fn get(bucket: &R2Bucket, key: &str) -> Option<Vec<u8>> {
    match wait(|reply| bucket.get(key.into(), Conditions::default(), None, reply)).unwrap()? {
        Found::Object(_, _, _, body) => Some(read(body)),
        Found::Unmet(_) => None,
    }
}

fn read(mut body: Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.read(1000).unwrap() {
        bytes.extend(piece);
    }
    bytes
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir.join("taipan-v1/r2/b.blobs")).unwrap().count()
}

#[test]
fn only_bytes_of_objects_stay_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = R2Bucket::open(&folder(dir.path()), "b").unwrap();
    put(&bucket, "a", b"one");
    put(&bucket, "a", b"two");
    put(&bucket, "b", b"three");
    assert_eq!(files(dir.path()), 2);
    // What is read goes on although it was replaced.
    let found = wait(|reply| bucket.get("a".into(), Conditions::default(), None, reply)).unwrap().unwrap();
    put(&bucket, "a", b"four");
    let Found::Object(object, _, _, mut body) = found else { panic!("no conditions were given") };
    assert_eq!(files(dir.path()), 3);
    assert_eq!((object.size, body.read(9).unwrap().unwrap()), (3, b"two".to_vec()));
    drop(body);
    assert_eq!(files(dir.path()), 2);
    // Neither an upload that breaks off nor one that may not be put leaves anything.
    bucket.upload().unwrap().write(b"half").unwrap();
    let stored = stored(&bucket, b"not this");
    let only = Conditions { etag_matches: Some(vec!["other".into()]), ..Conditions::default() };
    assert_eq!(wait(|reply| bucket.put("a".into(), stored, Metadata::default(), only, reply)).unwrap(), None);
    wait(|reply| bucket.delete(vec!["b".into(), "none".into()], reply)).unwrap();
    assert_eq!((files(dir.path()), get(&bucket, "a")), (1, Some(b"four".to_vec())));
    drop(bucket);
    // What a process left that was killed.
    fs::write(dir.path().join("taipan-v1/r2/b.blobs/0123"), "garbage").unwrap();
    let bucket = R2Bucket::open(&folder(dir.path()), "b").unwrap();
    assert_eq!((files(dir.path()), get(&bucket, "a")), (1, Some(b"four".to_vec())));
    // What somebody else removed is named, not given as if it were empty.
    for entry in fs::read_dir(dir.path().join("taipan-v1/r2/b.blobs")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let lost = wait(|reply| bucket.get("a".into(), Conditions::default(), None, reply)).unwrap_err();
    assert!(
        matches!(&lost, StorageError::Damaged { reason, .. } if reason == "bytes of an object are gone"),
        "{lost}"
    );
}

#[test]
fn parts_are_read_as_one_although_the_object_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = R2Bucket::open(&folder(dir.path()), "b").unwrap();
    let id = wait(|reply| bucket.create_upload("a".into(), Metadata::default(), reply)).unwrap();
    let part = |number: u32, text: &str| {
        let stored = stored(&bucket, text.as_bytes());
        let etag = wait(|reply| bucket.put_part("a".into(), id.clone(), number, stored, reply)).unwrap();
        (number, etag)
    };
    let parts: Vec<_> = ["ab", "cde", "f", "ghij"].iter().zip(1..).map(|(text, n)| part(n, text)).collect();
    part(9, "left out");
    let backwards = parts.iter().rev().cloned().collect();
    wait(|reply| bucket.complete_upload("a".into(), id.clone(), backwards, reply)).unwrap_err();
    wait(|reply| bucket.complete_upload("a".into(), id.clone(), parts, reply)).unwrap();
    assert_eq!(files(dir.path()), 4);
    let some = Some(Range::From(3, Some(5)));
    let found = wait(|reply| bucket.get("a".into(), Conditions::default(), some, reply)).unwrap().unwrap();
    put(&bucket, "a", b"another");
    // The first one was not asked for.
    assert_eq!(files(dir.path()), 4);
    let Found::Object(_, offset, length, body) = found else { panic!("no conditions were given") };
    assert_eq!((offset, length, read(body)), (3, 5, b"defgh".to_vec()));
    assert_eq!(files(dir.path()), 1);
}

//! Buckets: objects, ranges, conditions, lists, uploads in parts, and which bytes stay on disk.

use std::path::Path;

use fs_err as fs;
use taipan_storage::r2::{
    Body, Conditions, Found, Metadata, Object, Part, R2Bucket, Range, SMALLEST_PART, Stored, UPLOAD_DAYS,
};
use taipan_storage::{Refusal, StateFolder, StorageError};

use crate::{SetClock, folder, wait};

pub(crate) fn stored(bucket: &R2Bucket, bytes: &[u8]) -> Stored {
    let mut upload = bucket.upload().unwrap();
    upload.write(bytes.to_vec()).unwrap();
    upload.finish(None).unwrap()
}

pub(crate) fn put(bucket: &R2Bucket, key: &str, bytes: &[u8]) -> Object {
    let (stored, metadata) = (stored(bucket, bytes), Metadata { http: "{}".into(), custom: "{}".into() });
    wait(|reply| bucket.put(key.into(), stored, metadata, Conditions::default(), reply)).unwrap().unwrap()
}

/// As one part, which is the last one.
pub(crate) fn put_in_parts(bucket: &R2Bucket, key: &str, bytes: &[u8]) {
    let stored = stored(bucket, bytes);
    let metadata = Metadata { http: "{}".into(), custom: "{}".into() };
    let id = wait(|reply| bucket.create_upload(key.into(), metadata, reply)).unwrap();
    let etag = wait(|reply| bucket.put_part(key.into(), id.clone(), 1, stored, reply)).unwrap();
    wait(|reply| bucket.complete_upload(key.into(), id, vec![(1, etag)], reply)).unwrap();
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
    let bucket = R2Bucket::open(&folder(dir.path()), "b", None).unwrap();
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
    bucket.upload().unwrap().write(&b"half"[..]).unwrap();
    let stored = stored(&bucket, b"not this");
    let only = Conditions { etag_matches: Some(vec!["other".into()]), ..Conditions::default() };
    assert_eq!(wait(|reply| bucket.put("a".into(), stored, Metadata::default(), only, reply)).unwrap(), None);
    wait(|reply| bucket.delete(vec!["b".into(), "none".into()], reply)).unwrap();
    assert_eq!((files(dir.path()), get(&bucket, "a")), (1, Some(b"four".to_vec())));
    drop(bucket);
    // What a process left that was killed.
    fs::write(dir.path().join("taipan-v1/r2/b.blobs/0123"), "garbage").unwrap();
    let bucket = R2Bucket::open(&folder(dir.path()), "b", None).unwrap();
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
    let bucket = R2Bucket::open(&folder(dir.path()), "b", None).unwrap();
    let id = wait(|reply| bucket.create_upload("a".into(), Metadata::default(), reply)).unwrap();
    let part = |number: u32, text: &str| {
        let stored = stored(&bucket, text.as_bytes());
        let etag = wait(|reply| bucket.put_part("a".into(), id.clone(), number, stored, reply)).unwrap();
        (number, etag)
    };
    let large = SMALLEST_PART as usize;
    let bytes = ["ab", "cde", "f"].map(|text| "x".repeat(large) + text);
    let mut parts: Vec<_> = bytes.iter().zip(1..).map(|(text, n)| part(n, text)).collect();
    parts.push(part(4, "ghij"));
    part(9, "left out");
    let backwards = parts.iter().rev().cloned().collect();
    wait(|reply| bucket.complete_upload("a".into(), id.clone(), backwards, reply)).unwrap_err();
    wait(|reply| bucket.complete_upload("a".into(), id.clone(), parts, reply)).unwrap();
    assert_eq!(files(dir.path()), 4);
    // From within the second part to within the fourth.
    let (from, length) = (2 * SMALLEST_PART + 3, SMALLEST_PART + 5);
    let some = Some(Range::From(from, Some(length)));
    let found = wait(|reply| bucket.get("a".into(), Conditions::default(), some, reply)).unwrap().unwrap();
    put(&bucket, "a", b"another");
    // The first one was not asked for.
    assert_eq!(files(dir.path()), 4);
    let Found::Object(_, offset, found_length, body) = found else { panic!("no conditions were given") };
    assert_eq!((offset, found_length), (from, length));
    assert!(read(body) == format!("de{}gh", bytes[2]).into_bytes());
    assert_eq!(files(dir.path()), 1);
}

fn reason(error: &StorageError) -> Option<Refusal> {
    match error {
        StorageError::Refused { reason, .. } => Some(*reason),
        _ => None,
    }
}

#[test]
fn only_the_last_part_may_be_small() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = R2Bucket::open(&folder(dir.path()), "b", None).unwrap();
    let id = wait(|reply| bucket.create_upload("a".into(), Metadata::default(), reply)).unwrap();
    let part = |number, bytes: &[u8]| {
        let stored = stored(&bucket, bytes);
        (number, wait(|reply| bucket.put_part("a".into(), id.clone(), number, stored, reply)).unwrap())
    };
    let small = part(1, b"small");
    let last = part(2, b"last");
    let complete = |parts| wait(|reply| bucket.complete_upload("a".into(), id.clone(), parts, reply));
    assert_eq!(reason(&complete(vec![small.clone(), last.clone()]).unwrap_err()), Some(Refusal::SmallPart));
    let listed =
        |after, most| wait(|reply| bucket.parts("a".into(), id.clone(), after, most, reply)).unwrap();
    let numbers = |parts: Vec<Part>| parts.iter().map(|part| (part.number, part.size)).collect::<Vec<_>>();
    assert_eq!(numbers(listed(0, 9)), [(1, 5), (2, 4)]);
    assert_eq!((numbers(listed(0, 1)), numbers(listed(1, 9))), (vec![(1, 5)], vec![(2, 4)]));
    // Nothing has been lost by trying.
    assert_eq!(complete(vec![last]).unwrap().size, 4);
    assert_eq!((get(&bucket, "a"), files(dir.path())), (Some(b"last".to_vec()), 1));
}

#[test]
fn uploads_that_nobody_completes_are_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SetClock::at(1_000_000);
    let taken = || StateFolder::take(dir.path(), "", clock.clone()).unwrap();
    let bucket = R2Bucket::open(&taken(), "b", None).unwrap();
    let create =
        |key: &str| wait(|reply| bucket.create_upload(key.into(), Metadata::default(), reply)).unwrap();
    let pending = |bucket: &R2Bucket| {
        let all = wait(|reply| bucket.uploads(String::new(), Default::default(), 9, reply)).unwrap();
        all.into_iter().map(|pending| pending.key).collect::<Vec<_>>()
    };
    let (old, life) = (create("old"), UPLOAD_DAYS * 24 * 3600);
    let part = |upload: &str| {
        let stored = stored(&bucket, b"part");
        wait(|reply| bucket.put_part("old".into(), upload.into(), 1, stored, reply))
    };
    part(&old).unwrap();
    clock.set(1_000_000 + life);
    create("young");
    // A clock that goes back makes nothing older.
    clock.set(5);
    assert_eq!((pending(&bucket), files(dir.path())), (vec!["old".into(), "young".into()], 1));
    clock.set(1_000_001 + life);
    assert_eq!(pending(&bucket), ["young"]);
    assert_eq!(reason(&part(&old).unwrap_err()), Some(Refusal::NoUpload));
    create("new");
    assert_eq!(files(dir.path()), 0);
    drop(bucket);
    clock.set(1_000_002 + 2 * life);
    let bucket = R2Bucket::open(&taken(), "b", None).unwrap();
    assert_eq!(pending(&bucket), [""; 0]);
}

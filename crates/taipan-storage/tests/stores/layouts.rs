//! Files of other versions: what an older one wrote is all there, and what a newer one wrote is left as it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rusqlite::Connection;
use taipan_storage::analytics::Analytics;
use taipan_storage::d1::D1Database;
use taipan_storage::kv::KvNamespace;
use taipan_storage::queues::{Queues, Settings};
use taipan_storage::r2::{Metadata, R2Bucket};
use taipan_storage::{StateFolder, StorageError};

use crate::{folder, r2, wait};

/// The first layout of queues.
const QUEUES: &str = "CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, kind TEXT NOT NULL, sent_at INTEGER NOT NULL,
        due_at INTEGER NOT NULL, attempts INTEGER NOT NULL, body BLOB NOT NULL
    ) STRICT;
    CREATE INDEX by_due ON messages (queue, due_at, id);";

/// The first layout of a bucket's index.
const BUCKET: &str = "CREATE TABLE objects (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, version TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
        uploaded_ms INTEGER NOT NULL, http_metadata TEXT NOT NULL, custom_metadata TEXT NOT NULL, checksums TEXT NOT NULL,
        parts TEXT NOT NULL
    ) STRICT;
    CREATE TABLE uploads (
        id TEXT PRIMARY KEY, key TEXT NOT NULL, http_metadata TEXT NOT NULL, custom_metadata TEXT NOT NULL, begun_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE parts (
        upload TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE, number INTEGER NOT NULL, blob TEXT NOT NULL,
        size INTEGER NOT NULL, etag TEXT NOT NULL, PRIMARY KEY (upload, number)
    ) STRICT;";

fn file(dir: &Path, name: &str) -> PathBuf {
    let file = dir.join("taipan-v1").join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    file
}

/// Waits until the threads of a store have closed its file, and the log with it.
fn closed(file: &Path) {
    while file.with_extension("sqlite-wal").exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[test]
fn messages_of_the_first_layout_are_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let old = Connection::open(file(dir.path(), "queues/queues.sqlite")).unwrap();
    old.pragma_update(None, "journal_mode", "WAL").unwrap();
    old.execute_batch(QUEUES).unwrap();
    let sql = "INSERT INTO messages (queue, kind, sent_at, due_at, attempts, body) VALUES (?1, 'text', ?2, ?3, ?4, ?5)";
    let now = now();
    for (queue, sent, due, attempts, body) in [
        ("q", now - 1000, now - 1000, 2, "tried twice"),
        ("q", now - 500, now - 500, 0, "new"),
        ("q", now, now + 3_600_000, 0, "delayed"),
        ("q", now - 5 * 24 * 3_600_000, now, 0, "older than four days"),
        ("other", now, now, 0, "of another"),
    ] {
        old.execute(sql, rusqlite::params![queue, sent, due, attempts, body.as_bytes()]).unwrap();
    }
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);

    let queues = Queues::open(&folder(dir.path())).unwrap();
    let count = wait(|reply| queues.count("q", reply)).unwrap();
    assert_eq!((count.messages, count.delayed, count.expired), (3, 1, 1));
    assert_eq!(count.settings, Settings::default());
    let taken = wait(|reply| queues.take("q", 1, 9, reply)).unwrap();
    let had: Vec<_> = taken.messages.iter().map(|m| (str::from_utf8(&m.body).unwrap(), m.attempts)).collect();
    assert_eq!(had, [("tried twice", 3), ("new", 1)]);
    assert_eq!(taken.messages[0].sent_at, now - 1000);
    assert_eq!(wait(|reply| queues.take("other", 1, 9, reply)).unwrap().messages.len(), 1);
}

#[test]
fn objects_and_uploads_under_way_of_the_first_layout_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = R2Bucket::open(&folder(dir.path()), "b", None).unwrap();
    r2::put(&bucket, "whole", b"of one piece");
    r2::put_in_parts(&bucket, "parts", &[7; 100_000]);
    let metadata = Metadata { http: "{}".into(), custom: "{}".into() };
    let id = wait(|reply| bucket.create_upload("begun".into(), metadata, reply)).unwrap();
    let stored = r2::stored(&bucket, b"a part");
    let etag = wait(|reply| bucket.put_part("begun".into(), id.clone(), 1, stored, reply)).unwrap();
    drop(bucket);
    let index = file(dir.path(), "r2/b.sqlite");
    closed(&index);
    // The same, in the tables of then.
    let before = index.with_extension("before");
    fs::rename(&index, &before).unwrap();
    let old = Connection::open(&index).unwrap();
    old.pragma_update(None, "journal_mode", "WAL").unwrap();
    old.execute_batch(BUCKET).unwrap();
    old.execute("ATTACH ?1 AS new", [before.to_str().unwrap()]).unwrap();
    old.execute_batch(
        "INSERT INTO objects SELECT * FROM new.objects;
        INSERT INTO uploads SELECT * FROM new.uploads;
        INSERT INTO parts SELECT upload, number, blob, size, etag FROM new.parts;
        DETACH new;
        PRAGMA user_version = 1",
    )
    .unwrap();
    drop(old);
    fs::remove_file(&before).unwrap();

    let bucket = R2Bucket::open(&folder(dir.path()), "b", None).unwrap();
    assert_eq!(r2::get(&bucket, "whole").unwrap(), b"of one piece");
    assert_eq!(r2::get(&bucket, "parts").unwrap(), [7; 100_000]);
    wait(|reply| bucket.complete_upload("begun".into(), id, vec![(1, etag)], reply)).unwrap();
    assert_eq!(r2::get(&bucket, "begun").unwrap(), b"a part");
}

/// Every file below a folder, but for the one that says who has it.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|end| end == "sqlite")
            || path.to_string_lossy().contains(".blobs")
        {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

type Open = fn(&StateFolder) -> Result<(), StorageError>;

#[test]
fn a_newer_layout_is_refused_and_left_as_it_is() {
    let stores: [(&str, Open); 5] = [
        ("kv/s.sqlite", |folder| KvNamespace::open(folder, "s").map(drop)),
        ("d1/s.sqlite", |folder| D1Database::open(folder, "s").map(drop)),
        ("r2/s.sqlite", |folder| {
            R2Bucket::open(folder, "s", None).map(|bucket| drop(r2::put(&bucket, "a", b"kept")))
        }),
        ("queues/queues.sqlite", |folder| Queues::open(folder).map(drop)),
        ("analytics/analytics.sqlite", |folder| Analytics::open(folder).map(drop)),
    ];
    for (name, open) in stores {
        let dir = tempfile::tempdir().unwrap();
        open(&folder(dir.path())).unwrap();
        let file = file(dir.path(), name);
        assert!(file.exists(), "{name}");
        closed(&file);
        let newer = Connection::open(&file).unwrap();
        newer.execute_batch("CREATE TABLE of_the_future (x); PRAGMA user_version = 99").unwrap();
        // A newer version may also keep another kind of log.
        newer.pragma_update(None, "journal_mode", "DELETE").unwrap();
        drop(newer);
        let before = files(dir.path());
        let error = open(&folder(dir.path())).unwrap_err();
        let StorageError::Newer { file: named, found: 99, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!(named, &file);
        assert!(error.hint().unwrap().contains("use a newer taipan"), "{error}");
        assert!(files(dir.path()) == before, "{name} was changed");
    }
}

//! Files that are damaged, and disks that are full: named, set aside, and nothing lost that was acknowledged.

use std::path::{Path, PathBuf};

use fs_err as fs;
use taipan_storage::StorageError;
use taipan_storage::analytics::{Analytics, Cell, Point};
use taipan_storage::d1::D1Database;
use taipan_storage::kv::{KvNamespace, Put};
use taipan_storage::queues::{Outgoing, Queues};
use taipan_storage::r2::R2Bucket;

use crate::{folder, r2, wait};

fn filled(dir: &Path) -> PathBuf {
    let kv = KvNamespace::open(&folder(dir), "n").unwrap();
    for i in 0..200 {
        let put = Put { key: format!("k{i}"), value: vec![b'x'; 500].into(), ..Put::default() };
        wait(|reply| kv.put(put, reply)).unwrap();
    }
    drop(kv);
    // Its threads close the file, and the log with it.
    while dir.join("taipan-v1/kv/n.sqlite-wal").exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    dir.join("taipan-v1/kv/n.sqlite")
}

#[test]
fn a_damaged_file_is_named_and_set_aside_whole() {
    for (at, what) in [(0, &b"no database at all"[..]), (8192, &[0xff; 3000])] {
        let dir = tempfile::tempdir().unwrap();
        let file = filled(dir.path());
        let mut bytes = fs::read(&file).unwrap();
        bytes[at..at + what.len()].copy_from_slice(what);
        fs::write(&file, &bytes).unwrap();
        let error = KvNamespace::open(&folder(dir.path()), "n").unwrap_err();
        let StorageError::SetAside { file: named, kept, .. } = &error else { panic!("{error}") };
        assert_eq!(named, &file);
        assert!(error.hint().unwrap().contains("start again"), "{error}");
        assert!(fs::read(kept).unwrap() == bytes && !file.exists());
        // The next start is one with an empty namespace, after everybody was told.
        let kv = KvNamespace::open(&folder(dir.path()), "n").unwrap();
        assert_eq!(wait(|reply| kv.get("k1".into(), reply)).unwrap(), None);
        assert!(kept.exists());
    }
}

fn closed(file: &Path) {
    while file.with_extension("sqlite-wal").exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn a_damaged_database_is_named_and_set_aside_whole() {
    let dir = tempfile::tempdir().unwrap();
    let open = || D1Database::open(&folder(dir.path()), "d");
    let db = open().unwrap();
    let sql = "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(50000))";
    wait(|reply| db.script(sql.into(), reply)).unwrap();
    drop(db);
    let file = dir.path().join("taipan-v1/d1/d.sqlite");
    closed(&file);
    let mut bytes = fs::read(&file).unwrap();
    bytes[100..3000].fill(0xff);
    fs::write(&file, &bytes).unwrap();
    let error = open().unwrap_err();
    let StorageError::SetAside { file: named, kept, .. } = &error else { panic!("{error}") };
    assert!(named == &file && fs::read(kept).unwrap() == bytes && !file.exists());
    open().unwrap();
    assert!(kept.exists());
}

#[test]
fn the_bytes_of_a_damaged_bucket_are_set_aside_with_its_index() {
    let dir = tempfile::tempdir().unwrap();
    let open = || R2Bucket::open(&folder(dir.path()), "b", None);
    let bucket = open().unwrap();
    r2::put(&bucket, "a", b"the bytes");
    drop(bucket);
    let file = dir.path().join("taipan-v1/r2/b.sqlite");
    closed(&file);
    let mut bytes = fs::read(&file).unwrap();
    bytes[100..3000].fill(0xff);
    fs::write(&file, &bytes).unwrap();
    let error = open().unwrap_err();
    let StorageError::SetAside { kept, .. } = &error else { panic!("{error}") };
    // The next start removes what is nobody's, and must not find them.
    assert_eq!(r2::get(&open().unwrap(), "a"), None);
    let blobs = fs::read_dir(kept.with_extension("blobs")).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(blobs.map(|path| fs::read(path).unwrap()).collect::<Vec<_>>(), [b"the bytes"]);
    assert!(fs::read(kept).unwrap() == bytes);
}

#[test]
fn damaged_messages_and_data_points_are_named_and_set_aside_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (held, path) = (|| folder(dir.path()), |name: &str| dir.path().join("taipan-v1").join(name));
    let queues = Queues::open(&held()).unwrap();
    let message = Outgoing { kind: "text".into(), body: vec![b'x'; 50_000].into(), delay: None };
    wait(|reply| queues.send("q", vec![message], reply)).unwrap();
    drop(queues);
    let analytics = Analytics::open(&held()).unwrap();
    let point = Point { index: Some("i".into()), ..Point::default() };
    wait(|reply| analytics.note("d", point, reply)).unwrap();
    drop(analytics);
    let [messages, points] = ["queues/queues.sqlite", "analytics/analytics.sqlite"].map(path);
    let damaged = [&messages, &points].map(|file| {
        closed(file);
        let mut bytes = fs::read(file).unwrap();
        bytes[100..3000].fill(0xff);
        fs::write(file, &bytes).unwrap();
        bytes
    });
    let of_messages = Queues::open(&held()).unwrap_err();
    let errors = [of_messages, Analytics::open(&held()).unwrap_err()];
    for ((error, file), bytes) in errors.iter().zip([&messages, &points]).zip(&damaged) {
        let StorageError::SetAside { file: named, kept, .. } = error else { panic!("{error}") };
        assert!(named == file && fs::read(kept).unwrap() == *bytes && !file.exists(), "{error}");
    }
    // The next start begins with empty ones.
    assert_eq!(wait(|reply| Queues::open(&held()).unwrap().count("q", reply)).unwrap().messages, 0);
    let counted = Analytics::open(&held()).unwrap().query(&["d".into()], "SELECT count(*) FROM d").unwrap();
    assert_eq!(counted.rows, [[Cell::Integer(0)]]);
}

/// Runs the test `child` in a process whose files may not be larger than 400 KiB: the kernel's limit stands for a disk that is full.
fn fill(dir: &Path, child: &str) {
    let program = std::env::current_exe().unwrap();
    let script = format!("trap '' XFSZ; ulimit -f 400; exec \"$0\" --exact --ignored trouble::{child}");
    let output = std::process::Command::new("bash")
        .args(["-c", &script, &program.to_string_lossy()])
        .env("TAIPAN_TEST_FOLDER", dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_full_disk_fails_objects_and_leaves_nothing_of_them() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), "fills_a_bucket");
    let bucket = R2Bucket::open(&folder(dir.path()), "b", None).unwrap();
    assert_eq!(r2::get(&bucket, "a"), Some(vec![b'x'; 100_000]));
}

#[test]
#[ignore = "run by a_full_disk_fails_objects_and_leaves_nothing_of_them"]
fn fills_a_bucket() {
    let Some(dir) = std::env::var_os("TAIPAN_TEST_FOLDER").map(PathBuf::from) else { return };
    let bucket = R2Bucket::open(&folder(&dir), "b", None).unwrap();
    r2::put(&bucket, "a", &[b'x'; 100_000]);
    let mut upload = bucket.upload().unwrap();
    let error = (0..100).find_map(|_| upload.write(vec![b'y'; 100_000]).err()).unwrap();
    assert!(error.to_string().contains("b.blobs"), "{error}");
    drop(upload);
    assert_eq!(fs::read_dir(dir.join("taipan-v1/r2/b.blobs")).unwrap().count(), 1);
    assert_eq!(r2::get(&bucket, "a"), Some(vec![b'x'; 100_000]));
}

#[test]
fn a_full_disk_fails_transactions_and_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), "fills_a_database");
    let kept = fs::read_to_string(dir.path().join("kept")).unwrap();
    let db = D1Database::open(&folder(dir.path()), "d").unwrap();
    assert_eq!(rows(&db), format!("[[{kept},{kept}]]"));
}

fn rows(db: &D1Database) -> String {
    let done = wait(|reply| db.execute("SELECT count(*), max(id) FROM t".into(), reply)).unwrap();
    done[0].rows.json.clone()
}

#[test]
#[ignore = "run by a_full_disk_fails_transactions_and_loses_none"]
fn fills_a_database() {
    let Some(dir) = std::env::var_os("TAIPAN_TEST_FOLDER").map(PathBuf::from) else { return };
    let db = D1Database::open(&folder(&dir), "d").unwrap();
    wait(|reply| db.script("CREATE TABLE t (id INTEGER PRIMARY KEY, x)".into(), reply)).unwrap();
    let insert = || wait(|reply| db.script("INSERT INTO t (x) VALUES (randomblob(5000))".into(), reply));
    let kept = (0..10_000).take_while(|_| insert().is_ok()).count();
    assert!(kept > 0 && kept < 10_000);
    // Reading goes on.
    assert_eq!(rows(&db), format!("[[{kept},{kept}]]"));
    fs::write(dir.join("kept"), kept.to_string()).unwrap();
}

#[test]
fn a_full_disk_fails_writes_and_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), "fills_the_disk");
    let kept: usize = fs::read_to_string(dir.path().join("kept")).unwrap().parse().unwrap();
    assert!(kept > 0);
    let kv = KvNamespace::open(&folder(dir.path()), "n").unwrap();
    for i in 0..kept {
        let entry = wait(|reply| kv.get(format!("k{i}"), reply)).unwrap();
        assert!(entry.is_some_and(|entry| entry.value.len() == 5000), "k{i} of {kept}");
    }
    assert_eq!(wait(|reply| kv.get(format!("k{kept}"), reply)).unwrap(), None);
}

#[test]
#[ignore = "run by a_full_disk_fails_writes_and_loses_none"]
fn fills_the_disk() {
    let Some(dir) = std::env::var_os("TAIPAN_TEST_FOLDER").map(PathBuf::from) else { return };
    let kv = KvNamespace::open(&folder(&dir), "n").unwrap();
    let put = |i: usize| {
        let put = Put { key: format!("k{i}"), value: vec![b'x'; 5000].into(), ..Put::default() };
        wait(|reply| kv.put(put, reply))
    };
    let mut kept = 0;
    let error = loop {
        match put(kept) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 10_000);
    };
    assert!(error.to_string().contains("n.sqlite"), "{error}");
    // Reading goes on.
    assert!(wait(|reply| kv.get("k0".into(), reply)).unwrap().is_some());
    fs::write(dir.join("kept"), kept.to_string()).unwrap();
}

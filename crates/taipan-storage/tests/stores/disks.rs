//! Disks that are full or may only be read: real ones of the kernel's, in memory, mounted in a namespace that only the test's process
//! sees. So the superuser meets them, too.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use fs_err as fs;
use taipan_storage::analytics::{Analytics, Point};
use taipan_storage::d1::D1Database;
use taipan_storage::kv::{KvNamespace, Put};
use taipan_storage::queues::{Outgoing, Queues};
use taipan_storage::r2::{Conditions, Metadata, R2Bucket};
use taipan_storage::{StateFolder, StorageError, SystemClock};

use crate::{folder, r2, wait};

/// Runs the test `child` in a process for which a disk of 4 MiB is mounted on `dir`. `$0` of the script is the test.
fn on_a_disk(dir: &Path, child: &str, script: &str) {
    let program = std::env::current_exe().unwrap();
    let script = format!(
        "export TAIPAN_TEST_FOLDER='{}' TAIPAN_TEST_CHILD=disks::{child}; \
         mount -t tmpfs -o size=4m tmpfs \"$TAIPAN_TEST_FOLDER\"; {script}",
        dir.display()
    );
    // Some systems let nobody but the superuser mount, not even in a namespace of a user's own.
    let own = ["unshare", "--map-root-user", "--mount"].as_slice();
    let can = Command::new(own[0]).args(&own[1..]).args(["mount", "-t", "tmpfs", "tmpfs", "/tmp"]).output();
    let superuser = ["sudo", "--non-interactive", "unshare", "--mount"].as_slice();
    let within = if can.is_ok_and(|output| output.status.success()) { own } else { superuser };
    let output = Command::new(within[0])
        .args(&within[1..])
        .args(["sh", "-euc", &script, &program.to_string_lossy()])
        .output()
        .unwrap();
    let [said, failed] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success() && said.contains("1 passed"), "{said}{failed}");
}

fn child_folder() -> Option<PathBuf> {
    std::env::var_os("TAIPAN_TEST_FOLDER").map(PathBuf::from)
}

/// A store, as far as a full disk is concerned.
trait Store: Sized {
    fn open(folder: &StateFolder) -> Result<Self, StorageError>;
    /// Writes the thing with this number: some 10 kB.
    fn write(&self, i: usize) -> Result<(), StorageError>;
    /// The numbers of what is there.
    fn there(&self) -> Vec<usize>;
}

const TEN_KB: usize = 10_000;

impl Store for KvNamespace {
    fn open(folder: &StateFolder) -> Result<Self, StorageError> {
        KvNamespace::open(folder, "n")
    }

    fn write(&self, i: usize) -> Result<(), StorageError> {
        let put = Put { key: format!("{i:05}"), value: vec![b'x'; TEN_KB].into(), ..Put::default() };
        wait(|reply| self.put(put, reply))
    }

    fn there(&self) -> Vec<usize> {
        let keys = wait(|reply| self.list(Default::default(), reply)).unwrap().keys;
        let whole = |key: &String| {
            wait(|reply| self.get(key.clone(), reply))
                .unwrap()
                .is_some_and(|entry| entry.value.len() == TEN_KB)
        };
        keys.into_iter().map(|key| key.key).filter(whole).map(|key| key.parse().unwrap()).collect()
    }
}

impl Store for D1Database {
    fn open(folder: &StateFolder) -> Result<Self, StorageError> {
        let db = D1Database::open(folder, "d")?;
        let sql = "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, x)";
        wait(|reply| db.script(sql.into(), reply)).map(|_| db)
    }

    fn write(&self, i: usize) -> Result<(), StorageError> {
        wait(|reply| self.script(format!("INSERT INTO t VALUES ({i}, randomblob({TEN_KB}))"), reply))
            .map(drop)
    }

    fn there(&self) -> Vec<usize> {
        let sql = format!("SELECT id FROM t WHERE length(x) = {TEN_KB} ORDER BY id");
        let done = wait(|reply| self.execute(sql, reply)).unwrap();
        let rows: Vec<[usize; 1]> = serde_json::from_str(&done[0].rows.json).unwrap();
        rows.into_iter().map(|[id]| id).collect()
    }
}

impl Store for R2Bucket {
    fn open(folder: &StateFolder) -> Result<Self, StorageError> {
        R2Bucket::open(folder, "b", None)
    }

    fn write(&self, i: usize) -> Result<(), StorageError> {
        let mut upload = self.upload()?;
        upload.write(vec![b'x'; TEN_KB])?;
        let stored = upload.finish(None)?;
        let (metadata, key) = (Metadata { http: "{}".into(), custom: "{}".into() }, format!("{i:05}"));
        wait(|reply| self.put(key, stored, metadata, Conditions::default(), reply)).map(drop)
    }

    fn there(&self) -> Vec<usize> {
        let objects = wait(|reply| self.list(Default::default(), reply)).unwrap().objects;
        let whole = |key: &String| r2::get(self, key).is_some_and(|bytes| bytes.len() == TEN_KB);
        objects.into_iter().map(|object| object.key).filter(whole).map(|key| key.parse().unwrap()).collect()
    }
}

impl Store for Queues {
    fn open(folder: &StateFolder) -> Result<Self, StorageError> {
        Queues::open(folder)
    }

    fn write(&self, i: usize) -> Result<(), StorageError> {
        let message = Outgoing { kind: i.to_string(), body: vec![b'x'; TEN_KB].into(), delay: None };
        wait(|reply| self.send("q", vec![message], reply))
    }

    fn there(&self) -> Vec<usize> {
        let messages = wait(|reply| self.peek("q", usize::MAX, reply)).unwrap();
        assert!(messages.iter().all(|message| message.body.len() == TEN_KB));
        messages.into_iter().map(|message| message.kind.parse().unwrap()).collect()
    }
}

impl Store for Analytics {
    fn open(folder: &StateFolder) -> Result<Self, StorageError> {
        Analytics::open(folder)
    }

    fn write(&self, i: usize) -> Result<(), StorageError> {
        let blobs = vec![Some(taipan_storage::analytics::Blob::Bytes(vec![b'x'; TEN_KB]))];
        let point = Point { index: Some(i.to_string()), blobs, doubles: vec![] };
        wait(|reply| self.note("d", point, reply))
    }

    fn there(&self) -> Vec<usize> {
        let sql = format!("SELECT CAST(index1 AS INTEGER) FROM d WHERE length(blob1) = {TEN_KB} ORDER BY 1");
        let rows = self.query(&["d".into()], &sql).unwrap().rows;
        let number = |row: &Vec<taipan_storage::analytics::Cell>| match row[..] {
            [taipan_storage::analytics::Cell::Integer(i)] => usize::try_from(i).ok(),
            _ => None,
        };
        rows.iter().filter_map(number).collect()
    }
}

/// Fills the disk: what was acknowledged stays and can be read, and when there is room again, writing goes on.
fn fill<S: Store>(kind: &str) {
    let Some(dir) = child_folder() else { return };
    fs::write(dir.join("ballast"), vec![0; 1 << 20]).unwrap();
    let store = S::open(&folder(&dir)).unwrap();
    let mut kept = Vec::new();
    let error = (0..).find_map(|i| store.write(i).map(|()| kept.push(i)).err()).unwrap();
    assert!(kept.len() > 20, "{kind}: {}", kept.len());
    assert!(matches!(&error, StorageError::Full { path } if path.starts_with(&dir)), "{kind}: {error:?}");
    assert!(error.hint().unwrap().contains("make room"), "{kind}: {error}");
    assert_eq!(store.there(), kept, "{kind}");
    fs::remove_file(dir.join("ballast")).unwrap();
    store.write(90_000).unwrap();
    kept.push(90_000);
    drop(store);
    assert_eq!(S::open(&folder(&dir)).unwrap().there(), kept, "{kind}");
}

#[test]
fn a_full_disk_fails_writes_of_each_store_and_loses_none() {
    for kind in ["kv", "d1", "r2", "queues", "analytics"] {
        let dir = tempfile::tempdir().unwrap();
        let script =
            format!("export TAIPAN_TEST_STEP={kind}; exec \"$0\" --exact --ignored \"$TAIPAN_TEST_CHILD\"");
        on_a_disk(dir.path(), "fills_it", &script);
    }
}

#[test]
#[ignore = "run by a_full_disk_fails_writes_of_each_store_and_loses_none"]
fn fills_it() {
    match std::env::var("TAIPAN_TEST_STEP").unwrap_or_default().as_str() {
        "kv" => fill::<KvNamespace>("kv"),
        "d1" => fill::<D1Database>("d1"),
        "r2" => fill::<R2Bucket>("r2"),
        "queues" => fill::<Queues>("queues"),
        _ => fill::<Analytics>("analytics"),
    }
}

/// Each store has something, and so has its folder.
#[test]
fn a_disk_that_may_only_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let run = "\"$0\" --exact --ignored \"$TAIPAN_TEST_CHILD\"";
    let read_only = "for kind in kv d1 r2 queues analytics; do \
        mount --bind \"$TAIPAN_TEST_FOLDER/taipan-v1/$kind\" \"$TAIPAN_TEST_FOLDER/taipan-v1/$kind\"; \
        mount -o remount,bind,ro \"$TAIPAN_TEST_FOLDER/taipan-v1/$kind\"; done";
    let script = format!(
        "export TAIPAN_TEST_STEP=write; {run}; {read_only}; export TAIPAN_TEST_STEP=stores; {run}; \
         mount -o remount,ro \"$TAIPAN_TEST_FOLDER\"; export TAIPAN_TEST_STEP=folder; exec {run}"
    );
    on_a_disk(dir.path(), "meets_a_disk_that_may_only_be_read", &script);
}

#[test]
#[ignore = "run by a_disk_that_may_only_be_read_is_named"]
fn meets_a_disk_that_may_only_be_read() {
    fn opened<S: Store>(held: &StateFolder) -> Result<S, StorageError> {
        S::open(held)
    }
    fn refused<S: Store>(held: &StateFolder, file: &str) {
        let Err(error) = opened::<S>(held) else { panic!("it was opened: {file}") };
        let named = matches!(&error, StorageError::ReadOnly { path } if path.ends_with(file));
        assert!(named, "{file}: {error:?}");
        assert!(error.hint().unwrap().contains("--persist-to"), "{error}");
    }
    let Some(dir) = child_folder() else { return };
    let take = || StateFolder::take(&dir, "", Arc::new(SystemClock));
    match std::env::var("TAIPAN_TEST_STEP").unwrap().as_str() {
        "write" => {
            let held = take().unwrap();
            opened::<KvNamespace>(&held).unwrap().write(1).unwrap();
            opened::<D1Database>(&held).unwrap().write(1).unwrap();
            opened::<R2Bucket>(&held).unwrap().write(1).unwrap();
            opened::<Queues>(&held).unwrap().write(1).unwrap();
            let analytics = opened::<Analytics>(&held).unwrap();
            analytics.write(1).unwrap();
            // The process ends without closing it: with its log beside it, SQLite would read the file.
            std::mem::forget(analytics);
        }
        "stores" => {
            let held = take().unwrap();
            refused::<KvNamespace>(&held, "kv/n.sqlite");
            refused::<D1Database>(&held, "d1/d.sqlite");
            refused::<R2Bucket>(&held, "r2/b.sqlite");
            refused::<Queues>(&held, "queues/queues.sqlite");
            refused::<Analytics>(&held, "analytics/analytics.sqlite");
        }
        _ => {
            let error = take().unwrap_err();
            assert!(matches!(&error, StorageError::ReadOnly { path } if path.starts_with(&dir)), "{error:?}");
            assert!(error.hint().unwrap().contains("--persist-to"));
        }
    }
}

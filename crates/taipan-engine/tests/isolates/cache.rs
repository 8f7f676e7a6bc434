//! The cache holds machine code and memory images, so nothing in it is used unless its keyed digest fits: what is
//! damaged, forged or another installation's is made again.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread;

use taipan_engine::{NativeModule, Runtime, Snapshot, SnapshotError};
use tempfile::TempDir;

use crate::guest::{Guest, Limits, files, new_runtime, on_guest_stack, runtime, shared_files};
use crate::native;

const WORKER: &str = "from pyodide.code import run_js\ndef run():\n    return run_js('6') * 7";

/// Those files of a cache folder whose names end so.
fn files_with(cache: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = files(cache);
    found.retain(|path| path.to_string_lossy().ends_with(ending));
    found
}

/// A copy of the shared cache, with its key, so that a test may damage it.
fn copied_cache() -> TempDir {
    let copy = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for file in shared_files() {
        fs_err::copy(file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    copy
}

/// The folder of another installation that has the same code: another key, and digests made with it.
fn foreign_cache() -> TempDir {
    let cache = copied_cache();
    let key = [7; 32];
    fs_err::write(cache.path().join("key"), key).unwrap();
    for mac in files_with(cache.path(), ".mac") {
        let content = fs_err::read(mac.with_extension("")).unwrap();
        fs_err::write(&mac, blake3::keyed_hash(&key, &content).as_bytes()).unwrap();
    }
    cache
}

fn works(runtime: &Arc<Runtime>) {
    on_guest_stack(|| {
        let mut guest = Guest::load_with(runtime, WORKER, &[], Limits::default()).unwrap();
        assert_eq!(guest.call("run"), Ok("42".into()));
    });
}

/// A module that the shared cache does not have, because no other test uses it: with one more custom section.
fn unseen_module() -> Arc<[u8]> {
    [&*native::module(), &[0, 5, 4], b"test"].concat().into()
}

/// Ways to damage a file.
fn damages(content: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let flipped = |at: usize| {
        let mut content = content.to_vec();
        content[at] ^= 0x10;
        content
    };
    vec![
        ("first byte", flipped(0)),
        ("middle", flipped(content.len() / 2)),
        ("last byte", flipped(content.len() - 1)),
        ("cut", content[..content.len() / 2].to_vec()),
        ("one byte short", content[..content.len() - 1].to_vec()),
        ("one byte more", [content, &[0]].concat()),
        ("empty", vec![]),
        ("another file", b"#!/bin/sh\necho forged\n".repeat(100)),
    ]
}

#[test]
fn everything_is_made_again_when_all_of_it_is_damaged() {
    let cache = copied_cache();
    let damaged: Vec<_> = files(cache.path()).into_iter().filter(|path| !path.ends_with("key")).collect();
    for file in &damaged {
        let mut content = fs_err::read(file).unwrap();
        let middle = content.len() / 2;
        // There are files that only are there.
        let Some(byte) = content.get_mut(middle) else { continue };
        *byte ^= 1;
        fs_err::write(file, content).unwrap();
    }
    works(&new_runtime(cache.path().to_owned()));
}

#[test]
fn damaged_code_is_refused_and_made_again() {
    let cache = copied_cache();
    // A process that was killed may have left something half done in the cache, which is put right now.
    works(&new_runtime(cache.path().to_owned()));
    let before = files(cache.path());
    let module = unseen_module();
    let uses_it = |runtime: &Arc<Runtime>| {
        on_guest_stack(|| {
            let worker = "import ctypes\nlibrary = ctypes.CDLL('/session/metadata/native.so')\ndef run():\n    return library.returns(5)";
            let mut guest =
                Guest::load_with(runtime, worker, &[("native.so", module.clone())], Limits::default())
                    .unwrap();
            assert_eq!(guest.call("run"), Ok("5".into()));
        });
    };
    uses_it(&new_runtime(cache.path().to_owned()));
    // The code, what instantiating it does once, and the digest of each.
    let is_new =
        |path: &PathBuf| !before.contains(path) && path.extension().is_none_or(|end| end != "checked");
    let added: Vec<_> = files(cache.path()).into_iter().filter(is_new).collect();
    assert_eq!(added.len(), 4, "{added:?}");
    for file in &added {
        let good = fs_err::read(file).unwrap();
        for (what, damaged) in damages(&good) {
            println!("{what}: {}", file.display());
            fs_err::write(file, &damaged).unwrap();
            uses_it(&new_runtime(cache.path().to_owned()));
            assert_eq!(fs_err::read(file).unwrap(), good, "{what}");
        }
        fs_err::remove_file(file).unwrap();
        uses_it(&new_runtime(cache.path().to_owned()));
    }
}

/// The file of compiled code is never written again when it was compiled once.
#[test]
fn a_module_is_compiled_once_for_all_who_want_it_at_once() {
    const WANTED_BY: usize = 3;
    let cache = copied_cache();
    let before = files_with(cache.path(), ".cwasm");
    // One that takes a while.
    let module = [taipan_guest::ENGINE_WASM, &[0, 5, 4], b"once"].concat();
    let path = cache.path().join("once.so");
    fs_err::write(&path, &module).unwrap();
    let together = Barrier::new(WANTED_BY);
    let want = |number: usize| {
        // Each as another process has it; under other names, because one says that there is nothing to be done.
        let runtime = new_runtime(cache.path().to_owned());
        let module = NativeModule { path: path.clone(), size: module.len() as u64 };
        together.wait();
        runtime.compile_ahead(&format!("once {number}"), vec![module]);
        let new: Vec<_> =
            files_with(cache.path(), ".cwasm").into_iter().filter(|p| !before.contains(p)).collect();
        assert_eq!(new.len(), 1, "{new:?}");
        fs_err::metadata(&new[0]).unwrap().ino()
    };
    let files: Vec<u64> = thread::scope(|scope| {
        let all: Vec<_> = (0..WANTED_BY).map(|number| scope.spawn(move || want(number))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(files.iter().all(|file| *file == files[0]), "compiled again: {files:?}");
    assert_eq!(files_with(cache.path(), ".lock"), Vec::<PathBuf>::new());
}

/// Code that is whole, with a digest that is right for another key.
#[test]
fn code_of_another_installation_is_refused() {
    let (own, foreign) = (copied_cache(), foreign_cache());
    let module = unseen_module();
    let load = |cache: &TempDir| {
        let runtime = new_runtime(cache.path().to_owned());
        on_guest_stack(|| {
            let worker = "import ctypes\nctypes.CDLL('/session/metadata/native.so')";
            Guest::load_with(&runtime, worker, &[("native.so", module.clone())], Limits::default()).unwrap();
        });
    };
    let before = files_with(own.path(), ".mac");
    load(&own);
    load(&foreign);
    for mac in files_with(own.path(), ".mac").iter().filter(|path| !before.contains(path)) {
        let good = fs_err::read(mac).unwrap();
        let theirs = fs_err::read(foreign.path().join(mac.file_name().unwrap())).unwrap();
        assert_ne!(good, theirs);
        fs_err::write(mac, theirs).unwrap();
        load(&own);
        assert_eq!(fs_err::read(mac).unwrap(), good);
    }
}

#[test]
fn a_damaged_snapshot_is_refused() {
    on_guest_stack(|| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("worker.snapshot");
        drop(Guest::load(WORKER).freeze(&path).unwrap());
        let good = fs_err::read(&path).unwrap();
        // One bit in each field of the header, and here and there in the rest.
        let header = [0, 8, 12, 16, 20, 24, 28, 32, 63, 64, 95];
        let rest = (96..good.len()).step_by(good.len() / 20);
        let flips = header.into_iter().chain(rest).map(|at| {
            let mut content = good.clone();
            content[at] ^= 0x01;
            ("a flipped bit", content)
        });
        let cuts = [1, 95, 96, 97, 4095, 4096, good.len() - 4096];
        let cuts = cuts.into_iter().map(|length| ("a cut file", good[..length].to_vec()));
        for (what, damaged) in flips.chain(cuts).chain(damages(&good)) {
            fs_err::write(&path, &damaged).unwrap();
            match Snapshot::open(runtime(), &path) {
                Err(SnapshotError::Refused { path: named, .. }) => assert_eq!(named, path),
                Err(other) => panic!("{what}: {other:?}"),
                Ok(_) => panic!("{what}: it was opened"),
            }
        }
        fs_err::write(&path, &good).unwrap();
        let whole = Snapshot::open(runtime(), &path).unwrap();
        let mut guest = Guest::restore(runtime(), &whole, Limits::default()).unwrap();
        assert_eq!(guest.call("run"), Ok("42".into()));
    });
}

#[test]
fn a_snapshot_of_another_installation_is_refused_and_made_again() {
    let foreign = foreign_cache();
    // The base snapshots in it are still those of the shared cache.
    let bases = files_with(foreign.path(), ".snapshot");
    assert!(!bases.is_empty());
    let other = new_runtime(foreign.path().to_owned());
    for base in &bases {
        let result = Snapshot::open(&other, base).map(|_| ());
        assert!(matches!(result, Err(SnapshotError::Refused { .. })), "{result:?}");
    }
    works(&other);
    let made = bases.iter().filter(|base| Snapshot::open(&other, base).is_ok()).count();
    assert_eq!(made, 1);
    // And the other way round.
    for base in &bases {
        assert!(Snapshot::open(runtime(), base).is_err() || Snapshot::open(&other, base).is_err());
    }
}

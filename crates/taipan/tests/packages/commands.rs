//! What the commands do, with packages from the index that uv is configured for.

use taipan_testkit::index::{Entry, Wheel};

use crate::project::{Project, cache_without_packages, wait};
use crate::scene::{Scene, walk};

#[test]
fn packages_come_and_go() {
    let project = Project::new();
    let added = project.run(&["add", "anyio"]);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    assert!(added.stdout.contains("+ anyio ") && added.stdout.contains("+ idna "), "{}", added.stdout);
    assert!(project.read("pyproject.toml").contains("anyio>="));
    let lock = project.read("pylock.toml");
    assert!(lock.contains("name = \"idna\"") && lock.contains("sha256 = "), "{lock}");

    let tree = project.run(&["tree"]).stdout;
    assert!(tree.starts_with("anyio ") && tree.contains("\n  idna "), "{tree}");
    assert_eq!(project.run(&["why", "idna"]).stdout, "anyio → idna\n");
    let locked = project.run(&["lock"]);
    assert_eq!((locked.code, &*locked.stdout), (Some(0), "pylock.toml is up to date\n"));
    // What one process locks is what every other one has.
    assert_eq!(project.run(&["lock", "--upgrade"]).code, Some(0));
    assert_eq!(project.read("pylock.toml"), lock);

    let program = "import anyio, idna; print(anyio.__name__, len(idna.encode('ä.de')))";
    fs_err::write(project.path("program.py"), program).unwrap();
    let synced = project.run(&["sync"]);
    assert!(synced.code == Some(0) && synced.stdout.contains("packages, "), "{}", synced.stderr);

    let removed = project.run(&["remove", "anyio"]);
    assert!(removed.code == Some(0) && removed.stdout.contains("- idna "), "{}", removed.stdout);
    assert!(!project.read("pyproject.toml").contains("anyio"));
    let missing = project.run(&["remove", "anyio"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("not a direct dependency in "), "{}", missing.stderr);
}

#[test]
fn what_cannot_be_had_is_named_and_changes_nothing() {
    let project = Project::new();
    // A native package whose builds nobody has published for WebAssembly.
    let none = project.run(&["add", "orjson"]);
    assert_eq!(none.code, Some(1));
    assert!(
        none.stderr.contains("no build for Python 3.14") && none.stderr.contains("orjson"),
        "{}",
        none.stderr
    );
    let impossible = project.run(&["add", "idna>999"]);
    assert_eq!(impossible.code, Some(1));
    assert!(impossible.stderr.contains("hint: "), "{}", impossible.stderr);
    let nonsense = project.run(&["add", "no such/thing"]);
    assert!(nonsense.code == Some(1) && nonsense.stderr.contains("not a requirement"), "{}", nonsense.stderr);
    assert!(!project.path("pyproject.toml").exists() && !project.path("pylock.toml").exists());
}

#[test]
fn what_has_only_a_source_is_built_without_native_code() {
    let cache = cache_without_packages();
    let project = Project::new();
    // The one has native wheels for other platforms, the other no wheel at all.
    fs_err::write(project.path("requirements.txt"), "markupsafe==3.0.4\ndocopt==0.6.2\n").unwrap();
    let locked = wait(project.start(&["lock"], cache.path()));
    assert_eq!(locked.code, Some(0), "{}", locked.stderr);
    assert!(
        locked.stderr.contains("note: markupsafe 3.0.4 is built of its source, without native code"),
        "{}",
        locked.stderr
    );
    let lock = project.read("pylock.toml");
    assert!(lock.contains("docopt-0.6.2.tar.gz") && !lock.contains(".whl"), "{lock}");
    // On another machine, the lock is all there is.
    fs_err::remove_dir_all(cache.path().join("packages")).unwrap();
    let synced = wait(project.start(&["sync"], cache.path()));
    assert!(synced.code == Some(0) && synced.stdout.starts_with("2 packages"), "{}", synced.stderr);
    assert_eq!(project.read("pylock.toml"), lock);
}

#[test]
fn a_wheel_is_what_was_locked() {
    let cache = cache_without_packages();
    let project = Project::new();
    fs_err::write(project.path("requirements.txt"), "idna==3.10\n").unwrap();
    let synced = wait(project.start(&["sync"], cache.path()));
    assert_eq!(synced.code, Some(0), "{}", synced.stderr);

    // Another wheel's digest.
    let lock = project.read("pylock.toml");
    let start = lock.find("sha256 = \"").unwrap() + 10;
    let wrong = format!("{}{}{}", &lock[..start], "0".repeat(64), &lock[start + 64..]);
    fs_err::write(project.path("pylock.toml"), wrong).unwrap();
    let refused = wait(project.start(&["sync"], cache.path()));
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.to_lowercase().contains("hash"), "{}", refused.stderr);
    let stored = fs_err::read_dir(cache.path().join("packages")).unwrap();
    let names: Vec<_> = stored.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name == &"0".repeat(64) || name == ".partial"), "{names:?}");

    fs_err::write(project.path("pylock.toml"), "lock-version = \"9.0\"\n").unwrap();
    let unknown = wait(project.start(&["tree"], cache.path()));
    assert!(unknown.code == Some(1) && unknown.stderr.contains("pylock.toml"), "{}", unknown.stderr);
}

#[test]
fn processes_that_sync_at_once_wait_for_each_other() {
    let cache = cache_without_packages();
    let project = Project::new();
    fs_err::write(project.path("requirements.txt"), "idna==3.10\nsniffio==1.3.1\n").unwrap();
    assert_eq!(wait(project.start(&["lock"], cache.path())).code, Some(0));
    // What a process left that was killed while it unpacked.
    let partial = cache.path().join("packages/.partial/tree/idna");
    fs_err::create_dir_all(&partial).unwrap();
    fs_err::write(partial.join("core.py"), "half of").unwrap();
    let children: Vec<_> = (0..3).map(|_| project.start(&["sync"], cache.path())).collect();
    for child in children {
        let ended = wait(child);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    assert!(!cache.path().join("packages/.partial").exists());
}

/// A side module of WebAssembly without anything in it.
const EMPTY: &[u8] = b"\0asm\x01\0\0\0\0\x0f\x08dylink.0\x01\x04\0\0\0\0";

#[test]
fn native_modules_are_compiled_by_sync() {
    let scene = Scene::new("alpha\n");
    let tags = "cp314-cp314-pyemscripten_2026_0_wasm32";
    // With a section that no other module has.
    let module = [EMPTY, b"\0\x08\x07by sync"].concat();
    let files = vec![Entry::new("alpha.cpython-314-wasm32-emscripten.so", module)];
    scene.index.publish(Wheel { tags, files, ..Wheel::pure("alpha", "1.0") });
    let compiled =
        || walk(scene.cache.path()).iter().filter(|p| p.extension().is_some_and(|e| e == "cwasm")).count();
    let before = compiled();
    let first = scene.succeed(&["sync"]);
    assert!(first.stderr.contains("Compiling native modules of packages"), "{}", first.stderr);
    assert_eq!(compiled(), before + 1);
    let second = scene.succeed(&["sync"]);
    assert!(!second.stderr.contains("Compiling"), "{}", second.stderr);
}

#[test]
fn a_program_sees_the_packages_of_its_project() {
    let scene = Scene::new("alpha==1.0\n");
    scene.index.publish(Wheel { requires: &["beta"], ..Wheel::pure("alpha", "1.0") });
    scene.index.publish(Wheel::pure("beta", "2.0"));
    let python = |arguments: &[&str]| scene.run(&[&["python"], arguments].concat());
    let code = "import alpha, beta; print(alpha.__file__.startswith('/session/packages/'))";
    // A Worker's are locked and obtained as `dev` does it.
    let ended = python(&["-c", code]);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "True\n"), "{}", ended.stderr);
    let lock = scene.project.read("pylock.toml");
    let ended = python(&["-m", "beta"]);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    // Not where nothing but Python is wanted, nor another Python.
    for arguments in [&["-I", "-c", code][..], &["--python", "3.12", "-c", code]] {
        let ended = python(arguments);
        assert!(
            ended.code == Some(1) && ended.stderr.contains("No module named 'alpha'"),
            "{}",
            ended.stderr
        );
    }
    assert_eq!(scene.project.read("pylock.toml"), lock);

    // A folder that is no Worker's is left alone, unless its packages have been locked.
    fs_err::remove_file(scene.project.path("wrangler.jsonc")).unwrap();
    assert_eq!(python(&["-c", code]).stdout, "True\n");
    fs_err::remove_file(scene.project.path("pylock.toml")).unwrap();
    let ended = python(&["-c", code]);
    assert!(ended.code == Some(1) && ended.stderr.contains("No module named 'alpha'"), "{}", ended.stderr);
    assert!(!scene.project.path("pylock.toml").exists());
}

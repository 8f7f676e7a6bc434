//! Shared libraries that packages need and that no index has: OpenSSL for cryptography on Python 3.12.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use taipan_testkit::index::{Entry, Wheel};
use taipan_testkit::mirror;

use crate::project::{Ended, Project, wait};
use crate::scene::Scene;

const ARCHIVE: &str = "openssl-1.1.1w.zip";

/// A project that requires cryptography, or what its index has by that name and for that platform.
fn scene() -> Scene {
    // What all caches of these tests are copied from should have this Python, too.
    assert_eq!(Project::new().run(&["python", "--python", "3.12", "-c", ""]).code, Some(0));
    let scene = Scene::new("cryptography\n");
    let flags = r#"{ "name": "w", "main": "entry.py", "compatibility_date": "2026-11-01", "compatibility_flags": ["python_3.12"] }"#;
    fs_err::write(scene.project.path("wrangler.jsonc"), flags).unwrap();
    let files = vec![Entry::new("cryptography/__init__.py", "X = 1\n")];
    let tags = "cp312-cp312-pyodide_2024_0_wasm32";
    scene.index.publish(Wheel { tags, files, ..Wheel::pure("cryptography", "42.0.5") });
    scene
}

fn archive() -> Vec<u8> {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tools");
    fs_err::read(mirror::wheels(&tools).unwrap().join(ARCHIVE)).unwrap()
}

fn sync(scene: &Scene, index: &str) -> Ended {
    run(scene, index, &["sync"])
}

fn run(scene: &Scene, index: &str, arguments: &[&str]) -> Ended {
    let mut command: Command = scene.command(Path::new(env!("CARGO_BIN_EXE_taipan")));
    wait(command.env("TAIPAN_PACKAGE_INDEX", index).args(arguments).spawn().unwrap())
}

fn has_libraries(scene: &Scene) {
    let folders = scene.stored();
    assert_eq!(folders.len(), 2);
    for library in ["libssl.so", "libcrypto.so"] {
        let file = Path::new("files/openssl.libs").join(library);
        assert!(folders.iter().any(|folder| folder.join(&file).is_file()), "{library}");
    }
}

#[test]
fn a_folder_of_wheels_has_libraries_too() {
    let scene = scene();
    let folder = scene.own.path().join("wheels");
    fs_err::create_dir(&folder).unwrap();
    let index = folder.to_string_lossy().into_owned();
    let missing = sync(&scene, &index);
    assert_eq!(missing.code, Some(1));
    let said = "cannot obtain the library openssl 1.1.1w, which cryptography needs: ";
    assert!(missing.stderr.contains(said) && missing.stderr.contains(ARCHIVE), "{}", missing.stderr);
    assert!(missing.stderr.contains("\nhint: ") && scene.stored().len() == 1, "{}", missing.stderr);

    let mut content = archive();
    content[1000] ^= 1;
    fs_err::write(folder.join(ARCHIVE), &content).unwrap();
    let wrong = sync(&scene, &index);
    assert!(wrong.code == Some(1) && wrong.stderr.contains("hash mismatch"), "{}", wrong.stderr);
    // What has arrived is kept.
    assert_eq!(scene.stored().len(), 1);

    content[1000] ^= 1;
    fs_err::write(folder.join(ARCHIVE), &content).unwrap();
    let synced = sync(&scene, &index);
    assert_eq!(synced.code, Some(0), "{}", synced.stderr);
    assert!(synced.stdout.contains("openssl 1.1.1w"), "{}", synced.stdout);
    has_libraries(&scene);
    let tree = run(&scene, &index, &["tree"]);
    assert_eq!(tree.stdout, "cryptography 42.0.5\n  openssl 1.1.1w (library)\n", "{}", tree.stderr);
    let why = run(&scene, &index, &["why", "openssl"]);
    assert!(why.stdout.contains("cryptography → openssl"), "{}{}", why.stdout, why.stderr);

    // One that was lost comes again, from a lock that does not name it.
    let lock = scene.project.read("pylock.toml");
    assert!(!lock.contains("openssl"), "{lock}");
    let is_library = |path: &&std::path::PathBuf| path.join("files/openssl.libs").is_dir();
    fs_err::remove_dir_all(scene.stored().iter().find(is_library).unwrap()).unwrap();
    assert_eq!(sync(&scene, &index).code, Some(0));
    has_libraries(&scene);
    assert_eq!(scene.project.read("pylock.toml"), lock);
}

#[test]
fn an_index_has_libraries_below_its_address() {
    let scene = scene();
    scene.index.publish_file(ARCHIVE, archive());
    let synced = sync(&scene, &scene.index.url());
    assert_eq!(synced.code, Some(0), "{}", synced.stderr);
    has_libraries(&scene);
}

/// Runs `taipan python` of this version, with what the folder of wheels has.
fn python(scene: &Scene, index: &str, version: &str, arguments: &[&str], input: &str) -> Ended {
    let mut command = scene.command(Path::new(env!("CARGO_BIN_EXE_taipan")));
    command.env("TAIPAN_PACKAGE_INDEX", index).args(["python", "--python", version]).args(arguments);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    wait(child)
}

const QUERY: &str = "import sqlite3; print(sqlite3.connect(':memory:').execute('SELECT 6 * 7').fetchone())";

#[test]
fn a_program_has_modules_that_its_python_lacks_when_it_imports_them() {
    for (version, ssl) in [("3.12", true), ("3.13", false)] {
        assert_eq!(Project::new().run(&["python", "--python", version, "-c", ""]).code, Some(0));
        let scene = Scene::new("");
        let wheels = mirror::wheels(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tools")).unwrap();
        let index = wheels.to_string_lossy();
        // The standard library can do without them, so that what only it imports is not obtained.
        let ended = python(&scene, &index, version, &["-c", "import shutil, http.client, hashlib"], "");
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{version}");
        assert!(scene.stored().is_empty(), "{version}");

        fs_err::write(scene.project.path("script.py"), format!("if 1:\n    {QUERY}\n")).unwrap();
        for (arguments, input) in [
            (&["script.py"][..], ""),
            (&["-c", QUERY], ""),
            (&["-I", "-c", QUERY], ""),
            (&["-m", "script"], ""),
            (&["-"], QUERY),
        ] {
            let ended = python(&scene, &index, version, arguments, input);
            let said = (ended.code, &*ended.stdout, &*ended.stderr);
            assert_eq!(said, (Some(0), "(42,)\n", ""), "{version} {arguments:?}");
        }
        let ended = python(&scene, &index, version, &["-m", "sqlite3", ":memory:", "SELECT 6 * 7"], "");
        assert_eq!((&*ended.stdout, &*ended.stderr), ("(42,)\n", ""), "{version}");
        if ssl {
            let code = "import ssl; print(ssl.OPENSSL_VERSION.split()[0])";
            let ended = python(&scene, &index, version, &["-c", code], "");
            assert_eq!((&*ended.stdout, &*ended.stderr), ("OpenSSL\n", ""), "{version}");
        }

        // What the program has itself comes first.
        fs_err::write(scene.project.path("lzma.py"), "X = 5\n").unwrap();
        let ended = python(&scene, &index, version, &["-m", "lzma"], "");
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{version}");
        fs_err::remove_file(scene.project.path("lzma.py")).unwrap();
        let code =
            "try:\n    import lzma\nexcept ModuleNotFoundError as error:\n    print(error.name)\nimport lzma";
        let ended = python(&scene, &index, version, &["-c", code], "");
        assert_eq!((ended.code, &*ended.stdout), (Some(1), "lzma\n"), "{version}");
        let said = "ModuleNotFoundError: No module named 'lzma': cannot obtain the library lzma 1.0.0, which the program needs: ";
        assert!(ended.stderr.contains(said) && !ended.stderr.contains("Error: Error"), "{}", ended.stderr);
    }
}

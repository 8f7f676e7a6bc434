//! What goes wrong with packages: each time a clear word, a store that is whole, and a second try that goes on.
//!
//! The index is one of ours on loopback, to which uv is led as its users lead it.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use taipan_testkit::index::{Entry, Fault, Wheel};

use crate::project::wait;
use crate::scene::{Scene, walk};

#[test]
fn indexes_are_those_of_the_user() {
    let scene = Scene::new("alpha\n");
    scene.index.publish(Wheel::pure("alpha", "1.0"));
    let own = scene.own.path();
    let pip = own.join("pip.conf");
    fs_err::write(&pip, format!("[global]\nindex-url = {}\n", scene.index.url())).unwrap();
    let uv = own.join("uv.toml");
    fs_err::write(&uv, format!("[[index]]\nurl = \"{}\"\ndefault = true\n", scene.index.url())).unwrap();
    let nothing = own.join("nothing");
    for (name, value) in [
        ("PIP_CONFIG_FILE", &*pip.to_string_lossy()),
        ("PIP_INDEX_URL", &scene.index.url()),
        ("UV_CONFIG_FILE", &*uv.to_string_lossy()),
    ] {
        drop(fs_err::remove_file(scene.project.path("pylock.toml")));
        let mut command = scene.bare(Path::new(env!("CARGO_BIN_EXE_taipan")));
        command.env("PIP_CONFIG_FILE", &nothing).env(name, value).arg("lock");
        let ended = wait(command.spawn().unwrap());
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
        assert!(
            scene
                .project
                .read("pylock.toml")
                .contains(&scene.index.url().replace("/simple", "/files/alpha-1.0"))
        );
    }
}

#[test]
fn what_was_taken_back_is_used_only_on_request_and_said() {
    let scene = Scene::new("alpha\n");
    scene.index.publish(Wheel::pure("alpha", "1.0"));
    scene.index.publish(Wheel { yanked: Some("breaks everything"), ..Wheel::pure("alpha", "1.1") });
    scene.succeed(&["lock"]);
    assert!(scene.project.read("pylock.toml").contains("version = \"1.0\""));
    fs_err::write(scene.project.path("requirements.txt"), "alpha==1.1\n").unwrap();
    let locked = scene.succeed(&["sync"]);
    assert!(
        locked.stderr.contains("yanked") && locked.stderr.contains("breaks everything"),
        "{}",
        locked.stderr
    );
    fs_err::write(scene.project.path("requirements.txt"), "alpha>1.0\n").unwrap();
    fs_err::remove_file(scene.project.path("pylock.toml")).unwrap();
    let said = scene.fail(&["lock"]);
    assert!(said.contains("yanked"), "{said}");
}

#[test]
fn versions_that_exclude_each_other_are_explained() {
    let scene = Scene::new("alpha\nbeta\n");
    scene.index.publish(Wheel { requires: &["gamma<2"], ..Wheel::pure("alpha", "1.0") });
    scene.index.publish(Wheel { requires: &["gamma>=2"], ..Wheel::pure("beta", "1.0") });
    scene.index.publish(Wheel::pure("gamma", "1.0"));
    scene.index.publish(Wheel::pure("gamma", "2.0"));
    let said = scene.fail(&["sync"]);
    assert!(said.contains("the requirements cannot be met"), "{said}");
    assert!(said.contains("alpha") && said.contains("gamma>=2"), "{said}");
    assert!(!scene.project.path("pylock.toml").exists());
}

#[test]
fn a_package_without_a_build_is_never_replaced_by_an_ancient_one() {
    let scene = Scene::new("alpha\n");
    // As pydantic-core had it before it was written in Rust.
    scene.index.publish(Wheel::pure("alpha", "0.0.1"));
    scene.index.publish(Wheel { tags: "cp314-cp314-manylinux_2_17_x86_64", ..Wheel::pure("alpha", "2.0") });
    let said = scene.fail(&["lock"]);
    assert!(said.contains("no build for Python 3.14.2") && said.contains("alpha 2.0"), "{said}");
    assert!(said.contains("the newest version of alpha that has one is 0.0.1"), "{said}");
    // Who means it says so.
    fs_err::write(scene.project.path("requirements.txt"), "alpha<1\n").unwrap();
    scene.succeed(&["lock"]);

    // A lock with a wheel for another platform, as another tool may write it.
    let lock = scene
        .project
        .read("pylock.toml")
        .replace("alpha-0.0.1-py3-none-any", "alpha-0.0.1-cp314-cp314-win_amd64");
    let lock = lock.split("[tool.taipan]").next().unwrap().to_owned();
    fs_err::write(scene.project.path("pylock.toml"), lock).unwrap();
    let said = scene.fail(&["sync"]);
    assert!(said.contains("no build for Python 3.14.2") && said.contains("alpha 0.0.1"), "{said}");
    assert!(scene.stored().is_empty());
}

#[test]
fn a_package_without_a_build_is_said_to_have_one_for_another_python() {
    let scene = Scene::new("alpha\n");
    for tags in ["cp313-cp313-pyodide_2025_0_wasm32", "cp312-cp312-pyodide_2024_0_wasm32"] {
        scene.index.publish(Wheel { tags, ..Wheel::pure("alpha", "2.0") });
    }
    // A newer version has none, and one of the same series does.
    scene.index.publish(Wheel { tags: "cp314-cp314-win_amd64", ..Wheel::pure("beta", "2.1") });
    scene
        .index
        .publish(Wheel { tags: "cp314-cp314-pyemscripten_2026_0_wasm32", ..Wheel::pure("beta", "2.0") });
    let said = scene.fail(&["lock"]);
    assert!(said.contains("no build for Python 3.14.2") && said.contains("alpha 2.0"), "{said}");
    assert!(said.contains("alpha 2.0 has one for Python 3.13 and 3.12"), "{said}");
    fs_err::write(scene.project.path("requirements.txt"), "beta\n").unwrap();
    let locked = scene.succeed(&["lock"]);
    let note = "note: beta 2.0 is used, because 2.1 has no build for this Python";
    assert!(locked.stderr.contains(note), "{}", locked.stderr);
}

#[test]
fn what_else_is_required_does_not_silently_bring_an_ancient_version() {
    let scene = Scene::new("alpha\nbeta>=2\n");
    scene.index.publish(Wheel::pure("alpha", "0.1"));
    scene.index.publish(Wheel { requires: &["beta<2"], ..Wheel::pure("alpha", "3.0") });
    scene.index.publish(Wheel::pure("beta", "1.0"));
    scene.index.publish(Wheel::pure("beta", "2.0"));
    let note = "note: alpha 0.1 is used, because what else is required excludes 3.0\n";
    assert_eq!(scene.succeed(&["lock"]).stderr.matches("note: ").count(), 1);
    let upgraded = scene.succeed(&["lock", "--upgrade"]);
    assert!(upgraded.stderr.contains(note), "{}", upgraded.stderr);
    // What is known already is not said again, nor what was asked for.
    scene.index.publish(Wheel::pure("gamma", "1.0"));
    let added = scene.succeed(&["add", "gamma"]);
    assert!(!added.stderr.contains("note: "), "{}", added.stderr);
    fs_err::write(scene.project.path("requirements.txt"), "alpha<1\nbeta>=2\n").unwrap();
    fs_err::remove_file(scene.project.path("pylock.toml")).unwrap();
    assert!(!scene.succeed(&["lock"]).stderr.contains("note: "));
}

#[test]
fn a_download_that_breaks_goes_on_next_time() {
    for fault in [Fault::CutOff, Fault::OtherContent] {
        let scene = Scene::new("alpha\nbeta\n");
        scene.index.publish(Wheel::pure("alpha", "1.0"));
        scene.index.publish(Wheel { fault: Some(fault), ..Wheel::pure("beta", "1.0") });
        let said = scene.fail(&["sync"]);
        assert!(said.contains("packages cannot be obtained") && said.contains("beta"), "{said}");
        assert!(fault == Fault::CutOff || said.to_lowercase().contains("hash mismatch"), "{said}");
        scene.stored();
        scene.index.publish(Wheel::pure("beta", "1.0"));
        // A digest that was wrong is in no lock.
        assert!(!scene.project.path("pylock.toml").exists());
        scene.succeed(&["sync"]);
        assert_eq!(scene.stored().len(), 2);
    }
}

#[test]
fn a_process_that_was_killed_in_the_middle_leaves_nothing_in_the_way() {
    let scene = Scene::new("alpha\nbeta\n");
    scene.index.publish(Wheel::pure("alpha", "1.0"));
    scene.index.publish(Wheel::pure("beta", "1.0"));
    scene.succeed(&["lock"]);
    scene.index.publish(Wheel { fault: Some(Fault::Silence), ..Wheel::pure("beta", "1.0") });
    let mut command = scene.command(Path::new(env!("CARGO_BIN_EXE_taipan")));
    // What it has started goes on for a moment.
    let mut killed = command.env("UV_HTTP_TIMEOUT", "2").arg("sync").spawn().unwrap();
    let partial = scene.cache.path().join("packages/.partial");
    while !partial.exists() {
        assert_eq!(killed.try_wait().unwrap(), None);
        std::thread::sleep(Duration::from_millis(10));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(partial.exists());
    scene.index.publish(Wheel::pure("beta", "1.0"));
    let lock = scene.project.read("pylock.toml");
    scene.succeed(&["sync"]);
    assert_eq!((scene.stored().len(), scene.project.read("pylock.toml")), (2, lock));
}

#[test]
fn archives_do_not_reach_out_of_their_folder() {
    let outside = tempfile::tempdir().unwrap();
    let absolute = outside.path().join("absolute.py").to_string_lossy().into_owned();
    for entry in [
        Entry::new("../above.py", "X = 1\n"),
        Entry::new("alpha/../../above.py", "X = 1\n"),
        Entry::new(&absolute, "X = 1\n"),
        Entry::link("alpha_link.py", "/etc/passwd"),
        Entry::link("alpha_link", "../.."),
    ] {
        let scene = Scene::new("alpha\n");
        let path = entry.path.clone();
        scene.index.publish(Wheel { files: vec![entry], ..Wheel::pure("alpha", "1.0") });
        let ended = scene.run(&["sync"]);
        for folder in scene.stored() {
            for file in walk(&folder) {
                let data = fs_err::symlink_metadata(&file).unwrap();
                assert!(data.is_file() && !data.is_symlink(), "{path}: {}", file.display());
            }
        }
        let packages = scene.cache.path().join("packages");
        for place in
            [packages.join("above.py"), scene.cache.path().join("above.py"), PathBuf::from(&absolute)]
        {
            assert!(!place.exists(), "{path}: {}", place.display());
        }
        if ended.code != Some(0) {
            assert!(ended.stderr.contains("alpha") && ended.stderr.contains("hint: "), "{}", ended.stderr);
        }
        // The next version is fine.
        scene.index.publish(Wheel::pure("alpha", "1.1"));
        scene.succeed(&["lock", "--upgrade"]);
        scene.succeed(&["sync"]);
    }
}

/// An archive of a source: what can be built, and what `more`, lines of Python, adds.
fn source(more: &str) -> Vec<u8> {
    let program = format!(
        "import io, sys, tarfile\n\
         with tarfile.open(sys.argv[1], 'w:gz') as archive:\n    \
             def add(name, content=b'', **fields):\n        \
                 entry = tarfile.TarInfo(name)\n        \
                 entry.size = len(content)\n        \
                 for one in fields.items():\n            setattr(entry, *one)\n        \
                 archive.addfile(entry, io.BytesIO(content))\n    \
             add('alpha-1.0/PKG-INFO', b'Metadata-Version: 2.1\\nName: alpha\\nVersion: 1.0\\n')\n    \
             add('alpha-1.0/pyproject.toml', b'[build-system]\\nrequires = []\\nbuild-backend = \"own\"\\nbackend-path = [\".\"]\\n')\n    \
             {more}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar.gz");
    let ended = std::process::Command::new("python3").arg("-c").arg(program).arg(&path).status().unwrap();
    assert!(ended.success());
    fs_err::read(path).unwrap()
}

#[test]
fn sources_do_not_reach_out_of_their_folder_or_fill_the_disk() {
    let outside = tempfile::tempdir().unwrap();
    let at = outside.path().display();
    for more in [
        "add('alpha-1.0/../../../above.py', b'x')".to_owned(),
        format!("add('{at}/absolute.py', b'x')"),
        format!(
            "add('alpha-1.0/out', type=tarfile.SYMTYPE, linkname='{at}'); add('alpha-1.0/out/through.py', b'x')"
        ),
        format!("add('alpha-1.0/hard.py', type=tarfile.LNKTYPE, linkname='{at}/secret')"),
        "add('alpha-1.0/zeros', bytes(513 << 20))".to_owned(),
    ] {
        fs_err::write(outside.path().join("secret"), "secret").unwrap();
        let scene = Scene::new("alpha\n");
        scene.index.publish_source("alpha", "alpha-1.0.tar.gz", source(&more));
        let said = scene.fail(&["sync"]);
        assert!(said.contains("alpha"), "{more}: {said}");
        let left: Vec<_> = walk(outside.path());
        assert_eq!(left, [outside.path().join("secret")], "{more}");
        assert!(scene.stored().is_empty());
        let above = walk(scene.cache.path()).into_iter().chain(walk(scene.own.path()));
        assert!(!above.into_iter().any(|path| path.ends_with("above.py")), "{more}");
        leaves_little(&scene);
        // What can be had is, later.
        scene.index.publish(Wheel::pure("alpha", "1.1"));
        scene.succeed(&["sync"]);
    }
}

#[test]
fn a_full_disk_is_said_and_leaves_the_store_whole() {
    let scene = Scene::new("alpha\nbeta\n");
    scene.index.publish(Wheel::pure("alpha", "1.0"));
    // Noise, which is as large in the archive.
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let noise: Vec<u8> = (0..600_000).map(|_| noise()).collect();
    scene.index.publish(Wheel { files: vec![Entry::new("beta_data", noise)], ..Wheel::pure("beta", "1.0") });
    scene.succeed(&["lock"]);
    let packages = scene.cache.path().join("packages");
    fs_err::create_dir_all(&packages).unwrap();
    // A disk of its own for the store, which only the command sees.
    let script = "mount -t tmpfs -o size=400k none \"$1\" && \"$2\" sync; code=$?; ls -A \"$1\"; exit $code";
    let mut command = scene.command(Path::new("unshare"));
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    let ended = wait(command.arg(&packages).arg(env!("CARGO_BIN_EXE_taipan")).spawn().unwrap());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("No space left on device"), "{}", ended.stderr);
    assert!(!ended.stdout.contains(".partial"), "{}", ended.stdout);
    scene.succeed(&["sync"]);
    assert_eq!(scene.stored().len(), 2);
}

#[test]
fn an_archive_of_nearly_nothing_does_not_fill_the_disk() {
    let scene = Scene::new("alpha\n");
    let zeros = Entry::new("alpha_data", vec![0; 513 << 20]);
    scene.index.publish(Wheel { files: vec![zeros], ..Wheel::pure("alpha", "1.0") });
    let said = scene.fail(&["sync"]);
    assert!(
        said.contains("the wheel of alpha is refused: it has a file that is larger than 512 MiB"),
        "{said}"
    );
    assert!(scene.stored().is_empty());
    leaves_little(&scene);
}

/// Nothing of what was refused is on the disk, uv's cache included.
fn leaves_little(scene: &Scene) {
    let folders = [scene.own.path().to_owned(), scene.cache.path().join("packages")];
    for file in folders.iter().filter(|folder| folder.is_dir()).flat_map(|folder| walk(folder)) {
        let size = fs_err::symlink_metadata(&file).unwrap().len();
        assert!(size < 1 << 20, "{}: {size} bytes", file.display());
    }
}

#[test]
fn an_archive_of_many_files_is_refused_before_it_is_unpacked() {
    // Eleven times 100 MiB, on a server and in a folder; the archive has 1.1 MiB.
    let scene = Scene::new("alpha\nbeta\n");
    let bomb = || {
        let zeros = Entry::new("alpha_data", vec![0; 100 << 20]);
        Wheel { files: vec![zeros], copies: 10, ..Wheel::pure("alpha", "1.0") }
    };
    scene.index.publish(Wheel::pure("beta", "1.0"));
    scene.index.publish(bomb());
    let refused = "the wheel of alpha is refused: unpacked it is larger than 1024 MiB";
    scene.succeed(&["lock"]);
    leaves_little(&scene);
    let said = scene.fail(&["sync"]);
    assert!(said.contains(refused), "{said}");
    leaves_little(&scene);
    assert!(scene.stored().is_empty());

    let scene = Scene::new("alpha\n");
    let bomb = bomb();
    fs_err::write(scene.own.path().join(bomb.file_name()), bomb.archive()).unwrap();
    let said = scene.fail(&["sync"]);
    assert!(said.contains(refused), "{said}");
    fs_err::remove_file(scene.own.path().join(bomb.file_name())).unwrap();
    leaves_little(&scene);
}

#[test]
fn an_index_that_cannot_be_reached_is_no_error_while_it_is_not_needed() {
    let scene = Scene::new("alpha\n");
    scene.index.publish(Wheel::pure("alpha", "1.0"));
    scene.index.publish(Wheel { tags: "cp314-cp314-manylinux_2_17_x86_64", ..Wheel::pure("beta", "2.0") });
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{gone}/simple");
    let run = |requirements: &str| {
        fs_err::write(scene.project.path("requirements.txt"), requirements).unwrap();
        let mut command = scene.command(Path::new(env!("CARGO_BIN_EXE_taipan")));
        wait(
            command
                .env("TAIPAN_PACKAGE_INDEX", &url)
                .env_remove("UV_HTTP_RETRIES")
                .arg("sync")
                .spawn()
                .unwrap(),
        )
    };
    let synced = run("alpha\n");
    assert_eq!((synced.code, scene.stored().len()), (Some(0), 1), "{}", synced.stderr);
    let missing = run("alpha\nbeta\n");
    assert_eq!(missing.code, Some(1));
    let said = format!("{url} cannot be reached");
    assert!(missing.stderr.contains("beta 2.0") && missing.stderr.contains(&said), "{}", missing.stderr);
}

/// What uv is told about the network, by a program in its place that writes it down.
#[test]
fn uv_asks_soon_again_for_a_name_that_nobody_answers() {
    let scene = Scene::new("alpha\n");
    let uv = scene.own.path().join("own-uv");
    let seen = scene.own.path().join("seen");
    let script =
        format!("#!/bin/sh\necho \"$RES_OPTIONS;$UV_HTTP_RETRIES\" >> '{}'\nexit 1\n", seen.display());
    fs_err::write(&uv, script).unwrap();
    fs_err::set_permissions(&uv, std::fs::Permissions::from_mode(0o755)).unwrap();
    let url = "http://127.0.0.1:9/simple";
    let lines = |own: Option<&str>| {
        drop(fs_err::remove_file(&seen));
        let mut command = scene.command(Path::new(env!("CARGO_BIN_EXE_taipan")));
        command.env("TAIPAN_UV", &uv).env("TAIPAN_PACKAGE_INDEX", url).env_remove("UV_HTTP_RETRIES");
        command.env_remove("RES_OPTIONS").envs(own.map(|value| ("RES_OPTIONS", value)));
        assert_eq!(wait(command.arg("lock").spawn().unwrap()).code, Some(1));
        let text = fs_err::read_to_string(&seen).unwrap();
        text.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    // The index is given up on sooner than others.
    assert_eq!(lines(None), ["timeout:1 attempts:5;", "timeout:1 attempts:5;1"].map(str::to_owned).into());
    assert_eq!(lines(Some("rotate")), ["rotate;", "rotate;1"].map(str::to_owned).into());
}

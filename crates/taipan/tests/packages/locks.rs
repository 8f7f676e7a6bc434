//! What a lock promises: the same lock, the same bytes, on every machine, whoever wrote it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use taipan_testkit::index::{Entry, Index, Wheel};

use crate::project::wait;
use crate::scene::{Scene, walk};

/// The digests of all files in the store, by their paths.
fn digests(scene: &Scene) -> BTreeMap<String, String> {
    let store = scene.cache.path().join("packages");
    let mut found = BTreeMap::new();
    for file in scene.stored().iter().flat_map(|folder| walk(folder)) {
        let path = file.strip_prefix(&store).unwrap().to_string_lossy().into_owned();
        found.insert(path, format!("{:x}", Sha256::digest(fs_err::read(&file).unwrap())));
    }
    found
}

fn publish(index: &Index) {
    let files = || vec![Entry::new("beta/__init__.py", "X = 1\n"), Entry::new("beta/data/a.json", "{}")];
    index.publish(Wheel { requires: &["beta>=1", "gamma"], ..Wheel::pure("alpha", "1.0") });
    for tags in
        ["cp314-cp314-pyemscripten_2026_0_wasm32", "cp314-cp314-manylinux_2_17_x86_64", "cp313-cp313-win32"]
    {
        index.publish(Wheel { tags, files: files(), ..Wheel::pure("beta", "1.1") });
    }
    index
        .publish(Wheel { requires: &["delta; sys_platform != 'emscripten'"], ..Wheel::pure("gamma", "2.0") });
    index.publish(Wheel::pure("delta", "1.0"));
}

#[test]
fn the_same_lock_and_the_same_bytes_on_every_machine() {
    let index = Arc::new(Index::start().unwrap());
    publish(&index);
    let one = Scene::with("alpha\n", index.clone());
    let other = Scene::with("alpha\n", index);
    one.succeed(&["sync"]);
    other.succeed(&["sync"]);
    let lock = one.project.read("pylock.toml");
    assert_eq!(other.project.read("pylock.toml"), lock);
    assert!(lock.contains("pyemscripten_2026_0_wasm32") && !lock.contains("manylinux"), "{lock}");
    assert!(!lock.contains("delta") && !lock.contains(&*one.project.path("").to_string_lossy()), "{lock}");
    let bytes = digests(&one);
    assert!(bytes.len() > 6 && bytes == digests(&other), "{bytes:?}");
    // Again, with the lock that came with the project and nothing else.
    fs_err::remove_dir_all(other.cache.path().join("packages")).unwrap();
    other.succeed(&["sync"]);
    assert_eq!((other.project.read("pylock.toml"), digests(&other)), (lock, bytes));
}

#[test]
fn a_lock_of_uv_is_honoured() {
    let scene = Scene::new("alpha\n");
    publish(&scene.index);
    let mut uv = scene.command(Path::new("uv"));
    uv.args(["pip", "compile", "requirements.txt", "--universal", "--python-version", "3.14", "--no-header"]);
    let ended = wait(uv.args(["--format", "pylock.toml", "-o", "pylock.toml"]).spawn().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let lock = scene.project.read("pylock.toml");
    assert!(lock.contains("delta") && lock.contains("manylinux"), "{lock}");
    // A newer version than the one that is locked.
    scene.index.publish(Wheel::pure("gamma", "3.0"));
    let synced = scene.succeed(&["sync"]);
    assert_eq!(scene.project.read("pylock.toml"), lock);
    assert!(synced.stdout.contains("3 packages"), "{}", synced.stdout);
    let indexes =
        scene.stored().into_iter().map(|folder| fs_err::read_to_string(folder.join("index.json")).unwrap());
    assert!(indexes.into_iter().all(|index| !index.contains("delta") && !index.contains("3.0")));
    assert!(scene.succeed(&["tree"]).stdout.contains("alpha 1.0"));
}

#[test]
fn a_lock_that_was_written_by_hand_is_honoured() {
    let scene = Scene::new("alpha\n");
    let archive = Wheel::pure("alpha", "5.0").archive();
    fs_err::create_dir(scene.project.path("wheels")).unwrap();
    fs_err::write(scene.project.path("wheels/alpha-5.0-py3-none-any.whl"), &archive).unwrap();
    let lock = format!(
        "lock-version = \"1.0\"\ncreated-by = \"a person\"\n\n[[packages]]\nname = \"Alpha\"\nversion = \"5.0\"\n\
         wheels = [{{ path = \"wheels/alpha-5.0-py3-none-any.whl\", hashes = {{ sha256 = \"{:x}\" }} }}]\n",
        Sha256::digest(&archive)
    );
    fs_err::write(scene.project.path("pylock.toml"), &lock).unwrap();
    scene.succeed(&["sync"]);
    assert_eq!(scene.project.read("pylock.toml"), lock);
    assert_eq!(scene.stored().len(), 1);
    // What is asked for now is not in it.
    fs_err::write(scene.project.path("requirements.txt"), "alpha\nbeta\n").unwrap();
    publish(&scene.index);
    scene.index.publish(Wheel::pure("alpha", "5.0"));
    scene.succeed(&["sync"]);
    assert!(scene.project.read("pylock.toml").contains("name = \"beta\""));
}

#[test]
fn versions_stay_until_they_are_to_be_upgraded() {
    let scene = Scene::new("# What the shop needs\nalpha>=1\nbeta==1.0  # pinned\n");
    scene.index.publish(Wheel { requires: &["beta"], ..Wheel::pure("alpha", "1.0") });
    scene.index.publish(Wheel::pure("beta", "1.0"));
    scene.succeed(&["sync"]);
    scene.index.publish(Wheel { requires: &["beta"], ..Wheel::pure("alpha", "1.1") });
    scene.index.publish(Wheel::pure("beta", "1.1"));
    assert_eq!(scene.succeed(&["lock"]).stdout, "pylock.toml is up to date\n");
    // Another requirement is no reason to change what is locked.
    fs_err::write(scene.project.path("requirements.txt"), "alpha>=1\nbeta==1.0\ngamma\n").unwrap();
    scene.index.publish(Wheel::pure("gamma", "3.0"));
    assert_eq!(scene.succeed(&["lock"]).stdout, "+ gamma 3.0\n");
    assert_eq!(scene.succeed(&["lock", "--upgrade"]).stdout, "~ alpha 1.0 → 1.1\n");
    assert_eq!(scene.succeed(&["tree"]).stdout, "alpha 1.1\n  beta 1.0\nbeta 1.0\ngamma 3.0\n");
    assert_eq!(scene.succeed(&["why", "beta"]).stdout, "beta\nalpha → beta\n");
    let unknown = scene.run(&["why", "delta"]);
    assert!(
        unknown.code == Some(1) && unknown.stderr.contains("not a locked package: delta"),
        "{}",
        unknown.stderr
    );
}

/// Where it comes from on this machine does not matter to what it is called.
#[test]
fn uv_is_found_or_named_with_the_line_that_installs_it() {
    let scene = Scene::new("alpha\n");
    let mut command: Command = scene.command(Path::new(env!("CARGO_BIN_EXE_taipan")));
    let ended = wait(command.arg("lock").env("PATH", "/nowhere").env_remove("TAIPAN_UV").spawn().unwrap());
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("hint: install it, for example with: python3 -m pip install uv"),
        "{}",
        ended.stderr
    );
}

//! A Worker's folder, and the commands in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub(crate) use taipan_testkit::command::Ended;
use taipan_testkit::command::ended;

/// A Worker's folder, with a cache for its packages alone beside that for everything else.
pub(crate) struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("entry.py"), "").unwrap();
        let config = r#"{ "name": "w", "main": "entry.py", "compatibility_date": "2026-11-01" }"#;
        fs_err::write(folder.path().join("wrangler.jsonc"), config).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn start(&self, arguments: &[&str], cache: &Path) -> Child {
        self.command(Path::new(env!("CARGO_BIN_EXE_taipan")), cache).args(arguments).spawn().unwrap()
    }

    pub(crate) fn command(&self, program: &Path, cache: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env("TAIPAN_CACHE_DIR", cache)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        wait(self.start(arguments, &cache()))
    }
}

pub(crate) fn wait(child: Child) -> Ended {
    ended(child).unwrap()
}

pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// A cache that has all of [`cache`] but packages.
pub(crate) fn cache_without_packages() -> tempfile::TempDir {
    // The interpreter that uv asks must be there, and that is all.
    assert_eq!(Project::new().run(&["python", "-c", ""]).code, Some(0));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    copy(&cache(), folder.path());
    folder
}

/// With links instead of copies: what is in a cache is replaced, never changed.
fn copy(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_name() == "packages" || entry.file_name().to_string_lossy().ends_with(".checked") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            // One that another process has just made may be renamed now.
            drop(fs_err::hard_link(entry.path(), &place));
        }
    }
}

//! The Worker's files: what its configuration takes of the main module's folder, without tools, caches and what is too large, and
//! the packages that were unpacked into `python_modules`.

use std::path::Path;

use anyhow::Result;
use fs_err as fs;
use taipan_config::{ASSETS_ONLY, CONFIG_NAMES, Files};
use taipan_engine::Source;

/// Larger files stay outside: this process holds them all.
const LARGEST_FILE: u64 = 64 << 20;

/// All files together may be no larger.
const LARGEST_SUM: u64 = 256 << 20;

/// Folders that hold nothing of the Worker's own. Hidden folders are left out as well.
const IGNORED: &[&str] = &["node_modules", "__pycache__", "venv", "target"];

/// Files and folders of a project that say how it is built, and whether it works.
const ABOUT_BUILDING: &[&str] = &[
    "package.json",
    "package-lock.json",
    "pyproject.toml",
    "pylock.toml",
    "requirements.txt",
    "tests",
    "uv.lock",
];

/// The folder of packages, in that of the configuration and in the Worker.
pub(crate) const PACKAGES: &str = "python_modules";

/// The folder in which `taipan types` writes what an editor needs.
pub(crate) const TYPES: &str = "typings";

/// The only file of a Worker that consists of assets: for what they do not answer, such as a request for a WebSocket.
const NO_CODE: &str = "from workers import Response, WorkerEntrypoint\n\n\n\
    class Default(WorkerEntrypoint):\n    def fetch(self, request):\n        return Response(None, status=404)\n";

/// What stands for the files of a Worker that has none of its own.
pub(crate) fn none() -> Sources {
    let file = Source { path: ASSETS_ONLY.to_owned(), content: NO_CODE.as_bytes().to_vec().into() };
    Sources { files: vec![file], ..Sources::default() }
}

/// Whether a folder of this name is none of the Worker's.
pub(crate) fn is_ignored(name: &str) -> bool {
    name.starts_with('.') || IGNORED.contains(&name)
}

/// Files that were found, in the order of their paths, and warnings about files that were left out.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) files: Vec<Source>,
    pub(crate) warnings: Vec<String>,
    sum: u64,
}

/// Reads the files of the Worker whose configuration is in the folder `root`.
pub(crate) fn collect(root: &Path, files: &Files) -> Result<Sources> {
    let mut found = Sources::default();
    let is_root = same(root, &files.base);
    let packages = root.join(PACKAGES);
    if files.finds_more() {
        walk(
            &files.base,
            "",
            &mut |name, path| is_root && is_about_building(name, path),
            &mut |path, file| {
                let is_taken = match path.strip_prefix(PACKAGES).and_then(|rest| rest.strip_prefix('/')) {
                    Some(below) => !files.excludes(below),
                    None => files.takes(&path) && !is_log(&path),
                };
                if is_taken { found.add(path, file) } else { Ok(()) }
            },
        )?;
    } else {
        found.add(files.main.clone(), &files.base.join(&files.main))?;
    }
    // Where wrangler's tools unpack them; the walk has met them already when that is where the main module is.
    if packages.is_dir() && (!is_root || !files.finds_more()) {
        walk(&packages, "", &mut |_, _| false, &mut |path, file| {
            let is_taken = !files.excludes(&path);
            if is_taken { found.add(format!("{PACKAGES}/{path}"), file) } else { Ok(()) }
        })?;
    }
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    found.files.dedup_by(|later, earlier| later.path == earlier.path);
    Ok(found)
}

impl Sources {
    fn add(&mut self, path: String, file: &Path) -> Result<()> {
        let size = fs::metadata(file)?.len();
        if size > LARGEST_FILE || self.sum + size > LARGEST_SUM {
            self.warnings.push(format!("the file is too large for a Worker and was left out: {path}"));
            return Ok(());
        }
        self.sum += size;
        self.files.push(Source { path, content: fs::read(file)?.into() });
        Ok(())
    }
}

fn same(one: &Path, other: &Path) -> bool {
    one == other || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(a), Ok(b)) if a == b)
}

/// Whether a file or folder at the top of a project is about how it is built and not about what it does.
fn is_about_building(name: &str, path: &str) -> bool {
    path == name && (CONFIG_NAMES.contains(&name) || ABOUT_BUILDING.contains(&name) || name == TYPES)
}

/// Whether a file is what a program prints: were it this one, each reload would be a change.
fn is_log(path: &str) -> bool {
    path.ends_with(".log")
}

/// Calls `visit` with each file's path within the Worker and on disk. `skips` is asked with the name and the path of each.
fn walk(
    folder: &Path,
    prefix: &str,
    skips: &mut impl FnMut(&str, &str) -> bool,
    visit: &mut impl FnMut(String, &Path) -> Result<()>,
) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // Python could not import a name that is no text.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let within = format!("{prefix}{name}");
        if name.starts_with('.') || skips(&name, &within) {
            continue;
        }
        // Follows links to files, but not to folders: they can lead in circles.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !is_ignored(&name) {
                walk(&path, &format!("{within}/"), skips, visit)?;
            }
        } else if (kind.is_file() || path.is_file()) && !name.ends_with(".pyc") {
            visit(within, &path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use taipan_config::WorkerConfig;

    use super::*;

    /// Paths of the Worker with these files, and warnings.
    fn collected(config: &str, files: &[&str]) -> (Vec<String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("wrangler.jsonc"), config).unwrap();
        for path in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "\n").unwrap();
            if path.ends_with("large.bin") {
                fs::File::options().write(true).open(&path).unwrap().set_len(LARGEST_FILE + 1).unwrap();
            }
        }
        let config = WorkerConfig::load(folder.path(), None).unwrap();
        let found = collect(&config.root, &config.files).unwrap();
        (found.files.into_iter().map(|source| source.path).collect(), found.warnings)
    }

    #[test]
    fn what_belongs_to_a_worker() {
        let config = r#"{ "main": "entry.py", "compatibility_date": "2026-09-08" }"#;
        let files = [
            "entry.py",
            "lib/b.py",
            "lib/pyproject.toml",
            "data/x.bin",
            "tests/t.py",
            ".dev.vars",
            ".venv/lib/c.py",
            "node_modules/d.py",
            "__pycache__/e.pyc",
            "f.pyc",
            "pyproject.toml",
            "pylock.toml",
            "typings/workers/__init__.pyi",
            "python_modules/six.py",
            "python_modules/six.pyc",
            "large.bin",
            "dev.log",
        ];
        let (paths, warnings) = collected(config, &files);
        assert_eq!(
            paths,
            ["data/x.bin", "entry.py", "lib/b.py", "lib/pyproject.toml", "python_modules/six.py"]
        );
        assert_eq!(warnings, ["the file is too large for a Worker and was left out: large.bin"]);
    }

    #[test]
    fn packages_are_found_beside_the_configuration() {
        let config = r#"{ "main": "src/entry.py", "compatibility_date": "2026-09-08",
            "rules": [{ "type": "Text", "globs": ["*.md"] }], "python_modules": { "exclude": ["six/tests/**"] } }"#;
        let files = [
            "src/entry.py",
            "src/a.md",
            "src/a.html",
            "b.md",
            "python_modules/six/data.json",
            "python_modules/six/tests/t.py",
        ];
        assert_eq!(collected(config, &files).0, ["a.md", "entry.py", "python_modules/six/data.json"]);
        let alone = config.replace("\"main\"", "\"find_additional_modules\": false, \"main\"");
        assert_eq!(collected(&alone, &files).0, ["entry.py", "python_modules/six/data.json"]);
    }
}

//! The Worker's files: everything in the main module's folder but tools, caches and what is too large.

use std::path::Path;

use anyhow::Result;
use fs_err as fs;
use taipan_engine::Source;

/// Larger files stay outside: the sandbox has all files in its memory.
const LARGEST_FILE: u64 = 16 << 20;

/// All files together may be no larger.
const LARGEST_SUM: u64 = 64 << 20;

/// Folders that hold nothing of the Worker's own. Hidden folders are left out as well.
const IGNORED: &[&str] = &["node_modules", "__pycache__", "venv", "target"];

/// Whether a folder of this name is none of the Worker's.
pub(crate) fn is_ignored(name: &str) -> bool {
    name.starts_with('.') || IGNORED.contains(&name)
}

/// Files that were found, in the order of their paths, and warnings about files that were left out.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) files: Vec<Source>,
    pub(crate) warnings: Vec<String>,
}

/// Reads the files of `folder`.
pub(crate) fn collect(folder: &Path) -> Result<Sources> {
    let mut found = Sources::default();
    let mut sum = 0;
    walk(folder, "", &mut |path, file| {
        let size = fs::metadata(file)?.len();
        if size > LARGEST_FILE || sum + size > LARGEST_SUM {
            found.warnings.push(format!("the file is too large for a Worker and was left out: {path}"));
            return Ok(());
        }
        sum += size;
        found.files.push(Source { path, content: fs::read(file)?.into() });
        Ok(())
    })?;
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Calls `visit` with each file's path within the Worker and on disk.
fn walk(folder: &Path, prefix: &str, visit: &mut impl FnMut(String, &Path) -> Result<()>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // Python could not import a name that is no text.
        let Ok(name) = entry.file_name().into_string() else { continue };
        // Follows links to files, but not to folders: they can lead in circles.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !is_ignored(&name) {
                walk(&path, &format!("{prefix}{name}/"), visit)?;
            }
        } else if (kind.is_file() || path.is_file()) && !name.starts_with('.') && !name.ends_with(".pyc") {
            visit(format!("{prefix}{name}"), &path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_worker() {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in [
            ("entry.py", "a"),
            ("lib/b.py", "b"),
            ("data/x.bin", "x"),
            ("tests/t.py", "t"),
            (".dev.vars", "SECRET=1"),
            (".venv/lib/c.py", "c"),
            ("node_modules/d.py", "d"),
            ("__pycache__/e.pyc", "e"),
            ("f.pyc", "f"),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let large = fs::File::create(folder.path().join("large.bin")).unwrap();
        large.set_len(LARGEST_FILE + 1).unwrap();
        let found = collect(folder.path()).unwrap();
        let paths: Vec<&str> = found.files.iter().map(|s| s.path.as_str()).collect();
        assert_eq!(paths, ["data/x.bin", "entry.py", "lib/b.py", "tests/t.py"]);
        assert_eq!(found.warnings, ["the file is too large for a Worker and was left out: large.bin"]);
    }
}

//! Which files of a folder would be served, for those who take them elsewhere.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::folder::{Folder, HEADERS, Ignored, Known, REDIRECTS};

/// What is in folders of projects and is never meant to be served.
const NEVER: &[&str] = &[".git", ".dev.vars", ".env", ".wrangler", "node_modules"];

/// The paths and places of all files that would be served, and of those that say something about them.
///
/// # Errors
/// When the folder cannot be read.
pub fn list_assets(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let folder = Folder::new(directory.to_owned());
    let mut ignored = Known::<Ignored>::default();
    folder.read_ignored(&mut ignored);
    let mut found = Vec::new();
    let mut left = vec![(fs::canonicalize(directory)?, String::new())];
    while let Some((place, prefix)) = left.pop() {
        for entry in fs::read_dir(&place)? {
            let entry = entry?;
            // Nobody could ask for a name that is no text.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = format!("{prefix}{name}");
            if NEVER.contains(&name.as_str()) || name.starts_with(".dev.vars.") || name.starts_with(".env.") {
                continue;
            }
            if entry.path().is_dir() {
                let below = fs::canonicalize(entry.path())?;
                // A link can lead in a circle.
                if !place.starts_with(&below) {
                    left.push((below, format!("{path}/")));
                }
            } else if path == HEADERS || path == REDIRECTS {
                found.push((path, entry.path()));
            } else if let Some(file) = folder.file(&format!("/{path}"), &ignored.value) {
                found.push((path, file));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_served_is_not_taken_along() {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("public");
        fs::write(around.path().join("secret"), "x").unwrap();
        for path in [
            "index.html",
            "a/b.txt",
            ".well-known/x",
            ".git/config",
            ".dev.vars",
            ".env.production",
            "a/node_modules/m.js",
            "_headers",
            ".assetsignore",
            "x.map",
        ] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), "*.map\n").unwrap();
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
            std::os::unix::fs::symlink("..", root.join("a/up")).unwrap();
        }
        let paths: Vec<String> = list_assets(&root).unwrap().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, [".well-known/x", "_headers", "a/b.txt", "index.html"]);
    }
}

//! Which modules a Worker's own files import, as far as the text says it.

use taipan_engine::Source;
use taipan_server::imports;

use crate::project::sources::PACKAGES;

/// Those of `modules` that the sources import and do not have themselves, each with the first file that does. It need not be Python that runs:
/// an import that is only text costs a download.
pub(crate) fn of(sources: &[Source], modules: &[&str]) -> Vec<(String, String)> {
    if modules.is_empty() {
        return vec![];
    }
    let mut found: Vec<(String, String)> = vec![];
    let own =
        sources.iter().filter(|source| source.path.ends_with(".py") && !source.path.starts_with(PACKAGES));
    for source in own {
        let text = String::from_utf8_lossy(&source.content);
        for import in imports(&text) {
            let module = import.module.split('.').next().unwrap_or_default();
            let is_new = found.iter().all(|(known, _)| known != module);
            if is_new && modules.contains(&module) && !has(sources, module) {
                found.push((module.to_owned(), source.path.clone()));
            }
        }
    }
    found
}

fn has(sources: &[Source], module: &str) -> bool {
    let (file, folder) = (format!("{module}.py"), format!("{module}/"));
    let below = format!("{PACKAGES}/");
    sources.iter().any(|source| {
        let path = source.path.strip_prefix(&below).unwrap_or(&source.path);
        path == file || path.starts_with(&folder)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_found_wherever_they_are() {
        let modules = ["lzma", "pydoc_data", "sqlite3", "ssl"];
        let found = |files: &[(&str, &str)]| {
            let sources: Vec<Source> = files
                .iter()
                .map(|(path, text)| Source { path: (*path).to_owned(), content: text.as_bytes().into() })
                .collect();
            of(&sources, &modules)
                .into_iter()
                .map(|(module, by)| format!("{module} {by}"))
                .collect::<Vec<_>>()
        };
        let text = "import os, sqlite3 as db\ndef f():\n    from lzma import open; import ssl # x\n";
        assert_eq!(found(&[("a.py", text)]), ["sqlite3 a.py", "lzma a.py", "ssl a.py"]);
        assert_eq!(found(&[("a.py", "from pydoc_data.topics import topics\r\n")]), ["pydoc_data a.py"]);
        assert!(
            found(&[("a.py", "import sqlite3x\nfrom .ssl import x\nimport own.ssl\nssl = 1\n")]).is_empty()
        );
        assert!(found(&[("a.txt", "import ssl"), ("python_modules/b/__init__.py", "import ssl")]).is_empty());
        // The Worker has one of its own.
        assert!(found(&[("a.py", "import ssl"), ("ssl/__init__.py", "")]).is_empty());
    }
}

//! What Python modules import, as far as their text says so at first sight: nothing here parses.
//!
//! Packages are imported before the Worker is loaded, so that Workers with the same packages, and one Worker before and after
//! a save, share what that leaves in memory. Missing an import costs that sharing and nothing else, so only those at the
//! beginning of an unindented line count.

use std::collections::{BTreeMap, BTreeSet};

use taipan_engine::Source;
use taipan_packages::python::PackageTree;

use crate::boot::PACKAGES;

/// The modules of packages, which were `vendored` with the Worker or `locked`, that the module at the path `main` imports, itself or
/// through other modules of the Worker's `own`, by their full names.
pub(crate) fn of(main: &str, own: &[Source], vendored: &[Source], locked: &PackageTree) -> Vec<String> {
    let vendored: BTreeSet<&str> = vendored.iter().filter_map(|s| s.path.strip_prefix(PACKAGES)).collect();
    // Python finds modules beside the main module.
    let folder = main.rfind('/').and_then(|slash| main.get(..=slash)).unwrap_or_default();
    let own: BTreeMap<&str, &Source> =
        own.iter().filter_map(|s| Some((s.path.strip_prefix(folder)?, s))).collect();
    let mut waiting: Vec<&str> = main.strip_prefix(folder).into_iter().collect();
    let mut seen = BTreeSet::new();
    let mut names = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        let Some(source) = own.get(path).filter(|_| seen.insert(path)) else { continue };
        for Import { module, .. } in
            imports(&String::from_utf8_lossy(&source.content)).filter(|i| i.is_outermost)
        {
            // What is found first hides what comes later.
            if let Some((_, path)) = find(module, |path| own.get_key_value(path).map(|(path, _)| *path)) {
                waiting.push(path);
            } else if let Some((name, ())) =
                find(module, |path| (vendored.contains(path) || locked.has_file(path)).then_some(()))
            {
                names.insert(name.to_owned());
            }
        }
    }
    names.into_iter().collect()
}

/// A module that a statement imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Import<'a> {
    /// Its full name; of one beside the module that imports it, with the dots before.
    pub module: &'a str,
    /// Whether the statement begins an unindented line.
    pub is_outermost: bool,
}

/// The modules that the text's import statements name, wherever they are, also if they are only text.
pub fn imports(text: &str) -> impl Iterator<Item = Import<'_>> {
    text.lines().flat_map(|line| {
        line.split(';').enumerate().flat_map(|(at, statement)| {
            let code = statement.split(['#', '(']).next().unwrap_or_default();
            let trimmed = code.trim_start();
            let is_outermost = at == 0 && trimmed.len() == code.len();
            named(trimmed).map(move |module| Import { module, is_outermost })
        })
    })
}

/// The modules that a statement imports.
fn named(statement: &str) -> impl Iterator<Item = &str> {
    let list = statement.strip_prefix("import ").into_iter().flat_map(|list| list.split(','));
    // Of `a.b as c`, `a.b`.
    let list = list.filter_map(|item| item.split_whitespace().next());
    list.chain(statement.strip_prefix("from ").and_then(|rest| {
        let mut words = rest.split_whitespace();
        let module = words.next()?;
        // The line may go on below.
        words.next().is_some_and(|word| word.starts_with("import") || word == "\\").then_some(module)
    }))
}

/// The module, or the nearest package around it, whose file is there.
fn find<T>(module: &str, file: impl Fn(&str) -> Option<T>) -> Option<(&str, T)> {
    let mut name = module;
    loop {
        let path = name.replace('.', "/");
        let found = ["/__init__.py", ".py"].iter().find_map(|end| file(&format!("{path}{end}")));
        if let Some(path) = found {
            return Some((name, path));
        }
        name = name.rsplit_once('.')?.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Vec<Source> {
        let source = |(path, text): &(&str, &str)| Source {
            path: (*path).to_owned(),
            content: std::sync::Arc::from(text.as_bytes()),
        };
        files.iter().map(source).collect()
    }

    #[test]
    fn statements_are_found_wherever_they_are() {
        let text = "import a.b as c, d; import e # f; g\n    from .h import(i)\r\nfrom j \\\nfrom k we learn\nimported\nfrom l import*";
        let found: Vec<_> = imports(text).map(|import| (import.module, import.is_outermost)).collect();
        assert_eq!(
            found,
            [("a.b", true), ("d", true), ("e", false), (".h", false), ("j", true), ("l", true)]
        );
    }

    #[test]
    fn finds_what_is_there() {
        let packages = sources(&[
            ("python_modules/fastapi/__init__.py", ""),
            ("python_modules/fastapi/testing.py", ""),
            ("python_modules/six.py", ""),
            ("python_modules/yaml/__init__.py", ""),
            ("python_modules/app.py", ""),
        ]);
        let main = "import os, six as s\nfrom fastapi.testing import (\n    client)\nimport fastapi.routing # x\n\
                    from . import own\n    import hidden\nfrom app import app\nimport src.entry";
        let own = sources(&[("src/entry.py", main), ("src/app/__init__.py", "import yaml, entry\n")]);
        assert_eq!(
            of("src/entry.py", &own, &packages, &PackageTree::default()),
            ["fastapi", "fastapi.testing", "six", "yaml"]
        );
        let own = sources(&[("entry.py", "import \nfrom\nfrom  import\nimport ..\nimport os")]);
        assert!(of("entry.py", &own, &packages, &PackageTree::default()).is_empty());
        assert!(of("missing.py", &own, &packages, &PackageTree::default()).is_empty());
    }
}

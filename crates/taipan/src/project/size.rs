//! How large a Worker is with all that goes with it, and what of it is largest.

use taipan_engine::Source;
use taipan_packages::python::PackageTree;

use crate::console::{counted, size};

/// Cloudflare takes no larger Workers, and every machine that runs one has to fetch it.
const LARGE: u64 = 64 << 20;

/// How many of the largest are named.
const LARGEST: usize = 5;

/// Sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Files of the Worker's own.
    files: usize,
    own: u64,
    /// Names of packages and of files that are not in one, the largest first.
    largest: Vec<(String, u64)>,
    packages: usize,
    locked: u64,
}

impl Size {
    pub(crate) fn new(sources: &[Source], packages: &PackageTree) -> Self {
        let own = sources.iter().map(|source| source.content.len() as u64).sum();
        let files = sources.iter().map(|source| (source.path.clone(), source.content.len() as u64));
        let wheels: Vec<_> = packages.packages().map(|(name, size)| (name.to_owned(), size)).collect();
        let locked = wheels.iter().map(|(_, size)| size).sum();
        let count = wheels.len();
        let mut largest: Vec<(String, u64)> = files.chain(wheels).collect();
        largest.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        largest.truncate(LARGEST);
        Self { files: sources.len(), own, largest, packages: count, locked }
    }

    /// In a line: how much there is.
    pub(crate) fn line(&self) -> String {
        let own = format!("{}, {}", counted(self.files, "file"), size(self.own));
        if self.packages == 0 {
            return own;
        }
        format!("{own}; {}, {}", counted(self.packages, "package"), size(self.locked))
    }

    /// The names of the largest with their sizes.
    pub(crate) fn largest(&self) -> impl Iterator<Item = (&str, u64)> {
        self.largest.iter().map(|(name, size)| (name.as_str(), *size))
    }

    /// That it is too much, when it is.
    pub(crate) fn warning(&self) -> Option<String> {
        let sum = self.own + self.locked;
        let named: Vec<_> = self.largest().map(|(name, bytes)| format!("{name} {}", size(bytes))).collect();
        (sum > LARGE).then(|| {
            format!(
                "the Worker is large: {}, of which the largest are {}; leave out what it does not need with \
                 `python_modules.exclude` and `rules`",
                size(sum),
                named.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_named_when_it_is_too_much() {
        let source =
            |path: &str, length: usize| Source { path: path.to_owned(), content: vec![0; length].into() };
        let small = Size::new(&[source("entry.py", 2048)], &PackageTree::default());
        assert_eq!((small.line(), small.warning()), ("1 file, 2 KiB".to_owned(), None));
        let large =
            Size::new(&[source("a", 1), source("b.bin", 65 << 20), source("c", 2)], &PackageTree::default());
        let warning = large.warning().unwrap();
        assert!(warning.contains("65.0 MiB, of which the largest are b.bin 65.0 MiB, c "), "{warning}");
    }
}

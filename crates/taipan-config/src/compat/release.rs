//! The Pyodide releases that dates and flags can select.

use super::{Blame, CompatibilityDate};

/// A release of Pyodide, as date and flags know it. Where its files come from is `taipan-packages`' knowledge.
#[derive(Debug, PartialEq, Eq)]
pub struct PyodideRelease {
    /// Pyodide's version.
    pub version: &'static str,
    /// Python's version: major and minor.
    pub python: &'static str,
    /// Flags that select it at any date.
    pub flags: &'static [&'static str],
    /// Flags that keep the date from selecting it.
    pub disabled_by: &'static [&'static str],
    /// The first date that selects it.
    pub default_from: CompatibilityDate,
    /// Whether taipan runs it.
    pub supported: bool,
}

/// All releases, the newest first. The last is what remains when neither date nor flag selects another.
///
/// The flags with a date in their name are older names on Cloudflare for earlier patch releases of the same Python.
pub static RELEASES: [PyodideRelease; 3] = [
    PyodideRelease {
        version: "314.0.7",
        python: "3.14",
        flags: &["python_workers_314", "python_3.14", "python_workers_20260610", "python_workers_20260817"],
        disabled_by: &[],
        default_from: CompatibilityDate::literal(2026, 9, 8),
        supported: true,
    },
    PyodideRelease {
        version: "0.29.5",
        python: "3.13",
        flags: &["python_workers_20250116"],
        disabled_by: &["no_python_workers_20250116"],
        default_from: CompatibilityDate::literal(2025, 9, 29),
        supported: false,
    },
    PyodideRelease {
        version: "0.27.7",
        python: "3.12",
        flags: &[],
        disabled_by: &[],
        default_from: CompatibilityDate::literal(0, 1, 1),
        supported: false,
    },
];

/// The newest release.
pub fn newest() -> &'static PyodideRelease {
    let [newest, ..] = &RELEASES;
    newest
}

/// The newest release that a flag or the date selects, and which of them did.
pub(super) fn select(date: CompatibilityDate, flags: &[String]) -> (&'static PyodideRelease, Blame) {
    let position = |names: &[&str]| flags.iter().position(|flag| names.contains(&flag.as_str()));
    for release in &RELEASES {
        if let Some(index) = position(release.flags) {
            return (release, Blame::Flag(index));
        }
        let by_date = date >= release.default_from;
        if by_date && position(release.disabled_by).is_none() {
            return (release, Blame::Date);
        }
    }
    let [.., oldest] = &RELEASES;
    (oldest, Blame::Date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_its_newest_release_is_supported() {
        assert!(newest().supported);
        assert!(RELEASES.is_sorted_by(|newer, older| newer.default_from > older.default_from));
        for release in &RELEASES {
            for flag in release.flags {
                assert!(super::super::KNOWN_FLAGS.iter().any(|(enable, _)| enable == flag), "{flag}");
            }
        }
    }
}

//! The Pyodide releases that dates and flags can select.

use super::CompatibilityDate;

/// A release of Pyodide, as date and flags know it. Where its files come from is `taipan-packages`' knowledge.
#[derive(Debug, PartialEq, Eq)]
pub struct PyodideRelease {
    /// Pyodide's version.
    pub version: &'static str,
    /// Python's version: major and minor.
    pub python: &'static str,
    /// Flags that select it at any date; the last of them by the Python's name, which no other selects.
    pub flags: &'static [&'static str],
    /// Flags that keep the date from selecting it.
    pub disabled_by: &'static [&'static str],
    /// The first date that selects it.
    pub default_from: CompatibilityDate,
}

/// All releases, the newest first. The last is what remains when neither date nor flag selects another.
///
/// The flags with a date in their name are older names on Cloudflare for earlier patch releases of the same Python.
pub static RELEASES: [PyodideRelease; 3] = [
    PyodideRelease {
        version: "314.0.7",
        python: "3.14",
        flags: &["python_workers_314", "python_workers_20260610", "python_workers_20260817", "python_3.14"],
        disabled_by: &[],
        default_from: CompatibilityDate::literal(2026, 9, 8),
    },
    PyodideRelease {
        version: "0.29.5",
        python: "3.13",
        flags: &["python_workers_20250116", "python_3.13"],
        disabled_by: &["no_python_workers_20250116"],
        default_from: CompatibilityDate::literal(2025, 9, 29),
    },
    PyodideRelease {
        version: "0.27.7",
        python: "3.12",
        flags: &["python_3.12"],
        disabled_by: &[],
        default_from: CompatibilityDate::literal(0, 1, 1),
    },
];

/// The newest release.
pub fn newest() -> &'static PyodideRelease {
    let [newest, ..] = &RELEASES;
    newest
}

impl PyodideRelease {
    /// The flag that names its Python.
    pub fn own_flag(&self) -> &'static str {
        self.flags.last().copied().unwrap_or_default()
    }
}

/// The release whose Python a flag names; else the newest that a flag or the date selects, as on Cloudflare.
///
/// # Errors
/// When a flag names one Python and another flag selects another, or keeps the named one from being selected: the positions of
/// both.
pub(super) fn select(
    date: CompatibilityDate,
    flags: &[String],
) -> Result<&'static PyodideRelease, (usize, usize)> {
    let position = |names: &[&str]| flags.iter().position(|flag| names.contains(&flag.as_str()));
    for release in &RELEASES {
        let Some(named) = position(&[release.own_flag()]) else { continue };
        let others = RELEASES.iter().filter(|other| *other != release);
        let against =
            others.filter_map(|other| position(other.flags)).chain(position(release.disabled_by)).min();
        return against.map_or(Ok(release), |other| Err((named.min(other), named.max(other))));
    }
    let selected = RELEASES.iter().find(|release| {
        let by_date = date >= release.default_from && position(release.disabled_by).is_none();
        position(release.flags).is_some() || by_date
    });
    let [.., oldest] = &RELEASES;
    Ok(selected.unwrap_or(oldest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_its_flags_are_known() {
        assert!(RELEASES.is_sorted_by(|newer, older| newer.default_from > older.default_from));
        for release in &RELEASES {
            assert_eq!(release.own_flag(), format!("python_{}", release.python));
            for flag in release.flags {
                assert!(super::super::KNOWN_FLAGS.iter().any(|(enable, _)| enable == flag), "{flag}");
            }
        }
    }
}

//! The Pyodide releases that dates and flags can select.

use super::CompatibilityDate;

/// A release of Pyodide, as date and flags know it. Where its files come from is `taipan-packages`' knowledge.
#[derive(Debug, PartialEq, Eq)]
pub struct PyodideRelease {
    /// Pyodide's version.
    pub version: &'static str,
    /// Python's version: major and minor.
    pub python: &'static str,
    /// Flags that select it at any date.
    pub flags: &'static [&'static str],
    /// The flag that names its Python, and selects it whatever else there is; none where another release has the name.
    pub own_flag: Option<&'static str>,
    /// Flags that keep the date from selecting it.
    pub disabled_by: &'static [&'static str],
    /// The first date that selects it; none where only the flag does.
    pub default_from: Option<CompatibilityDate>,
}

/// All releases, the newest first. Python 3.13 is two of them: what dates and Cloudflare's flags select there, and one that is newer. The last is what remains when neither date nor flag selects another.
///
/// The flags with a date in their name are older names on Cloudflare for earlier patch releases of the same Python.
pub static RELEASES: [PyodideRelease; 4] = [
    PyodideRelease {
        version: "314.0.7",
        python: "3.14",
        flags: &["python_workers_314", "python_workers_20260610", "python_workers_20260817"],
        own_flag: Some("python_3.14"),
        disabled_by: &[],
        default_from: Some(CompatibilityDate::literal(2026, 9, 8)),
    },
    PyodideRelease {
        version: "0.29.5",
        python: "3.13",
        flags: &[],
        own_flag: Some("python_3.13"),
        disabled_by: &["no_python_workers_20250116"],
        default_from: None,
    },
    PyodideRelease {
        version: "0.28.3",
        python: "3.13",
        flags: &["python_workers_20250116"],
        own_flag: None,
        disabled_by: &["no_python_workers_20250116"],
        default_from: Some(CompatibilityDate::literal(2025, 9, 29)),
    },
    PyodideRelease {
        version: "0.27.7",
        python: "3.12",
        flags: &[],
        own_flag: Some("python_3.12"),
        disabled_by: &[],
        default_from: Some(CompatibilityDate::literal(0, 1, 1)),
    },
];

/// The first date that selects the newest release.
pub fn newest_date() -> CompatibilityDate {
    let [newest, ..] = &RELEASES;
    newest.default_from.unwrap_or(CompatibilityDate::literal(2026, 9, 8))
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
        let Some(named) = release.own_flag.and_then(|own| position(&[own])) else { continue };
        let others = RELEASES.iter().filter(|other| other.python != release.python);
        let flags = others.flat_map(|other| other.flags.iter().chain(&other.own_flag));
        let against = flags.chain(release.disabled_by).filter_map(|flag| position(&[flag])).min();
        return against.map_or(Ok(release), |other| Err((named.min(other), named.max(other))));
    }
    let selected = RELEASES.iter().find(|release| {
        let by_date =
            release.default_from.is_some_and(|from| date >= from) && position(release.disabled_by).is_none();
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
        let dates: Vec<_> = RELEASES.iter().filter_map(|release| release.default_from).collect();
        assert!(dates.is_sorted_by(|newer, older| newer > older));
        for release in &RELEASES {
            assert!(release.own_flag.is_none_or(|flag| flag == format!("python_{}", release.python)));
            for flag in release.flags.iter().chain(&release.own_flag) {
                assert!(super::super::KNOWN_FLAGS.iter().any(|(enable, _)| enable == flag), "{flag}");
            }
        }
    }
}

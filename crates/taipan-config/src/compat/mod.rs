//! What a compatibility date and flags mean for a Worker in Python.
//!
//! On Cloudflare a Worker that keeps its date keeps its Python. The table of releases here makes the same choice from the
//! same date and flags, so that a Worker runs with the same Python in both places or is refused with the reason.
//!
//! One rule is laxer than Cloudflare's on purpose. There, a date from 2025-08-14 on switches global handlers (`on_fetch`) off, and
//! a Worker that still has one answers nothing, for a reason its author cannot see. Here they are accepted beside classes at
//! every date, unless `python_no_global_handlers` is listed by name.

mod date;
mod flags;
mod release;

pub use date::{CompatibilityDate, InvalidDate};
pub use flags::KNOWN_FLAGS;
pub use release::{PyodideRelease, RELEASES, newest};

use crate::nearest::nearest;

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compatibility {
    /// The Pyodide release to run. It is supported.
    pub release: &'static PyodideRelease,
    /// Whether handlers may be global functions such as `on_fetch`.
    pub global_handlers: bool,
}

/// Which of the two decided, and so is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The compatibility date.
    Date,
    /// The flag at this position of the list.
    Flag(usize),
}

/// Why date and flags cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CompatibilityError {
    /// What is at fault.
    pub blame: Blame,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Chooses the release and the handler style for a date and flags.
///
/// # Errors
/// When a flag is unknown, two flags contradict each other, or the release they select is not supported yet.
pub fn resolve(date: CompatibilityDate, flags: &[String]) -> Result<Compatibility, CompatibilityError> {
    check_flags(flags)?;
    let listed = |name: &str| flags.iter().any(|flag| flag == name);
    let (release, blame) = release::select(date, flags);
    if !release.supported {
        let PyodideRelease { version, python, .. } = release;
        let selected_by = match blame {
            Blame::Date => format!("compatibility date {date}"),
            Blame::Flag(index) => {
                format!("flag `{}`", flags.get(index).map(String::as_str).unwrap_or_default())
            }
        };
        return Err(CompatibilityError {
            blame,
            message: format!(
                "{selected_by} selects Python {python} (Pyodide {version}), which taipan does not support yet"
            ),
            hint: upgrade(flags),
        });
    }
    Ok(Compatibility { release, global_handlers: !listed("python_no_global_handlers") })
}

/// How to get from an older release to the newest supported one.
fn upgrade(flags: &[String]) -> String {
    let newest = newest();
    let PyodideRelease { python, default_from, .. } = newest;
    let flag = newest.flags.first().copied().unwrap_or_default();
    match flags.iter().find(|flag| newest.disabled_by.contains(&flag.as_str())) {
        Some(disabling) => format!("for Python {python}, remove the flag `{disabling}`"),
        None => format!(
            "for Python {python}, set `compatibility_date` to {default_from} or later, or add the flag `{flag}`"
        ),
    }
}

fn check_flags(flags: &[String]) -> Result<(), CompatibilityError> {
    for (index, flag) in flags.iter().enumerate() {
        let Some((enable, disable)) = KNOWN_FLAGS
            .iter()
            .find(|(enable, disable)| enable == flag || disable.is_some_and(|name| name == flag))
        else {
            let names = KNOWN_FLAGS.iter().flat_map(|(enable, disable)| [Some(*enable), *disable]).flatten();
            let suggestion = nearest(flag, names).map(|name| format!("; did you mean `{name}`?"));
            return Err(CompatibilityError {
                blame: Blame::Flag(index),
                message: format!("unknown compatibility flag: `{flag}`{}", suggestion.unwrap_or_default()),
                hint: "correct the flag or remove it".to_owned(),
            });
        };
        let earlier = flags.get(..index).unwrap_or_default();
        let opposite = if enable == flag { *disable } else { Some(*enable) };
        if let Some(opposite) = opposite.filter(|opposite| earlier.iter().any(|flag| flag == opposite)) {
            return Err(CompatibilityError {
                blame: Blame::Flag(index),
                message: format!("contradictory compatibility flags: `{opposite}` and `{flag}`"),
                hint: "remove one of the two".to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(date: &str, flags: &[&str]) -> Result<Compatibility, CompatibilityError> {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        resolve(date.parse().unwrap(), &flags)
    }

    fn refused(date: &str, flags: &[&str]) -> String {
        let error = run(date, flags).unwrap_err();
        format!("{} | {}", error.message, error.hint)
    }

    #[test]
    fn the_date_selects_the_release() {
        assert_eq!(run("2026-09-08", &["python_workers"]).unwrap().release.python, "3.14");
        assert_eq!(run("2027-01-01", &[]).unwrap().release.version, "314.0.7");
        insta::assert_snapshot!(refused("2026-09-07", &["python_workers"]), @"compatibility date 2026-09-07 selects Python 3.13 (Pyodide 0.29.5), which taipan does not support yet | for Python 3.14, set `compatibility_date` to 2026-09-08 or later, or add the flag `python_workers_314`");
        insta::assert_snapshot!(refused("2024-04-02", &[]), @"compatibility date 2024-04-02 selects Python 3.12 (Pyodide 0.27.7), which taipan does not support yet | for Python 3.14, set `compatibility_date` to 2026-09-08 or later, or add the flag `python_workers_314`");
    }

    #[test]
    fn a_flag_selects_a_newer_release_than_the_date() {
        for flag in ["python_workers_314", "python_3.14", "python_workers_20260610"] {
            assert_eq!(run("2024-04-02", &["python_workers", flag]).unwrap().release.python, "3.14");
        }
        assert_eq!(run("2026-09-08", &["python_workers_20250116"]).unwrap().release.python, "3.14");
        insta::assert_snapshot!(refused("2024-04-02", &["python_workers", "python_workers_20250116"]), @"flag `python_workers_20250116` selects Python 3.13 (Pyodide 0.29.5), which taipan does not support yet | for Python 3.14, set `compatibility_date` to 2026-09-08 or later, or add the flag `python_workers_314`");
    }

    #[test]
    fn global_handlers_are_on_unless_switched_off_by_name() {
        assert!(run("2026-09-08", &[]).unwrap().global_handlers);
        assert!(run("2026-09-08", &["disable_python_no_global_handlers"]).unwrap().global_handlers);
        assert!(!run("2026-09-08", &["python_no_global_handlers"]).unwrap().global_handlers);
    }

    #[test]
    fn flags_are_checked() {
        insta::assert_snapshot!(refused("2026-09-08", &["python_worker"]), @"unknown compatibility flag: `python_worker`; did you mean `python_workers`? | correct the flag or remove it");
        insta::assert_snapshot!(refused("2026-09-08", &["quick"]), @"unknown compatibility flag: `quick` | correct the flag or remove it");
        insta::assert_snapshot!(refused("2026-09-08", &["python_workflows", "disable_python_workflows"]), @"contradictory compatibility flags: `python_workflows` and `disable_python_workflows` | remove one of the two");
    }
}

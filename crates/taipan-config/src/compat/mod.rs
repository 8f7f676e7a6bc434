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
pub use release::{PyodideRelease, RELEASES, newest_date};

use crate::nearest::nearest;

/// From then on `assets_navigation_prefers_asset_serving` is set.
const NAVIGATION_PREFERS_ASSETS: CompatibilityDate = CompatibilityDate::literal(2025, 4, 1);

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compatibility {
    /// The Pyodide release to run.
    pub release: &'static PyodideRelease,
    /// Whether handlers may be global functions such as `on_fetch`.
    pub global_handlers: bool,
    /// Whether browsers that go to another page get assets' answer for what is not found, before the Worker is asked.
    pub navigation_prefers_assets: bool,
}

/// Why flags cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CompatibilityError {
    /// The position of the flag that is at fault.
    pub flag: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Chooses the release and the handler style for a date and flags.
///
/// # Errors
/// When a flag is unknown, or two flags contradict each other.
pub fn resolve(date: CompatibilityDate, flags: &[String]) -> Result<Compatibility, CompatibilityError> {
    check_flags(flags)?;
    let listed = |name: &str| flags.iter().any(|flag| flag == name);
    let release =
        release::select(date, flags).map_err(|(earlier, later)| contradiction(flags, earlier, later))?;
    Ok(Compatibility {
        release,
        global_handlers: !listed("python_no_global_handlers"),
        navigation_prefers_assets: listed("assets_navigation_prefers_asset_serving")
            || date >= NAVIGATION_PREFERS_ASSETS && !listed("assets_navigation_has_no_effect"),
    })
}

fn contradiction(flags: &[String], earlier: usize, later: usize) -> CompatibilityError {
    let flag = |index: usize| flags.get(index).map(String::as_str).unwrap_or_default();
    CompatibilityError {
        flag: later,
        message: format!("contradictory compatibility flags: `{}` and `{}`", flag(earlier), flag(later)),
        hint: "remove one of the two".to_owned(),
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
                flag: index,
                message: format!("unknown compatibility flag: `{flag}`{}", suggestion.unwrap_or_default()),
                hint: "correct the flag or remove it".to_owned(),
            });
        };
        let earlier = flags.get(..index).unwrap_or_default();
        let opposite = if enable == flag { *disable } else { Some(*enable) };
        if let Some(opposite) = opposite.and_then(|opposite| earlier.iter().position(|flag| flag == opposite))
        {
            return Err(contradiction(flags, opposite, index));
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
        for (date, python) in
            [("2026-09-07", "3.13"), ("2025-09-29", "3.13"), ("2025-09-28", "3.12"), ("2024-04-02", "3.12")]
        {
            assert_eq!(run(date, &["python_workers"]).unwrap().release.python, python);
        }
        assert_eq!(run("2026-01-01", &["no_python_workers_20250116"]).unwrap().release.python, "3.12");
        // As on Cloudflare; the newer release of the same Python is for those who name it.
        assert_eq!(run("2026-01-01", &[]).unwrap().release.version, "0.28.3");
        assert_eq!(run("2024-04-02", &["python_workers_20250116"]).unwrap().release.version, "0.28.3");
        for flags in [&["python_3.13"][..], &["python_3.13", "python_workers_20250116"]] {
            assert_eq!(run("2026-01-01", flags).unwrap().release.version, "0.29.5");
        }
    }

    #[test]
    fn a_flag_selects_a_newer_release_than_the_date() {
        for flag in ["python_workers_314", "python_workers_20260610", "python_workers_20260817"] {
            assert_eq!(run("2024-04-02", &["python_workers", flag]).unwrap().release.python, "3.14");
        }
        assert_eq!(run("2026-09-08", &["python_workers_20250116"]).unwrap().release.python, "3.14");
        assert_eq!(run("2024-04-02", &["python_workers_20250116"]).unwrap().release.python, "3.13");
        assert_eq!(
            run("2024-04-02", &["python_workers_20250116", "python_workers_314"]).unwrap().release.python,
            "3.14"
        );
    }

    #[test]
    fn a_flag_names_a_python_at_any_date() {
        for python in ["3.12", "3.13", "3.14"] {
            for date in ["2024-04-02", "2026-01-01", "2026-11-01"] {
                assert_eq!(
                    run(date, &["python_workers", &format!("python_{python}")]).unwrap().release.python,
                    python
                );
            }
        }
        insta::assert_snapshot!(refused("2026-09-08", &["python_3.14", "python_3.12"]), @"contradictory compatibility flags: `python_3.14` and `python_3.12` | remove one of the two");
        insta::assert_snapshot!(refused("2026-09-08", &["python_workers_314", "python_3.13"]), @"contradictory compatibility flags: `python_workers_314` and `python_3.13` | remove one of the two");
        insta::assert_snapshot!(refused("2026-09-08", &["python_3.13", "no_python_workers_20250116"]), @"contradictory compatibility flags: `python_3.13` and `no_python_workers_20250116` | remove one of the two");
        insta::assert_snapshot!(refused("2026-09-08", &["python_3.11"]), @"unknown compatibility flag: `python_3.11`; did you mean `python_3.12`? | correct the flag or remove it");
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

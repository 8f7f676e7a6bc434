//! Releases of Python before the newest, and how a Worker is given one.

use std::path::Path;

use anyhow::{Context, Result};

/// Names of releases, and a compatibility date and perhaps a flag that select each.
const OLDER: [(&str, &str, Option<&str>); 3] =
    [("3.13", "2026-09-07", Some("python_3.13")), ("0.28", "2026-09-07", None), ("3.12", "2025-09-28", None)];

const KEY: &str = "\"compatibility_date\": \"";

const FLAGS: &str = "\"compatibility_flags\": [";

/// Writes into the `wrangler.jsonc` of `folder` what selects this release: a Python's version, or `0.28` of two that have the same.
pub fn select(folder: &Path, name: &str) -> Result<()> {
    let release = OLDER.iter().find(|(known, ..)| *known == name);
    let (_, date, flag) = release.with_context(|| format!("not a release: {name}"))?;
    let file = folder.join("wrangler.jsonc");
    let text = fs_err::read_to_string(&file)?;
    let (before, rest) = text.split_once(KEY).context("no compatibility date")?;
    let (_, after) = rest.split_once('"').context("no end of the compatibility date")?;
    let text = format!("{before}{KEY}{date}\"{after}");
    let text = match flag {
        None => text,
        Some(flag) if text.contains(FLAGS) => text.replacen(FLAGS, &format!("{FLAGS}\"{flag}\", "), 1),
        Some(flag) => text.replacen(KEY, &format!("{FLAGS}\"{flag}\"], {KEY}"), 1),
    };
    Ok(fs_err::write(file, text)?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_date_and_flags_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wrangler.jsonc");
        fs_err::write(&file, r#"{"main": "a", "compatibility_date": "2026-11-01", "x": 1}"#).unwrap();
        super::select(folder.path(), "3.12").unwrap();
        let text = fs_err::read_to_string(&file).unwrap();
        assert_eq!(text, r#"{"main": "a", "compatibility_date": "2025-09-28", "x": 1}"#);
        super::select(folder.path(), "3.13").unwrap();
        let text = fs_err::read_to_string(&file).unwrap();
        let flags = r#""compatibility_flags": ["python_3.13"]"#;
        assert_eq!(text, format!(r#"{{"main": "a", {flags}, "compatibility_date": "2026-09-07", "x": 1}}"#));
        assert!(super::select(folder.path(), "2.7").is_err());
    }
}

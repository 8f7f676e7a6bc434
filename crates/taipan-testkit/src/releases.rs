//! Releases of Python before the newest, and how a Worker is given one.

use std::path::Path;

use anyhow::{Context, Result};

/// Python's version, and a compatibility date that selects it.
const OLDER: [(&str, &str); 2] = [("3.13", "2026-09-07"), ("3.12", "2025-09-28")];

const KEY: &str = "\"compatibility_date\": \"";

/// Writes into the `wrangler.jsonc` of `folder` the date that selects this Python.
pub fn select(folder: &Path, python: &str) -> Result<()> {
    let (_, date) = OLDER
        .iter()
        .find(|(version, _)| *version == python)
        .with_context(|| format!("not a release: {python}"))?;
    let file = folder.join("wrangler.jsonc");
    let text = fs_err::read_to_string(&file)?;
    let (before, rest) = text.split_once(KEY).context("no compatibility date")?;
    let (_, after) = rest.split_once('"').context("no end of the compatibility date")?;
    Ok(fs_err::write(file, format!("{before}{KEY}{date}\"{after}"))?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_date_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wrangler.jsonc");
        fs_err::write(&file, r#"{"main": "a", "compatibility_date": "2026-11-01", "x": 1}"#).unwrap();
        super::select(folder.path(), "3.12").unwrap();
        let text = fs_err::read_to_string(&file).unwrap();
        assert_eq!(text, r#"{"main": "a", "compatibility_date": "2025-09-28", "x": 1}"#);
        assert!(super::select(folder.path(), "2.7").is_err());
    }
}

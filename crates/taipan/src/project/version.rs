//! What `version_metadata` says of a Worker: the same for the same files and variables, so that snapshots can keep it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use fs_err as fs;
use serde_json::{Value, json};
use taipan_config::{Files, date_of_day};
use taipan_engine::Source;
use taipan_server::as_uuid;

/// An identity made of everything that the Worker is, and when the newest of its files was changed.
pub(super) fn of(files: &[Source], place: &Files, vars: &BTreeMap<String, Value>) -> Value {
    let mut digest = blake3::Hasher::new();
    let mut newest = SystemTime::UNIX_EPOCH;
    for file in files {
        for part in [file.path.as_bytes(), &file.content] {
            digest.update(&part.len().to_le_bytes()).update(part);
        }
        let modified = fs::metadata(place.base.join(&file.path)).and_then(|metadata| metadata.modified());
        newest = newest.max(modified.unwrap_or(newest));
    }
    digest.update(json!(vars).to_string().as_bytes());
    let mut id = [0; 16];
    digest.finalize_xof().fill(&mut id);
    let seconds = newest.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    json!({ "id": as_uuid(id), "tag": "", "timestamp": moment(seconds) })
}

/// A time after 1970 as JavaScript writes it.
fn moment(seconds: u64) -> String {
    let (year, month, date) = date_of_day((seconds / 86_400).cast_signed());
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_600, "2026-01-01T00:00:00Z"),
            (1_772_323_199, "2026-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(moment(seconds), text);
        }
    }
}

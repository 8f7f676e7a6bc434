//! `taipan cache`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;
use fs_err as fs;

use crate::cli::{CacheArgs, CacheCommand};
use crate::console::size;
use crate::settings::cache;

/// What something in the cache is. When it has to be made again: what takes longest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// An unpacked release of Pyodide.
    Release,
    Code,
    Base,
    Packages,
    Worker,
    /// What a process was writing when it was killed, or is writing now.
    Unfinished,
    /// The key.
    Other,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Release => "Pyodide releases",
            Self::Code => "compiled code",
            Self::Base => "base snapshots",
            Self::Packages => "snapshots of packages",
            Self::Worker => "snapshots of Workers",
            Self::Unfinished => "unfinished",
            Self::Other => "other",
        }
    }
}

/// The kind of a file, and what it belongs to: files with the same are of no use without each other.
fn classify(path: &Path) -> (Kind, PathBuf) {
    let mut parts = path.iter();
    if parts.next().is_some_and(|first| first == "pyodide")
        && let Some(release) = parts.next()
    {
        return (Kind::Release, Path::new("pyodide").join(without(Path::new(release), &["lock"])));
    }
    let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
    let whole = without(path, &["mac", "pages", "checked"]);
    let kind = match whole.extension().and_then(|e| e.to_str()) {
        _ if name.starts_with(".tmp") => Kind::Unfinished,
        Some("cwasm" | "first" | "ahead" | "lock") => {
            return (Kind::Code, without(&whole, &["cwasm", "first", "ahead", "lock"]));
        }
        Some("snapshot") if name.starts_with("base-") => Kind::Base,
        Some("snapshot") if name.starts_with("packages-") => Kind::Packages,
        Some("snapshot") => Kind::Worker,
        _ => Kind::Other,
    };
    (kind, whole)
}

fn without(path: &Path, extensions: &[&str]) -> PathBuf {
    match path.extension().and_then(|e| e.to_str()) {
        Some(extension) if extensions.contains(&extension) => path.with_extension(""),
        _ => path.to_owned(),
    }
}

/// One thing in the cache: a snapshot, the code of a module, a release.
struct Entry {
    kind: Kind,
    files: Vec<PathBuf>,
    bytes: u64,
    /// Whoever uses a file of the cache dates it.
    used: SystemTime,
}

pub(crate) fn run(args: CacheArgs) -> Result<ExitCode> {
    let cache = cache(args.cache_dir)?;
    let entries = entries(cache.folder())?;
    let now = SystemTime::now();
    match args.command {
        None => show(cache.folder(), &entries),
        Some(CacheCommand::Prune { all: true, .. }) => prune(entries, 0, now),
        Some(CacheCommand::Prune { max_size, .. }) => prune(entries, max_size.saturating_mul(1 << 20), now),
    }
    Ok(ExitCode::SUCCESS)
}

fn entries(folder: &Path) -> Result<Vec<Entry>> {
    let mut entries: BTreeMap<PathBuf, Entry> = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        // Other processes come and go with files of it, and there may be nothing yet.
        let Some(found) = unless_gone(fs::read_dir(&inner))? else { continue };
        for file in found {
            let Some(file) = unless_gone(file)? else { continue };
            let Some(metadata) = unless_gone(file.metadata())? else { continue };
            let path = file.path();
            if metadata.is_dir() {
                folders.push(path);
                continue;
            }
            let (kind, whole) = classify(path.strip_prefix(folder).unwrap_or(&path));
            let used = metadata.modified()?;
            let entry = entries.entry(whole).or_insert_with(|| Entry { kind, files: vec![], bytes: 0, used });
            entry.files.push(path);
            entry.bytes += metadata.len();
            entry.used = entry.used.max(used);
        }
    }
    Ok(entries.into_values().collect())
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn show(folder: &Path, entries: &[Entry]) {
    println!("{}", folder.display());
    let mut kinds: BTreeMap<Kind, (usize, u64)> = BTreeMap::new();
    for entry in entries {
        let (count, bytes) = kinds.entry(entry.kind).or_default();
        *count += 1;
        *bytes += entry.bytes;
    }
    for (kind, (count, bytes)) in &kinds {
        println!("{:<22} {count:>5} {:>12}", kind.name(), size(*bytes));
    }
    println!("{:<22} {:>5} {:>12}", "in all", entries.len(), size(entries.iter().map(|e| e.bytes).sum()));
}

/// Removes what has not been used for longest until what is left is not larger than `most`. A process that uses a file has
/// it open, and keeps it.
fn prune(mut entries: Vec<Entry>, most: u64, now: SystemTime) {
    let days = |entry: &Entry| now.duration_since(entry.used).map_or(0, |age| age.as_secs() / 86_400);
    let mut left: u64 = entries.iter().map(|e| e.bytes).sum();
    // A process uses code and the layers below once, at its start, and goes on to make snapshots for as long as it runs. So of
    // what was used on the same day, what is made again soonest goes first.
    entries.sort_by_key(|entry| (Reverse(days(entry)), Reverse(entry.kind), entry.used));
    let (mut count, mut bytes) = (0_usize, 0_u64);
    for entry in &entries {
        let goes = match entry.kind {
            Kind::Release | Kind::Other => false,
            Kind::Unfinished => days(entry) > 0,
            _ => left > most,
        };
        if goes && remove(entry) {
            left = left.saturating_sub(entry.bytes);
            bytes += entry.bytes;
            count += 1;
        }
    }
    println!("Removed {count} of {}, {}; left: {}", entries.len(), size(bytes), size(left));
}

/// Removes the files of an entry; false when one of them stays.
fn remove(entry: &Entry) -> bool {
    let mut all = true;
    for file in &entry.files {
        if let Err(error) = unless_gone(fs::remove_file(file)) {
            eprintln!("warning: {error}");
            all = false;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    /// A cache folder with these files of 1000 bytes, used so many days ago.
    fn cache(files: &[(&str, u32)], now: SystemTime) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, days) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, [0; 1000]).unwrap();
            let file = fs::File::open(path).unwrap().into_parts().0;
            file.set_modified(now - *days * DAY).unwrap();
        }
        folder
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let files = entries(folder.path()).unwrap().into_iter().flat_map(|entry| entry.files);
        let name = |path: PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
        let mut names: Vec<_> = files.map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_counted_by_what_they_belong_to() {
        let now = SystemTime::now();
        let folder = cache(
            &[
                ("key", 0),
                ("pyodide/1.2-ab/pyodide.mjs", 0),
                ("pyodide/1.2-ab/lib/python.zip", 0),
                ("pyodide/1.2-ab.lock", 0),
                ("ab.cwasm", 0),
                ("ab.cwasm.mac", 0),
                ("ab.first", 0),
                ("ab.first.mac", 0),
                ("ab.first.checked", 0),
                ("base-1.snapshot", 0),
                ("base-1.snapshot.pages", 0),
                ("workers/packages-2.snapshot", 0),
                ("workers/3.snapshot", 0),
                ("workers/3.snapshot.pages", 0),
                ("workers/.tmpXy", 0),
            ],
            now,
        );
        let mut found: Vec<_> =
            entries(folder.path()).unwrap().iter().map(|e| (e.kind, e.files.len(), e.bytes)).collect();
        found.sort();
        let expected = [
            (Kind::Release, 3, 3000),
            (Kind::Code, 5, 5000),
            (Kind::Base, 2, 2000),
            (Kind::Packages, 1, 1000),
            (Kind::Worker, 2, 2000),
            (Kind::Unfinished, 1, 1000),
            (Kind::Other, 1, 1000),
        ];
        assert_eq!(found, expected);
        assert!(entries(&folder.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let now = SystemTime::now();
        let files = [
            ("key", 90),
            ("pyodide/1.2-ab/pyodide.mjs", 90),
            ("ab.cwasm", 0),
            ("ab.cwasm.mac", 9),
            ("base-1.snapshot", 0),
            ("base-2.snapshot", 5),
            ("workers/packages-3.snapshot", 0),
            ("workers/4.snapshot", 0),
            ("workers/4.snapshot.pages", 7),
            ("workers/5.snapshot", 6),
            ("workers/.tmpOld", 1),
            ("workers/.tmpNew", 0),
        ];
        let folder = cache(&files, now);
        let mut left = names(&folder);
        // However much may stay, what nobody will finish does not.
        let steps: [(u64, &[&str]); 7] = [
            (20_000, &["workers/.tmpOld"]),
            (10_000, &["workers/5.snapshot"]),
            (9_999, &["base-2.snapshot"]),
            (8_000, &["workers/4.snapshot", "workers/4.snapshot.pages"]),
            (6_500, &["workers/packages-3.snapshot"]),
            (5_500, &["base-1.snapshot"]),
            (0, &["ab.cwasm", "ab.cwasm.mac"]),
        ];
        for (most, gone) in steps {
            prune(entries(folder.path()).unwrap(), most, now);
            left.retain(|name| !gone.contains(&name.as_str()));
            assert_eq!(names(&folder), left, "{most}");
        }
        assert_eq!(left, ["key", "pyodide/1.2-ab/pyodide.mjs", "workers/.tmpNew"]);
    }
}

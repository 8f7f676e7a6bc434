//! What packages import when they are used, rather than when they are imported.
//!
//! FastAPI imports a second generation of pydantic when the first route is added; compiling that takes ten times as long as the
//! Worker's own module scope, at every save. No text says so. So a builder looks which modules a Worker's start has imported that
//! are not its own, and makes another snapshot of the packages that has them; later versions of the Worker, and other Workers with
//! the same imports, are made from that one. The same goes for what packages import in the first request, such as what a framework
//! needs when its lifespan begins; what the Worker's own code imports there it may have put off on purpose. As with the packages that a Worker names, a module may come earlier than it would have.
//!
//! The list lies beside the snapshots, as names in a JSON array. It says what is imported in the sandbox, and nothing else; a list
//! that is lost is learned again.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use fs_err as fs;

/// Another snapshot of the packages is made to save at least so much of a version's start.
pub(crate) const OF_A_VERSION: Duration = Duration::from_millis(10);

/// And so much of the first request of each isolate.
pub(crate) const OF_AN_ISOLATE: Duration = Duration::from_millis(1);

/// More names are not kept.
const MOST: usize = 4096;

/// The list is no larger, in bytes.
const LARGEST: u64 = 1 << 20;

/// A use is noted so often at the most, for the cache, which drops what is not used.
const USE: Duration = Duration::from_secs(60 * 60);

/// The list, as far as it is one.
pub(crate) fn read(path: &Path) -> Vec<String> {
    let read = || -> io::Result<Vec<String>> {
        let file = fs::File::open(path)?;
        if file.metadata()?.modified()?.elapsed().is_ok_and(|age| age >= USE) {
            // It only seems older than it is otherwise.
            drop(file.file().set_modified(SystemTime::now()));
        }
        let mut text = vec![];
        file.take(LARGEST).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    };
    let mut names = read().unwrap_or_default();
    names.retain(|name| is_name(name));
    names.truncate(MOST);
    names
}

/// Writes the list, as a whole or not at all.
pub(crate) fn write(path: &Path, names: &[String]) -> io::Result<()> {
    let new = path.with_extension(format!("imports-{}", std::process::id()));
    let mut file = fs::File::create(&new)?;
    file.write_all(&serde_json::to_vec(names)?)?;
    drop(file);
    fs::rename(&new, path)
}

/// What the snapshot is called that has these modules as well.
pub(crate) fn name(packages: &str, learned: &[String]) -> String {
    if learned.is_empty() {
        return packages.to_owned();
    }
    let mut digest = blake3::Hasher::new();
    for part in [packages].into_iter().chain(learned.iter().map(String::as_str)) {
        digest.update(&part.len().to_le_bytes()).update(part.as_bytes());
    }
    format!("packages-{}", digest.finalize().to_hex())
}

/// What is worth learning when these modules were `imported`, in this order; if all of it took so long.
pub(crate) fn more(
    known: &[String],
    imported: &[(String, Duration)],
    worthwhile: Duration,
) -> Option<Vec<String>> {
    let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
    let new = imported.iter().filter(|(name, _)| is_name(name) && !known.contains(name.as_str()));
    let (names, took): (Vec<String>, Vec<Duration>) = new.cloned().unzip();
    let is_worthwhile = took.into_iter().fold(Duration::ZERO, Duration::saturating_add) >= worthwhile;
    (is_worthwhile && known.len() + names.len() <= MOST).then_some(names)
}

/// Whether it can be the full name of a module. The guest says what it has imported, so it can be anything.
fn is_name(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| c == '_' || c.is_alphanumeric());
    text.len() <= 256 && text.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_took_long_is_learned_once() {
        let took = |names: &[&str], each| {
            let each = Duration::from_millis(each);
            names.iter().map(|name| ((*name).to_owned(), each)).collect::<Vec<_>>()
        };
        let imported = took(&["pydantic.v1", "pydantic.v1.typing", "pickle"], 4);
        assert_eq!(
            more(&[], &imported, OF_A_VERSION),
            Some(names(&["pydantic.v1", "pydantic.v1.typing", "pickle"]))
        );
        assert_eq!(more(&names(&["pickle"]), &imported, OF_A_VERSION), None, "8 ms are not worth it");
        assert!(more(&names(&["pickle"]), &imported, OF_AN_ISOLATE).is_some());
        assert_eq!(more(&[], &took(&["", ".", "a b", "a.", "a/b"], 1000), OF_A_VERSION), None, "no names");
        assert_eq!(more(&[], &took(&["module"; MOST + 1], 1000), OF_A_VERSION), None);
    }

    #[test]
    fn lists_are_found_again_and_nonsense_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packages-1.imports");
        assert!(read(&path).is_empty());
        write(&path, &names(&["pickle", "a.b", "no name"])).unwrap();
        assert_eq!(read(&path), ["pickle", "a.b"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        for text in ["[", "{}", "[1]", ""] {
            fs::write(&path, text).unwrap();
            assert!(read(&path).is_empty());
        }
    }

    #[test]
    fn what_was_learned_is_part_of_the_name() {
        let [a, b] = [&["pickle"], &["json"]].map(|learned| name("packages-1", &names(learned)));
        assert_eq!(name("packages-1", &[]), "packages-1");
        assert!(a != b && a != name("packages-2", &names(&["pickle"])));
    }
}

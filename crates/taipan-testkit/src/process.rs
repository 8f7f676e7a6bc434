//! What the system says about processes and files.

use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{Advice, fadvise};

/// What a process takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Bytes that it has written to and shares with no other process.
    pub private_dirty: u64,
    /// Proportional set size, in bytes: what is shared counts in part.
    pub pss: u64,
    /// Number of its mappings.
    pub mappings: usize,
    /// Number of its threads.
    pub threads: usize,
    /// Number of its open descriptors.
    pub descriptors: usize,
}

impl Memory {
    /// Of the process with this id.
    pub fn of(pid: u32) -> Result<Self> {
        let read =
            |name: &str| Ok::<_, anyhow::Error>(fs_err::read_to_string(format!("/proc/{pid}/{name}"))?);
        let (rollup, status) = (read("smaps_rollup")?, read("status")?);
        Ok(Self {
            private_dirty: number(&rollup, "Private_Dirty:")? << 10,
            pss: number(&rollup, "Pss:")? << 10,
            mappings: read("maps")?.lines().count(),
            threads: usize::try_from(number(&status, "Threads:")?)?,
            descriptors: fs_err::read_dir(format!("/proc/{pid}/fd"))?.count(),
        })
    }
}

/// The number after a name at the start of a line.
fn number(text: &str, name: &str) -> Result<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    let number = rest.split_whitespace().next().unwrap_or_default();
    number.parse().with_context(|| format!("not a number: {name} {number}"))
}

/// Has the system forget the content of a file, or of all files in a folder, so that the next one to read it waits for the disk.
/// What a process has mapped stays.
pub fn evict(path: &Path) -> Result<()> {
    for_each_file(path, &|path| {
        let file = fs_err::File::open(path)?;
        // Only what is on the disk can be forgotten.
        file.sync_all()?;
        fadvise(file.file(), 0, None, Advice::DontNeed)
            .with_context(|| format!("cannot evict: {}", path.display()))
    })
}

/// Reads a file, or all files in a folder, so that the next one to read it does not wait for the disk.
pub fn warm(path: &Path) -> Result<()> {
    for_each_file(path, &|path| {
        std::io::copy(&mut fs_err::File::open(path)?, &mut std::io::sink())?;
        Ok(())
    })
}

fn for_each_file(path: &Path, work: &impl Fn(&Path) -> Result<()>) -> Result<()> {
    if !path.is_dir() {
        return work(path);
    }
    for entry in fs_err::read_dir(path)? {
        for_each_file(&entry?.path(), work)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_this_process() {
        let before = Memory::of(std::process::id()).unwrap();
        let written = std::hint::black_box(vec![1_u8; 32 << 20]);
        let after = Memory::of(std::process::id()).unwrap();
        assert!(after.private_dirty >= before.private_dirty + (30 << 20), "{before:?} {after:?}");
        assert!(
            after.pss >= before.pss + (30 << 20)
                && before.mappings > 10
                && before.threads > 0
                && before.descriptors > 2
        );
        drop(written);
    }

    #[test]
    fn eviction_leaves_the_content() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir(folder.path().join("a")).unwrap();
        let path = folder.path().join("a/b");
        fs_err::write(&path, "content").unwrap();
        evict(folder.path()).unwrap();
        warm(folder.path()).unwrap();
        assert_eq!(fs_err::read_to_string(path).unwrap(), "content");
        assert!(evict(&folder.path().join("c")).is_err() && warm(&folder.path().join("c")).is_err());
    }
}

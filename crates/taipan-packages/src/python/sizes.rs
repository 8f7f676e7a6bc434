//! What wheels say that they hold, before anybody unpacks them.
//!
//! The list of files is at an archive's end: of one on a server, that part alone is asked for. What it says may be false, which
//! `watch.rs` is for, and it may be out of reach, as where only uv knows the password.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::thread;

use fs_err as fs;
use url::Url;

use super::store::MOST;
use super::unzip::{self, List};
use super::{LockedPackage, PackageError};
use crate::pyodide::http;

/// Smaller ones cannot hold too much: the format packs a thousand bytes into one at most.
const SMALL: u64 = MOST / 1032;

/// How many servers are asked at the same time.
const AT_ONCE: usize = 8;

/// Refuses wheels on this machine that hold too much.
pub(super) fn check_local(wheels: &[&LockedPackage], folder: &Path) -> Result<(), PackageError> {
    for wheel in wheels {
        let Some(path) = wheel.wheel.local(folder) else { continue };
        // That it is not there is for uv to say.
        judge(&wheel.name, local(&path))?;
    }
    Ok(())
}

/// Refuses a folder with wheels that hold too much: uv unpacks those that it considers.
pub(super) fn check_folder(folder: &Path) -> Result<(), PackageError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_large = entry.metadata().is_ok_and(|data| data.len() > SMALL);
        if let Some((package, _)) = name.split_once('-').filter(|_| is_large && name.ends_with(".whl")) {
            judge(package, local(&entry.path()))?;
        }
    }
    Ok(())
}

fn local(path: &Path) -> Option<List> {
    let mut file = fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    unzip::list(length, &mut |at, size| {
        let mut bytes = vec![0; size];
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_exact(&mut bytes).ok()?;
        Some(bytes)
    })
}

/// Refuses wheels on servers that hold too much.
pub(super) fn check_remote(wheels: &[&LockedPackage]) -> Result<(), PackageError> {
    let large = |wheel: &&&LockedPackage| wheel.wheel_size().is_none_or(|size| size > SMALL);
    let wheels: Vec<_> = wheels.iter().filter(large).collect();
    for some in wheels.chunks(AT_ONCE) {
        let lists = thread::scope(|scope| {
            let asked: Vec<_> = some.iter().map(|wheel| scope.spawn(|| remote(wheel))).collect();
            asked.into_iter().map(|list| list.join().unwrap_or_default()).collect::<Vec<_>>()
        });
        some.iter().zip(lists).try_for_each(|(wheel, list)| judge(&wheel.name, list))?;
    }
    Ok(())
}

fn remote(wheel: &LockedPackage) -> Option<List> {
    let url = Url::parse(wheel.wheel.url.as_deref()?).ok()?;
    let ranges = http::Ranges::new(url)?;
    let (length, end) = ranges.end(unzip::END)?;
    let from = length.checked_sub(end.len() as u64)?;
    unzip::list(length, &mut |at, size| {
        let known = at.checked_sub(from).and_then(|at| usize::try_from(at).ok());
        match known.and_then(|at| end.get(at..at.checked_add(size)?)) {
            Some(known) => Some(known.to_vec()),
            None => ranges.read(at, size),
        }
    })
}

fn judge(package: &str, list: Option<List>) -> Result<(), PackageError> {
    // A broken archive is for uv to refuse.
    let Some(list) = list else { return Ok(()) };
    let reason = if list.size > MOST {
        format!("unpacked it is larger than {} MiB", MOST >> 20)
    } else if list.overlaps {
        "files lie within others in its archive".to_owned()
    } else {
        return Ok(());
    };
    Err(PackageError::Refused { package: package.to_owned(), reason })
}

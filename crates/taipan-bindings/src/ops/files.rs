//! `files.*`: folders of the host that a guest may read. Content of files goes another way, into the guest's memory without a message.
//!
//! These read from disk on the spot, as the only ones: Python asks for files one by one and waits for each.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use taipan_engine::OpReply;
use taipan_guest::protocol::{Field, Message};

use super::OpError;

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// A folder, otherwise a file.
    pub is_folder: bool,
    /// Bytes in the file; 0 for a folder.
    pub size: u64,
    /// When it was modified, in milliseconds since the epoch.
    pub modified_ms: u64,
}

/// A folder of the host's, with the folders in it. Paths are relative to it, with `/`, and empty for itself; they come from
/// the guest.
pub trait Volume: Send + Sync {
    /// What is there.
    ///
    /// # Errors
    /// When there is nothing, or nothing that the guest may see.
    fn stat(&self, path: &str) -> io::Result<FileStat>;

    /// The names in a folder.
    ///
    /// # Errors
    /// When it is no folder that the guest may see.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;

    /// Reads a file from `position` on into `to`, and gives how many bytes that were: fewer only at the end of the file.
    ///
    /// # Errors
    /// When it is no file that the guest may see, or cannot be read.
    fn read(&self, path: &str, position: u64, to: &mut [u8]) -> io::Result<usize>;

    /// A file and its size in bytes, if its content never changes ([`taipan_engine::Ops::fixed_file`]).
    fn fixed(&self, path: &str) -> Option<(Arc<File>, u64)> {
        let _ = path;
        None
    }
}

/// As [`Volume::read`], from a file that is open.
///
/// # Errors
/// When it cannot be read.
pub fn read_at(file: &File, position: u64, to: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while let Some(rest) = to.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, position.saturating_add(count as u64)) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

pub(super) fn volume(volumes: &[Arc<dyn Volume>], number: u32) -> io::Result<&dyn Volume> {
    let volume = usize::try_from(number).ok().and_then(|n| volumes.get(n));
    volume.map(|volume| &**volume).ok_or_else(|| ErrorKind::NotFound.into())
}

const FILE: u32 = 1;
const FOLDER: u32 = 2;

pub(super) fn call(verb: &str, args: &Message<'_>, volumes: &[Arc<dyn Volume>]) -> Result<OpReply, OpError> {
    let number = args.u32(0)?;
    let path = args.str(1)?;
    let volume =
        volume(volumes, number).map_err(|_| OpError::type_error(format!("there is no volume {number}")))?;
    let answer = match verb {
        "stat" => volume.stat(path).map(|stat| {
            let kind = if stat.is_folder { FOLDER } else { FILE };
            vec![kind.into(), Field::Num(stat.size as f64), Field::Num(stat.modified_ms as f64)]
        }),
        "list" => volume.list(path).map(|names| names.into_iter().map(Field::from).collect()),
        _ => return Err(OpError::unknown(verb)),
    };
    // Which paths of the host there are is none of the guest's business.
    Ok(OpReply::Ready(answer.map_err(|e| OpError::type_error(e.kind().to_string()))?))
}

//! Why data could not be read or written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

/// Why data could not be read or written. Cheap to clone: writes that go to disk together fail together.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Another process uses the folder.
    #[error("the folder is in use by another process: {}: {holder}", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Its number and its command.
        holder: String,
    },
    /// The file is damaged, and was moved away.
    #[error("the file is damaged and was set aside as {}: {}: {reason}", kept.display(), file.display())]
    SetAside {
        /// The file.
        file: PathBuf,
        /// Where it is now.
        kept: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file turned out to be damaged while it was in use.
    #[error("the file is damaged: {}: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file was written by a newer version of taipan.
    #[error("the file's layout is newer than this version of taipan knows: {}: {found} > {known}", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// The layout's version.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// There is no room.
    #[error("the disk is full: {}", path.display())]
    Full {
        /// What could not be written.
        path: PathBuf,
    },
    /// It may only be read.
    #[error("cannot be written: {}", path.display())]
    ReadOnly {
        /// What could not be written.
        path: PathBuf,
    },
    /// The file system failed.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// Another place for bytes than a disk failed.
    #[error("cannot use the object store: {place}")]
    Elsewhere {
        /// Which one.
        place: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// SQLite failed.
    #[error("cannot use {}", file.display())]
    Sqlite {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Arc<rusqlite::Error>,
    },
    /// What was asked for is beyond a limit or makes no sense.
    #[error("{message}")]
    Refused {
        /// For those who tell one from another.
        reason: Refusal,
        /// What makes no sense, or which limit.
        message: String,
    },
    /// A statement failed; the message is SQLite's.
    #[error("{message}")]
    Statement {
        /// What SQLite says.
        message: String,
        /// SQLite's name for the kind of failure, such as `SQLITE_CONSTRAINT`.
        code: &'static str,
    },
    /// The process ends.
    #[error("the store is closed")]
    Closed,
}

/// Why something was refused, where somebody has a word of its own for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// None of these.
    Other,
    /// A key is too long.
    LongKey,
    /// Metadata is too long.
    LongMetadata,
    /// A range has no byte of the object.
    Range,
    /// The bytes do not have the checksum that they should have.
    Checksum,
    /// There is no such upload.
    NoUpload,
    /// An upload has no such part.
    NoPart,
    /// Parts are not in the order of their numbers.
    PartOrder,
    /// A part that is not the last one is too small.
    SmallPart,
}

impl StorageError {
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::because(Refusal::Other, message)
    }

    pub(crate) fn because(reason: Refusal, message: impl Into<String>) -> Self {
        Self::Refused { reason, message: message.into() }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::InUse { .. } => {
                Some("end that process, or use another folder with --persist-to".to_owned())
            }
            Self::SetAside { file, .. } => Some(format!(
                "start again to begin with an empty one, or put a good copy back as {}",
                file.display()
            )),
            Self::Damaged { .. } => Some("start again: the file is checked then, and set aside".to_owned()),
            Self::Newer { .. } => Some("use a newer taipan, or another folder with --persist-to".to_owned()),
            Self::Full { .. } => Some("make room, or use another folder with --persist-to".to_owned()),
            Self::ReadOnly { .. } => {
                Some("let this user write there, or use another folder with --persist-to".to_owned())
            }
            Self::Elsewhere { .. } => Some(
                "see whether it answers, and to which key: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::Io { path, source: Arc::new(source) },
        }
    }

    /// An error of a statement of ours.
    pub(crate) fn sqlite(file: &Path, source: rusqlite::Error) -> Self {
        let file = file.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path: file },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::ReadOnly { path: file }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { file, reason: source.to_string() }
            }
            _ => Self::Sqlite { file, source: Arc::new(source) },
        }
    }
}

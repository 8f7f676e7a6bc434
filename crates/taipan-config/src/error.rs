//! The one error of this crate: a message about a place in a file, and a hint.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A line and a column, both counted from 1; columns count characters, as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// Why a configuration cannot be used.
///
/// Displayed as one line, `FILE:LINE:COLUMN: what is wrong`, that terminals and editors turn into a link. What to do about it is
/// in [`ConfigError::hint`], for a line of its own.
#[derive(Debug)]
pub struct ConfigError {
    file: PathBuf,
    place: Option<Place>,
    message: String,
    hint: Option<String>,
    source: Option<io::Error>,
}

impl ConfigError {
    pub(crate) fn new(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self { file: file.into(), place: None, message: message.into(), hint: None, source: None }
    }

    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn caused_by(mut self, source: io::Error) -> Self {
        self.source = Some(source);
        self
    }

    /// The file or folder that the error is about.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Where in the file, when it is about a place in it.
    pub fn place(&self) -> Option<Place> {
        self.place
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

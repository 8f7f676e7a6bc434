//! A configuration file's text, and errors about places in it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{ConfigError, Place};

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: PathBuf,
    pub(crate) text: String,
}

impl Source {
    /// Reads `file`; `None` when there is none.
    pub(crate) fn read(file: &Path) -> Result<Option<Self>, ConfigError> {
        let bytes = match fs_err::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(ConfigError::new(file, "the file cannot be read")
                    .with_hint(format!("make {} a file that you may read", file.display()))
                    .caused_by(error));
            }
        };
        match String::from_utf8(bytes) {
            // Editors on Windows write a byte order mark; no parser wants it.
            Ok(text) => {
                let text = text.trim_start_matches('\u{feff}').to_owned();
                Ok(Some(Self { file: file.to_owned(), text }))
            }
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                Err(Self { file: file.to_owned(), text }
                    .error(valid, "the text is not UTF-8")
                    .with_hint("save the file as UTF-8"))
            }
        }
    }

    /// An error about the byte at `offset`.
    pub(crate) fn error(&self, offset: usize, message: impl Into<String>) -> ConfigError {
        ConfigError::new(&self.file, message).at(self.place(offset))
    }

    /// `FILE:LINE:COLUMN` of the byte at `offset`, as warnings begin.
    pub(crate) fn link(&self, offset: usize) -> String {
        let Place { line, column } = self.place(offset);
        format!("{}:{line}:{column}", self.file.display())
    }

    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Place { line, column }
    }
}

//! Values that go into statements and come out.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rusqlite::ErrorCode;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::statement_error;
use crate::StorageError;

/// Most bytes that statements of one call give, as JSON.
const LARGEST: usize = 32 << 20;

/// A parameter.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are SQL's and say it")]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// What a statement gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The columns' names; they may repeat.
    pub columns: Vec<String>,
    /// The rows as a JSON list of lists. A blob is an object with its Base64 under `b`; integers have all of their digits, and
    /// an infinite number is one that is too large.
    pub json: String,
    /// Whether there is a blob among the values.
    pub has_blobs: bool,
    count: u64,
}

impl Rows {
    /// How many there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Runs a statement whose parameters are bound.
    pub(super) fn read(statement: &mut rusqlite::Statement<'_>) -> Result<Self, StorageError> {
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut found = Self { columns, json: "[".to_owned(), ..Self::default() };
        let width = found.columns.len();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(statement_error)? {
            found.json.push_str(if found.count == 0 { "[" } else { ",[" });
            for column in 0..width {
                if column > 0 {
                    found.json.push(',');
                }
                found.push(row.get_ref(column).map_err(statement_error)?);
            }
            found.json.push(']');
            found.count += 1;
            if found.json.len() > LARGEST {
                let message = "the result is larger than 32 MiB: select fewer rows or columns";
                return Err(StorageError::refused(message.to_owned()));
            }
        }
        found.json.push(']');
        Ok(found)
    }

    fn push(&mut self, value: ValueRef<'_>) {
        // A String can always be written to.
        let _ = match value {
            ValueRef::Null => self.json.write_str("null"),
            ValueRef::Integer(value) => write!(self.json, "{value}"),
            ValueRef::Real(value) if value.is_infinite() => {
                self.json.write_str(if value > 0.0 { "1e999" } else { "-1e999" })
            }
            ValueRef::Real(value) => write!(self.json, "{value:?}"),
            ValueRef::Text(bytes) => {
                let text = serde_json::Value::from(String::from_utf8_lossy(bytes));
                write!(self.json, "{text}")
            }
            ValueRef::Blob(bytes) => {
                self.has_blobs = true;
                write!(self.json, "{{\"b\":\"{}\"}}", BASE64.encode(bytes))
            }
        };
    }
}

/// SQLite's name for the kind of failure.
pub(super) fn code_name(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => "SQLITE_CONSTRAINT",
        Some(ErrorCode::TypeMismatch) => "SQLITE_MISMATCH",
        Some(ErrorCode::TooBig) => "SQLITE_TOOBIG",
        Some(ErrorCode::OperationInterrupted) => "SQLITE_INTERRUPT",
        Some(ErrorCode::AuthorizationForStatementDenied) => "SQLITE_AUTH",
        Some(ErrorCode::DiskFull) => "SQLITE_FULL",
        Some(ErrorCode::ReadOnly) => "SQLITE_READONLY",
        Some(ErrorCode::CannotOpen) => "SQLITE_CANTOPEN",
        Some(ErrorCode::DatabaseCorrupt) => "SQLITE_CORRUPT",
        Some(ErrorCode::NotADatabase) => "SQLITE_NOTADB",
        Some(ErrorCode::DatabaseBusy) => "SQLITE_BUSY",
        Some(ErrorCode::DatabaseLocked) => "SQLITE_LOCKED",
        Some(ErrorCode::OutOfMemory) => "SQLITE_NOMEM",
        Some(ErrorCode::ParameterOutOfRange) => "SQLITE_RANGE",
        _ => "SQLITE_ERROR",
    }
}

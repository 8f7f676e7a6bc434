//! Values that go into statements and come out.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rusqlite::ErrorCode;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::statement_error;
use crate::StorageError;

/// Most bytes that a statement gives.
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

/// What becomes of a statement's rows.
pub trait Gather: Default + Send + 'static {
    /// Before the first row, or when there is none.
    fn begin(&mut self, columns: Vec<String>);

    /// A row begins.
    fn row(&mut self);

    /// The next value of the row.
    fn value(&mut self, value: ValueRef<'_>);

    /// That was all.
    fn end(&mut self);

    /// How large it is by now, in bytes.
    fn size(&self) -> usize;
}

/// Runs a statement whose parameters are bound. Gives its rows, and how many there were.
pub(super) fn read<R: Gather>(statement: &mut rusqlite::Statement<'_>) -> Result<(R, u64), StorageError> {
    let mut found = R::default();
    let (mut count, mut width) = (0, 0);
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(statement_error)? {
        if count == 0 {
            // Not before it runs: another table may have taken the place of the one that it was prepared for.
            width = row.as_ref().column_count();
            found.begin(names(row.as_ref()));
        }
        found.row();
        for column in 0..width {
            found.value(row.get_ref(column).map_err(statement_error)?);
        }
        count += 1;
        if found.size() > LARGEST {
            let message = "the result is larger than 32 MiB: select fewer rows or columns";
            return Err(StorageError::refused(message.to_owned()));
        }
    }
    drop(rows);
    if count == 0 {
        found.begin(names(statement));
    }
    found.end();
    Ok((found, count))
}

fn names(statement: &rusqlite::Statement<'_>) -> Vec<String> {
    statement.column_names().map(str::to_owned).collect()
}

/// Rows as values, one row after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The columns' names; they may repeat.
    pub columns: Vec<String>,
    /// All rows' values.
    pub values: Vec<Value>,
    size: usize,
}

impl Gather for Table {
    fn begin(&mut self, columns: Vec<String>) {
        self.columns = columns;
    }

    fn row(&mut self) {}

    fn value(&mut self, value: ValueRef<'_>) {
        let value = match value {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(value) => Value::Integer(value),
            ValueRef::Real(value) => Value::Real(value),
            ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
            ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        };
        self.size += 8 + match &value {
            Value::Null => 0,
            Value::Integer(_) | Value::Real(_) => 8,
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
        };
        self.values.push(value);
    }

    fn end(&mut self) {}

    fn size(&self) -> usize {
        self.size
    }
}

/// Rows as JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The columns' names; they may repeat.
    pub columns: Vec<String>,
    /// The rows as a JSON list of lists. A blob is an object with its Base64 under `b`; integers have all of their digits, and
    /// an infinite number is one that is too large.
    pub json: String,
    /// Whether there is a blob among the values.
    pub has_blobs: bool,
}

impl Gather for Rows {
    fn begin(&mut self, columns: Vec<String>) {
        self.columns = columns;
        self.json.push('[');
    }

    fn row(&mut self) {
        self.json.push_str(if self.json.len() > 1 { "],[" } else { "[" });
    }

    fn value(&mut self, value: ValueRef<'_>) {
        if !self.json.ends_with('[') {
            self.json.push(',');
        }
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

    fn end(&mut self) {
        self.json.push_str(if self.json.len() > 1 { "]]" } else { "]" });
    }

    fn size(&self) -> usize {
        self.json.len()
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

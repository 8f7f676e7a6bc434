//! Databases that Workers write SQL for. The file is the Worker's own: there is no table of ours in it.
//!
//! Statements that only read run on a reader's connection, others on the writer's; either way in one transaction, so that several are
//! done together or not at all. Short ones that only read are done on the spot if asked so. What a statement may do, and for how long, is in [`guard`].

mod dump;
mod guard;
mod rows;
mod slow;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Batch, CachedStatement, Connection, StatementStatus};

use crate::clock::Clock;
use crate::sqlite::{self, Layout, Near, Readers, Writer};
use crate::{StateFolder, StorageError};
use guard::Guard;
pub use rows::{Gather, Rows, Table, Value};
use slow::Slow;

/// What the Worker's SQL makes is all there is.
const LAYOUT: Layout = Layout { steps: &[] };

/// A database.
pub struct D1Database {
    writer: Writer,
    readers: Arc<Readers<Guard>>,
    near: Near<Guard>,
    slow: Slow,
    /// That of the writer's connection.
    guard: Guard,
    file: Arc<Path>,
    clock: Arc<dyn Clock>,
    commits: Arc<AtomicU64>,
}

impl fmt::Debug for D1Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "D1Database({})", self.file.display())
    }
}

/// A statement and its parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statement {
    /// One statement of SQL.
    pub sql: String,
    /// What `?`, `?1`, … stand for.
    pub params: Vec<Value>,
}

/// What a statement did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done<R = Rows> {
    /// What it gave.
    pub rows: R,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// Rows that were looked at: those of scans, else those given.
    pub rows_read: u64,
    /// Rows that were written, by triggers and foreign keys too.
    pub rows_written: u64,
    /// Rows that it changed itself.
    pub changes: u64,
    /// The number of the row that was inserted last.
    pub last_row_id: i64,
    /// The database's size afterwards, in bytes.
    pub size_after: u64,
    /// Whether it wrote.
    pub changed_db: bool,
}

/// What all statements of a script did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScriptDone {
    /// How many statements there were.
    pub count: u64,
    /// How long they took, in milliseconds.
    pub duration_ms: f64,
}

/// An answer on the spot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now<T> {
    /// Here it is.
    Done(T),
    /// There is none, because something is written: see [`D1Database::write_as`]. Nothing has been.
    Writes,
    /// There is none: see [`D1Database::run_as`], which says what is wrong, if something is.
    Later,
}

type Answer<T> = Result<T, StorageError>;

impl D1Database {
    /// Opens the database, which is made if need be.
    ///
    /// # Errors
    /// When its file cannot be used.
    pub fn open(folder: &StateFolder, id: &str) -> Result<Self, StorageError> {
        let file = folder.file("d1", id)?;
        let clock = folder.clock();
        let mut connection = sqlite::open(&file, LAYOUT, &*clock)?;
        let guard = guard::set_up(&mut connection).map_err(|error| StorageError::sqlite(&file, error))?;
        let readers = Arc::new(Readers::new(file.clone(), guard::set_up));
        let near = Near::new(file.clone(), guard::set_up_near);
        let writer = Writer::start(connection, file.clone())?;
        Ok(Self {
            writer,
            readers,
            near,
            slow: Slow::default(),
            guard,
            file: file.into(),
            clock,
            commits: Arc::default(),
        })
    }

    /// What a statement gives, on the spot.
    pub fn rows_now<R: Gather>(&self, statement: &Statement) -> Now<R> {
        let rows = |prepared: &mut CachedStatement<'_>| query(prepared, &statement.params);
        self.now(std::slice::from_ref(statement), |connection, _| match prepare_read(connection, statement) {
            // By itself it is a transaction.
            Ok(Some(mut prepared)) => rows(&mut prepared).map_or(Now::Later, |(rows, _)| Now::Done(rows)),
            Ok(None) => Now::Writes,
            Err(_) => Now::Later,
        })
    }

    /// Runs statements in one transaction, on the spot.
    pub fn run_now<R: Gather>(&self, statements: &[Statement]) -> Now<Vec<Done<R>>> {
        self.now(statements, |connection, guard| match try_read(connection, guard, statements) {
            Ok(Some(done)) => Now::Done(done),
            Ok(None) => Now::Writes,
            Err(_) => Now::Later,
        })
    }

    fn now<T>(&self, statements: &[Statement], work: impl FnOnce(&Connection, &Guard) -> Now<T>) -> Now<T> {
        let begun = Instant::now();
        if self.slow.has(statements, begun) {
            return Now::Later;
        }
        let answer = self.near.read(&self.readers, |connection, guard| Some(work(connection, guard)));
        self.slow.note(statements, begun, Instant::now());
        answer.unwrap_or(Now::Later)
    }

    /// Runs statements in one transaction. Gives their rows as JSON.
    pub fn run(&self, statements: Vec<Statement>, reply: impl FnOnce(Answer<Vec<Done>>) + Send + 'static) {
        self.run_as(statements, reply);
    }

    /// As [`Self::run`], with rows as they are wanted.
    pub fn run_as<R: Gather>(
        &self,
        statements: Vec<Statement>,
        reply: impl FnOnce(Answer<Vec<Done<R>>>) + Send + 'static,
    ) {
        let write = self.writing();
        self.readers.read(move |connection| {
            match connection.and_then(|(c, guard)| try_read(c, guard, &statements)) {
                Ok(Some(done)) => reply(Ok(done)),
                Err(error) => reply(Err(error)),
                Ok(None) => write(statements, reply),
            }
        });
    }

    /// As [`Self::run`], of statements that are known to write.
    pub fn write_as<R: Gather>(
        &self,
        statements: Vec<Statement>,
        reply: impl FnOnce(Answer<Vec<Done<R>>>) + Send + 'static,
    ) {
        self.writing()(statements, reply);
    }

    /// What has statements written.
    fn writing<R: Gather, F: FnOnce(Answer<Vec<Done<R>>>) + Send + 'static>(
        &self,
    ) -> impl FnOnce(Vec<Statement>, F) + Send + 'static {
        let (writer, guard) = (self.writer.clone(), self.guard.clone());
        let (commits, file) = (self.commits.clone(), self.file.clone());
        move |statements, reply| {
            writer.alone(move |c| {
                let done =
                    transaction(c, &guard, &file, || statements.iter().map(|s| run_cached(c, s)).collect());
                commits.fetch_add(1, Ordering::Relaxed);
                reply(done);
            });
        }
    }

    /// Runs a script of any number of statements, all or none.
    pub fn script(&self, sql: String, reply: impl FnOnce(Answer<ScriptDone>) + Send + 'static) {
        let (guard, file, commits) = (self.guard.clone(), self.file.clone(), self.commits.clone());
        self.writer.alone(move |connection| {
            let begun = Instant::now();
            let count = transaction(connection, &guard, &file, || {
                let mut count = 0;
                each(connection, &sql, |statement| {
                    let mut rows = statement.raw_query();
                    while rows.next().map_err(statement_error)?.is_some() {}
                    count += 1;
                    Ok(())
                })?;
                Ok(count)
            });
            commits.fetch_add(1, Ordering::Relaxed);
            reply(count.map(|count| ScriptDone { count, duration_ms: milliseconds(begun) }));
        });
    }

    /// Runs an operator's script, all of it or nothing, however long it takes. Gives what each statement did.
    pub fn execute(&self, sql: String, reply: impl FnOnce(Answer<Vec<Done>>) + Send + 'static) {
        let (guard, file, commits) = (self.guard.clone(), self.file.clone(), self.commits.clone());
        self.writer.alone(move |connection| {
            let done = transaction(connection, &guard, &file, || {
                guard.take_time();
                let mut done = Vec::new();
                each(connection, &sql, |statement| {
                    done.push(run(connection, statement, &[])?);
                    Ok(())
                })?;
                Ok(done)
            });
            commits.fetch_add(1, Ordering::Relaxed);
            reply(done);
        });
    }

    /// Writes the database as a script of SQL: what makes its tables, then their rows, unless one is left out.
    pub fn dump(&self, options: DumpOptions, reply: impl FnOnce(Answer<String>) + Send + 'static) {
        self.readers.read(move |connection| {
            reply(connection.and_then(|(c, guard)| {
                guard.begin(c, "BEGIN")?;
                let dump = dump::dump(c, &options).map_err(statement_error);
                guard.end(c, "ROLLBACK")?;
                dump
            }));
        });
    }

    /// A text that later ones are greater than. Whoever has it has seen all that was acknowledged before: there is one copy of the
    /// database.
    pub fn bookmark(&self) -> String {
        let now = u64::try_from(self.clock.now_ms()).unwrap_or_default();
        format!("{now:016x}-{:016x}", self.commits.load(Ordering::Relaxed))
    }
}

/// What [`D1Database::dump`] leaves out.
#[derive(Clone, Debug, Default)]
pub struct DumpOptions {
    /// Only this table.
    pub table: Option<String>,
    /// No rows.
    pub no_data: bool,
    /// Nothing but rows.
    pub no_schema: bool,
}

/// Runs them if all of them only read; else gives none.
fn try_read<R: Gather>(
    connection: &Connection,
    guard: &Guard,
    statements: &[Statement],
) -> Answer<Option<Vec<Done<R>>>> {
    for statement in statements {
        match prepare_read(connection, statement) {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            // An earlier one may make what it needs.
            Err(_) if statements.len() > 1 => return Ok(None),
            Err(error) => return Err(statement_error(error)),
        }
    }
    guard.begin(connection, "BEGIN")?;
    let done: Answer<_> = statements.iter().map(|s| run_cached(connection, s)).collect();
    guard.end(connection, "ROLLBACK")?;
    Ok(Some(done?))
}

/// The statement if it only reads.
fn prepare_read<'c>(
    connection: &'c Connection,
    statement: &Statement,
) -> rusqlite::Result<Option<CachedStatement<'c>>> {
    let prepared = connection.prepare_cached(&statement.sql)?;
    Ok(Some(prepared).filter(|prepared| prepared.readonly() && !has_effect(&statement.sql)))
}

/// SQLite counts some statements among those that only read although they set something in their connection.
fn has_effect(sql: &str) -> bool {
    sql.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("PRAGMA")) && sql.contains('=')
}

fn transaction<T>(
    connection: &Connection,
    guard: &Guard,
    file: &Path,
    work: impl FnOnce() -> Answer<T>,
) -> Answer<T> {
    guard.begin(connection, "BEGIN IMMEDIATE")?;
    let done = work();
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = if connection.is_autocommit() { Ok(()) } else { guard.end(connection, end) };
    if ended.is_err() && !connection.is_autocommit() {
        drop(guard.end(connection, "ROLLBACK"));
    }
    match done {
        Ok(done) => ended.map(|()| done).map_err(|error| with_file(error, file)),
        Err(error) => Err(with_file(error, file)),
    }
}

/// What is the disk's fault, not the statement's, names the file.
fn with_file(error: StorageError, file: &Path) -> StorageError {
    match error {
        StorageError::Statement { code: "SQLITE_FULL", .. } => StorageError::Full { path: file.to_owned() },
        StorageError::Statement { code: "SQLITE_READONLY" | "SQLITE_CANTOPEN", .. } => {
            StorageError::ReadOnly { path: file.to_owned() }
        }
        StorageError::Statement { code: "SQLITE_CORRUPT" | "SQLITE_NOTADB", message } => {
            StorageError::Damaged { file: file.to_owned(), reason: message }
        }
        other => other,
    }
}

fn run_cached<R: Gather>(connection: &Connection, statement: &Statement) -> Answer<Done<R>> {
    let mut prepared = connection.prepare_cached(&statement.sql).map_err(statement_error)?;
    run(connection, &mut prepared, &statement.params)
}

fn run<R: Gather>(
    connection: &Connection,
    statement: &mut rusqlite::Statement<'_>,
    params: &[Value],
) -> Answer<Done<R>> {
    let begun = Instant::now();
    let changes_before = connection.total_changes();
    let is_readonly = statement.readonly();
    let (rows, count) = query(statement, params)?;
    let scanned = statement.reset_status(StatementStatus::FullscanStep);
    let written = connection.total_changes() - changes_before;
    Ok(Done {
        duration_ms: milliseconds(begun),
        rows_read: u64::try_from(scanned).unwrap_or_default().max(count),
        rows_written: written,
        changes: if is_readonly || written == 0 { 0 } else { connection.changes() },
        last_row_id: connection.last_insert_rowid(),
        size_after: size(connection).map_err(statement_error)?,
        changed_db: !is_readonly,
        rows,
    })
}

fn query<R: Gather>(statement: &mut rusqlite::Statement<'_>, params: &[Value]) -> Answer<(R, u64)> {
    let expected = statement.parameter_count();
    if expected != params.len() {
        let message = format!(
            "wrong number of parameters: the statement has {expected}, and {} were bound",
            params.len()
        );
        return Err(StorageError::refused(message));
    }
    for (index, param) in (1..).zip(params) {
        statement.raw_bind_parameter(index, param).map_err(statement_error)?;
    }
    rows::read(statement)
}

/// Calls `visit` with each statement of a script.
fn each(
    connection: &Connection,
    sql: &str,
    mut visit: impl FnMut(&mut rusqlite::Statement<'_>) -> Answer<()>,
) -> Answer<()> {
    // With a NUL at its end SQLite reads the text where it is; without, it copies all that is left for each statement.
    let sql = format!("{sql}\0");
    let mut batch = Batch::new(connection, &sql);
    while let Some(mut statement) = batch.next().map_err(statement_error)? {
        visit(&mut statement)?;
    }
    Ok(())
}

fn size(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |sql| connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
    let size = number("PRAGMA page_count")?.saturating_mul(number("PRAGMA page_size")?);
    Ok(u64::try_from(size).unwrap_or_default())
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

fn statement_error(error: rusqlite::Error) -> StorageError {
    let code = rows::code_name(&error);
    let message = match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message,
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        rusqlite::Error::MultipleStatement => {
            "there is more than one statement: use exec() or batch()".to_owned()
        }
        other => other.to_string(),
    };
    let message = match code {
        "SQLITE_INTERRUPT" => format!("the statement took longer than {} s", guard::LONGEST.as_secs()),
        "SQLITE_AUTH" => format!("{message}: a Worker's SQL may not do this"),
        _ => message,
    };
    StorageError::Statement { message, code }
}

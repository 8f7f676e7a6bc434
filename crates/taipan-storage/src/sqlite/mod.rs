//! One SQLite file: how it is opened, checked and brought to its newest layout.

mod deadline;
mod near;
mod readers;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::StorageError;
use crate::clock::Clock;
pub(crate) use deadline::Deadline;
pub(crate) use near::{LONGEST as LONGEST_NEAR, Near};
pub(crate) use readers::Readers;
pub(crate) use writer::Writer;

/// The oldest version of SQLite whose write-ahead log loses nothing: a race between a reset of the log and a checkpoint was
/// fixed in it.
const OLDEST_SQLITE: i32 = 3_051_003;

/// Larger files are not read from end to end each time that they are opened.
const LARGEST_CHECKED: u64 = 16 << 20;

/// Pages beyond this many are written back to the file at a commit.
const CHECKPOINT_PAGES: u32 = 1000;

/// A file's layout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// What leads from each version to the next, from none on.
    pub(crate) steps: &'static [&'static str],
}

/// Opens the file for its writer, and makes it what `layout` says. A file that is damaged is set aside, and that is an error.
pub(crate) fn open(file: &Path, layout: Layout, clock: &dyn Clock) -> Result<Connection, StorageError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        let version = rusqlite::version();
        return Err(StorageError::refused(format!(
            "this build has a SQLite that may lose writes: {version}"
        )));
    }
    let existed = file.exists();
    match try_open(file, layout) {
        Err(StorageError::Damaged { reason, .. }) => Err(set_aside(file, reason, clock)),
        Err(error) => Err(error),
        Ok(connection) => {
            if !existed && let Some(folder) = file.parent() {
                // The file's name is as much a part of the first write as its content.
                let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
                synced.map_err(|error| StorageError::io(folder, error))?;
            }
            Ok(connection)
        }
    }
}

fn try_open(file: &Path, layout: Layout) -> Result<Connection, StorageError> {
    let at = |error| StorageError::sqlite(file, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(file, flags).map_err(at)?;
    // SQLite is content with reading; whoever writes would learn of it with the first write.
    if connection.is_readonly(rusqlite::MAIN_DB).map_err(at)? {
        return Err(StorageError::ReadOnly { path: file.to_owned() });
    }
    prepare(&connection).map_err(at)?;
    let version = version(&connection, file, layout)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(at)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(at)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(at)?;
    let size = fs::metadata(file).map(|metadata| metadata.len()).unwrap_or_default();
    if size <= LARGEST_CHECKED {
        let verdict: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(at)?;
        if verdict != "ok" {
            return Err(StorageError::Damaged { file: file.to_owned(), reason: verdict });
        }
    }
    migrate(&connection, file, layout, version)?;
    Ok(connection)
}

/// What holds for every connection, the readers' too.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    // The file may have been put there by anybody.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// The layout that the file has: before anything of it is changed.
fn version(connection: &Connection, file: &Path, layout: Layout) -> Result<i64, StorageError> {
    let known = i64::try_from(layout.steps.len()).unwrap_or(i64::MAX);
    let found = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
    let found: i64 = found.map_err(|error| StorageError::sqlite(file, error))?;
    if found > known {
        return Err(StorageError::Newer { file: file.to_owned(), found, known });
    }
    Ok(found)
}

fn migrate(connection: &Connection, file: &Path, layout: Layout, found: i64) -> Result<(), StorageError> {
    let at = |error| StorageError::sqlite(file, error);
    for (version, step) in (1..).zip(layout.steps).skip(usize::try_from(found).unwrap_or_default()) {
        // All of a step or nothing: a process may end at any moment.
        let sql = format!("BEGIN IMMEDIATE; {step}; PRAGMA user_version = {version}; COMMIT");
        connection.execute_batch(&sql).map_err(at)?;
    }
    Ok(())
}

/// Opens the file once more, for reading only.
pub(crate) fn open_reader(file: &Path) -> Result<Connection, StorageError> {
    let at = |error| StorageError::sqlite(file, error);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(file, flags).map_err(at)?;
    prepare(&connection).map_err(at)?;
    Ok(connection)
}

/// Moves the file away with what belongs to it.
fn set_aside(file: &Path, reason: String, clock: &dyn Clock) -> StorageError {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let seconds = clock.now_ms() / 1000;
    let kept = (0..).map(|n: u32| match n {
        0 => file.with_file_name(format!("{stem}.damaged-{seconds}.sqlite")),
        n => file.with_file_name(format!("{stem}.damaged-{seconds}-{n}.sqlite")),
    });
    let Some(kept) = kept.into_iter().find(|kept| !kept.exists()) else {
        return StorageError::Damaged { file: file.to_owned(), reason };
    };
    for end in ["", "-wal", "-shm"] {
        let (from, to) = (beside(file, end), beside(&kept, end));
        if from.exists()
            && let Err(error) = fs::rename(&from, &to)
        {
            return StorageError::io(&from, error);
        }
    }
    StorageError::SetAside { file: file.to_owned(), kept, reason }
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

//! What SQL that anybody wrote may do.
//!
//! It stays in its file (nothing is attached, no extension is loaded), leaves transactions and the connection's settings to us, and
//! ends: after [`LONGEST`], SQLite asks and is told to stop. The limits are D1's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;

use super::statement_error;
use crate::StorageError;
use crate::sqlite::Deadline;

/// What all statements of a transaction may take together.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// So many steps of SQLite's machine lie between looks at the clock; some 10 µs.
const STEPS: i32 = 1000;

const LIMITS: [(Limit, i32); 11] = [
    // A text, a blob or a row.
    (Limit::SQLITE_LIMIT_LENGTH, 2_000_000),
    (Limit::SQLITE_LIMIT_COLUMN, 100),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 500),
    (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 32),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 100),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// A text, a blob or a row, in bytes, on the spot.
const LONGEST_NEAR: i32 = 64 << 10;

/// Pages of 4 KiB in 10 GB.
const MOST_PAGES: u32 = 2_500_000;

/// Pragmas that tell about the database.
const READ: &[&str] = &[
    "table_list",
    "table_info",
    "table_xinfo",
    "index_list",
    "index_info",
    "index_xinfo",
    "foreign_key_list",
    "foreign_key_check",
    "foreign_keys",
    "quick_check",
    "compile_options",
    "function_list",
    "page_count",
    "page_size",
    // Full-text search asks for it.
    "data_version",
    "collation_list",
];

/// Pragmas that may be set: for the transaction, or without effect within one.
const SET: &[&str] = &["defer_foreign_keys", "foreign_keys", "optimize"];

/// Modules of virtual tables that keep their data in the database.
const MODULES: &[&str] = &["fts5", "fts5vocab", "rtree", "rtree_i32"];

/// Guards one connection.
#[derive(Clone)]
pub(super) struct Guard {
    /// Statements of ours are being prepared.
    is_ours: Arc<AtomicBool>,
    deadline: Deadline,
}

/// Puts a connection under guard.
pub(super) fn set_up(connection: &mut Connection) -> rusqlite::Result<Guard> {
    for (limit, value) in LIMITS {
        connection.set_limit(limit, value)?;
    }
    connection.pragma_update(None, "max_page_count", MOST_PAGES)?;
    let guard = Guard { is_ours: Arc::default(), deadline: Deadline::watch(connection, STEPS)? };
    let is_ours = guard.is_ours.clone();
    let judge = move |context: AuthContext<'_>| {
        if is_ours.load(Ordering::Relaxed) || may(&context) {
            Authorization::Allow
        } else {
            Authorization::Deny
        }
    };
    connection.authorizer(Some(judge))?;
    Ok(guard)
}

/// As [`set_up`], for what is done on the spot: large values take long, within a single step of SQLite's machine.
pub(super) fn set_up_near(connection: &mut Connection) -> rusqlite::Result<Guard> {
    let guard = set_up(connection)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_NEAR)?;
    Ok(guard)
}

fn may(context: &AuthContext<'_>) -> bool {
    let known = |list: &[&str], name: &str| list.iter().any(|known| known.eq_ignore_ascii_case(name));
    match context.action {
        AuthAction::Unknown { .. }
        | AuthAction::Attach { .. }
        | AuthAction::Detach { .. }
        | AuthAction::Transaction { .. }
        | AuthAction::Savepoint { .. } => false,
        AuthAction::Pragma { pragma_name, pragma_value } => match pragma_value {
            None => known(READ, pragma_name) || known(SET, pragma_name),
            // A table's name, or a value.
            Some(_) => {
                known(SET, pragma_name)
                    || (known(READ, pragma_name) && !pragma_name.eq_ignore_ascii_case("page_size"))
            }
        },
        AuthAction::CreateVtable { module_name, .. } => known(MODULES, module_name),
        AuthAction::Function { function_name } => !function_name.eq_ignore_ascii_case("load_extension"),
        _ => true,
    }
}

impl Guard {
    /// Begins a transaction with `sql`, and the time that it has.
    pub(super) fn begin(&self, connection: &Connection, sql: &str) -> Result<(), StorageError> {
        self.end(connection, sql)?;
        self.deadline.give(LONGEST);
        Ok(())
    }

    /// Gives the transaction all the time that it needs: an operator is waiting, who can end it.
    pub(super) fn take_time(&self) {
        self.deadline.lift();
    }

    /// Ends a transaction with `sql`.
    pub(super) fn end(&self, connection: &Connection, sql: &str) -> Result<(), StorageError> {
        // A commit that is under way is not given up.
        self.deadline.lift();
        self.is_ours.store(true, Ordering::Relaxed);
        // Not from the cache, where a Worker's statement could find it.
        let done = connection.execute_batch(sql);
        self.is_ours.store(false, Ordering::Relaxed);
        done.map_err(statement_error)
    }
}

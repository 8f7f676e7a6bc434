//! The index of a bucket.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::{List, ListOptions, Metadata, Object, Part, Pending};
use crate::order::end_of;
use crate::sqlite::Layout;

pub(super) const LAYOUT: Layout = Layout {
    steps: &[
        "CREATE TABLE objects (
            id INTEGER PRIMARY KEY,
            key TEXT NOT NULL UNIQUE,
            version TEXT NOT NULL,
            size INTEGER NOT NULL,
            etag TEXT NOT NULL,
            uploaded_ms INTEGER NOT NULL,
            http_metadata TEXT NOT NULL,
            custom_metadata TEXT NOT NULL,
            checksums TEXT NOT NULL,
            parts TEXT NOT NULL
        ) STRICT;
        CREATE TABLE uploads (
            id TEXT PRIMARY KEY,
            key TEXT NOT NULL,
            http_metadata TEXT NOT NULL,
            custom_metadata TEXT NOT NULL,
            begun_ms INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE parts (
            upload TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            blob TEXT NOT NULL,
            size INTEGER NOT NULL,
            etag TEXT NOT NULL,
            PRIMARY KEY (upload, number)
        ) STRICT",
        "ALTER TABLE parts ADD COLUMN stored_ms INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE parts ADD COLUMN checksums TEXT NOT NULL DEFAULT '{}';
        CREATE TABLE place (
            one INTEGER PRIMARY KEY DEFAULT 1 CHECK (one = 1),
            name TEXT NOT NULL,
            folder TEXT NOT NULL
        ) STRICT;
        CREATE TABLE elsewhere (blob TEXT PRIMARY KEY) STRICT",
    ],
};

const COLUMNS: &str =
    "key, version, size, etag, uploaded_ms, http_metadata, custom_metadata, checksums, parts";

fn object(row: &Row<'_>) -> Result<Object> {
    let parts: String = row.get(8)?;
    Ok(Object {
        key: row.get(0)?,
        version: row.get(1)?,
        size: unsigned(row.get(2)?),
        etag: row.get(3)?,
        uploaded_ms: row.get(4)?,
        http_metadata: row.get(5)?,
        custom_metadata: row.get(6)?,
        checksums: row.get(7)?,
        parts: serde_json::from_str(&parts).unwrap_or_default(),
    })
}

/// The names of all files that are in use.
pub(super) fn blobs(connection: &Connection) -> Result<HashSet<String>> {
    let sql = "SELECT json_extract(part.value, '$[0]') FROM objects, json_each(objects.parts) AS part
        UNION ALL SELECT blob FROM parts";
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

pub(super) fn get(connection: &Connection, key: &str) -> Result<Option<Object>> {
    let sql = format!("SELECT {COLUMNS} FROM objects WHERE key = ?1");
    connection.prepare_cached(&sql)?.query_row([key], object).optional()
}

pub(super) fn put(connection: &Connection, object: &Object) -> Result<()> {
    let sql =
        format!("INSERT OR REPLACE INTO objects ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    let parts = serde_json::json!(object.parts).to_string();
    connection.prepare_cached(&sql)?.execute(params![
        object.key,
        object.version,
        signed(object.size),
        object.etag,
        object.uploaded_ms,
        object.http_metadata,
        object.custom_metadata,
        object.checksums,
        parts,
    ])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, key: &str) -> Result<()> {
    connection.prepare_cached("DELETE FROM objects WHERE key = ?1")?.execute([key]).map(|_| ())
}

pub(super) fn list(connection: &Connection, options: &ListOptions, limit: usize) -> Result<List> {
    let sql = format!(
        "SELECT {COLUMNS} FROM objects WHERE key >= ?1 AND key > ?2 AND (?3 IS NULL OR key < ?3) ORDER BY key"
    );
    let after = options.after.as_deref().unwrap_or_default();
    let end = end_of(&options.prefix);
    let mut from = options.from.clone().unwrap_or_default().max(options.prefix.clone());
    let mut list = List::default();
    let mut statement = connection.prepare_cached(&sql)?;
    'again: loop {
        let mut rows = statement.query(params![from, after, end])?;
        while let Some(row) = rows.next()? {
            let object = object(row)?;
            let group = options.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()).and_then(
                |delimiter| {
                    let rest = object.key.get(options.prefix.len()..)?;
                    let at = rest.find(delimiter)? + delimiter.len();
                    object.key.get(..options.prefix.len() + at).map(str::to_owned)
                },
            );
            if list.objects.len() + list.prefixes.len() >= limit {
                list.next = Some(object.key);
                return Ok(list);
            }
            match group {
                None => list.objects.push(object),
                Some(group) => {
                    // The rest of the group is skipped, however large it is.
                    let next = end_of(&group);
                    list.prefixes.push(group);
                    match next {
                        Some(next) => from = next,
                        None => return Ok(list),
                    }
                    continue 'again;
                }
            }
        }
        return Ok(list);
    }
}

pub(super) fn create_upload(
    connection: &Connection,
    id: &str,
    key: &str,
    metadata: &Metadata,
    now: i64,
) -> Result<()> {
    let sql = "INSERT INTO uploads VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![id, key, metadata.http, metadata.custom, now];
    connection.prepare_cached(sql)?.execute(values).map(|_| ())
}

pub(super) fn upload(connection: &Connection, id: &str, key: &str, oldest: i64) -> Result<Option<Metadata>> {
    let sql =
        "SELECT http_metadata, custom_metadata FROM uploads WHERE id = ?1 AND key = ?2 AND begun_ms >= ?3";
    let metadata = |row: &Row<'_>| Ok(Metadata { http: row.get(0)?, custom: row.get(1)? });
    connection.prepare_cached(sql)?.query_row(params![id, key, oldest], metadata).optional()
}

pub(super) fn uploads(
    connection: &Connection,
    prefix: &str,
    (key, id): &(String, String),
    oldest: i64,
    most: u32,
) -> Result<Vec<Pending>> {
    let sql = "SELECT key, id, begun_ms FROM uploads
        WHERE key >= ?1 AND (?2 IS NULL OR key < ?2) AND (key, id) > (?3, ?4) AND begun_ms >= ?5
        ORDER BY key, id LIMIT ?6";
    let pending =
        |row: &Row<'_>| Ok(Pending { key: row.get(0)?, upload: row.get(1)?, begun_ms: row.get(2)? });
    let values = params![prefix, end_of(prefix), key, id, oldest, most];
    connection.prepare_cached(sql)?.query_map(values, pending)?.collect()
}

/// Gives up uploads that were begun before. Gives the files of their parts.
pub(super) fn forget_older(connection: &Connection, oldest: i64) -> Result<Vec<String>> {
    let sql = "SELECT blob FROM parts WHERE upload IN (SELECT id FROM uploads WHERE begun_ms < ?1)";
    let mut statement = connection.prepare_cached(sql)?;
    let blobs = statement.query_map([oldest], |row| row.get(0))?.collect::<Result<_>>()?;
    connection.prepare_cached("DELETE FROM uploads WHERE begun_ms < ?1")?.execute([oldest])?;
    Ok(blobs)
}

/// Gives the file of the part that was replaced.
pub(super) fn put_part(connection: &Connection, upload: &str, part: &Part) -> Result<Option<String>> {
    let sql = "SELECT blob FROM parts WHERE upload = ?1 AND number = ?2";
    let before = connection.prepare_cached(sql)?.query_row(params![upload, part.number], |row| row.get(0));
    let sql = "INSERT OR REPLACE INTO parts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let values =
        params![upload, part.number, part.blob, signed(part.size), part.etag, part.stored_ms, part.checksums];
    connection.prepare_cached(sql)?.execute(values)?;
    before.optional()
}

pub(super) fn parts(connection: &Connection, upload: &str, after: u32, most: u32) -> Result<Vec<Part>> {
    let sql =
        "SELECT number, blob, size, etag, stored_ms, checksums FROM parts WHERE upload = ?1 AND number > ?2
        ORDER BY number LIMIT ?3";
    let part = |row: &Row<'_>| {
        Ok(Part {
            number: row.get(0)?,
            blob: row.get(1)?,
            size: unsigned(row.get(2)?),
            etag: row.get(3)?,
            stored_ms: row.get(4)?,
            checksums: row.get(5)?,
        })
    };
    connection.prepare_cached(sql)?.query_map(params![upload, after, most], part)?.collect()
}

pub(super) fn forget_upload(connection: &Connection, upload: &str) -> Result<()> {
    connection.prepare_cached("DELETE FROM uploads WHERE id = ?1")?.execute([upload]).map(|_| ())
}

/// SQLite's integers have a sign.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}

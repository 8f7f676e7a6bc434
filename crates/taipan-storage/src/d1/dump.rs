//! A database as a script that makes it again.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};

use super::DumpOptions;
use crate::hex::hex;

pub(super) fn dump(connection: &Connection, options: &DumpOptions) -> Result<String> {
    let mut out = "PRAGMA defer_foreign_keys=TRUE;\n".to_owned();
    // Shadow tables come with their virtual table.
    let sql =
        "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')
        AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND (?1 IS NULL OR name = ?1) ORDER BY name";
    let tables: Vec<String> =
        connection.prepare(sql)?.query_map([&options.table], |row| row.get(0))?.collect::<Result<_>>()?;
    for table in &tables {
        if !options.no_schema {
            let sql = "SELECT sql FROM sqlite_schema WHERE name = ?1 AND type = 'table'";
            let made: String = connection.query_row(sql, [table], |row| row.get(0))?;
            out.push_str(&format!("{made};\n"));
        }
        if !options.no_data {
            rows(connection, table, &mut out)?;
        }
    }
    if !options.no_schema {
        let sql =
            "SELECT sql FROM sqlite_schema WHERE type IN ('index', 'trigger', 'view') AND sql IS NOT NULL
            AND (?1 IS NULL OR tbl_name = ?1) ORDER BY type = 'trigger', rowid";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([&options.table])?;
        while let Some(row) = rows.next()? {
            out.push_str(&format!("{};\n", row.get::<_, String>(0)?));
        }
    }
    Ok(out)
}

fn rows(connection: &Connection, table: &str, out: &mut String) -> Result<()> {
    // What is generated cannot be inserted.
    let sql = "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0";
    let columns: Vec<String> =
        connection.prepare(sql)?.query_map([table], |row| row.get(0))?.collect::<Result<_>>()?;
    let names = columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",");
    let mut statement = connection.prepare(&format!("SELECT {names} FROM {}", quoted(table)))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let values =
            (0..columns.len()).map(|i| row.get_ref(i).map(literal)).collect::<Result<Vec<_>>>()?.join(",");
        out.push_str(&format!("INSERT INTO {} ({names}) VALUES({values});\n", quoted(table)));
    }
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) if value.is_infinite() => {
            if value > 0.0 { "9e999" } else { "-9e999" }.to_owned()
        }
        ValueRef::Real(value) => format!("{value:?}"),
        ValueRef::Text(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            match text.contains('\0') {
                // A script ends at its first NUL.
                true => format!("CAST(X'{}' AS TEXT)", hex(bytes)),
                false => format!("'{}'", text.replace('\'', "''")),
            }
        }
        ValueRef::Blob(bytes) => format!("X'{}'", hex(bytes)),
    }
}

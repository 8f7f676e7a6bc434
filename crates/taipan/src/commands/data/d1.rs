//! `taipan d1 …`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use fs_err as fs;
use serde::Deserialize;
use serde_json::{Value, json};
use taipan_server::percent_encoded;
use taipan_storage::d1::{D1Database, Done, DumpOptions, Statement};
use ureq::http::Method;

use super::remote::Remote;
use super::{Place, Project, migrations, told, unknown, wait};
use crate::cli::data::{D1Args, D1Command};
use crate::console::counted;

pub(crate) fn run(args: D1Args) -> Result<ExitCode> {
    let project = Project::load(args.data)?;
    match args.command {
        D1Command::List { json } => list(&project, json)?,
        D1Command::Info { database, json } => info(&project, &database.name, json)?,
        D1Command::Execute { database, command, file, json, .. } => {
            let sql = match (command, file) {
                (_, Some(file)) => fs::read_to_string(file)?,
                (command, None) => command.unwrap_or_default(),
            };
            let done = open(&project, &database.name)?.execute(sql)?;
            show(&done, json)?;
        }
        D1Command::Export { database, output, table, no_schema, no_data, .. } => {
            let sql = open(&project, &database.name)?.dump(DumpOptions { table, no_data, no_schema })?;
            match output {
                Some(file) => fs::write(file, sql)?,
                None => anstream::print!("{sql}"),
            }
        }
        D1Command::Import { database, file } => import(&open(&project, &database.name)?, &file)?,
        D1Command::Migrations(command) => migrations::run(&project, command)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(project: &Project, as_json: bool) -> Result<()> {
    let known = project.config.bindings.d1_databases.iter();
    let rows: Vec<Value> = known.map(|d1| json!([d1.name, d1.binding, d1.id])).collect();
    present(&["name", "binding", "uuid"], rows, as_json)
}

/// What a database takes, and how many tables it has.
fn info(project: &Project, name: &str, as_json: bool) -> Result<()> {
    let sql = "SELECT (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size),
        (SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\')";
    let done = open(project, name)?.execute(sql.to_owned())?;
    let rows = done.first().map(|done| serde_json::from_str(&done.rows)).transpose()?;
    present(&["database_size", "num_tables"], rows.unwrap_or_default(), as_json)
}

/// Prints rows of ours as those of statements.
fn present(columns: &[&str], rows: Vec<Value>, as_json: bool) -> Result<()> {
    let columns = columns.iter().map(|name| (*name).to_owned()).collect();
    let rows = Value::from(rows).to_string();
    let made = Outcome { columns, rows, duration: 0.0, rows_read: 0, rows_written: 0, changes: 0 };
    match as_json {
        true => anstream::println!("{}", serde_json::to_string_pretty(&objects(&made)?)?),
        false => table(&made)?,
    }
    Ok(())
}

/// The configuration of a database and the database.
pub(super) fn find<'a>(project: &'a Project, name: &str) -> Result<&'a taipan_config::D1Database> {
    let known = &project.config.bindings.d1_databases;
    let found =
        known.iter().find(|d1| d1.name.as_deref() == Some(name) || d1.binding == name || d1.id == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|d1| d1.name.as_deref().unwrap_or(&d1.binding)).collect();
        unknown("database", name, &names, "d1_databases")
    })
}

pub(super) fn open(project: &Project, name: &str) -> Result<Database> {
    let id = &find(project, name)?.id;
    Ok(match project.data()? {
        Place::Here(folder) => Database::Here(told(D1Database::open(&folder, id))?),
        Place::There(remote) => Database::There(remote, format!("d1/{}", percent_encoded(id))),
    })
}

pub(super) enum Database {
    Here(D1Database),
    There(Remote, String),
}

/// What a statement did.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    columns: Vec<String>,
    /// A JSON list of lists.
    rows: String,
    duration: f64,
    rows_read: u64,
    rows_written: u64,
    changes: u64,
}

impl Outcome {
    pub(super) fn is_empty(&self) -> bool {
        self.rows == "[]"
    }
}

impl From<Done> for Outcome {
    fn from(done: Done) -> Self {
        let Done { rows, duration_ms: duration, rows_read, rows_written, changes, .. } = done;
        Self { columns: rows.columns, rows: rows.json, duration, rows_read, rows_written, changes }
    }
}

impl Database {
    /// Runs a script.
    pub(super) fn execute(&self, sql: String) -> Result<Vec<Outcome>> {
        match self {
            Self::Here(store) => {
                let done = wait(|reply| store.execute(sql, reply))?;
                Ok(done.into_iter().map(Outcome::from).collect())
            }
            Self::There(remote, path) => query(remote, path, &json!({ "sql": sql })),
        }
    }

    /// Runs one statement with texts as its parameters.
    pub(super) fn run(&self, sql: String, params: &[&str]) -> Result<Vec<Outcome>> {
        match self {
            Self::Here(store) => {
                let params = params.iter().map(|text| taipan_storage::d1::Value::Text((*text).to_owned()));
                let statement = Statement { sql, params: params.collect() };
                let done = wait(|reply| store.run(vec![statement], reply))?;
                Ok(done.into_iter().map(Outcome::from).collect())
            }
            Self::There(remote, path) => query(remote, path, &json!({ "sql": sql, "params": params })),
        }
    }

    fn dump(&self, options: DumpOptions) -> Result<String> {
        match self {
            Self::Here(store) => wait(|reply| store.dump(options, reply)),
            Self::There(remote, path) => {
                let is = |is: bool| if is { "true" } else { "" };
                let (table, path) = (options.table.unwrap_or_default(), format!("{path}/dump"));
                let query = [
                    ("table", table.as_str()),
                    ("no_data", is(options.no_data)),
                    ("no_schema", is(options.no_schema)),
                ];
                let sql = remote.bytes(&path, &query)?.unwrap_or_default();
                Ok(String::from_utf8(sql)?)
            }
        }
    }
}

fn query(remote: &Remote, path: &str, question: &Value) -> Result<Vec<Outcome>> {
    let done = remote.json(Method::POST, &format!("{path}/query"), &[], &question.to_string())?;
    Ok(serde_json::from_value(done)?)
}

fn import(store: &Database, file: &Path) -> Result<()> {
    let done = store.execute(fs::read_to_string(file)?)?;
    anstream::eprintln!("Ran {}", counted(done.len(), "statement"));
    Ok(())
}

/// Prints what statements gave.
fn show(done: &[Outcome], as_json: bool) -> Result<()> {
    if as_json {
        let shown = done.iter().map(|done| {
            let results: Vec<Value> = objects(done)?.into_iter().map(Value::Object).collect();
            let meta =
                json!({ "duration": done.duration, "changes": done.changes, "rows_read": done.rows_read });
            Ok(json!({ "results": results, "success": true, "meta": meta }))
        });
        let shown = shown.collect::<Result<Vec<Value>>>()?;
        anstream::println!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    for done in done.iter().filter(|done| !done.columns.is_empty()) {
        table(done)?;
    }
    let written: u64 = done.iter().map(|done| done.rows_written).sum();
    let rows = counted(usize::try_from(written).unwrap_or(usize::MAX), "row");
    anstream::eprintln!("Ran {}: {rows} written", counted(done.len(), "statement"));
    Ok(())
}

type Object = serde_json::Map<String, Value>;

fn objects(done: &Outcome) -> Result<Vec<Object>> {
    let rows: Vec<Vec<Value>> = serde_json::from_str(&done.rows)?;
    let object = |row: Vec<Value>| done.columns.iter().cloned().zip(row).collect();
    Ok(rows.into_iter().map(object).collect())
}

/// Columns as wide as what is in them.
fn table(done: &Outcome) -> Result<()> {
    let rows: Vec<Vec<Value>> = serde_json::from_str(&done.rows)?;
    let cell = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "NULL".to_owned(),
        other => other.to_string(),
    };
    let mut lines: Vec<Vec<String>> = vec![done.columns.clone()];
    lines.extend(rows.iter().map(|row| row.iter().map(cell).collect()));
    let mut widths = vec![0; done.columns.len()];
    for line in &lines {
        for (width, text) in widths.iter_mut().zip(line) {
            *width = text.chars().count().max(*width);
        }
    }
    for line in lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(text, width)| format!("{text:width$}")).collect();
        anstream::println!("{}", cells.join("  ").trim_end());
    }
    Ok(())
}

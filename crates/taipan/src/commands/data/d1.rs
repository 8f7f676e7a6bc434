//! `taipan d1 …`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use fs_err as fs;
use serde_json::{Value, json};
use taipan_storage::d1::{D1Database, Done, DumpOptions};

use super::{Project, migrations, told, unknown, wait};
use crate::cli::data::{D1Args, D1Command};

pub(crate) fn run(args: D1Args) -> Result<ExitCode> {
    let project = Project::load(args.data)?;
    match args.command {
        D1Command::Execute { database, command, file, json, .. } => {
            let sql = match (command, file) {
                (_, Some(file)) => fs::read_to_string(file)?,
                (command, None) => command.unwrap_or_default(),
            };
            let store = open(&project, &database.name)?;
            let done = wait(|reply| store.execute(sql, reply))?;
            show(&done, json)?;
        }
        D1Command::Export { database, output, table, no_schema, no_data } => {
            let store = open(&project, &database.name)?;
            let sql = wait(|reply| store.dump(DumpOptions { table, no_data, no_schema }, reply))?;
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

pub(super) fn open(project: &Project, name: &str) -> Result<D1Database> {
    told(D1Database::open(&project.data()?, &find(project, name)?.id))
}

fn import(store: &D1Database, file: &Path) -> Result<()> {
    let sql = fs::read_to_string(file)?;
    let done = wait(|reply| store.execute(sql, reply))?;
    anstream::eprintln!("Ran {} statements", done.len());
    Ok(())
}

/// Prints what statements gave.
fn show(done: &[Done], as_json: bool) -> Result<()> {
    if as_json {
        let shown = done.iter().map(|done| {
            let results: Vec<Value> = objects(done)?.into_iter().map(Value::Object).collect();
            let meta =
                json!({ "duration": done.duration_ms, "changes": done.changes, "rows_read": done.rows_read });
            Ok(json!({ "results": results, "success": true, "meta": meta }))
        });
        let shown = shown.collect::<Result<Vec<Value>>>()?;
        anstream::println!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    for done in done.iter().filter(|done| !done.rows.columns.is_empty()) {
        table(done)?;
    }
    let written: u64 = done.iter().map(|done| done.rows_written).sum();
    anstream::eprintln!("Ran {} statements: {written} rows written", done.len());
    Ok(())
}

type Object = serde_json::Map<String, Value>;

fn objects(done: &Done) -> Result<Vec<Object>> {
    let rows: Vec<Vec<Value>> = serde_json::from_str(&done.rows.json)?;
    let object = |row: Vec<Value>| done.rows.columns.iter().cloned().zip(row).collect();
    Ok(rows.into_iter().map(object).collect())
}

/// Columns as wide as what is in them.
fn table(done: &Done) -> Result<()> {
    let rows: Vec<Vec<Value>> = serde_json::from_str(&done.rows.json)?;
    let cell = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "NULL".to_owned(),
        other => other.to_string(),
    };
    let mut lines: Vec<Vec<String>> = vec![done.rows.columns.clone()];
    lines.extend(rows.iter().map(|row| row.iter().map(cell).collect()));
    let mut widths = vec![0; done.rows.columns.len()];
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

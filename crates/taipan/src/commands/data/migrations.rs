//! `taipan d1 migrations …`: files of SQL that are run once each, in the order of their names. Which have been is in a table of the
//! database, as wrangler has it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fs_err as fs;

use super::d1::{Database, Outcome};
use super::{Project, d1};
use crate::cli::data::MigrationsCommand;
use crate::console::counted;

pub(super) fn run(project: &Project, command: MigrationsCommand) -> Result<()> {
    let name = match &command {
        MigrationsCommand::List { database }
        | MigrationsCommand::Apply { database }
        | MigrationsCommand::Create { database, .. } => &database.name,
    };
    let config = d1::find(project, name)?;
    let folder = project.config.root.join(&config.migrations_dir);
    let open = || d1::open(project, name);
    match command {
        MigrationsCommand::Create { message, .. } => create(&folder, &message),
        MigrationsCommand::List { .. } => {
            let ahead = ahead(&open()?, &folder, &config.migrations_table)?;
            if ahead.is_empty() {
                anstream::eprintln!("No migrations to apply");
            }
            for name in ahead {
                anstream::println!("{name}");
            }
            Ok(())
        }
        MigrationsCommand::Apply { .. } => {
            let store = open()?;
            let ahead = ahead(&store, &folder, &config.migrations_table)?;
            for name in &ahead {
                let sql = fs::read_to_string(folder.join(name))?;
                let note = format!(
                    "INSERT INTO {} (name) VALUES ('{}')",
                    quoted(&config.migrations_table),
                    name.replace('\'', "''")
                );
                // In one transaction: a migration that fails leaves nothing, and is the next one still.
                let sql = format!("{sql}\n;\n{note}");
                store
                    .execute(sql)
                    .with_context(|| format!("cannot apply migration: {}", folder.join(name).display()))?;
                anstream::println!("{name}");
            }
            anstream::eprintln!("Applied {}", counted(ahead.len(), "migration"));
            Ok(())
        }
    }
}

fn create(folder: &Path, message: &str) -> Result<()> {
    let last = files(folder)?.iter().filter_map(|name| name.split('_').next()?.parse::<u32>().ok()).max();
    let words: Vec<&str> =
        message.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let name = format!("{:04}_{}.sql", last.unwrap_or_default() + 1, words.join("_"));
    fs::create_dir_all(folder)?;
    let file = folder.join(&name);
    fs::write(&file, format!("-- Migration: {message}\n"))?;
    anstream::println!("{}", file.display());
    Ok(())
}

/// The migrations in the folder, in order.
fn files(folder: &Path) -> Result<Vec<String>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = PathBuf::from(entry?.file_name());
        if name.extension().is_some_and(|extension| extension == "sql")
            && let Some(name) = name.to_str()
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Those that have not been applied.
fn ahead(store: &Database, folder: &Path, table: &str) -> Result<Vec<String>> {
    let table = quoted(table);
    let made = format!(
        "CREATE TABLE IF NOT EXISTS {table} (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT UNIQUE,
            applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
        )"
    );
    store.execute(made)?;
    let mut ahead = Vec::new();
    for name in files(folder)? {
        let sql = format!("SELECT 1 FROM {table} WHERE name = ?");
        if store.run(sql, &[&name])?.first().is_none_or(Outcome::is_empty) {
            ahead.push(name);
        }
    }
    Ok(ahead)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

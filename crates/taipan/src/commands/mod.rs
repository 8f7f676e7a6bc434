//! What each command does.

mod cache;
mod dev;
mod python;
mod snapshot;

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{Cli, Command, SnapshotCommand};
use crate::settings::{DevSettings, PythonSettings};

/// Runs a command and says how the process is to end.
pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Dev(args) => dev::run(DevSettings::new(args)?),
        Command::Python(args) => python::run(PythonSettings::new(args)?),
        Command::Snapshot(SnapshotCommand::Inspect(args)) => snapshot::inspect(args),
        Command::Cache(args) => cache::run(args),
    }
}

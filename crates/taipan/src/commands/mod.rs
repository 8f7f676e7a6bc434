//! What each command does.

mod builder;
mod cache;
mod data;
mod deploy;
mod deployed;
mod dev;
mod packages;
mod python;
mod serve;
mod snapshot;
mod types;

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{Cli, Command, SnapshotCommand};
use crate::settings::{
    DeploySettings, DevSettings, ProjectSettings, PythonSettings, ServeSettings, TypesSettings,
};

/// Runs a command and says how the process is to end.
pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Dev(args) => dev::run(DevSettings::new(args)?),
        Command::Serve(args) => serve::run(ServeSettings::new(args)?),
        Command::Deploy(args) => deploy::run(&DeploySettings::new(args)?),
        Command::Secret(command) => deployed::secret(command),
        Command::Deployments(command) => deployed::deployments(command),
        Command::Rollback(args) => deployed::rollback(args),
        Command::Delete(args) => deployed::delete(args),
        Command::Add(args) => packages::add(&ProjectSettings::new(args.project)?, &args.requirements),
        Command::Remove(args) => packages::remove(&ProjectSettings::new(args.project)?, &args.names),
        Command::Sync(args) => packages::sync(&ProjectSettings::new(args)?),
        Command::Lock(args) => packages::lock(&ProjectSettings::new(args.project)?, args.upgrade),
        Command::Tree(args) => packages::tree(&ProjectSettings::new(args)?),
        Command::Why(args) => packages::why(&ProjectSettings::new(args.project)?, &args.name),
        Command::Python(args) => python::run(PythonSettings::new(args)?),
        Command::Kv(args) => data::kv(args),
        Command::D1(args) => data::d1(args),
        Command::R2(args) => data::r2(args),
        Command::Analytics(args) => data::analytics(args),
        Command::Queues(args) => data::queues(args),
        Command::Types(args) => types::run(TypesSettings::new(args)?),
        Command::Snapshot(SnapshotCommand::Inspect(args)) => snapshot::inspect(args),
        Command::Cache(args) => cache::run(args),
        Command::BuildSnapshots(args) => builder::run(args),
    }
}

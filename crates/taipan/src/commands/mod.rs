//! What each command does.

mod dev;

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{Cli, Command};
use crate::settings::DevSettings;

/// Runs a command and says how the process is to end.
pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Dev(args) => dev::run(DevSettings::new(args)?),
    }
}

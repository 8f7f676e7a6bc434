//! The command line. What can be typed is in [`cli`], what it comes to together with environment variables is in
//! [`settings`], what happens then is in [`commands`].

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod dev;
mod env_vars;
mod report;
mod settings;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match commands::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            report::print(&error);
            ExitCode::FAILURE
        }
    }
}

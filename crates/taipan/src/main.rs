//! The command line. What can be typed is in [`cli`], what it comes to together with environment variables is in
//! [`settings`], what happens then is in [`commands`].
//! What belongs to one command alone is in the folder of its name; what several have in common lies beside it.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod console;
mod deploy;
mod dev;
mod env_vars;
mod imports;
mod interrupts;
mod object_stores;
mod packages;
mod program;
mod progress;
mod project;
mod python;
mod release;
mod report;
mod runtime;
mod serving;
mod settings;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    taipan_engine::survive_file_size_limit();
    // What libraries have to say to the operator, such as that a damaged cache is being repaired.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .init();
    match commands::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            report::print(&error);
            ExitCode::FAILURE
        }
    }
}

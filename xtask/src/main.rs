//! Chores that need more than a shell script; `./x` calls them.
#![forbid(unsafe_code)]

mod bench;
mod check;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(about = "Chores of the taipan repository")]
enum Chore {
    /// Checks the rules of the house that no other tool knows.
    Check,
    /// Measures taipan beside a peer.
    Bench(bench::Options),
}

/// The root of the repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}

fn main() -> Result<ExitCode> {
    match Chore::parse() {
        Chore::Check => check::run(&root()),
        Chore::Bench(options) => bench::run(&root(), &options),
    }
}

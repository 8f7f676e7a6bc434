//! Chores that need more than a shell script; `./x` calls them.
#![forbid(unsafe_code)]

mod bench;
mod check;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(about = "Chores of the taipan repository")]
enum Chore {
    /// Checks the rules of the house that no other tool knows.
    Check,
    /// Measures taipan beside a peer.
    Bench(bench::Options),
    /// Makes the folder of wheels with native code for Python 3.12 that tests use, and prints where it is.
    Mirror,
    /// Compares translated exceptions with Node's on random modules until they differ.
    FuzzExceptions {
        /// The first seed, and how many; without a number it does not end.
        #[arg(num_args = 0..=2)]
        seeds: Vec<u64>,
    },
}

/// The root of the repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}

fn main() -> Result<ExitCode> {
    match Chore::parse() {
        Chore::Check => check::run(&root()),
        Chore::Bench(options) => bench::run(&root(), &options),
        Chore::Mirror => {
            let target =
                std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
            println!("{}", taipan_testkit::mirror::wheels(&target.join("tools"))?.display());
            Ok(ExitCode::SUCCESS)
        }
        Chore::FuzzExceptions { seeds } => fuzz_exceptions(&seeds),
    }
}

/// The harness is an example of `taipan-wasm`, beside the test with the fixed seed, so that nothing else has to
/// build Wasmtime for it.
fn fuzz_exceptions(seeds: &[u64]) -> Result<ExitCode> {
    let status = Command::new("cargo")
        .args(["run", "--release", "--package", "taipan-wasm", "--example", "fuzz_exceptions", "--"])
        .args(seeds.iter().map(u64::to_string))
        .current_dir(root())
        .status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

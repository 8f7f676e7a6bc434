//! Measures taipan beside its peers, taking turns in one run: what slows the machine down slows both.
//!
//! Every figure is the median of its samples. `bench/README.md` says what each benchmark is.

mod buckets;
mod clients;
mod cold_start;
mod density;
mod http;
mod inside;
mod load;
mod numpy;
mod packages;
mod program;
mod reload;
mod requests;
mod soak;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

#[derive(Args)]
pub(crate) struct Options {
    /// The benchmark: cold-start, reload, density, packages, requests, soak, http, or a module of bench/worker.
    name: String,
    /// Print one JSON object per row instead of a table.
    #[arg(long)]
    json: bool,
    /// Samples of each side per case [default: 50, for modules of bench/worker 7, for requests 5].
    #[arg(long)]
    rounds: Option<usize>,
    /// The taipan binary.
    #[arg(long)]
    taipan: PathBuf,
    /// The binary of bench/harness.
    #[arg(long)]
    harness: PathBuf,
    /// The unpacked npm package `pyodide`.
    #[arg(long)]
    pyodide: PathBuf,
    /// A folder with `fastapi`, the Worker of that name with its packages, and `native`, the same packages for python3; the
    /// caches go there as well.
    #[arg(long)]
    folder: PathBuf,
}

impl Options {
    fn rounds(&self, default: usize) -> usize {
        self.rounds.unwrap_or(default).max(1)
    }
}

/// Runs one benchmark and prints its rows.
pub(crate) fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    match &*options.name {
        "cold-start" => cold_start::run(root, options)?,
        "packages" => packages::run(root, options)?,
        "reload" => reload::run(root, options)?,
        "density" => density::run(root, options)?,
        "http" => http::run(root, options)?,
        "requests" => requests::run(root, options)?,
        "soak" => soak::run(root, options)?,
        _ => inside::run(root, options)?,
    }
    Ok(ExitCode::SUCCESS)
}

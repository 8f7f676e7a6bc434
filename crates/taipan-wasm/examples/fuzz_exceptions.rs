//! Compares legacy exceptions in Node with lowered ones in Wasmtime on random modules until they differ.
//!
//! `cargo run --release -p taipan-wasm --example fuzz_exceptions -- [FIRST_SEED [COUNT]]`; without a count it does not end.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};

#[path = "../tests/rewriting/exceptions/mod.rs"]
mod exceptions;

/// Modules for one process of Node.
const BATCH: u64 = 200;

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        |what: &str| arguments.next().map(|text| text.parse().with_context(|| format!("{what}: {text}")));
    let mut seed: u64 = number("not a seed").transpose()?.unwrap_or(1);
    let mut left: u64 = number("not a count").transpose()?.unwrap_or(u64::MAX);

    let mut runs = 0;
    while left > 0 {
        let count = left.min(BATCH);
        let dir = tempfile::tempdir()?;
        let report = exceptions::differential(seed, count, dir.path())?;
        runs += report.runs;
        if !report.differences.is_empty() {
            for (node, wasmtime) in &report.differences {
                println!("Node:     {node}\nWasmtime: {wasmtime}");
            }
            println!("modules kept in: {}", dir.keep().display());
            return Ok(ExitCode::FAILURE);
        }
        seed += count;
        left -= count;
        println!("same in {runs} runs; next seed: {seed}");
        std::io::stdout().flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

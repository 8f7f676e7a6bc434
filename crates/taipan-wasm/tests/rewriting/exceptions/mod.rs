//! Legacy exceptions run natively by Node against lowered ones run by Wasmtime.
//!
//! A [`Program`] is some modules with a common interface, known to both runners: every call of every `run…` export with
//! every argument gives one line that says what came of it, and the lines must be the same.

pub(crate) mod engine;
pub(crate) mod generator;
pub(crate) mod node;

#[cfg(test)]
mod hand;
#[cfg(test)]
mod mutants;
#[cfg(test)]
mod random;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use taipan_wasm::{Options, Output, features, rewrite};
use wasmparser::Validator;

/// What each `run…` export is called with.
pub(crate) const ARGUMENTS: [i32; 8] = [0, 1, 2, 3, 4, 5, 6, 11];

/// Modules that are instantiated one after the other, anew for each call.
///
/// All may import `env.host`, a function of two `i32` that returns what the importing module's `cb` returns for them; the
/// tags `env.t0/1` (`i32`) and `env.t1/2` (`i32 i64`); and the exports of the first module as `m0`, and so on. Exported
/// tags end in `/` and the number of their values. The last module is called, and its exported globals are looked at.
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) modules: Vec<Vec<u8>>,
}

impl Program {
    /// The program that the generator makes of a seed.
    pub(crate) fn random(seed: u64) -> Self {
        Self { name: seed.to_string(), modules: vec![generator::module(seed)] }
    }
}

/// What was compared.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Calls, each run twice.
    pub(crate) runs: usize,
    /// Those that ended in an exception.
    pub(crate) thrown: usize,
    /// Instructions in the programs.
    pub(crate) rethrows: usize,
    pub(crate) delegates: usize,
    pub(crate) landings: usize,
    /// Line pairs that differ: Node's first.
    pub(crate) differences: Vec<(String, String)>,
}

/// Runs the programs of `count` seeds both ways. Leaves the modules in `dir`.
pub(crate) fn differential(first_seed: u64, count: u64, dir: &Path) -> Result<Report> {
    let programs: Vec<_> = (first_seed..first_seed + count).map(Program::random).collect();
    compare(&programs, dir, |wasm| Ok(lower(wasm)?.wasm))
}

/// Runs programs both ways, `lower` making the modules for Wasmtime.
pub(crate) fn compare(
    programs: &[Program],
    dir: &Path,
    lower: impl Fn(&[u8]) -> Result<Vec<u8>>,
) -> Result<Report> {
    let expected = node::run(programs, dir)?;
    let mut report = Report::default();
    let mut lowered = Vec::new();
    for program in programs {
        let mut modules = Vec::new();
        for wasm in &program.modules {
            let stats =
                self::lower(wasm).with_context(|| format!("cannot lower program {}", program.name))?.stats;
            report.rethrows += stats.rethrows;
            report.delegates += stats.delegates;
            report.landings += stats.landings;
            modules.push(lower(wasm)?);
        }
        lowered.push(Program { name: program.name.clone(), modules });
    }
    let actual = engine::run(&lowered)?;
    ensure!(expected.len() == actual.len(), "Node made {} calls, Wasmtime {}", expected.len(), actual.len());
    report.runs = actual.len();
    report.thrown = actual.iter().filter(|line| line.contains(": threw ")).count();
    report.differences =
        expected.into_iter().zip(actual).filter(|(expected, actual)| expected != actual).collect();
    Ok(report)
}

/// Lowers exceptions and nothing else, and checks that the result is valid.
pub(crate) fn lower(wasm: &[u8]) -> Result<Output> {
    let output = rewrite(wasm, &Options { lower_exceptions: true, ..Options::default() })?;
    Validator::new_with_features(features::OUTPUT)
        .validate_all(&output.wasm)
        .context("the lowered module")?;
    Ok(output)
}

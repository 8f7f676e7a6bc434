//! What many isolates take.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;
use taipan_testkit::process::Memory;

use super::Options;
use super::program::{Lines, Served, uvicorn};
use super::table::{Sample, Table};

pub(super) const MIB: f64 = (1 << 20) as f64;
const IDLE: usize = 200;
const WORKERS: usize = 1000;
const ISOLATES: usize = 5000;

/// More than [`ISOLATES`] have.
const MAPPINGS: u64 = 1 << 20;
const MAX_MAP_COUNT: &str = "/proc/sys/vm/max_map_count";

pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let table = Table::new(options, "density")?;
    let hello = json!({ "folder": root.join("examples/hello/src"), "path": "/" });
    let isolates = |count: usize| json!({ "ask": "isolates", "worker": hello, "count": count });
    let memory = json!({ "ask": "memory" });

    let mut harness = Lines::harness(options)?;
    // Makes the snapshot, and runs once what is needed only once.
    harness.figures(&isolates(1))?;
    let before = harness.figures(&memory)?;
    harness.figures(&isolates(IDLE))?;
    let after = harness.figures(&memory)?;
    let each = |name| Ok::<_, anyhow::Error>((get(&after, name)? - get(&before, name)?) / IDLE as f64);
    let private = each("private dirty")? / MIB;
    let case = "idle isolate after one request, private dirty";
    table.row(&format!("{case} | uvicorn"), private, Some(of_uvicorn(root, options)?), "MiB")?;
    table.row(&format!("{case} | Pyodide on Node"), private, Some(of_pyodide(root, options)?), "MiB")?;
    table.row("idle isolate after one request, mappings", each("mappings")?, None, "")?;
    drop(harness);

    let mut harness = Lines::harness(options)?;
    let took = harness.figures(&json!({ "ask": "workers", "count": WORKERS }))?;
    // Pages of files that were not yet written back would count as the process's own.
    Command::new("sync").status().context("cannot run sync")?;
    let case = format!("{WORKERS} different Workers");
    sums(&table, &case, &harness.figures(&memory)?)?;
    times(&table, &case, &took)?;
    drop(harness);

    let _allowed = Mappings::allow(MAPPINGS)?;
    // A virtual machine gets memory from its host when it first touches it, which takes longer than the restore.
    Lines::harness(options)?.figures(&isolates(ISOLATES))?;
    let mut harness = Lines::harness(options)?;
    let took = harness.figures(&isolates(ISOLATES))?;
    let case = format!("{ISOLATES} isolates of one Worker");
    sums(&table, &case, &harness.figures(&memory)?)?;
    times(&table, &case, &took)
}

pub(super) fn get(sample: &Sample, name: &str) -> Result<f64> {
    sample.get(name).copied().with_context(|| format!("the harness does not say: {name}"))
}

fn sums(table: &Table<'_>, case: &str, now: &Sample) -> Result<()> {
    table.row(&format!("{case}, PSS"), get(now, "pss")? / MIB, None, "MiB")?;
    table.row(&format!("{case}, private dirty"), get(now, "private dirty")? / MIB, None, "MiB")?;
    table.row(&format!("{case}, mappings"), get(now, "mappings")?, None, "")?;
    table.row(&format!("{case}, threads"), get(now, "threads")?, None, "")
}

/// Medians of what was done for each.
fn times(table: &Table<'_>, case: &str, took: &Sample) -> Result<()> {
    took.iter().try_for_each(|(name, value)| table.row(&format!("{case}: {name}"), value / 1e6, None, "ms"))
}

fn of_uvicorn(root: &Path, options: &Options) -> Result<f64> {
    let command = |port: &str| uvicorn(options, &root.join("bench/peer"), "hello_asgi:app", port);
    let (served, _) = Served::start(command, "/", "Hello from Python!")?;
    private_dirty(served.pid())
}

fn of_pyodide(root: &Path, options: &Options) -> Result<f64> {
    let mut node = Command::new("node");
    let mut node = Lines::start(node.arg(root.join("bench/peer/hello.mjs")).arg(&options.pyodide))?;
    // It has answered.
    node.line()?;
    private_dirty(node.pid())
}

fn private_dirty(pid: u32) -> Result<f64> {
    Ok(Memory::of(pid)?.private_dirty as f64 / MIB)
}

/// Raises the number of mappings that a process may have, as an operator would, until it is dropped.
struct Mappings {
    before: Option<String>,
}

impl Mappings {
    fn allow(count: u64) -> Result<Self> {
        let before = fs_err::read_to_string(MAX_MAP_COUNT)?;
        if before.trim().parse::<u64>().is_ok_and(|before| before >= count) {
            return Ok(Self { before: None });
        }
        eprintln!(
            "raising vm.max_map_count to {count} for {ISOLATES} isolates; before and afterwards: {}",
            before.trim()
        );
        fs_err::write(MAX_MAP_COUNT, count.to_string())
            .with_context(|| format!("run as root, or before: sysctl -w vm.max_map_count={count}"))?;
        Ok(Self { before: Some(before) })
    }
}

impl Drop for Mappings {
    fn drop(&mut self) {
        if let Some(before) = &self.before
            && let Err(error) = fs_err::write(MAX_MAP_COUNT, before)
        {
            eprintln!("cannot lower vm.max_map_count again: {error}");
        }
    }
}

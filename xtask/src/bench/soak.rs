//! Whether anything is left of isolates that are gone.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::Options;
use super::density::{MIB, get};
use super::program::Lines;
use super::table::{Sample, Table};

/// After so many everything that is made once has been made.
const FIRST: usize = 1000;
const ALL: usize = 100_000;

pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let table = Table::new(options, "soak")?;
    let hello = json!({ "folder": root.join("examples/hello/src"), "path": "/" });
    let memory = json!({ "ask": "memory" });
    let mut harness = Lines::harness(options)?;

    harness.figures(&json!({ "ask": "soak", "worker": hello, "count": FIRST }))?;
    rows(&table, FIRST, &harness.figures(&memory)?)?;
    let took = harness.figures(&json!({ "ask": "soak", "worker": hello, "count": ALL - FIRST }))?;
    rows(&table, ALL, &harness.figures(&memory)?)?;
    took.iter().try_for_each(|(name, value)| table.row(name, value / 1e6, None, "ms"))
}

fn rows(table: &Table<'_>, count: usize, now: &Sample) -> Result<()> {
    let case = |what| format!("after {count} isolates: {what}");
    table.row(&case("private dirty"), get(now, "private dirty")? / MIB, None, "MiB")?;
    for what in ["mappings", "threads", "descriptors"] {
        table.row(&case(what), get(now, what)?, None, "")?;
    }
    Ok(())
}

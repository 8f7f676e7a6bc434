//! Requests over HTTP to a server that has had many before: how many a second, how long they take, what they cost.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use taipan_testkit::process::Memory;

use super::Options;
use super::clients::{Asked, CPU, LATE, MEDIAN, RATE, Until, load};
use super::density::MIB;
use super::program::{Lines, Served, python, taipan_dev, uvicorn};
use super::table::{Case, Figures, Table, alternate, whole};

const HELLO: &str = "/";
const HELLO_TEXT: &str = "Hello from Python!";
const ITEM: &str = "/items/12?name=bolt";
const ITEM_TEXT: &str = "bolt";

/// Of one sample.
const DURATION: Duration = Duration::from_secs(1);

/// Requests for which memory should stay the same, and those after which it is looked at first.
const MANY: usize = 1_000_000;
const FIRST: usize = 20_000;
/// In place of `MANY`, for each round that was asked for.
const PER_ROUND: usize = 10_000;
const CLIENTS: usize = 16;

pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let hello_folder = root.join("examples/hello");
    let fastapi_folder = options.folder.join("fastapi");
    let bench = root.join("bench");
    let start_hello = || Served::start(|port| taipan_dev(options, &hello_folder, port), HELLO, HELLO_TEXT);
    let (hello, _) = start_hello()?;
    let (fastapi, _) = Served::start(|port| taipan_dev(options, &fastapi_folder, port), ITEM, ITEM_TEXT)?;
    let (node, _) = Served::start(|port| pyodide(options, &bench, port), HELLO, HELLO_TEXT)?;
    let (native, _) =
        Served::start(|port| uvicorn(options, &bench.join("fastapi"), "app:app", port), ITEM, ITEM_TEXT)?;

    let table = Table::new(options, "requests")?;
    let rounds = options.rounds(5);
    for clients in [1, 16, 64] {
        let side = |name, served: &Served, path, text| {
            let asked = Asked { port: served.port(), pid: served.pid(), path, text };
            Case::new(name, move || load(asked, clients, Until::Passed(DURATION)))
        };
        let cases = vec![
            side("hello", &hello, HELLO, HELLO_TEXT),
            side("Pyodide on Node", &node, HELLO, HELLO_TEXT),
            side("FastAPI", &fastapi, ITEM, ITEM_TEXT),
            side("uvicorn", &native, ITEM, ITEM_TEXT),
        ];
        let all = alternate(cases, rounds)?;
        let [hello, node, fastapi, uvicorn] = &all[..] else { anyhow::bail!("cases are missing") };
        rows(&table, hello, node, clients)?;
        rows(&table, fastapi, uvicorn, clients)?;
    }
    in_process(&table, options, root, fastapi, rounds)?;
    drop((hello, node, native));
    memory(&table, &start_hello()?.0, options.rounds.map_or(MANY, |rounds| FIRST + rounds * PER_ROUND))
}

/// `bench/peer/serve.mjs`.
fn pyodide(options: &Options, bench: &Path, port: &str) -> Command {
    let mut node = Command::new("node");
    node.arg(bench.join("peer/serve.mjs")).arg(&options.pyodide).arg(port);
    node
}

fn rows(table: &Table<'_>, ours: &Figures, peer: &Figures, clients: usize) -> Result<()> {
    for (figure, unit, scale) in
        [(RATE, "1/s", 1.0), (MEDIAN, "ms", 1e-6), (LATE, "ms", 1e-6), (CPU, "us", 1e-3)]
    {
        let case = format!("{}, {clients} at a time: {figure} | {}", ours.name, peer.name);
        table.row(&case, ours.stage(figure)? * scale, Some(peer.stage(figure)? * scale), unit)?;
    }
    Ok(())
}

/// What the application takes for a request when it is called directly, in the sandbox and in CPython.
fn in_process(
    table: &Table<'_>,
    options: &Options,
    root: &Path,
    mut worker: Served,
    rounds: usize,
) -> Result<()> {
    // The server has closed the connection, on which nothing was asked while clients were.
    drop(worker.get(ITEM));
    let modules = root.join("bench/fastapi");
    let mut native = Lines::start(python(options, &modules).arg(root.join("bench/peer/in_process.py")))?;
    let cases = vec![
        Case::new("FastAPI in process", move || sample(&worker.get("/in-process")?)),
        Case::new("CPython", move || sample(&native.ask("sample")?)),
    ];
    let all = alternate(cases, rounds)?;
    let [ours, peer] = &all[..] else { anyhow::bail!("cases are missing") };
    table.row(&format!("{} | {}", ours.name, peer.name), ours.whole / 1e3, Some(peer.whole / 1e3), "us")
}

/// What `bench/fastapi/call.py` has measured.
#[derive(Deserialize)]
struct Measured {
    /// Nanoseconds per request.
    ns: f64,
}

fn sample(answer: &str) -> Result<super::table::Sample> {
    let measured: Measured =
        serde_json::from_str(answer).with_context(|| format!("not a sample: {answer}"))?;
    Ok(whole(measured.ns))
}

fn memory(table: &Table<'_>, served: &Served, many: usize) -> Result<()> {
    let asked = Asked { port: served.port(), pid: served.pid(), path: HELLO, text: HELLO_TEXT };
    for (count, all) in [(FIRST, FIRST), (many - FIRST, many)] {
        load(asked, CLIENTS, Until::Answered(count))?;
        let case = format!("hello, after {all} requests: private dirty");
        table.row(&case, bytes(Memory::of(served.pid())?.private_dirty)? / MIB, None, "MiB")?;
    }
    Ok(())
}

/// As a float, from whole KiB.
fn bytes(count: u64) -> Result<f64> {
    Ok(f64::from(u32::try_from(count >> 10)?) * 1024.0)
}

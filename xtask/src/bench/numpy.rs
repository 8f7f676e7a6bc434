//! Workers with numpy: what its import costs, what it computes in which time, and what Workers that share it take.

use std::cell::RefCell;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Options;
use super::density::{MIB, get};
use super::program::{Lines, Served, nanos, python, taipan_dev};
use super::table::{Case, Sample, Table, alternate, whole};

const DEV: &str = "start of dev to the first response, with numpy";
const DEV_WITHOUT: &str = "without numpy";
const RESTORE: &str = "restore and first request, with numpy";
const RESTORE_WITHOUT: &str = "restored without numpy";
const IMPORT: &str = "python3 imports numpy";
const PRODUCT: &str = "product of float64 matrices, 1000 × 1000";
const NATIVE_PRODUCT: &str = "numpy of python3";

/// Workers that share numpy.
const WORKERS: usize = 20;

pub(crate) fn run(options: &Options, table: &Table<'_>) -> Result<()> {
    let harness = RefCell::new(Lines::older_harness(options)?);
    let restore = |name, worker: Value| {
        let question = json!({ "ask": "restore", "worker": worker, "spare": false, "from_disk": false });
        let harness = &harness;
        Case::new(name, move || harness.borrow_mut().figures(&question))
    };
    let cases = vec![
        restore(RESTORE, with_numpy(options)),
        restore(RESTORE_WITHOUT, json!({ "folder": options.folder.join("no-numpy"), "path": "/" })),
        Case::new(DEV, || Ok(whole(nanos(serve(options, "numpy")?.1)))),
        Case::new(DEV_WITHOUT, || Ok(whole(nanos(serve(options, "no-numpy")?.1)))),
        Case::new(IMPORT, || native_import(options)),
        Case::new(PRODUCT, || seconds(&serve(options, "numpy")?.0.get("/matmul")?)),
        Case::new(NATIVE_PRODUCT, || native_product(options)),
    ];
    let all = alternate(cases, options.rounds(10))?;
    table.times(&all, RESTORE, &[RESTORE_WITHOUT, IMPORT])?;
    table.times(&all, DEV, &[DEV_WITHOUT, IMPORT])?;
    table.times(&all, PRODUCT, &[NATIVE_PRODUCT])?;
    shared_memory(options, table)
}

fn with_numpy(options: &Options) -> Value {
    json!({ "folder": options.folder.join("numpy"), "path": "/", "imports": ["numpy"] })
}

fn serve(options: &Options, worker: &str) -> Result<(Served, std::time::Duration)> {
    let folder = options.folder.join(worker);
    Served::start(|port| taipan_dev(options, &folder, port), "/", "10")
}

fn native_import(options: &Options) -> Result<Sample> {
    let begun = std::time::Instant::now();
    let output = python(options, &options.folder).args(["-c", "import numpy"]).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(whole(nanos(begun.elapsed())))
}

fn native_product(options: &Options) -> Result<Sample> {
    let mut command = python(options, &options.folder.join("numpy"));
    // One thread, as in the Worker.
    command.args(["-m", "matmul"]).env("OPENBLAS_NUM_THREADS", "1");
    seconds(&Lines::start(&mut command)?.line()?)
}

/// What Workers that answer in one process take: the first with numpy, and each of those after it.
fn shared_memory(options: &Options, table: &Table<'_>) -> Result<()> {
    let mut harness = Lines::older_harness(options)?;
    let mut growth = |count: usize, packages: Value| {
        let memory = json!({ "ask": "memory" });
        let before = get(&harness.figures(&memory)?, "pss")?;
        harness.figures(&json!({ "ask": "workers", "count": count, "packages": packages }))?;
        Ok::<_, anyhow::Error>((get(&harness.figures(&memory)?, "pss")? - before) / MIB / count as f64)
    };
    // What is needed once for all Workers.
    growth(1, Value::Null)?;
    let plain = growth(WORKERS - 1, Value::Null)?;
    let first = growth(1, with_numpy(options))?;
    let each = growth(WORKERS - 1, with_numpy(options))?;
    let case = format!("{WORKERS} Workers share numpy, PSS of each further one");
    table.row(&format!("{case} | the first"), each, Some(first), "MiB")?;
    table.row(&format!("{case} | one without numpy"), each, Some(plain), "MiB")
}

/// Seconds, as a program says them.
fn seconds(text: &str) -> Result<Sample> {
    let seconds: f64 = text.trim().parse().with_context(|| format!("not seconds: {text}"))?;
    Ok(whole(seconds * 1e9))
}

//! Many isolates in one process. What they take is asked of the process afterwards, so they are kept until it ends.

use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use taipan_engine::Source;
use taipan_testkit::stats::median;

use crate::engine::{Engine, nanos};
use crate::server::{Served, WARM};
use crate::worker::{MAIN, Worker};

/// Isolates of one Worker. Gives medians, and that of the last tenth, which shows what grows with their number.
pub(crate) fn isolates(engine: &mut Engine, worker: &Worker, count: usize) -> Result<Value> {
    let snapshot = engine.snapshot(worker)?;
    let (mut restore, mut last, mut first, mut kept) = (vec![], vec![], vec![], vec![]);
    for number in 0..count {
        let (restored, answered, live) = engine.start(&snapshot, worker, false)?;
        restore.push(nanos(restored));
        first.push(nanos(answered));
        kept.push(live);
        if number >= count - count.div_ceil(10) {
            last.push(nanos(restored));
        }
    }
    std::mem::forget(kept);
    Ok(json!({
        "restore": median(restore), "restore, the last tenth": median(last), "first request": median(first),
    }))
}

/// Isolates of one Worker that live for a request each, every second one from a spare if there is one. Gives medians, and that of
/// the last tenth.
pub(crate) fn soak(engine: &mut Engine, worker: &Worker, count: usize) -> Result<Value> {
    let snapshot = engine.snapshot(worker)?;
    let mut took = vec![];
    for number in 0..count {
        let (restored, answered, _) = engine.start(&snapshot, worker, number % 2 == 1)?;
        took.push(nanos(restored + answered));
    }
    let last = took.split_off(count - count.div_ceil(10));
    Ok(json!({ "start and answer": median(took), "start and answer, the last tenth": median(last) }))
}

/// Workers with different code, each with a snapshot of its own, as the server makes it.
pub(crate) fn workers(served: &mut Served, count: usize, like: Option<&Worker>) -> Result<Value> {
    let packages = like.map(|like| served.packages(like)).transpose()?.unwrap_or_default();
    let imports: String =
        like.iter().flat_map(|like| &like.imports).map(|name| format!("import {name}\n")).collect();
    let (mut deploy, mut first, mut kept) = (vec![], vec![], vec![]);
    for _ in 0..count {
        let number = served.count();
        let text = format!("Hello from Worker {number}!");
        let begun = Instant::now();
        let worker = served.deploy(vec![hello(&imports, &text)], packages.clone(), WARM)?;
        deploy.push(nanos(begun.elapsed()));
        served.make_current(worker.clone())?;
        let begun = Instant::now();
        let answer = served.get("/")?;
        first.push(nanos(begun.elapsed()));
        if answer != text {
            bail!("Worker {number} answers {answer}");
        }
        kept.push(worker);
    }
    std::mem::forget(kept);
    Ok(json!({ "deploy": median(deploy), "first request": median(first) }))
}

fn hello(imports: &str, text: &str) -> Source {
    let code = format!(
        "{imports}from workers import Response, WorkerEntrypoint\n\n\
         class Default(WorkerEntrypoint):\n    async def fetch(self, request):\n        return Response({text:?})\n"
    );
    Source { path: MAIN.to_owned(), content: code.into_bytes().into() }
}

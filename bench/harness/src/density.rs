//! Many isolates in one process. What they take is asked of the process afterwards, so they are kept until it ends.

use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use taipan_engine::Source;

use crate::engine::{Engine, nanos};
use crate::server::{Served, WARM};
use crate::worker::{MAIN, Worker};

/// Isolates of one Worker. Gives the means, so that what grows with their number is in it.
pub(crate) fn isolates(engine: &mut Engine, worker: &Worker, count: usize) -> Result<Value> {
    let (snapshot, _) = engine.snapshot(worker)?;
    let (mut restore, mut first) = (0.0, 0.0);
    let mut kept = Vec::with_capacity(count);
    for _ in 0..count {
        let (restored, answered, live) = engine.start(&snapshot, worker, false)?;
        restore += nanos(restored) / count as f64;
        first += nanos(answered) / count as f64;
        kept.push(live);
    }
    std::mem::forget(kept);
    Ok(json!({ "restore": restore, "first request": first }))
}

/// Workers with different code, each with a snapshot of its own, as the server makes it.
pub(crate) fn workers(served: &mut Served, count: usize) -> Result<Value> {
    let mut kept = Vec::with_capacity(count);
    let (mut deploy, mut first) = (0.0, 0.0);
    for number in 0..count {
        let text = format!("Hello from Worker {number}!");
        let begun = Instant::now();
        let worker = served.deploy(vec![hello(&text)], WARM)?;
        deploy += nanos(begun.elapsed()) / count as f64;
        served.make_current(worker.clone())?;
        let begun = Instant::now();
        let answer = served.get("/")?;
        first += nanos(begun.elapsed()) / count as f64;
        if answer != text {
            bail!("Worker {number} answers {answer}");
        }
        kept.push(worker);
    }
    std::mem::forget(kept);
    Ok(json!({ "deploy": deploy, "first request": first }))
}

fn hello(text: &str) -> Source {
    let code = format!(
        "from workers import Response, WorkerEntrypoint\n\n\
         class Default(WorkerEntrypoint):\n    async def fetch(self, request):\n        return Response({text:?})\n"
    );
    Source { path: MAIN.to_owned(), content: code.into_bytes().into() }
}

//! From nothing, or next to nothing, to the first response.

use std::cell::RefCell;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use taipan_testkit::process::{evict, warm};

use super::Options;
use super::program::{Lines, Served, cache, first_line, nanos, python, taipan_dev, uvicorn};
use super::table::{Case, Table, alternate, whole};

const PATH: &str = "/items/12?name=bolt";
const TEXT: &str = "bolt";

const AFTER_A_PAUSE: &str = "after a pause";

/// Longer than a snapshot of the packages takes.
const LEARNING: Duration = Duration::from_secs(3);

const PYODIDE: &str = "Pyodide on Node";
const NODE: &str = "Node's own start";
const NATIVE: &str = "CPython";
const UVICORN: &str = "uvicorn";
const UVICORN_COLD: &str = "uvicorn, packages too";

pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let harness = RefCell::new(Lines::harness(options)?);
    let hello = json!({ "folder": root.join("examples/hello/src"), "path": "/" });
    let fastapi_folder = options.folder.join("fastapi");
    // The last is what the server learns from the first start: FastAPI imports it when its lifespan begins.
    let imports = ["fastapi", "pydantic", "fastapi.telemetry._runtime"];
    let fastapi = json!({ "folder": fastapi_folder, "path": PATH, "imports": imports });
    let restore = |name, worker: &Value, spare: bool, from_disk: bool| {
        ask(
            &harness,
            name,
            json!({ "ask": "restore", "worker": worker, "spare": spare, "from_disk": from_disk }),
        )
    };
    let serve = |name, worker: &Value, warm: bool| {
        ask(&harness, name, json!({ "ask": "serve", "worker": worker, "warm": warm }))
    };

    let ours = || Served::start(|port| taipan_dev(options, &fastapi_folder, port), PATH, TEXT);
    let peer =
        || Served::start(|port| uvicorn(options, &root.join("bench/fastapi"), "app:app", port), PATH, TEXT);
    let time = |started: Result<(Served, Duration)>| Ok::<_, anyhow::Error>(whole(nanos(started?.1)));
    // Fills the cache on the first run. What packages import when they are used is learned from a start and the first request, twice, by
    // servers that live long enough to make a snapshot of it.
    for _ in 0..4 {
        let served = ours()?;
        thread::sleep(LEARNING);
        drop(served);
    }
    // What a process reads when it starts: kernels drop from their cache what nobody has read for a while.
    let files = [&options.taipan, &cache(options), &fastapi_folder];
    let native = options.folder.join("native");
    let cases = vec![
        restore("hello, spare isolate ready, after a pause", &hello, true, false),
        restore("hello, spare isolate ready", &hello, true, false),
        restore("hello, no spare isolate", &hello, false, false),
        restore("hello, its snapshot on disk only", &hello, true, true),
        serve("hello over HTTP, no isolate", &hello, false),
        serve("hello over HTTP, warm isolate", &hello, true),
        Case::new(PYODIDE, || {
            warm(&options.pyodide)?;
            let mut node = Command::new("node");
            let node = node.arg(root.join("bench/peer/hello.mjs")).arg(&options.pyodide);
            Ok(whole(nanos(first_line(node, "Hello from Python!")?)))
        }),
        Case::new(NODE, || {
            Ok(whole(nanos(first_line(
                Command::new("node").args(["--eval", "console.log('Hello')"]),
                "Hello",
            )?)))
        }),
        restore("FastAPI, spare isolate ready, after a pause", &fastapi, true, false),
        restore("FastAPI, spare isolate ready", &fastapi, true, false),
        restore("FastAPI, no spare isolate", &fastapi, false, false),
        restore("FastAPI, its snapshot on disk only", &fastapi, true, true),
        serve("FastAPI over HTTP, no isolate", &fastapi, false),
        serve("FastAPI over HTTP, warm isolate", &fastapi, true),
        Case::new(NATIVE, || {
            warm(&native)?;
            let mut python = python(options, &root.join("bench/fastapi"));
            Ok(whole(nanos(first_line(python.arg(root.join("bench/peer/first_request.py")), TEXT)?)))
        }),
        Case::new("FastAPI, process start", || {
            files.iter().try_for_each(|path| warm(path))?;
            time(ours())
        }),
        Case::new(UVICORN, || {
            warm(&native)?;
            time(peer())
        }),
        Case::new("FastAPI, process start, files on disk only", || {
            files.iter().try_for_each(|path| evict(path))?;
            time(ours())
        }),
        Case::new(UVICORN_COLD, || {
            evict(&native)?;
            time(peer())
        }),
    ];
    let all = alternate(cases, options.rounds(50))?;

    let table = Table::new(options, "cold-start")?;
    for case in ["hello, spare isolate ready", "hello, no spare isolate", "hello over HTTP, no isolate"] {
        table.times(&all, case, &[PYODIDE, NODE])?;
    }
    table.times(&all, "hello, spare isolate ready, after a pause", &[])?;
    table.times(&all, "hello, its snapshot on disk only", &[])?;
    table.times(&all, "hello over HTTP, warm isolate", &[])?;
    for case in ["FastAPI, spare isolate ready", "FastAPI, no spare isolate", "FastAPI over HTTP, no isolate"]
    {
        table.times(&all, case, &[NATIVE])?;
    }
    table.times(&all, "FastAPI, spare isolate ready, after a pause", &[])?;
    table.times(&all, "FastAPI, its snapshot on disk only", &[])?;
    table.times(&all, "FastAPI over HTTP, warm isolate", &[])?;
    table.times(&all, "FastAPI, process start", &[UVICORN])?;
    table.times(&all, "FastAPI, process start, files on disk only", &[UVICORN_COLD])
}

/// A case that the harness measures. What came before has taken seconds and the processor's caches; so one start that is not
/// counted goes ahead, unless the case is about a server that nobody has asked for a while.
fn ask<'a>(harness: &'a RefCell<Lines>, name: &'static str, question: Value) -> Case<'a> {
    Case::new(name, move || {
        let mut harness = harness.borrow_mut();
        if !name.ends_with(AFTER_A_PAUSE) {
            harness.figures(&question)?;
        }
        harness.figures(&question)
    })
}

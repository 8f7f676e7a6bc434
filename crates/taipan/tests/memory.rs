//! What isolates take of the machine when their Workers take all that they can.

#![expect(clippy::unwrap_used, reason = "clippy knows only functions marked as tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use taipan_testkit::http::{Client, Request};
use taipan_testkit::process::Memory;
use taipan_testkit::server::{Server, ServerOptions};

const WAIT: Duration = Duration::from_secs(60);
const ISOLATES: usize = 4;
const LIMIT: u64 = 64 << 20;

/// What an isolate takes beyond what its Worker holds: pages of the snapshot that were written to, and what the host has of
/// it. As SPECIFICATION.md has it.
const OVERHEAD: u64 = 3 << 20;

const ENTRY: &str = r#"
import time
import uuid

from workers import Response, WorkerEntrypoint, after_restore

kept = []


@after_restore
def name() -> None:
    global isolate
    isolate = str(uuid.uuid4())


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        size = 8 << 20 if request.url.endswith("/all") else 0
        while size >= 1 << 16:
            try:
                kept.append(bytearray(b"x") * size)
            except MemoryError:
                size //= 2
        # What an answer takes.
        if kept:
            kept.pop()
        # Blocks the isolate, so that the next request goes to another one.
        time.sleep(0.5)
        return Response(f"{isolate} {sum(map(len, kept))}")
"#;

/// Asks for so many answers at the same time: the name of an isolate, and how much its Worker holds.
fn ask(port: u16, path: &str) -> Vec<(String, u64)> {
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..ISOLATES)
            .map(|_| scope.spawn(|| Client::new(port, WAIT).send(&Request::get(path)).unwrap().text()))
            .collect();
        let answers = asking.into_iter().map(|a| a.join().unwrap());
        answers
            .map(|text| {
                let (isolate, held) = text.split_once(' ').unwrap();
                (isolate.to_owned(), held.parse().unwrap())
            })
            .collect()
    })
}

#[test]
fn a_process_takes_what_its_workers_hold_and_little_more() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("entry.py"), ENTRY).unwrap();
    let configuration = format!(
        r#"{{ "name": "w", "main": "entry.py", "compatibility_date": "2026-11-01",
             "taipan": {{ "memory_mib": {}, "isolates": {{ "min": {ISOLATES}, "max": {ISOLATES} }} }} }}"#,
        LIMIT >> 20
    );
    fs_err::write(folder.path().join("wrangler.jsonc"), configuration).unwrap();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let mut server =
        Server::start(&ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), folder.path(), &cache)).unwrap();
    // Threads are the process's: how many there are depends on how many isolates are blocked, and not on how many there are.
    ask(server.port(), "/nothing");
    let before = Memory::of(server.id()).unwrap().private_dirty;

    let mut full = BTreeMap::new();
    while full.len() < ISOLATES {
        full.extend(ask(server.port(), "/all"));
    }

    let taken = Memory::of(server.id()).unwrap().private_dirty - before;
    let held: u64 = full.values().sum();
    let isolates = ISOLATES as u64;
    assert!(held > isolates * LIMIT / 8, "{held}");
    assert!(taken <= held + isolates * OVERHEAD, "{taken} for {held}");
    assert!(taken <= isolates * LIMIT, "{taken}");

    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
}

//! Clocks are the host's, and the same for Python and JavaScript.

use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::guest::{Guest, Limits, on_guest_stack, runtime};

const CLOCKS: &str = r#"
import asyncio
import time

from pyodide.code import run_js

date, now = run_js("() => Date.now()"), run_js("() => performance.now()")
#: What module scope saw.
seen = time.monotonic(), time.perf_counter()

def look():
    for _ in range(1000):
        time.time(), time.time_ns(), time.monotonic(), time.perf_counter(), time.monotonic_ns(), time.process_time()

async def agree():
    loop = asyncio.get_running_loop()
    for _ in range(100):
        before, own, after = date(), time.time() * 1e3, date()
        # JavaScript's is a whole number of milliseconds.
        assert before <= own < after + 1, (before, own, after)
        assert before <= time.clock_gettime(time.CLOCK_REALTIME) * 1e3
        for clock in (time.monotonic, time.perf_counter, loop.time):
            before, own, after = now(), clock() * 1e3, now()
            assert before - 1e-6 <= own <= after + 1e-6, (clock, before, own, after)
    try:
        time.clock_gettime(99)
    except OSError:
        return "the same"

async def moved_on():
    ends = asyncio.get_running_loop().time(), time.perf_counter()
    return all(0.05 <= end - start < 60 for start, end in zip(seen, ends, strict=True))
"#;

/// Calls of JavaScript for a clock.
fn asked(guest: &Guest) -> u64 {
    let is_clock =
        |name: &str| name.contains("clock_time") || name.contains("get_now") || name.contains("date_now");
    guest.crossings().into_iter().filter(|(name, _)| is_clock(name)).map(|(_, calls)| calls).sum()
}

#[test]
fn clocks_are_the_hosts_own_and_those_of_javascript() {
    on_guest_stack(|| {
        let mut guest = Guest::load(CLOCKS);
        assert_eq!(guest.call("look"), Ok("None".into()));
        assert_eq!(guest.call("agree"), Ok("the same".into()));
        assert_eq!(asked(&guest), 0);
    });
}

#[test]
fn a_snapshots_monotonic_clocks_go_on() {
    on_guest_stack(|| {
        let folder = TempDir::new().unwrap();
        let snapshot = Guest::load(CLOCKS).freeze(&folder.path().join("clocks.snapshot")).unwrap();
        thread::sleep(Duration::from_millis(20));
        let mut guest = Guest::restore(runtime(), &snapshot, Limits::default()).unwrap();
        thread::sleep(Duration::from_millis(60));
        assert_eq!(guest.call("moved_on"), Ok("True".into()));
        assert_eq!(guest.call("agree"), Ok("the same".into()));
        assert_eq!(asked(&guest), 0);
    });
}

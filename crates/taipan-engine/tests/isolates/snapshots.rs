//! What a snapshot keeps, what it refreshes, and what it refuses.

use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use taipan_engine::{Snapshot, SnapshotError, inspect};
use tempfile::TempDir;

use crate::guest::{Guest, Limits, on_guest_stack, release, runtime, shared_cache};

/// A snapshot of the Worker.
fn frozen(worker: &str) -> (Snapshot, TempDir) {
    let folder = TempDir::new().unwrap();
    let snapshot = Guest::load(worker).freeze(&folder.path().join("worker.snapshot")).unwrap();
    (snapshot, folder)
}

fn restored(snapshot: &Snapshot) -> Guest {
    Guest::restore(runtime(), snapshot, Limits::default()).unwrap()
}

const OBJECTS: &str = r#"
import ctypes
import itertools

from pyodide.code import run_js
from pyodide.ffi import create_proxy, to_js

counter = itertools.count(5)
next(counter)
ring = [1, {"two": 2}]
ring.append(ring)

def chunks():
    total = 0
    while True:
        total += 1
        yield total

running = chunks()
next(running)

class Point:
    def __init__(self, x):
        self.x = x

point = Point(3)
# Objects of JavaScript in Python, a function among them that has state of its own.
js_map = run_js("new Map([['a', {b: [1, 2, 3]}]])")
js_counter = run_js("(() => { let n = 10; return () => ++n })()")
js_promise = run_js("Promise.resolve(7)")
js_symbol = run_js("Symbol.for('x')")
# Objects of Python in JavaScript.
js_keeper = run_js("globalThis.keeper = { call(...args) { return this.f(...args) } }; keeper")
js_keeper.f = create_proxy(lambda n: point.x * n)
js_keeper.point = create_proxy(point)
# A function of C that is Python: it has a slot in the function table.
callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda n: n + point.x)
with open("/tmp/note", "w") as note:
    note.write("kept")

async def run():
    assert next(counter) == 6 and next(running) == 2
    assert ring[2] is ring and ring[1]["two"] == 2
    assert js_map.get("a").b.to_py() == [1, 2, 3]
    assert js_counter() == 11
    assert await js_promise == 7
    assert run_js("Symbol.for('x')") == js_symbol
    assert run_js("keeper.call(5)") == 15
    assert run_js("keeper.point.x") == 3
    # Both sides still mean the same object.
    point.x = 4
    assert run_js("keeper.point.x + keeper.call(1)") == 8
    assert js_keeper.point is point or js_keeper.point.x == 4
    assert callback(1) == 5
    point.x = 3
    assert open("/tmp/note").read() == "kept"
    return "all there"
"#;

#[test]
fn objects_of_both_languages_are_kept() {
    on_guest_stack(|| {
        let (snapshot, folder) = frozen(OBJECTS);
        // Each isolate has a copy of its own: what one changes, the others do not see.
        for _ in 0..3 {
            assert_eq!(restored(&snapshot).call("run"), Ok("all there".into()));
        }
        // From the file, as another process would.
        let opened = Snapshot::open(runtime(), &folder.path().join("worker.snapshot")).unwrap();
        assert_eq!(restored(&opened).call("run"), Ok("all there".into()));
    });
}

#[test]
fn a_restored_isolate_becomes_a_snapshot_as_well() {
    let worker = "from pyodide.code import run_js\nn = 0\njs = run_js('({ n: 0, up() { return ++this.n } })')\ndef run():\n    global n\n    n += 1\n    return n, js.up()";
    on_guest_stack(|| {
        let (first, folder) = frozen(worker);
        let mut guest = restored(&first);
        assert_eq!(guest.call("run"), Ok("(1, 1)".into()));
        let second = guest.freeze(&folder.path().join("second.snapshot")).unwrap();
        assert_eq!(restored(&second).call("run"), Ok("(2, 2)".into()));
        assert_eq!(restored(&first).call("run"), Ok("(1, 1)".into()));
    });
}

const ENTROPY: &str = r#"
import json
import os
import random
import secrets
import tempfile
import uuid

from pyodide.code import run_js

# A class that compares by content, and one that begins with a seed of its own and is seeded by chance later.
class Dice(random.Random):
    def __eq__(self, other):
        return True

own = random.Random()
dice = Dice()
later = random.Random(7)
later.seed()
chosen = random.Random(8)
chosen_again = random.Random()
chosen_again.seed(9)

def draw_chosen():
    return str([chosen.random(), chosen_again.random()])

def draw():
    return json.dumps({
        "random.Random": own.random(),
        "a subclass": dice.random(),
        "seeded again": later.random(),
        "os.urandom": os.urandom(8).hex(),
        "random.random": random.random(),
        "random.getrandbits": random.getrandbits(64),
        "SystemRandom": random.SystemRandom().random(),
        "secrets": secrets.token_hex(8),
        "uuid4": str(uuid.uuid4()),
        "tempfile": next(tempfile._get_candidate_names()),
        "Math.random": run_js("Math.random()"),
        "getRandomValues": run_js("crypto.getRandomValues(new Uint32Array(2)).join()"),
        "randomUUID": run_js("crypto.randomUUID()"),
    })

# Generators that have begun are what a copy would go on with.
for _ in range(3):
    draw()
random.seed(1)
"#;

#[test]
fn randomness_differs_between_restores() {
    on_guest_stack(|| {
        let (snapshot, _folder) = frozen(ENTROPY);
        let draws: Vec<serde_json::Map<String, serde_json::Value>> = (0..3)
            .map(|_| serde_json::from_str(&restored(&snapshot).call("draw").unwrap()).unwrap())
            .collect();
        for (source, value) in &draws[0] {
            assert_ne!(value, &draws[1][source], "{source}");
            assert_ne!(value, &draws[2][source], "{source}");
            assert_ne!(draws[1][source], draws[2][source], "{source}");
        }
        assert_eq!(draws[0].len(), 13);
        // Who chooses a seed wants its numbers.
        let chosen = restored(&snapshot).call("draw_chosen").unwrap();
        assert_eq!(chosen, restored(&snapshot).call("draw_chosen").unwrap());
    });
}

const CLOCKS: &str = r#"
import json
import time

from pyodide.code import run_js

def read():
    return {"monotonic": time.monotonic(), "perf": time.perf_counter(), "performance": run_js("performance.now()") / 1e3,
            "wall": time.time(), "date": run_js("Date.now()") / 1e3}

before = read()

def run():
    return json.dumps([before, read()])
"#;

#[test]
fn time_moves_on() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    on_guest_stack(|| {
        let begun = now();
        let (snapshot, _folder) = frozen(CLOCKS);
        std::thread::sleep(Duration::from_millis(50));
        let mut guest = restored(&snapshot);
        let asked = now();
        let [before, after]: [serde_json::Map<String, serde_json::Value>; 2] =
            serde_json::from_str(&guest.call("run").unwrap()).unwrap();
        let answered = now();
        for (clock, value) in &before {
            assert!(after[clock].as_f64() > value.as_f64(), "{clock} went back: {before:?} {after:?}");
        }
        // JavaScript's has whole milliseconds.
        for clock in ["wall", "date"] {
            let (then, now) = (before[clock].as_f64().unwrap(), after[clock].as_f64().unwrap());
            assert!(begun - 0.001 <= then && then <= asked, "{clock}");
            assert!(asked - 0.001 <= now && now <= answered, "{clock}");
        }
    });
}

#[test]
fn a_file_says_what_is_in_it() {
    let worker = "from pyodide.code import run_js\njs = run_js('({ a: 1 })')\ndef run():\n    return js.a";
    on_guest_stack(|| {
        let (snapshot, folder) = frozen(worker);
        let path = folder.path().join("worker.snapshot");
        let info = inspect(&path, &shared_cache()).unwrap();
        assert_eq!(info.layers.len(), 2);
        // The Worker's layer has a fraction of what there is, and the base snapshot has no page twice.
        let [base, own] = [0, 1].map(|i| info.layers[i].stored_bytes);
        assert!(0 < own && own < base && base <= info.memory_bytes, "{info:?}");
        assert_eq!(info.layers[1].path, path);
        assert_eq!(info.layers[1].file_bytes, fs_err::metadata(&path).unwrap().len());
        assert!(info.layers[0].path.starts_with(shared_cache()));
        assert_eq!((info.runtime.as_str(), info.native_modules.len()), (release().version, 0));
        assert!(info.functions > 0 && info.globals > 0);

        assert_eq!(info.working_set_bytes, None);
        let mut guest = restored(&snapshot);
        assert_eq!(guest.call("run"), Ok("1".into()));
        guest.learn();
        let measured = inspect(&path, &shared_cache()).unwrap().working_set_bytes.unwrap();
        assert!(measured > 0 && measured.is_multiple_of(4096));

        // A folder with the key alone does not have the base snapshot.
        let bare = TempDir::new().unwrap();
        fs_err::copy(shared_cache().join("key"), bare.path().join("key")).unwrap();
        let why = |cache: &Path| match inspect(&path, cache) {
            Err(SnapshotError::Refused { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(why(bare.path()), "the layer below it is not in the cache");
        fs_err::write(bare.path().join("key"), [7; 32]).unwrap();
        assert_eq!(why(bare.path()), "its digest does not fit");
        fs_err::write(&path, []).unwrap();
        assert_eq!(why(&shared_cache()), "it is too short");
    });
}

/// A layer says only how it differs from the one below, so it is nothing without exactly that one.
#[test]
fn a_layer_without_the_one_below_is_refused() {
    let worker = "n = 0\ndef run():\n    global n\n    n += 1\n    return n";
    on_guest_stack(|| {
        let (first, folder) = frozen(worker);
        let path = folder.path().join("second.snapshot");
        let mut guest = restored(&first);
        assert_eq!(guest.call("run"), Ok("1".into()));
        drop(guest.freeze(&path).unwrap());
        drop(first);
        // The frozen isolate ends on another thread, and holds the layer until then.
        let refused = (0..3000).find_map(|_| {
            let opened = Snapshot::open(runtime(), &path);
            thread::sleep(Duration::from_millis(10));
            opened.err()
        });
        match refused {
            Some(SnapshotError::Refused { reason, .. }) => {
                assert_eq!(reason, "the layer below it is not the one that it was made on");
            }
            other => panic!("{other:?}"),
        }
        let first = Snapshot::open(runtime(), &folder.path().join("worker.snapshot")).unwrap();
        let second = Snapshot::open(runtime(), &path).unwrap();
        drop(first);
        assert_eq!(restored(&second).call("run"), Ok("2".into()));
    });
}

/// Why the isolate is not kept after a request to `name` has begun.
fn refusal(worker: &str, name: Option<&str>, body: Option<u32>) -> String {
    on_guest_stack(|| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("worker.snapshot");
        let mut guest = Guest::load(worker);
        if let Some(name) = name {
            guest.begin(name, body).unwrap();
            assert_eq!(guest.reads(), u32::from(body.is_some()));
        }
        match guest.freeze(&path) {
            Err(SnapshotError::NotNow { reason } | SnapshotError::Worker { report_json: reason }) => {
                assert!(!path.exists(), "nothing is written");
                reason
            }
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it was kept"),
        }
    })
}

#[test]
fn a_timer_stands_in_the_way() {
    for worker in [
        "from js import setTimeout\nfrom pyodide.ffi import create_proxy\nsetTimeout(create_proxy(print), 60_000)",
        "import asyncio\nasyncio.get_event_loop().call_later(60, print)",
    ] {
        assert!(refusal(worker, None, None).contains("timer"), "{worker}");
    }
    let sleeping = "import asyncio\nasync def run():\n    await asyncio.sleep(60)";
    assert!(refusal(sleeping, Some("run"), None).contains("timer"));
}

#[test]
fn an_operation_stands_in_the_way() {
    let reading = "async def run():\n    return await request.text()";
    let reason = refusal(reading, Some("run"), Some(4));
    assert!(reason.contains("operation"), "{reason}");
}

#[test]
fn a_request_stands_in_the_way() {
    let waiting = "import asyncio\nasync def run():\n    await asyncio.Future()";
    assert_eq!(refusal(waiting, Some("run"), None), "a request is being handled");
}

#[test]
fn memory_limits_hold_after_a_restore() {
    let worker = "def run():\n    return len(bytearray(100 << 20))";
    on_guest_stack(|| {
        let (snapshot, _folder) = frozen(worker);
        let limits = Limits { memory: 64 << 20, ..Limits::default() };
        let mut small = Guest::restore(runtime(), &snapshot, limits).unwrap();
        assert_eq!(small.call("run").unwrap_err().exception(), Some("MemoryError"));
        assert_eq!(restored(&snapshot).call("run"), Ok((100 << 20).to_string()));
        // An image that is larger than the limit is no reason to crash.
        let limits = Limits { memory: 1 << 20, ..Limits::default() };
        let result = Guest::restore(runtime(), &snapshot, limits).map(|_| ());
        assert!(
            matches!(result, Err(taipan_engine::IsolateError::OutOfMemory { limit }) if limit == 1 << 20),
            "{result:?}"
        );
    });
}

#[test]
fn hooks_run() {
    let worker = "from workers import after_restore, before_snapshot\nevents = []\nbefore_snapshot(lambda: events.append('before'))\nafter_restore(lambda: events.append('after'))\ndef run():\n    return events";
    on_guest_stack(|| {
        assert_eq!(Guest::load(worker).call("run"), Ok("[]".into()));
        let (snapshot, _folder) = frozen(worker);
        for _ in 0..2 {
            assert_eq!(restored(&snapshot).call("run"), Ok("['before', 'after']".into()));
        }
    });
}

#[test]
fn a_hook_that_fails_is_heard() {
    let worker = "from workers import before_snapshot\n@before_snapshot\ndef fails():\n    raise ValueError('no, thanks')";
    let reason = refusal(worker, None, None);
    assert!(reason.contains("no, thanks"), "{reason}");

    let worker = "from workers import after_restore\n@after_restore\ndef fails():\n    raise ValueError('at restore')\ndef run():\n    return 1";
    on_guest_stack(|| {
        let (snapshot, _folder) = frozen(worker);
        let mut guest = restored(&snapshot);
        assert!(guest.log().contains("ValueError: at restore"), "{}", guest.log());
        assert_eq!(guest.call("run"), Ok("1".into()));
    });
}

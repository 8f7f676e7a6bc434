//! Every way in which guest code can end: an exception that it may catch, or a typed error for its isolate. The process
//! lives on either way, and the next isolate works.

use std::time::Duration;

use taipan_engine::IsolateError;

use crate::guest::{Failed, Guest, Limits, on_guest_stack, runtime};

/// Calls function `run` of the Worker, then sees that another isolate works.
fn run(worker: &str, limits: Limits) -> Result<String, Failed> {
    on_guest_stack(|| {
        let mut guest = Guest::load_limited(worker, limits);
        let result = guest.call("run");
        if let Err(Failed::Stopped(_)) = result {
            let after = guest.call("run");
            assert!(matches!(after, Err(Failed::Stopped(IsolateError::Internal { .. }))), "{after:?}");
        } else {
            assert_eq!(guest.call("probe"), Ok("42".into()), "the same isolate goes on");
        }
        drop(guest);
        assert_eq!(Guest::load(PROBE).call("probe"), Ok("42".into()), "the next isolate works");
        result
    })
}

/// Uses both languages.
const PROBE: &str = r#"
from pyodide.code import run_js

def probe():
    return run_js("(f) => f(40)")(lambda n: n + 2)
"#;

fn ending(body: &str) -> Result<String, Failed> {
    run(&format!("{PROBE}\n{body}"), Limits::default())
}

fn exception(body: &str) -> String {
    match ending(body) {
        Err(Failed::Raised(name, message)) => format!("{name}: {message}"),
        other => panic!("no exception: {other:?}"),
    }
}

#[test]
fn a_trap() {
    // An address that no memory has.
    let result = ending("import ctypes\ndef run():\n    return ctypes.string_at(0xfffffff0, 8)");
    let Err(Failed::Stopped(IsolateError::Trap { reason })) = result else { panic!("{result:?}") };
    assert!(reason.contains("out of bounds"), "{reason}");
}

#[test]
fn a_call_of_a_function_that_does_not_exist() {
    let result = ending("import ctypes\ndef run():\n    return ctypes.CFUNCTYPE(None)(0x7ffffff)()");
    // The glue looks the function up, and takes its error for the end of the interpreter.
    let Err(Failed::Stopped(IsolateError::Aborted { reason })) = result else { panic!("{result:?}") };
    assert!(reason.contains("out of bounds"), "{reason}");
}

#[test]
fn recursion_in_python() {
    let message = exception("def run():\n    return run()");
    assert!(message.starts_with("RecursionError"), "{message}");
}

/// Without Python's own limit the stack or memory ends, where Python notices it as well.
#[test]
fn recursion_in_python_without_its_limit() {
    let body = "import sys\nsys.setrecursionlimit(1_000_000_000)\ndef run():\n    return [run()]";
    let result = ending(body);
    let by_python =
        result.as_ref().is_err_and(|e| matches!(e.exception(), Some("RecursionError" | "MemoryError")));
    assert!(
        by_python
            || matches!(
                result,
                Err(Failed::Stopped(IsolateError::StackOverflow | IsolateError::OutOfMemory { .. }))
            ),
        "{result:?}"
    );
}

/// Every level goes through C code: a list's `repr` asks its items for theirs.
#[test]
fn recursion_in_c() {
    let body = "class Nested:\n    def __repr__(self):\n        return repr([self])\n\ndef run():\n    return repr(Nested())";
    let message = exception(body);
    assert!(message.starts_with("RecursionError"), "{message}");
}

#[test]
fn recursion_in_javascript() {
    let message = exception(r#"run = run_js("function down() { return down() + 1 } down")"#);
    assert!(message.contains("RangeError"), "{message}");
    let caught = r#"run = run_js("function down() { return down() + 1 } () => { try { down() } catch (e) { return e.name } }")"#;
    assert_eq!(ending(caught), Ok("RangeError".into()));
}

/// The innermost call of JavaScript that can catch the exception does: each level that it travels through converts it
/// twice, which is slow. The behaviour test `mutual-recursion` lets it travel.
#[test]
fn recursion_through_both() {
    let body = "call = run_js('(f) => { try { return f() } catch (e) { return String(e) } }')\ndef run():\n    return call(run)";
    match ending(body) {
        Ok(caught) => assert!(caught.contains("RecursionError") || caught.contains("RangeError"), "{caught}"),
        Err(Failed::Stopped(IsolateError::StackOverflow)) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_abort() {
    let result = ending("import os\ndef run():\n    os.abort()");
    assert!(matches!(result, Err(Failed::Stopped(IsolateError::Aborted { .. }))), "{result:?}");
}

#[test]
fn an_exit() {
    // The C library's, past everything in Python that could catch it.
    let result = ending("import os\ndef run():\n    os._exit(3)");
    assert!(matches!(result, Err(Failed::Stopped(IsolateError::Aborted { .. }))), "{result:?}");
    assert!(exception("import sys\ndef run():\n    sys.exit(3)").starts_with("SystemExit"));
}

#[test]
fn a_fatal_error_of_the_interpreter() {
    let body = "import ctypes\ndef run():\n    ctypes.pythonapi.Py_FatalError(b'on purpose')";
    let result = ending(body);
    assert!(matches!(result, Err(Failed::Stopped(IsolateError::Aborted { .. }))), "{result:?}");
}

#[test]
fn an_endless_loop() {
    let limit = Duration::from_millis(200);
    for body in [
        "def run():\n    while True: pass",
        "run = run_js('() => { for (;;) ; }')",
        "run = run_js('async () => { for (;;) await null }')",
        "def run():\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
        // A module of its own that calls nothing and has no memory: `(func (export "f") (loop (br 0)))`.
        "run = run_js('() => { const code = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, \
         102, 0, 0, 10, 9, 1, 7, 0, 3, 64, 12, 0, 11, 11); new WebAssembly.Instance(new WebAssembly.Module(code)).exports.f() }')",
    ] {
        let limits = Limits { request_cpu: limit, ..Limits::default() };
        let result = run(&format!("{PROBE}\n{body}"), limits);
        assert_eq!(result, Err(Failed::Stopped(IsolateError::CpuLimit { limit })), "{body}");
    }
}

/// Wherever it is: in Python, JavaScript, a library of C, an exception's unwinding, the host, or on the way between them.
#[test]
fn the_end_of_cpu_time_at_any_moment() {
    const BODY: &str = r#"
import json, re

def run():
    text = json.dumps([{"number": i, "texts": [str(i)] * 3} for i in range(20)])
    total = run_js("(f) => { let n = 0; for (const x of [1, 2, 3]) n += f(x); return n }")
    thrown = run_js("() => { throw new Error('on purpose') }")
    while True:
        for item in json.loads(text):
            re.findall("[0-9]+", str(item))
        try:
            raise ValueError(text)
        except ValueError:
            pass
        total(lambda n: sum(sorted(x * 7919 % 1009 for x in range(n * 20))))
        try:
            thrown()
        except Exception:
            pass
        bytes(100_000).find(b"x")
"#;
    on_guest_stack(|| {
        let folder = tempfile::tempdir().unwrap();
        let worker = Guest::load(&format!("{PROBE}\n{BODY}"));
        let snapshot = worker.freeze(&folder.path().join("worker")).unwrap();
        for microseconds in (0..100).map(|n| 5_000 + n * 137) {
            let limit = Duration::from_micros(microseconds);
            let limits = Limits { request_cpu: limit, ..Limits::default() };
            let mut guest = Guest::restore(runtime(), &snapshot, limits).unwrap();
            assert_eq!(guest.call("run"), Err(Failed::Stopped(IsolateError::CpuLimit { limit })));
        }
        let mut guest = Guest::restore(runtime(), &snapshot, Limits::default()).unwrap();
        assert_eq!(guest.call("probe"), Ok("42".into()), "the next isolate works");
    });
}

#[test]
fn memory_that_python_cannot_have() {
    let grow = "def run():\n    blocks = []\n    while True:\n        blocks.append(bytearray(1 << 20))";
    assert!(exception(grow).starts_with("MemoryError"));
    assert!(exception("def run():\n    return bytearray(1 << 30)").starts_with("MemoryError"));
}

#[test]
fn memory_that_javascript_cannot_have() {
    let big =
        exception("run = run_js('() => { const b = []; for (;;) b.push(new Uint8Array(1 << 20).fill(1)) }')");
    assert!(big.contains("memory"), "{big}");
    // When not even the exception itself finds room, QuickJS throws null, or the isolate ends.
    for small in ["b.push({})", "b.push('x'.repeat(100) + b.length)"] {
        let small = format!("() => {{ const b = []; for (;;) {small} }}");
        let result = ending(&format!("run = run_js({small:?})"));
        match &result {
            Err(Failed::Raised(name, message)) => assert!(
                name == "MemoryError" || message.contains("memory") || message.contains("[object Null]"),
                "{result:?}"
            ),
            Err(Failed::Stopped(IsolateError::OutOfMemory { .. })) => {}
            _ => panic!("{result:?}"),
        }
    }
}

#[test]
fn module_scope_ends_in_the_same_ways() {
    on_guest_stack(|| {
        let limit = Duration::from_millis(300);
        let limits = Limits { boot_cpu: limit, ..Limits::default() };
        let load = |source| Guest::load_with(runtime(), source, &[], limits).err();
        assert_eq!(load("while True: pass"), Some(Failed::Stopped(IsolateError::CpuLimit { limit })));
        let failed = load("import os\nos.abort()");
        assert!(matches!(failed, Some(Failed::Stopped(IsolateError::Aborted { .. }))), "{failed:?}");
        let failed = load("1 / 0");
        assert_eq!(failed.unwrap().exception(), Some("ZeroDivisionError"));
        assert_eq!(Guest::load(PROBE).call("probe"), Ok("42".into()));
    });
}

/// Each is nested as deeply as a client can have it, and gives the name of the exception, if there is one.
#[test]
fn values_that_are_nested_too_deeply() {
    const CASES: &str = r#"
import copy, gc, json, pickle
from js import JSON
from pyodide.code import run_js
from pyodide.ffi import JsException, to_js

DEEP = 400_000
js_list = run_js("(n) => { let a = []; for (let i = 0; i < n; i++) a = [a]; return a }")

class Slots:
    __slots__ = ("next",)
    def __init__(self, next):
        self.next = next

def nest(inner, wrap):
    for _ in range(DEEP):
        inner = wrap(inner)
    return inner

def deep_list():
    return nest([], lambda a: [a])

CASES = {
    "release": lambda: nest((), lambda a: (a,)) and None,
    "release dict": lambda: nest({}, lambda a: {"a": a}) and None,
    "release objects": lambda: nest(None, Slots) and None,
    "collect": lambda: (deep_list(), gc.collect()) and None,
    "loads": lambda: json.loads("[" * DEEP + "]" * DEEP),
    "loads object": lambda: json.loads('{"a":' * DEEP),
    "dumps": lambda: json.dumps(deep_list()),
    "repr": lambda: repr(deep_list()),
    "compare": lambda: deep_list() == deep_list(),
    "pickle": lambda: pickle.dumps(deep_list()),
    "isinstance": lambda: isinstance(1, nest((), lambda a: (a,))),
    "to_js": lambda: to_js(deep_list()),
    "to_py": lambda: js_list(DEEP).to_py(),
    "parse": lambda: JSON.parse("[" * DEEP + "]" * DEEP),
    "stringify": lambda: JSON.stringify(js_list(DEEP)),
    "not too deep": lambda: len(JSON.stringify(to_js(json.loads("[" * 5000 + "]" * 5000)))),
}

def run():
    said = []
    for name, case in CASES.items():
        try:
            said.append(f"{name}: {case()}")
        except JsException as error:
            said.append(f"{name}: {error.name}")
        except Exception as error:
            said.append(f"{name}: {type(error).__name__}")
    return "\n".join(said)
"#;
    let said = ending(CASES).unwrap();
    let python = ["loads", "loads object", "dumps", "repr", "compare", "pickle", "isinstance"];
    let javascript = ["to_py", "parse", "stringify"];
    let released = ["release", "release dict", "release objects", "collect"];
    let expected = released.map(|name| format!("{name}: None")).into_iter();
    let expected = expected.chain(python.map(|name| format!("{name}: RecursionError")));
    let expected = expected.chain(["to_js: ConversionError".to_owned()]);
    let expected = expected.chain(javascript.map(|name| format!("{name}: RangeError")));
    let expected: Vec<String> = expected.chain(["not too deep: 10000".to_owned()]).collect();
    assert_eq!(said, expected.join("\n"));
}

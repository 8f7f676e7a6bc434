//! A Worker in an isolate, as the tests talk to it: by the names of its functions.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use taipan_engine::{
    BootError, Event, Isolate, IsolateError, IsolateOptions, Meter, NoMeter, OpReply, Ops, Runtime,
    RuntimeFiles, RuntimeOptions, STACK_SIZE, Snapshot, SnapshotError, Source, Turn, Volumes, WorkerCode,
};
use taipan_guest::ops;
use taipan_guest::protocol::{Field, FieldRef, Message};
use taipan_packages::pyodide::{self, Cache, RELEASES, Release, Silent};

pub(crate) const MEMORY_LIMIT: usize = 256 << 20;
/// Compiling a wheel's module counts as the guest's time.
const CPU: Duration = Duration::from_secs(120);

/// Calls the function of `worker.py` that a request names and answers with its result.
const ENTRY: &str = r#"
import inspect

from workers import Response, WorkerEntrypoint

import worker


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        worker.request = request
        result = getattr(worker, request.url.rpartition("/")[2])()
        if inspect.isawaitable(result):
            result = await result
        return Response(str(result))
"#;

/// The cache of all tests that start isolates.
pub(crate) fn shared_cache() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// The newest release.
pub(crate) fn release() -> &'static Release {
    &RELEASES[0]
}

/// A runtime whose compiled code and snapshots are in `cache_dir`.
pub(crate) fn new_runtime(cache_dir: PathBuf) -> Arc<Runtime> {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let cache = Cache::new(Some(shared_cache())).unwrap();
        pyodide::obtain(release(), &cache, &pyodide::Source::Npm, &Silent).unwrap()
    });
    Runtime::new(RuntimeOptions {
        files: RuntimeFiles {
            version: release().version.into(),
            digest: release().tarball.sha256.into(),
            folder: Box::new(|| Ok(folder.clone())),
        },
        cache_dir,
        progress: Box::new(|_| ()),
    })
    .unwrap()
}

/// The runtime that nearly all tests use, and the files of the shared cache before any of them ran.
fn shared() -> &'static (Arc<Runtime>, Vec<PathBuf>) {
    static SHARED: OnceLock<(Arc<Runtime>, Vec<PathBuf>)> = OnceLock::new();
    SHARED.get_or_init(|| {
        let runtime = new_runtime(shared_cache());
        drop(runtime.base().unwrap());
        (runtime, files(&shared_cache()))
    })
}

/// The runtime that nearly all tests use.
pub(crate) fn runtime() -> &'static Arc<Runtime> {
    &shared().0
}

/// The files of the shared cache that no test is writing now.
pub(crate) fn shared_files() -> &'static [PathBuf] {
    &shared().1
}

/// The files of a cache folder, without Pyodide's.
pub(crate) fn files(cache: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).collect()
}

/// Runs a test where an isolate may run: on a thread with enough stack.
pub(crate) fn on_guest_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_SIZE).spawn_scoped(scope, work).unwrap();
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// What the guest has said to the host.
#[derive(Debug, Default)]
struct Heard {
    /// The answer to the request in progress: a response's body, or a report of a failure.
    answer: Option<Result<String, String>>,
    /// Calls of `http.read`, which nobody answers.
    reads: u32,
    log: String,
}

#[derive(Clone, Default)]
struct Host(Arc<Mutex<Heard>>);

impl Ops for Host {
    fn call(&mut self, number: u32, _id: u32, args: &Message<'_>) -> OpReply {
        let mut heard = self.0.lock().unwrap();
        match ops::OPS[number as usize].name {
            "http.respond" => {
                let body = match args.get(3) {
                    FieldRef::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    FieldRef::Null => String::new(),
                    other => panic!("a response with a streamed body: {other:?}"),
                };
                heard.answer = Some(Ok(body));
                OpReply::Ready(vec![])
            }
            "http.fail" => {
                heard.answer = Some(Err(args.str(1).unwrap().to_owned()));
                OpReply::Ready(vec![])
            }
            "http.done" => OpReply::Ready(vec![]),
            "http.read" => {
                heard.reads += 1;
                OpReply::Later
            }
            // Pyodide converts longer strings with a TextDecoder.
            "text.label" => OpReply::Ready(vec![args.str(0).unwrap().to_lowercase().into()]),
            "text.decode" => {
                let bytes = args.bytes(1).unwrap();
                let text = match args.str(0).unwrap() {
                    "latin1" => bytes.iter().map(|byte| char::from(*byte)).collect(),
                    "utf-16le" => {
                        let units = bytes.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair));
                        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
                    }
                    _ => String::from_utf8_lossy(bytes).into_owned(),
                };
                OpReply::Ready(vec![text.into()])
            }
            other => OpReply::Failed { name: "Error", message: format!("not in these tests: {other}") },
        }
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<Event> {
        thread::sleep(deadline?.saturating_duration_since(Instant::now()));
        None
    }

    fn meter(&self) -> Arc<dyn Meter> {
        Arc::new(NoMeter)
    }

    fn log(&mut self, _level: u8, line: &str) {
        let mut heard = self.0.lock().unwrap();
        heard.log.push_str(line);
        heard.log.push('\n');
    }
}

/// Why a function of the Worker gave no result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It raised an exception of this type with this message.
    Raised(String, String),
    /// The isolate is gone.
    Stopped(IsolateError),
}

impl Failed {
    /// The type of the exception.
    pub(crate) fn exception(&self) -> Option<&str> {
        match self {
            Self::Raised(name, _) => Some(name),
            Self::Stopped(_) => None,
        }
    }
}

fn raised(report: &str) -> Failed {
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
    let part = |key: &str| report[key].as_str().unwrap().to_owned();
    Failed::Raised(part("type"), part("message"))
}

/// What an isolate may use. The defaults are more than a test needs.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) memory: usize,
    pub(crate) request_cpu: Duration,
    pub(crate) boot_cpu: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: MEMORY_LIMIT, request_cpu: CPU, boot_cpu: CPU }
    }
}

/// An isolate with a Worker in it.
pub(crate) struct Guest {
    isolate: Isolate,
    host: Host,
    requests: u32,
}

impl Guest {
    /// The Worker whose module `worker` has this source.
    pub(crate) fn load(worker: &str) -> Self {
        Self::load_limited(worker, Limits::default())
    }

    pub(crate) fn load_limited(worker: &str, limits: Limits) -> Self {
        Self::load_with(runtime(), worker, &[], limits).unwrap()
    }

    /// As [`Self::load`], with more files beside the module.
    pub(crate) fn load_with(
        runtime: &Arc<Runtime>,
        worker: &str,
        files: &[(&str, Arc<[u8]>)],
        limits: Limits,
    ) -> Result<Self, Failed> {
        let mut guest = Self::restore(runtime, &runtime.base().unwrap(), limits).map_err(Failed::Stopped)?;
        let own = [("entry.py", ENTRY.as_bytes().into()), ("worker.py", worker.as_bytes().into())];
        let sources = own.iter().chain(files);
        let loaded = guest.isolate.load(WorkerCode {
            sources: sources
                .map(|(path, content)| Source { path: (*path).to_owned(), content: content.clone() })
                .collect(),
            main: "entry.py".into(),
            env_json: "{}".into(),
            withheld: vec![],
            global_handlers: false,
            volumes: Volumes::default(),
            bindings: vec![],
        });
        match loaded {
            Ok(()) => Ok(guest),
            Err(BootError::Worker { report_json }) => Err(raised(&report_json)),
            Err(BootError::Isolate(error)) => Err(Failed::Stopped(error)),
        }
    }

    /// An isolate that continues from a snapshot.
    pub(crate) fn restore(
        runtime: &Arc<Runtime>,
        snapshot: &Snapshot,
        limits: Limits,
    ) -> Result<Self, IsolateError> {
        let host = Host::default();
        let options = IsolateOptions {
            memory_limit: limits.memory,
            request_cpu: limits.request_cpu,
            boot_cpu: limits.boot_cpu,
            ops: Box::new(host.clone()),
        };
        let isolate = Isolate::restore(runtime, snapshot, options, "{}")?;
        Ok(Self { isolate, host, requests: 0 })
    }

    /// The result of the Worker's function `name`, as text.
    pub(crate) fn call(&mut self, name: &str) -> Result<String, Failed> {
        let mut turn = self.begin(name, None).map_err(Failed::Stopped)?;
        loop {
            if let Some(answer) = self.host.0.lock().unwrap().answer.take() {
                return answer.map_err(|report| raised(&report));
            }
            let at = turn.next_timer.expect("the Worker waits for something that cannot happen");
            thread::sleep(at.saturating_duration_since(Instant::now()));
            turn = self.isolate.turn(vec![]).map_err(Failed::Stopped)?;
        }
    }

    /// Begins a request for the function `name`, and runs until it waits or answers. `body`: its length, if it has one.
    pub(crate) fn begin(&mut self, name: &str, body: Option<u32>) -> Result<Turn, IsolateError> {
        self.requests += 1;
        let body = body.map_or(Field::Null, Field::from);
        let head =
            vec!["POST".into(), format!("http://localhost/{name}").into(), body, Field::Null, Field::Null];
        self.isolate.turn(vec![Event::Fetch { request: self.requests, head }])
    }

    /// How often the Worker has asked for a part of a request's body.
    pub(crate) fn reads(&self) -> u32 {
        self.host.0.lock().unwrap().reads
    }

    /// What the Worker has printed.
    pub(crate) fn log(&self) -> String {
        self.host.0.lock().unwrap().log.clone()
    }

    /// What the main module has called of JavaScript, and how often.
    pub(crate) fn crossings(&self) -> Vec<(String, u64)> {
        self.isolate.crossings()
    }

    /// Makes the isolate a snapshot.
    pub(crate) fn learn(&self) {
        self.isolate.learn().unwrap();
    }

    pub(crate) fn freeze(self, path: &Path) -> Result<Snapshot, SnapshotError> {
        self.isolate.freeze(path)
    }
}

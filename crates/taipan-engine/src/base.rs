//! The base snapshot: Python has started and no Worker is loaded. Made once per machine and version of the runtime;
//! every isolate continues from it.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use taipan_guest::protocol::{Field, Message};

use crate::host::{
    CompileStep, Event, IsolateOptions, Meter, NoMeter, OpReply, Ops, Source, Volumes, WorkerCode,
};
use crate::{BootError, Isolate, Runtime, STACK_SIZE, Snapshot, SnapshotError};

/// Far more than Python's own start takes.
const BOOT_CPU: Duration = Duration::from_secs(120);
const MEMORY_LIMIT: usize = 256 << 20;

/// A Worker of ours (`python/_taipan_rehearsal.py`).
const REHEARSAL: &str = "_taipan_rehearsal.py";

/// CPython keeps a history of sixteen decisions at each branch of its bytecode, in the bytecode.
const REHEARSALS: u32 = 20;

/// Python's start asks nothing of the host, and the rehearsal nothing that matters.
pub(crate) struct NoHost;

impl Ops for NoHost {
    fn meter(&self) -> Arc<dyn Meter> {
        Arc::new(NoMeter)
    }

    fn call(&mut self, number: u32, _id: u32, args: &Message<'_>) -> OpReply {
        let name = taipan_guest::ops::OPS.get(number as usize).map_or("", |op| op.name);
        if ["http.respond", "http.done"].contains(&name) {
            return OpReply::Ready(vec![]);
        }
        if name == "http.fail" {
            tracing::warn!("the rehearsal failed: {}", args.str(1).unwrap_or_default());
            return OpReply::Ready(vec![]);
        }
        OpReply::Failed { name: "Error", message: format!("operation {number} is not available at start") }
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<Event> {
        if let Some(deadline) = deadline {
            thread::sleep(deadline.saturating_duration_since(Instant::now()));
        }
        None
    }

    fn log(&mut self, level: u8, line: &str) {
        tracing::debug!(level, "while Python started: {line}");
    }
}

impl Runtime {
    /// The base snapshot, from the cache or made now, which takes seconds. Any thread may ask; the work is done once.
    pub fn base(self: &Arc<Self>) -> Result<Arc<Snapshot>, SnapshotError> {
        let mut base = self.base_slot().lock();
        if let Some(base) = &*base {
            return Ok(base.clone());
        }
        let path = self.base_path();
        let snapshot = match Snapshot::open(self, &path) {
            Ok(snapshot) => snapshot,
            Err(e) => {
                if matches!(e, SnapshotError::Refused { .. }) {
                    tracing::warn!("{e}");
                }
                self.report(CompileStep::Starting);
                let made = self.make_base(path)?;
                self.report(CompileStep::Started);
                made
            }
        };
        Ok(base.insert(Arc::new(snapshot)).clone())
    }

    /// The base snapshot's name, which says everything that it was made from.
    pub fn base_name(&self) -> &str {
        self.base_name_slot().get_or_init(|| {
            let mut name = blake3::Hasher::new();
            name.update(&self.main().name).update(&self.engine_module().name);
            name.update(taipan_guest::BUNDLE_JS.as_bytes());
            name.update(self.release_digest().as_bytes());
            for (path, content) in taipan_guest::PYTHON {
                name.update(path.as_bytes()).update(&[0]).update(blake3::hash(content).as_bytes());
            }
            format!("base-{}", name.finalize().to_hex())
        })
    }

    pub(crate) fn base_path(&self) -> PathBuf {
        self.cache_dir().join(format!("{}.snapshot", self.base_name()))
    }

    fn make_base(self: &Arc<Self>, path: PathBuf) -> Result<Snapshot, SnapshotError> {
        let runtime = self.clone();
        let work = move || {
            let options = IsolateOptions {
                memory_limit: MEMORY_LIMIT,
                request_cpu: BOOT_CPU,
                boot_cpu: BOOT_CPU,
                ops: Box::new(NoHost),
            };
            let mut isolate = Isolate::boot(&runtime, options)?;
            rehearse(&mut isolate, 1)?;
            isolate.compact()?;
            rehearse(&mut isolate, REHEARSALS)?;
            isolate.freeze(&path)
        };
        let lost = || SnapshotError::NotNow { reason: "the system has no thread for it".into() };
        let thread = thread::Builder::new().name("base".into()).stack_size(STACK_SIZE).spawn(work);
        thread.map_err(|_| lost())?.join().map_err(|_| lost())?
    }
}

/// Does what every Worker's start and first request do, so often that what they leave behind does not change any more.
fn rehearse(isolate: &mut Isolate, times: u32) -> Result<(), SnapshotError> {
    let content = taipan_guest::PYTHON.iter().find(|(name, _)| *name == REHEARSAL);
    let Some((_, content)) = content else { return Ok(()) };
    let content: Arc<[u8]> = Arc::from(*content);
    for _ in 0..times {
        let worker = WorkerCode {
            sources: vec![Source { path: REHEARSAL.to_owned(), content: content.clone() }],
            main: REHEARSAL.to_owned(),
            env_json: "{}".to_owned(),
            withheld: vec![],
            global_handlers: false,
            volumes: Volumes::default(),
            bindings: vec![],
        };
        match isolate.load(worker) {
            Ok(()) => {}
            Err(BootError::Isolate(error)) => return Err(error.into()),
            Err(BootError::Worker { report_json }) => {
                tracing::warn!("the rehearsal does not load: {report_json}");
                return Ok(());
            }
        }
        isolate.thaw("{}")?;
        for (request, method, accept) in [(1, "GET", "*/*"), (2, "POST", "*/*"), (3, "GET", "javascript")] {
            let url = "http://localhost/";
            let head = [
                method.into(),
                url.into(),
                Field::Null,
                "{}".into(),
                Field::Null,
                "accept".into(),
                accept.into(),
            ];
            let mut turn = isolate.turn(vec![Event::Fetch { request, head: head.into() }])?;
            while turn.next_timer.is_some() {
                turn = isolate.turn(vec![])?;
            }
        }
        isolate.unload()?;
    }
    Ok(())
}

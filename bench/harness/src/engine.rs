//! Isolates without a server: the stages of a cold start.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use taipan_bindings::{Embedder, EventSender, HostOps, Requests, ResponseBody};
use taipan_engine::{
    BootError, Event, Isolate, IsolateOptions, Runtime, Snapshot, SnapshotError, Source, Spares, Turn,
    Volumes, WorkerCode,
};
use taipan_guest::protocol::Field;
use taipan_packages::python::PackageTree;
use taipan_server::{PackageVolume, SourceVolume};
use taipan_testkit::process::evict;
use tokio::sync::oneshot;

use crate::worker::{CPU, MAIN, MEMORY_LIMIT, Worker};

/// Longer than it takes to prepare isolates: a server that is not under a storm has one ready, and prepares none meanwhile.
pub(crate) const REFILL: Duration = Duration::from_millis(25);

pub(crate) struct Engine {
    runtime: Arc<Runtime>,
    /// As many as in `dev`.
    spares: Spares,
    snapshots: HashMap<PathBuf, Snapshots>,
    folder: PathBuf,
}

/// A Worker's layers above the base snapshot, the lowest first: its packages if it has any, and its own.
#[derive(Clone)]
struct Snapshots(Vec<(PathBuf, Snapshot)>);

impl Snapshots {
    fn top(&self) -> Result<&Snapshot> {
        Ok(&self.0.last().context("no snapshot")?.1)
    }
}

impl Engine {
    pub(crate) fn new(runtime: Arc<Runtime>) -> Result<Self> {
        // Always the same files, because whoever asks ends this process by a signal.
        let folder = runtime.cache_dir().join("bench");
        fs_err::create_dir_all(&folder)?;
        Ok(Self { spares: Spares::new(runtime.clone(), 2), runtime, snapshots: HashMap::new(), folder })
    }

    /// Nanoseconds of a start and of the turn with the first request.
    pub(crate) fn restore(&mut self, worker: &Worker, spare: bool) -> Result<Value> {
        let snapshot = self.snapshot(worker)?;
        thread::sleep(REFILL);
        let (restore, first, _) = self.start(&snapshot, worker, spare)?;
        Ok(json!({ "restore": nanos(restore), "first request": nanos(first) }))
    }

    /// The same when the snapshot, and that of the packages below it, are neither open nor in the page cache.
    pub(crate) fn restore_from_disk(&mut self, worker: &Worker, spare: bool) -> Result<Value> {
        self.snapshot(worker)?;
        // Their mappings would keep the pages.
        let closed = self.snapshots.remove(&worker.folder).context("no snapshot")?;
        let paths: Vec<PathBuf> = closed.0.into_iter().map(|(path, _)| path).collect();
        evict(&self.folder)?;
        let begun = Instant::now();
        let open =
            |path: PathBuf| Ok::<_, SnapshotError>((path.clone(), Snapshot::open(&self.runtime, &path)?));
        let opened = Snapshots(paths.into_iter().map(open).collect::<Result<_, _>>()?);
        let open = begun.elapsed();
        self.snapshots.insert(worker.folder.clone(), opened);
        let snapshot = self.snapshot(worker)?;
        thread::sleep(REFILL);
        let (restore, first, _) = self.start(&snapshot, worker, spare)?;
        Ok(json!({ "open snapshots": nanos(open), "restore": nanos(restore), "first request": nanos(first) }))
    }

    /// A new isolate that has answered a request, and how long it took.
    pub(crate) fn start(
        &self,
        snapshot: &Snapshot,
        worker: &Worker,
        spare: bool,
    ) -> Result<(Duration, Duration, Live)> {
        let (host, outside) = Host::new();
        let begun = Instant::now();
        let isolate = if spare {
            self.spares.restore(snapshot, options(outside), "{}")?
        } else {
            Isolate::restore(&self.runtime, snapshot, options(outside), "{}")?
        };
        let restored = begun.elapsed();
        let mut live = Live { isolate, host };
        live.fetch(&worker.path)?;
        Ok((restored, begun.elapsed().saturating_sub(restored), live))
    }

    /// The Worker's snapshot, which knows what a first request needs.
    pub(crate) fn snapshot(&mut self, worker: &Worker) -> Result<Snapshot> {
        if let Some(known) = self.snapshots.get(&worker.folder) {
            return Ok(known.top()?.clone());
        }
        let made = self.make(worker)?;
        let snapshot = made.top()?.clone();
        self.start(&snapshot, worker, false)?.2.isolate.learn()?;
        self.snapshots.insert(worker.folder.clone(), made);
        Ok(snapshot)
    }

    /// Makes the layers that a server has once it has learned what the packages import when they are used.
    fn make(&self, worker: &Worker) -> Result<Snapshots> {
        let path = |what| self.folder.join(format!("{}-{what}.snapshot", self.snapshots.len()));
        let refused = |error| match error {
            BootError::Worker { report_json } => anyhow!("the Worker does not start: {report_json}"),
            BootError::Isolate(error) => error.into(),
        };
        let mut layers = vec![];
        let tree = worker.packages(self.runtime.cache_dir(), crate::release()?)?;
        let sources = worker.sources()?;
        let volumes = Volumes { packages: !tree.is_empty(), sources: true };
        let mut isolate = self.isolate(&*self.runtime.base()?, &tree, &sources)?;
        if !worker.imports.is_empty() {
            isolate.load_packages(vec![], &worker.imports, &[], volumes).map_err(refused)?;
            let snapshot = isolate.freeze_whole(&path("packages"))?;
            isolate = self.isolate(&snapshot, &tree, &sources)?;
            layers.push((path("packages"), snapshot));
        }
        let code = || WorkerCode {
            sources: vec![],
            main: MAIN.to_owned(),
            env_json: "{}".to_owned(),
            withheld: vec![],
            global_handlers: false,
            volumes,
            bindings: vec![],
        };
        isolate.load(code()).map_err(refused)?;
        if let Some((_, packages)) = layers.pop() {
            let learned: Vec<String> = isolate.imported()?.into_iter().map(|(name, _)| name).collect();
            isolate = self.isolate(&packages, &tree, &sources)?;
            isolate.load_packages(vec![], &[], &learned, volumes).map_err(refused)?;
            let snapshot = isolate.freeze_whole(&path("packages"))?;
            isolate = self.isolate(&snapshot, &tree, &sources)?;
            layers.push((path("packages"), snapshot));
            isolate.load(code()).map_err(refused)?;
        }
        layers.push((path("worker"), isolate.freeze(&path("worker"))?));
        Ok(Snapshots(layers))
    }

    /// One in which code is to be loaded.
    fn isolate(
        &self,
        snapshot: &Snapshot,
        packages: &Arc<PackageTree>,
        sources: &[Source],
    ) -> Result<Isolate> {
        let packages = Arc::new(PackageVolume(packages.clone()));
        let ops = Host::new().1.with_volumes(vec![packages, Arc::new(SourceVolume::new(sources))]);
        Ok(Isolate::restore(&self.runtime, snapshot, options(ops), "{}")?)
    }
}

pub(crate) fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

fn options(outside: HostOps) -> IsolateOptions {
    IsolateOptions { memory_limit: MEMORY_LIMIT, request_cpu: CPU, boot_cpu: CPU, ops: Box::new(outside) }
}

/// What its owner keeps of an isolate's operations.
struct Host {
    requests: Requests,
    events: Arc<std::sync::Mutex<mpsc::Receiver<Event>>>,
}

struct Outside(Arc<std::sync::Mutex<mpsc::Receiver<Event>>>);

impl Host {
    fn new() -> (Self, HostOps) {
        let (sender, receiver) = mpsc::channel();
        let events = Arc::new(std::sync::Mutex::new(receiver));
        let requests = Requests::default();
        // The isolate may end before the operation.
        let completed = EventSender::new(move |event| drop(sender.send(event)));
        let ops = HostOps::new(requests.clone(), completed, Box::new(Outside(events.clone())));
        (Self { requests, events }, ops)
    }
}

impl Embedder for Outside {
    fn log(&mut self, _level: u8, line: &str) {
        eprintln!("{line}");
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<Event> {
        let timeout = deadline?.saturating_duration_since(Instant::now());
        self.0.lock().ok()?.recv_timeout(timeout).ok()
    }
}

/// An isolate with its host.
pub(crate) struct Live {
    isolate: Isolate,
    host: Host,
}

impl Live {
    /// Sends the only request of the isolate and waits for the response.
    fn fetch(&mut self, path: &str) -> Result<()> {
        const REQUEST: u32 = 1;
        let (answer, mut response) = oneshot::channel();
        self.host.requests.open(REQUEST, None, answer);
        let url = format!("http://localhost{path}");
        let head = [
            "GET".into(),
            url.into(),
            Field::Null,
            Field::Null,
            Field::Null,
            "host".into(),
            "localhost".into(),
        ]
        .into();
        let mut turn = self.isolate.turn(vec![Event::Fetch { request: REQUEST, head }])?;
        loop {
            match response.try_recv() {
                Ok(Ok(response))
                    if response.status == 200 && matches!(response.body, ResponseBody::Full(_)) =>
                {
                    return Ok(());
                }
                Ok(other) => bail!("the Worker answers {path} with {other:?}"),
                Err(_) => turn = self.go_on(turn)?,
            }
        }
    }

    fn go_on(&mut self, turn: Turn) -> Result<Turn> {
        let event = {
            let events = self.host.events.lock().map_err(|_| anyhow!("a host panicked"))?;
            match turn.next_timer {
                Some(at) => events.recv_timeout(at.saturating_duration_since(Instant::now())).ok(),
                None if turn.pending_ops > 0 => Some(events.recv()?),
                None => bail!("the Worker waits for something that cannot happen"),
            }
        };
        self.isolate.turn(event.into_iter().collect()).context("the isolate stopped")
    }
}

//! The server of `taipan dev` within this process, and requests to it over HTTP.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use taipan_engine::{IsolateError, Runtime, Source, Spares};
use taipan_packages::python::PackageTree;
use taipan_server::{
    Console, Ingress, IngressOptions, IsolateCap, Level, Policy, PoolOptions, RequestLog, Scheduler, Slot,
    Started, boot_isolate,
};
use taipan_testkit::http::{Client, Request};

use crate::engine::{REFILL, nanos};
use crate::worker::{Worker, spec};

/// Enough for the largest benchmark; the machine's limits are its concern.
const MOST_ISOLATES: usize = 10_000;

/// An isolate that has nothing to do is soon gone.
const COLD: PoolOptions = PoolOptions { min: 0, max: 1, idle: Duration::from_millis(20) };

/// An isolate stays.
pub(crate) const WARM: PoolOptions = PoolOptions { min: 1, max: 1, idle: Duration::from_secs(3600) };

pub(crate) struct Served {
    executor: tokio::runtime::Runtime,
    spares: Arc<Spares>,
    scheduler: Arc<Scheduler>,
    slot: Option<Arc<Slot>>,
    client: Option<Client>,
    workers: HashMap<(PathBuf, bool), Arc<taipan_server::Worker>>,
    deployed: usize,
}

impl Served {
    pub(crate) fn start(runtime: Arc<Runtime>) -> Result<Self> {
        Ok(Self {
            executor: taipan_server::connections()?,
            spares: Arc::new(Spares::new(runtime, 2)),
            scheduler: Scheduler::new(IsolateCap::chosen(MOST_ISOLATES), Policy::Open)?,
            slot: None,
            client: None,
            workers: HashMap::new(),
            deployed: 0,
        })
    }

    /// Nanoseconds until the response to one request has come.
    pub(crate) fn request(&mut self, worker: &Worker, warm: bool) -> Result<Value> {
        let key = (worker.folder.clone(), warm);
        let running = match self.workers.get(&key) {
            Some(running) => running.clone(),
            None => {
                let packages = self.packages(worker)?;
                let running = self.deploy(worker.sources()?, packages, if warm { WARM } else { COLD })?;
                self.workers.insert(key, running.clone());
                running
            }
        };
        self.make_current(running)?;
        if !warm {
            let others = self.workers.keys().filter(|(_, warm)| *warm).count();
            while self.scheduler.isolates() > others {
                thread::sleep(Duration::from_millis(1));
            }
        }
        thread::sleep(REFILL);
        let begun = Instant::now();
        self.get(&worker.path)?;
        Ok(json!({ "response": nanos(begun.elapsed()) }))
    }

    pub(crate) fn packages(&self, worker: &Worker) -> Result<Arc<PackageTree>> {
        worker.packages(self.spares.runtime().cache_dir(), crate::release()?)
    }

    /// How many Workers were deployed.
    pub(crate) fn count(&self) -> usize {
        self.deployed
    }

    /// A Worker that has started.
    pub(crate) fn deploy(
        &mut self,
        sources: Vec<Source>,
        packages: Arc<PackageTree>,
        pool: PoolOptions,
    ) -> Result<Arc<taipan_server::Worker>> {
        self.deployed += 1;
        let spec = spec(sources, packages);
        let sources = spec.sources.clone();
        let boot = boot_isolate(self.spares.clone(), spec, Arc::new(Errors), None);
        let worker = taipan_server::Worker::spawn(&self.scheduler, boot, pool, sources, Arc::new(Errors));
        match self.executor.block_on(worker.started()) {
            Started::Ready { .. } => Ok(worker),
            other => bail!("the Worker does not start: {other:?}"),
        }
    }

    /// The Worker gets the requests from now on.
    pub(crate) fn make_current(&mut self, worker: Arc<taipan_server::Worker>) -> Result<()> {
        if let Some(slot) = &self.slot {
            slot.replace(worker);
            return Ok(());
        }
        let slot = Slot::new(worker);
        let ingress =
            self.executor.block_on(Ingress::bind(([127, 0, 0, 1], 0).into(), IngressOptions::default()))?;
        self.client = Some(Client::new(ingress.address().port(), Duration::from_secs(60)));
        self.executor.spawn(ingress.serve(
            slot.clone(),
            Arc::new(Errors),
            std::future::pending(),
            Duration::ZERO,
        ));
        self.slot = Some(slot);
        Ok(())
    }

    /// The body of the response.
    pub(crate) fn get(&mut self, path: &str) -> Result<String> {
        let client = self.client.as_mut().context("no Worker is served")?;
        let response = client.send(&Request::get(path))?;
        if response.status != 200 {
            bail!("the Worker answers {path} with {}: {}", response.status, response.text());
        }
        Ok(response.text())
    }
}

/// Prints what went wrong.
struct Errors;

impl Console for Errors {
    fn guest(&self, _level: Level, line: &str) {
        eprintln!("{line}");
    }

    fn request(&self, _request: &RequestLog<'_>) {}

    fn failure(&self, text: &str) {
        eprintln!("{text}");
    }

    fn warning(&self, text: &str) {
        eprintln!("{text}");
    }

    fn isolate_stopped(&self, error: &IsolateError, _requests: usize) {
        eprintln!("{error}");
    }
}

//! The deployed Workers that run.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::StatusCode;
use taipan_bindings::Stores;
use taipan_config::Route;
use taipan_engine::IsolateError;
use taipan_packages::pyodide::Release;
use taipan_storage::StateFolder;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::folder::Folder;
use super::manifest::{Manifest, PinnedRelease, check_name};
use super::refusal::Refusal;
use super::routing::Routing;
use super::secrets::{self, Secrets};
use super::version::Version;
use crate::identity::{is_id, random_id};
use crate::{
    Assets, Console, Ground, Level, Problem, Reach, RequestLog, Scheduler, Sites, Slot, Started, Worker,
    boot_isolate, compile_packages, run_consumer, run_crons,
};

/// Makes what the Workers of a release start from; the folder has the release's files.
type Prepare = dyn Fn(&'static Release, PathBuf) -> Result<Ground, String> + Send + Sync;

/// What deployed Workers run with.
pub struct DeploymentsOptions {
    /// Where they are, with their data.
    pub state: StateFolder,
    /// What their isolates run on.
    pub scheduler: Arc<Scheduler>,
    /// Is told what goes on.
    pub console: Arc<dyn Console>,
    /// What asynchronous work runs on.
    pub executor: Handle,
    /// Called once for each release that a Worker has.
    pub prepare: Box<Prepare>,
}

/// The Workers that are deployed in a state folder. A cheap handle.
#[derive(Clone)]
pub struct Deployments(Arc<Inner>);

struct Inner {
    options: DeploymentsOptions,
    folder: Folder,
    stores: Mutex<Stores>,
    reach: Mutex<Reach>,
    routing: Arc<Routing>,
    running: Mutex<HashMap<String, Running>>,
    /// Workers of which somebody changes something now.
    busy: Mutex<HashSet<String>>,
    grounds: Mutex<HashMap<&'static str, Ground>>,
}

/// A Worker whose current version runs.
struct Running {
    version: Arc<Version>,
    slot: Arc<Slot>,
    /// What calls it by itself. Ends when it is dropped.
    _callers: JoinSet<()>,
}

/// A version that has been started and that nobody is sent to yet.
struct Fresh {
    version: Arc<Version>,
    routes: Vec<Route>,
    worker: Arc<Worker>,
    assets: Option<Arc<Assets>>,
    console: Arc<dyn Console>,
}

/// What came of a deployment.
pub(super) struct Deployed {
    pub(super) version: Arc<Version>,
    /// How long its first isolate took to start.
    pub(super) took: Duration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deployments {
    /// Starts all Workers that are deployed in the state folder. A Worker that does not start is reported and answers so.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub async fn open(options: DeploymentsOptions) -> std::io::Result<Self> {
        let folder = Folder::open(&options.state)?;
        let this = Self(Arc::new(Inner {
            stores: Mutex::new(Stores::new(options.state.clone())),
            options,
            folder,
            reach: Mutex::default(),
            routing: Arc::default(),
            running: Mutex::default(),
            busy: Mutex::default(),
            grounds: Mutex::default(),
        }));
        for name in this.0.folder.workers()? {
            if let Err(refusal) = this.resume(&name).await {
                let console = &this.0.options.console;
                console.failure(&format!("error: the Worker {name} is not served: {}\n", refusal.error));
            }
        }
        Ok(this)
    }

    /// Which of them a request is for.
    pub fn sites(&self) -> Arc<dyn Sites> {
        self.0.routing.clone()
    }

    /// The names of those that are served.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = lock(&self.0.running).keys().cloned().collect();
        names.sort();
        names
    }

    /// Ends all Workers once their requests are finished, at the latest after `grace`.
    pub async fn stop(&self, grace: Duration) {
        let ended: Vec<Running> = lock(&self.0.running).drain().map(|(_, running)| running).collect();
        for worker in ended.iter().map(|running| running.slot.current()) {
            // What has not booted has nothing to finish.
            if !matches!(worker.progress(), Started::Booting) {
                worker.retire(grace).await;
            }
        }
        let this = self.clone();
        let settled = self.blocking(move || {
            lock(&this.0.stores).settle();
            Ok(())
        });
        drop(settled.await);
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let done = self.0.options.executor.spawn_blocking(work).await;
        done.unwrap_or_else(|_| Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping")))
    }

    /// Serves the version that the disk says.
    async fn resume(&self, name: &str) -> Result<(), Refusal> {
        let Some(id) = self.0.folder.current(name)? else { return Ok(()) };
        let version = Arc::new(self.0.folder.version(name, &id)?);
        let secrets = secrets::read(&self.0.folder, name)?;
        let this = self.clone();
        let fresh = self.blocking(move || this.boot(version, secrets, false)).await?;
        let (worker, console) = (fresh.worker.clone(), fresh.console.clone());
        self.serve(fresh)?;
        // Requests wait until it has started.
        self.0.options.executor.spawn(async move {
            if let Started::Failed(fault) = worker.started().await {
                console.failure(&Problem::from(&fault).text());
            }
        });
        Ok(())
    }

    /// Begins to start a version.
    fn boot(&self, version: Arc<Version>, secrets: Secrets, needs_snapshot: bool) -> Result<Fresh, Refusal> {
        let inner = &self.0;
        let manifest = &version.manifest;
        let ground = self.ground(&manifest.release)?;
        let mut spec = version.spec(&inner.folder, secrets)?;
        spec.needs_snapshot = needs_snapshot;
        compile_packages(ground.spares.runtime(), &spec.packages);
        let console: Arc<dyn Console> =
            Arc::new(Named { name: manifest.name.clone(), console: inner.options.console.clone() });
        let executor = &inner.options.executor;
        let assets = manifest.assets.as_ref().map(|assets| {
            let mut config = assets.config.clone();
            config.directory = inner.folder.assets(&version);
            Assets::new(config, console.clone(), executor.clone())
        });
        let table = lock(&inner.stores).bind(&manifest.bindings)?;
        spec.data = lock(&inner.reach).bind(table, &manifest.bindings, assets.as_ref(), &console, executor);
        let boot = boot_isolate(ground.spares, spec, console.clone(), Some(ground.builder));
        // Nobody is shown its sources.
        let worker =
            Worker::spawn(&inner.options.scheduler, boot, manifest.pool(), Arc::default(), console.clone());
        let routes = manifest.routes()?;
        Ok(Fresh { routes, worker, assets, console, version })
    }

    fn ground(&self, pinned: &PinnedRelease) -> Result<Ground, Refusal> {
        let release = pinned.known()?;
        let mut grounds = lock(&self.0.grounds);
        if let Some(ground) = grounds.get(release.version) {
            return Ok(ground.clone());
        }
        let folder = self.0.folder.release(pinned)?;
        let made = (self.0.options.prepare)(release, folder);
        let ground = made.map_err(|reason| {
            Refusal::failed(format!("Pyodide {} does not start here: {reason}", release.version))
        })?;
        grounds.insert(release.version, ground.clone());
        Ok(ground)
    }

    /// Starts a version and waits until it has started.
    async fn start(
        &self,
        version: Arc<Version>,
        secrets: Secrets,
        needs_snapshot: bool,
    ) -> Result<(Fresh, Duration), Refusal> {
        let this = self.clone();
        let fresh = self.blocking(move || this.boot(version, secrets, needs_snapshot)).await?;
        match fresh.worker.started().await {
            Started::Ready { took } => Ok((fresh, took)),
            Started::Failed(fault) => Err(Refusal {
                report: Some(Problem::from(&fault).text()),
                ..Refusal::wrong("the Worker does not start")
            }),
            Started::Booting => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping")),
        }
    }

    /// Sends requests to a version from now on. Those in flight end with the one before.
    fn serve(&self, fresh: Fresh) -> Result<(), Refusal> {
        let Fresh { version, routes, worker, assets, console } = fresh;
        let manifest = &version.manifest;
        let (name, crons) = (&manifest.name, manifest.crons()?);
        let consumers = &manifest.bindings.queue_consumers;
        let queues = match consumers.is_empty() {
            true => None,
            false => Some(lock(&self.0.stores).queues()?),
        };
        let mut running = lock(&self.0.running);
        let slot = match running.get(name) {
            Some(before) => before.slot.clone(),
            None => Slot::new(worker.clone()),
        };
        slot.switch(worker, assets, manifest.request_body_mib.map(|mib| mib << 20));
        let mut callers = JoinSet::new();
        let executor = &self.0.options.executor;
        if !crons.is_empty() {
            callers.spawn_on(run_crons(slot.clone(), crons, console.clone()), executor);
        }
        for (consumer, queues) in consumers.iter().zip(queues.iter().cycle()) {
            let consuming = run_consumer(slot.clone(), consumer.clone(), queues.clone(), console.clone());
            callers.spawn_on(consuming, executor);
        }
        lock(&self.0.reach).services.add(name, slot.clone());
        self.0.routing.set(name, routes, slot.clone());
        running.insert(name.clone(), Running { version: version.clone(), slot, _callers: callers });
        Ok(())
    }

    /// Nobody else changes the Worker until what this gives is dropped.
    fn begin(&self, name: &str) -> Result<Busy, Refusal> {
        check_name(name)?;
        if !lock(&self.0.busy).insert(name.to_owned()) {
            return Err(Refusal::conflict(format!("somebody else changes the Worker now: {name}"))
                .with_hint("try again when that is done"));
        }
        Ok(Busy { inner: self.0.clone(), name: name.to_owned() })
    }

    /// The version that is served.
    pub(super) fn current(&self, name: &str) -> Option<Arc<Version>> {
        lock(&self.0.running).get(name).map(|running| running.version.clone())
    }

    fn current_or(&self, name: &str) -> Result<Arc<Version>, Refusal> {
        check_name(name)?;
        self.current(name).ok_or_else(|| Refusal::absent(format!("no such Worker is deployed: {name}")))
    }

    /// The ID of the version that is served, or that would be if it started.
    fn current_id(&self, name: &str) -> Result<Option<String>, Refusal> {
        Ok(self.0.folder.current(name)?)
    }

    /// The contents that a version would need and that are not here, and the ID of the version that it would replace.
    pub(super) fn missing(&self, manifest: &Manifest) -> Result<(Vec<String>, Option<String>), Refusal> {
        manifest.check()?;
        self.check_beside_others(manifest)?;
        Ok((self.lacking(manifest), self.current_id(&manifest.name)?))
    }

    fn lacking(&self, manifest: &Manifest) -> Vec<String> {
        let mut known = HashSet::new();
        let different = manifest.files().filter(|file| known.insert(file.sha256.as_str()));
        different.filter(|file| !self.0.folder.has(file)).map(|file| file.sha256.clone()).collect()
    }

    /// What cannot be said of one Worker alone.
    fn check_beside_others(&self, manifest: &Manifest) -> Result<(), Refusal> {
        if let Some((other, route)) = self.0.routing.taken(&manifest.name, &manifest.routes()?) {
            return Err(Refusal::conflict(format!("the Worker {other} has the same route: {route}"))
                .with_hint("remove it from one of them"));
        }
        let running = lock(&self.0.running);
        for consumer in &manifest.bindings.queue_consumers {
            let is_taken = |other: &&Running| {
                let other = &other.version.manifest;
                let consumers = &other.bindings.queue_consumers;
                other.name != manifest.name && consumers.iter().any(|known| known.queue == consumer.queue)
            };
            if let Some(other) = running.values().find(is_taken) {
                return Err(Refusal::conflict(format!(
                    "the Worker {} is a consumer of the same queue: {}",
                    other.version.manifest.name, consumer.queue
                ))
                .with_hint("remove one of them from `queues.consumers`"));
            }
        }
        Ok(())
    }

    /// Where contents are.
    pub(super) fn folder(&self) -> &Folder {
        &self.0.folder
    }

    /// Deploys a version whose contents are there. `replaces` is the one that the deployer has seen before.
    pub(super) async fn deploy(
        &self,
        manifest: Manifest,
        replaces: Option<String>,
    ) -> Result<Deployed, Refusal> {
        manifest.check()?;
        let name = manifest.name.clone();
        let _busy = self.begin(&name)?;
        self.check_beside_others(&manifest)?;
        if self.current_id(&name)? != replaces {
            return Err(Refusal::conflict(format!(
                "somebody else has deployed the Worker meanwhile: {name}"
            ))
            .with_hint("look whether theirs is what you want, and deploy again"));
        }
        let version = Arc::new(Version { id: random_id()?, created_ms: now_ms(), manifest });
        let (this, synced) = (self.clone(), version.clone());
        let secrets = self
            .blocking(move || {
                let lacking = this.lacking(&synced.manifest);
                if let Some(first) = lacking.first() {
                    let count = lacking.len();
                    return Err(Refusal::conflict(format!("{count} contents are missing: {first}, …"))
                        .with_hint("deploy again"));
                }
                let folder = &this.0.folder;
                folder.sync(synced.manifest.files())?;
                Ok(secrets::read(folder, &synced.manifest.name)?)
            })
            .await?;
        let (fresh, took) = self.start(version.clone(), secrets, true).await?;
        let (this, kept) = (self.clone(), version.clone());
        self.blocking(move || {
            let folder = &this.0.folder;
            folder.keep(&kept)?;
            if let Err(error) = folder.make_current(&kept.manifest.name, &kept.id) {
                drop(folder.discard(&kept));
                return Err(error.into());
            }
            if let Err(error) = folder.prune(&kept.manifest.name, &kept.id) {
                tracing::warn!("old versions stay: {error}");
            }
            Ok(())
        })
        .await?;
        self.serve(fresh)?;
        Ok(Deployed { version, took })
    }

    /// The versions of a Worker, the newest first.
    pub(super) async fn versions(&self, name: &str) -> Result<Vec<Version>, Refusal> {
        check_name(name)?;
        let (this, owned) = (self.clone(), name.to_owned());
        let versions = self.blocking(move || Ok(this.0.folder.versions(&owned)?)).await?;
        match versions.is_empty() {
            true => Err(Refusal::absent(format!("no such Worker is deployed: {name}"))),
            false => Ok(versions),
        }
    }

    /// Serves another version that is kept: the one before, when none is named.
    pub(super) async fn roll_back(&self, name: &str, id: Option<&str>) -> Result<Deployed, Refusal> {
        let _busy = self.begin(name)?;
        let versions = self.versions(name).await?;
        let current = self.current_id(name)?.unwrap_or_default();
        let found = match id {
            Some(id) => versions.into_iter().find(|version| version.id == id),
            None => {
                let mut later = versions.into_iter().skip_while(|version| version.id != current);
                later.nth(1)
            }
        };
        let found = found.ok_or_else(|| {
            Refusal::absent(match id {
                Some(id) if is_id(id) => format!("the Worker {name} has no such version: {id}"),
                Some(id) => format!("not the ID of a version: {id:.80?}"),
                None => format!("there is no version before the current one: {name}"),
            })
            .with_hint("`taipan deployments list` shows which there are")
        })?;
        let version = Arc::new(found);
        self.check_beside_others(&version.manifest)?;
        let secrets = secrets::read(&self.0.folder, name)?;
        let (fresh, took) = self.start(version.clone(), secrets, false).await?;
        let (this, kept) = (self.clone(), version.clone());
        self.blocking(move || Ok(this.0.folder.make_current(&kept.manifest.name, &kept.id)?)).await?;
        self.serve(fresh)?;
        Ok(Deployed { version, took })
    }

    /// Ends a Worker and removes its versions and secrets. The data of its bindings stays.
    pub(super) async fn remove(&self, name: &str) -> Result<(), Refusal> {
        let _busy = self.begin(name)?;
        self.versions(name).await?;
        let (this, owned) = (self.clone(), name.to_owned());
        self.blocking(move || Ok(this.0.folder.remove(&owned)?)).await?;
        self.0.routing.remove(name);
        lock(&self.0.reach).services.remove(name);
        drop(lock(&self.0.running).remove(name));
        Ok(())
    }

    /// The names of a Worker's secrets.
    pub(super) fn secret_names(&self, name: &str) -> Result<Vec<String>, Refusal> {
        check_name(name)?;
        Ok(secrets::read(&self.0.folder, name)?.into_keys().collect())
    }

    /// Changes the secrets of a Worker. One that runs is started anew with them first.
    pub(super) async fn change_secrets(
        &self,
        name: &str,
        change: impl FnOnce(&mut Secrets) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let _busy = self.begin(name)?;
        let mut changed = secrets::read(&self.0.folder, name)?;
        change(&mut changed)?;
        let fresh = match self.current(name) {
            Some(version) => Some(self.start(version, changed.clone(), false).await?.0),
            None => None,
        };
        let (this, owned) = (self.clone(), name.to_owned());
        self.blocking(move || Ok(secrets::write(&this.0.folder, &owned, &changed)?)).await?;
        fresh.map_or(Ok(()), |fresh| self.serve(fresh))
    }

    /// What is served, for whoever asks.
    pub(super) fn describe(&self, name: &str) -> Result<Arc<Version>, Refusal> {
        self.current_or(name)
    }
}

/// Nobody else changes the Worker.
struct Busy {
    inner: Arc<Inner>,
    name: String,
}

impl Drop for Busy {
    fn drop(&mut self) {
        lock(&self.inner.busy).remove(&self.name);
    }
}

/// Says of which Worker something is said.
struct Named {
    name: String,
    console: Arc<dyn Console>,
}

impl Console for Named {
    fn guest(&self, level: Level, line: &str) {
        self.console.guest(level, &format!("[{}] {line}", self.name));
    }

    fn request(&self, request: &RequestLog<'_>) {
        self.console.request(request);
    }

    fn failure(&self, text: &str) {
        self.console.failure(&format!("[{}] {text}", self.name));
    }

    fn warning(&self, text: &str) {
        self.console.warning(&format!("[{}] {text}", self.name));
    }

    fn isolate_stopped(&self, error: &IsolateError, requests: usize) {
        self.console.isolate_stopped(error, requests);
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

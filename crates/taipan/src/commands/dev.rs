//! `taipan dev`: serves a Worker on this machine and reloads it on save.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use taipan_packages::pyodide::{self, ObtainError};
use taipan_server::{
    Assets, Ground, Ingress, IngressOptions, Local, PoolOptions, Problem, Scheduler, Slot, Started, Tls,
    TlsError, Worker, boot_isolate, run_consumer, run_crons,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet, block_in_place, spawn_blocking};

use crate::console::Terminal;
use crate::dev::browser;
use crate::dev::data::{Data, EXPLORER};
use crate::dev::keys::{Key, Keys};
use crate::dev::watch::Watcher;
use crate::interrupts::Interrupts;
use crate::project::Project;
use crate::report::{self, hint, hinted};
use crate::runtime;
use crate::serving::{self, GRACE, shown, unusable};
use crate::settings::{Certificate, DevSettings};

const DEFAULT_PORT: u16 = 8787;

pub(super) fn run(settings: DevSettings) -> Result<ExitCode> {
    serving::run(dev(settings))
}

async fn dev(settings: DevSettings) -> Result<ExitCode> {
    let terminal = Arc::new(Terminal::new(settings.log_level));
    let mut projects = Vec::new();
    for settings in settings.each() {
        let project = Project::load(&settings, &|line| terminal.note(line))?;
        project.warnings.iter().for_each(|w| terminal.warn(w));
        if !project.spec.packages.is_empty() {
            terminal.note(&format!("Worker: {}", project.size.line()));
        }
        projects.push((settings, project));
    }
    check_together(projects.iter().map(|(_, project)| project))?;
    let Some((_, first)) = projects.first() else { return Ok(ExitCode::SUCCESS) };

    // First of all, because what comes next may take a minute, and a port in use would waste it.
    let local = Arc::new(Local::default());
    let ingress = bind(&settings, first, local.clone()).await?;
    let address = ingress.address();
    let state = settings.persist_to.clone().unwrap_or_else(|| first.config_folder.join(".wrangler/state"));
    let link = shown(if settings.certificate.is_some() { "https" } else { "http" }, address);
    let data = Arc::new(Mutex::new(Data::new(state, terminal.clone(), local, link.clone())));
    let mut opened = Vec::new();
    for (_, project) in &mut projects {
        let assets = assets(project, None, &terminal);
        project.spec.data = lock(&data).bind(project, assets.as_ref())?;
        opened.push(assets);
    }
    let mut grounds: HashMap<&'static str, Ground> = HashMap::new();
    for (settings, project) in &projects {
        match grounds.get(project.release) {
            Some(ground) => {
                block_in_place(|| runtime::compile_packages(ground.spares.runtime(), &project.spec.packages));
            }
            None => drop(grounds.insert(project.release, prepare(settings.clone(), project).await?)),
        }
    }

    let mut interrupts = Interrupts::new().context("cannot wait for signals")?;
    let scheduler = Scheduler::new(settings.isolates, settings.egress).context("cannot start a thread")?;
    let mut members = Vec::new();
    for ((settings, project), assets) in projects.into_iter().zip(opened) {
        let Some(ground) = grounds.get(project.release).cloned() else { continue };
        let slot = Slot::new(start(&scheduler, &ground, &project, &terminal));
        slot.serve(assets);
        lock(&data).reach.services.add(&project.name, slot.clone());
        let stage =
            Stage { scheduler: scheduler.clone(), data: data.clone(), slot, terminal: terminal.clone() };
        members.push((settings, project, ground, stage));
    }
    let slots: Vec<Arc<Slot>> = members.iter().map(|(_, _, _, stage)| stage.slot.clone()).collect();
    let Some(slot) = slots.first().cloned() else { return Ok(ExitCode::SUCCESS) };
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let serving = tokio::spawn(ingress.serve(slot, terminal.clone(), stopped, GRACE));

    let mut developing = JoinSet::new();
    let (ready, is_ready) = oneshot::channel();
    let mut first = Some((link.clone(), ready));
    for (settings, project, ground, stage) in members {
        // The address is the first Worker's.
        developing.spawn(develop(settings, project, ground, stage, first.take()));
    }
    tokio::select! {
        () = interrupts.next() => {}
        () = obey_keys(is_ready, &link, &terminal) => {}
        Some(error) = developing.join_next() => return Err(error?),
    }

    terminal.note("Stopping…");
    let _stopping = stop.send(());
    let finish = async {
        let all = serving.await.unwrap_or(false);
        for worker in slots.iter().map(|slot| slot.current()) {
            // What has not booted has nothing to finish.
            if !matches!(worker.progress(), Started::Booting) {
                worker.retire(GRACE).await;
            }
        }
        block_in_place(|| lock(&data).settle());
        all
    };
    Ok(serving::finish(finish, &mut interrupts, &terminal).await)
}

/// Does what keys say from when the Worker is ready; returns when one says to end.
async fn obey_keys(is_ready: oneshot::Receiver<()>, link: &str, terminal: &Terminal) {
    let keys = if is_ready.await.is_ok() { Keys::listen() } else { None };
    let Some(mut keys) = keys else { return std::future::pending().await };
    terminal.note(Key::HELP);
    loop {
        let page = match keys.next().await {
            Key::Browser => link.to_owned(),
            Key::Explorer => format!("{link}{EXPLORER}"),
            Key::Clear => {
                terminal.clear();
                continue;
            }
            Key::Exit => return,
        };
        terminal.note(&page);
        browser::open(&page);
    }
}

fn lock(data: &Mutex<Data>) -> MutexGuard<'_, Data> {
    data.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What cannot be said of one Worker alone.
fn check_together<'a>(projects: impl Iterator<Item = &'a Project>) -> Result<()> {
    let (mut names, mut queues) = (HashSet::new(), HashSet::new());
    for project in projects {
        if !names.insert(project.name.as_str()) {
            let error = anyhow!("two Workers have the same name: {}", project.name);
            return Err(hint(error, "give one of them another `name`"));
        }
        for consumer in &project.bindings.queue_consumers {
            if !queues.insert(consumer.queue.as_str()) {
                let error = anyhow!("two Workers are consumers of the same queue: {}", consumer.queue);
                return Err(hint(error, "remove one of them from `queues.consumers`"));
            }
        }
    }
    Ok(())
}

/// What versions of a Worker come and go on.
struct Stage {
    scheduler: Arc<Scheduler>,
    data: Arc<Mutex<Data>>,
    slot: Arc<Slot>,
    terminal: Arc<Terminal>,
}

/// Says when the Worker is ready, then reloads it whenever its files change; returns only with an error.
async fn develop(
    settings: DevSettings,
    mut project: Project,
    mut ground: Ground,
    stage: Stage,
    first: Option<(String, oneshot::Sender<()>)>,
) -> anyhow::Error {
    let (slot, terminal) = (stage.slot.clone(), stage.terminal.clone());
    let mut watcher = match Watcher::new() {
        Ok(watcher) => watcher,
        Err(error) => return anyhow::Error::from(error).context("cannot watch the Worker's files"),
    };
    watcher.watch(&project.folders(), &project.config_folder);
    let mut crons = stage.run_crons(&project);
    let mut consumers = stage.run_consumers(&project);
    if let Started::Failed(fault) = slot.current().started().await {
        terminal.problem(&Problem::from(&fault));
    }
    match first {
        Some((link, ready)) => {
            terminal.note(&format!("Ready on {link}"));
            ready.send(()).ok();
        }
        None => terminal.note(&format!("Ready for the others: {}", project.name)),
    }
    // The next save needs it.
    let builder = ground.builder.clone();
    drop(spawn_blocking(move || builder.prepare()));
    loop {
        watcher.changed().await;
        let begun = Instant::now();
        // It may have to wait for downloads.
        let mut next = match block_in_place(|| Project::load(&settings, &|line| terminal.note(line))) {
            Ok(next) => next,
            Err(error) => {
                report::print(&error);
                terminal.warn("not reloaded: the version before goes on");
                continue;
            }
        };
        watcher.watch(&next.folders(), &next.config_folder);
        if next.is_same(&project) {
            continue;
        }
        terminal.note("Reloading…");
        if next.spec.packages.name() != project.spec.packages.name() {
            terminal.note(&format!("Worker: {}", next.size.line()));
        }
        next.warnings.iter().filter(|w| !project.warnings.contains(w)).for_each(|w| terminal.warn(w));
        match reload(&settings, &project, &mut next, &mut ground, &stage).await {
            Ok(Started::Failed(fault)) => terminal.problem(&Problem::from(&fault)),
            Ok(_) => terminal.note(&format!("Reloaded in {} ms", begun.elapsed().as_millis())),
            Err(error) => {
                report::print(&error);
                continue;
            }
        }
        if next.crons != project.crons {
            crons.abort();
            crons = stage.run_crons(&next);
        }
        if next.bindings.queue_consumers != project.bindings.queue_consumers {
            consumers.abort_all();
            consumers = stage.run_consumers(&next);
        }
        project = next;
    }
}

impl Stage {
    /// Calls whatever version is current at the project's times.
    fn run_crons(&self, project: &Project) -> JoinHandle<()> {
        tokio::spawn(run_crons(self.slot.clone(), project.crons.clone(), self.terminal.clone()))
    }

    /// Calls it for the messages of the project's queues, until what is given back is dropped.
    fn run_consumers(&self, project: &Project) -> JoinSet<()> {
        let mut running = JoinSet::new();
        if project.bindings.queue_consumers.is_empty() {
            return running;
        }
        // They were opened with the project's bindings.
        let Ok(Some(queues)) = lock(&self.data).queues() else { return running };
        for consumer in project.bindings.queue_consumers.iter().cloned() {
            running.spawn(run_consumer(self.slot.clone(), consumer, queues.clone(), self.terminal.clone()));
        }
        running
    }
}

async fn reload(
    settings: &DevSettings,
    before: &Project,
    next: &mut Project,
    ground: &mut Ground,
    stage: &Stage,
) -> Result<Started> {
    let assets = assets(next, stage.slot.assets(), &stage.terminal);
    next.spec.data = block_in_place(|| lock(&stage.data).bind(next, assets.as_ref()))?;
    next.spec.caches = before.spec.caches.clone();
    if next.release != before.release {
        *ground = prepare(settings.clone(), next).await?;
    } else if next.spec.packages.name() != before.spec.packages.name() {
        block_in_place(|| runtime::compile_packages(ground.spares.runtime(), &next.spec.packages));
    }
    let worker = start(&stage.scheduler, ground, next, &stage.terminal);
    stage.slot.replace(worker.clone());
    stage.slot.serve(assets);
    Ok(worker.started().await)
}

/// The project's assets: those from before when nothing is said anew about them.
fn assets(project: &Project, before: Option<Arc<Assets>>, terminal: &Arc<Terminal>) -> Option<Arc<Assets>> {
    let wanted = project.assets.as_ref()?;
    let same = before.filter(|assets| assets.config() == wanted);
    Some(same.unwrap_or_else(|| Assets::new(wanted.clone(), terminal.clone(), Handle::current())))
}

fn start(
    scheduler: &Arc<Scheduler>,
    ground: &Ground,
    project: &Project,
    terminal: &Arc<Terminal>,
) -> Arc<Worker> {
    let Ground { spares, builder } = ground.clone();
    let boot = boot_isolate(spares, project.spec.clone(), terminal.clone(), Some(builder));
    // A developer should not have to wait for the first request after a break.
    let pool = PoolOptions { min: project.pool.min.max(1), ..project.pool };
    Worker::spawn(scheduler, boot, pool, project.spec.sources.clone(), terminal.clone())
}

async fn bind(settings: &DevSettings, project: &Project, local: Arc<Local>) -> Result<Ingress> {
    let ip = settings.ip.or(project.ip).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port = settings.port.or(project.port).unwrap_or(DEFAULT_PORT);
    let address = SocketAddr::new(ip, port);
    let tls = settings.certificate.as_ref().map(|certificate| tls(certificate, ip)).transpose()?;
    let options = IngressOptions {
        body_limit: project.body_limit,
        tls,
        open_handlers: true,
        local: Some(local),
        ..IngressOptions::default()
    };
    let ingress = Ingress::bind(address, options).await;
    ingress.map_err(|error| unusable(&error, address, "--port", "--ip"))
}

fn tls(certificate: &Certificate, ip: IpAddr) -> Result<Tls, TlsError> {
    match certificate {
        Certificate::SelfSigned => Tls::self_signed(&["localhost", "127.0.0.1", "::1", &ip.to_string()]),
        Certificate::Files { chain, key } => Tls::from_files(chain, key),
    }
}

/// Obtains the project's Pyodide release, and the compiled code for it and for packages.
async fn prepare(settings: DevSettings, project: &Project) -> Result<Ground> {
    let (release, packages) = (project.release, project.spec.packages.clone());
    spawn_blocking(move || {
        let release = pyodide::release(release).map_err(|e| hinted(e, ObtainError::hint))?;
        let ground = runtime::ground(release, settings.releases)?;
        runtime::compile_packages(ground.spares.runtime(), &packages);
        Ok(ground)
    })
    .await?
}

//! `taipan dev`: serves a Worker on this machine and reloads it on save.

use std::env;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use taipan_engine::Spares;
use taipan_packages::pyodide::{self, ObtainError};
use taipan_server::{
    Builder, Ingress, IngressOptions, Local, Problem, Scheduler, Slot, Started, Tls, TlsError, Worker,
    boot_isolate, run_crons,
};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, block_in_place, spawn_blocking};

use crate::commands::builder;
use crate::dev::console::Terminal;
use crate::dev::data::Data;
use crate::dev::project::Project;
use crate::dev::watch::Watcher;
use crate::report::{self, hint, hinted};
use crate::runtime;
use crate::settings::{Certificate, DevSettings};

const DEFAULT_PORT: u16 = 8787;

/// How long requests in flight may take when the process is to end.
const GRACE: Duration = Duration::from_secs(10);

/// What a process ends with that was interrupted: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

pub(super) fn run(settings: DevSettings) -> Result<ExitCode> {
    let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let code = executor.block_on(dev(settings));
    // Whatever still runs now was given its time.
    executor.shutdown_background();
    code
}

async fn dev(settings: DevSettings) -> Result<ExitCode> {
    let terminal = Arc::new(Terminal::new(settings.log_level));
    let mut project = Project::load(&settings, &|line| terminal.note(line))?;
    project.warnings.iter().for_each(|w| terminal.warn(w));
    if !project.spec.packages.is_empty() {
        terminal.note(&format!("Worker: {}", project.size.line()));
    }

    // First of all, because what comes next may take a minute, and a port in use would waste it.
    let local = Arc::new(Local::default());
    let ingress = bind(&settings, &project, local.clone()).await?;
    let address = ingress.address();
    let mut data = Data::new(local, shown(address, settings.certificate.is_some()));
    project.spec.data = data.bind(&project, settings.persist_to.as_ref(), &|line| terminal.note(line))?;
    let ground = prepare(settings.clone(), &project).await?;

    let mut interrupts = Interrupts::new().context("cannot wait for signals")?;
    let scheduler = Scheduler::new(settings.isolates, settings.egress).context("cannot start a thread")?;
    let slot = Slot::new(start(&scheduler, &ground, &project, &terminal));
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let serving = tokio::spawn(ingress.serve(slot.clone(), terminal.clone(), stopped, GRACE));

    let stage = Stage { scheduler, data, slot: slot.clone(), terminal: terminal.clone() };
    let developing = develop(settings, project, ground, stage, address);
    tokio::select! {
        () = interrupts.next() => {}
        error = developing => return Err(error),
    }

    terminal.note("Stopping…");
    let _stopping = stop.send(());
    let finish = async {
        let all = serving.await.unwrap_or(false);
        let worker = slot.current();
        // What has not booted has nothing to finish.
        if !matches!(worker.progress(), Started::Booting) {
            worker.retire(GRACE).await;
        }
        all
    };
    tokio::select! {
        all = finish => {
            if !all {
                terminal.warn(&format!("requests in flight were broken off after {} s", GRACE.as_secs()));
            }
            Ok(ExitCode::SUCCESS)
        }
        () = interrupts.next() => Ok(ExitCode::from(INTERRUPTED)),
    }
}

/// What versions of the Worker come and go on.
struct Stage {
    scheduler: Arc<Scheduler>,
    data: Data,
    slot: Arc<Slot>,
    terminal: Arc<Terminal>,
}

/// Says when the Worker is ready, then reloads it whenever its files change; returns only with an error.
async fn develop(
    settings: DevSettings,
    mut project: Project,
    mut ground: Ground,
    mut stage: Stage,
    address: SocketAddr,
) -> anyhow::Error {
    let (slot, terminal) = (stage.slot.clone(), stage.terminal.clone());
    let mut watcher = match Watcher::new() {
        Ok(watcher) => watcher,
        Err(error) => return anyhow::Error::from(error).context("cannot watch the Worker's files"),
    };
    watcher.watch(&project.folders(), &project.config_folder);
    let mut crons = stage.run_crons(&project);
    if let Started::Failed(fault) = slot.current().started().await {
        terminal.problem(&Problem::from(&fault));
    }
    terminal.note(&format!("Ready on {}", shown(address, settings.certificate.is_some())));
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
        match reload(&settings, &project, &mut next, &mut ground, &mut stage).await {
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
        project = next;
    }
}

impl Stage {
    /// Calls whatever version is current at the project's times.
    fn run_crons(&self, project: &Project) -> JoinHandle<()> {
        tokio::spawn(run_crons(self.slot.clone(), project.crons.clone(), self.terminal.clone()))
    }
}

async fn reload(
    settings: &DevSettings,
    before: &Project,
    next: &mut Project,
    ground: &mut Ground,
    stage: &mut Stage,
) -> Result<Started> {
    let terminal = stage.terminal.clone();
    let note = |line: &str| terminal.note(line);
    next.spec.data = block_in_place(|| stage.data.bind(next, settings.persist_to.as_ref(), &note))?;
    next.spec.caches = before.spec.caches.clone();
    if next.release != before.release {
        *ground = prepare(settings.clone(), next).await?;
    } else if next.spec.packages.name() != before.spec.packages.name() {
        block_in_place(|| runtime::compile_packages(ground.spares.runtime(), &next.spec.packages));
    }
    let worker = start(&stage.scheduler, ground, next, &stage.terminal);
    stage.slot.replace(worker.clone());
    Ok(worker.started().await)
}

fn start(
    scheduler: &Arc<Scheduler>,
    ground: &Ground,
    project: &Project,
    terminal: &Arc<Terminal>,
) -> Arc<Worker> {
    let Ground { spares, builder } = ground.clone();
    let boot = boot_isolate(spares, project.spec.clone(), terminal.clone(), Some(builder));
    Worker::spawn(scheduler, boot, project.pool, project.spec.sources.clone(), terminal.clone())
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
    Ingress::bind(address, options).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => hint(
            anyhow!("the port is in use: {port}"),
            "end the program that listens there, or choose another port with --port",
        ),
        ErrorKind::PermissionDenied => hint(
            anyhow!("this user may not listen on the port: {port}"),
            "choose a port above 1023 with --port",
        ),
        _ => hint(
            anyhow::Error::from(error).context(format!("cannot listen on the address: {address}")),
            "choose an address of this machine with --ip",
        ),
    })
}

fn tls(certificate: &Certificate, ip: IpAddr) -> Result<Tls, TlsError> {
    match certificate {
        Certificate::SelfSigned => Tls::self_signed(&["localhost", "127.0.0.1", "::1", &ip.to_string()]),
        Certificate::Files { chain, key } => Tls::from_files(chain, key),
    }
}

/// Isolates that are kept ready: one for the next save, one for a burst of requests.
const SPARES: usize = 2;

/// What all versions of the Worker start from, for one Pyodide release.
#[derive(Clone)]
struct Ground {
    spares: Arc<Spares>,
    builder: Arc<Builder>,
}

/// Obtains the project's Pyodide release, and the compiled code for it and for packages.
async fn prepare(settings: DevSettings, project: &Project) -> Result<Ground> {
    let (release, packages) = (project.release, project.spec.packages.clone());
    spawn_blocking(move || {
        let release = pyodide::release(release).map_err(|e| hinted(e, ObtainError::hint))?;
        let program = env::current_exe().context("the program's own file is gone")?;
        let builder = builder::command(&program, release, &settings.cache);
        let runtime = runtime::prepare(release, settings.cache, settings.pyodide)?;
        runtime::compile_packages(&runtime, &packages);
        let spares = Arc::new(Spares::new(runtime, SPARES));
        Ok(Ground { spares, builder: Arc::new(Builder::new(builder)) })
    })
    .await?
}

fn shown(address: SocketAddr, is_secure: bool) -> String {
    let scheme = if is_secure { "https" } else { "http" };
    let ip = address.ip();
    if ip.is_loopback() && ip.is_ipv4() || ip.is_unspecified() {
        format!("{scheme}://localhost:{}", address.port())
    } else {
        format!("{scheme}://{address}")
    }
}

/// Ctrl-C and the polite signal to end.
struct Interrupts {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Interrupts {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        drop(tokio::signal::ctrl_c().await);
    }
}

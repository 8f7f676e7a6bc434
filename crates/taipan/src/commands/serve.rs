//! `taipan serve`: serves the Workers that were deployed to it.

use std::env;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use fs_err as fs;
use taipan_engine::Spares;
use taipan_packages::pyodide::Source;
use taipan_server::{
    Admin, Builder, Deployments, DeploymentsOptions, Ground, Ingress, IngressOptions, Scheduler,
};
use taipan_storage::{StateFolder, StorageError, SystemClock};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::commands::builder;
use crate::console::Terminal;
use crate::deploy::client::{ADDRESS_FILE, TOKEN_FILE};
use crate::interrupts::Interrupts;
use crate::report::{hint, hinted};
use crate::runtime;
use crate::settings::ServeSettings;

/// How long requests in flight may take when the process is to end.
const GRACE: Duration = Duration::from_secs(10);

/// What a process ends with that was interrupted: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

/// Isolates that are kept ready for each release of Python.
const SPARES: usize = 2;

pub(super) fn run(settings: ServeSettings) -> Result<ExitCode> {
    let executor = taipan_server::connections()?;
    let code = executor.block_on(serve(settings));
    // Whatever still runs now was given its time.
    executor.shutdown_background();
    code
}

async fn serve(settings: ServeSettings) -> Result<ExitCode> {
    let terminal = Arc::new(Terminal::new(settings.log_level));
    let command = env::args().collect::<Vec<_>>().join(" ");
    let state = StateFolder::take(&settings.state, &command, Arc::new(SystemClock)).map_err(|e| match e {
        StorageError::InUse { .. } => hint(e, "end that process, or use another folder with --state"),
        other => hinted(other, StorageError::hint),
    })?;
    let told = |error: StorageError| hinted(error, StorageError::hint);
    let token = state.secret(TOKEN_FILE).map_err(told)?;
    let options = IngressOptions { problem_pages: false, ..IngressOptions::default() };
    let ingress = Ingress::bind(settings.clients, options).await;
    let ingress = ingress.map_err(|error| unusable(&error, settings.clients, "--port", "--ip"))?;
    let admin = Admin::bind(settings.admin).await;
    let admin = admin.map_err(|error| unusable(&error, settings.admin, "--admin-port", "--admin-ip"))?;
    let mut interrupts = Interrupts::new().context("cannot wait for signals")?;

    let cache = settings.cache.clone();
    let deployments = Deployments::open(DeploymentsOptions {
        state: state.clone(),
        scheduler: Scheduler::new(settings.isolates, settings.egress).context("cannot start a thread")?,
        console: terminal.clone(),
        executor: Handle::current(),
        prepare: Box::new(move |release, folder| {
            let made = || -> Result<Ground> {
                let program = env::current_exe().context("the program's own file is gone")?;
                let builder = builder::command(&program, release, &cache, Some(folder.clone()));
                let runtime = runtime::prepare(release, cache.clone(), Source::Folder(folder.clone()))?;
                let spares = Arc::new(Spares::new(runtime, SPARES));
                Ok(Ground { spares, builder: Arc::new(Builder::new(builder)) })
            };
            made().map_err(|error| format!("{error:#}"))
        }),
    })
    .await
    .context("cannot use the state folder")?;

    let address = format!("http://{}", admin.address());
    fs::write(state.path().join(ADDRESS_FILE), format!("{address}\n"))?;
    let (stop, stopping) = watch::channel(false);
    let stopped = || {
        let mut stopping = stopping.clone();
        async move { drop(stopping.wait_for(|stop| *stop).await) }
    };
    let clients = ingress.address();
    let serving = tokio::spawn(ingress.serve(deployments.sites(), terminal.clone(), stopped(), GRACE));
    let managing = {
        let (deployments, stopped) = (deployments.clone(), stopped());
        tokio::spawn(async move { admin.serve(deployments, &token, stopped, GRACE).await })
    };
    let names = deployments.names();
    match names.as_slice() {
        [] => terminal.note("No Worker is deployed yet"),
        names => terminal.note(&format!("Serving {}", names.join(", "))),
    }
    terminal.note(&format!("Deployments on {address}"));
    terminal.note(&format!("Ready on {}", shown(clients)));

    interrupts.next().await;
    terminal.note("Stopping…");
    stop.send_replace(true);
    let finish = async {
        let all = serving.await.unwrap_or(false);
        drop(managing.await);
        deployments.stop(GRACE).await;
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

fn shown(address: SocketAddr) -> String {
    let ip = address.ip();
    match ip.is_loopback() && ip.is_ipv4() || ip.is_unspecified() {
        true => format!("http://localhost:{}", address.port()),
        false => format!("http://{address}"),
    }
}

fn unusable(error: &std::io::Error, address: SocketAddr, port: &str, ip: &str) -> anyhow::Error {
    match error.kind() {
        ErrorKind::AddrInUse => hint(
            anyhow!("the port is in use: {}", address.port()),
            format!("end the program that listens there, or choose another port with {port}"),
        ),
        ErrorKind::PermissionDenied => hint(
            anyhow!("this user may not listen on the port: {}", address.port()),
            format!("choose a port above 1023 with {port}"),
        ),
        _ => hint(
            anyhow!("cannot listen on the address: {address}: {error}"),
            format!("choose an address of this machine with {ip}"),
        ),
    }
}

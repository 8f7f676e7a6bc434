//! `taipan serve`: serves the Workers that were deployed to it.

use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use fs_err as fs;
use taipan_packages::pyodide::Source;
use taipan_server::{Admin, Deployments, DeploymentsOptions, Ingress, IngressOptions, Scheduler};
use taipan_storage::{StateFolder, StorageError, SystemClock};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::console::Terminal;
use crate::interrupts::Interrupts;
use crate::report::{hint, hinted};
use crate::runtime;
use crate::serving::{self, GRACE, shown, unusable};
use crate::settings::{ReleaseSettings, ServeSettings};

pub(super) fn run(settings: ServeSettings) -> Result<ExitCode> {
    serving::run(serve(settings))
}

async fn serve(settings: ServeSettings) -> Result<ExitCode> {
    let terminal = Arc::new(Terminal::new(settings.log_level));
    let command = env::args().collect::<Vec<_>>().join(" ");
    let state = StateFolder::take(&settings.state, &command, Arc::new(SystemClock)).map_err(|e| match e {
        StorageError::InUse { .. } => hint(e, "end that process, or use another folder with --state"),
        other => hinted(other, StorageError::hint),
    })?;
    let told = |error: StorageError| hinted(error, StorageError::hint);
    let token = state.secret(Admin::TOKEN_FILE).map_err(told)?;
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
            let releases = ReleaseSettings { source: Source::Folder(folder), cache: cache.clone() };
            let ground = runtime::ground(release, releases);
            ground.map_err(|error| format!("{error:#}"))
        }),
    })
    .await
    .context("cannot use the state folder")?;

    let address = format!("http://{}", admin.address());
    fs::write(state.path().join(Admin::ADDRESS_FILE), format!("{address}\n"))?;
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
    terminal.note(&format!("Ready on {}", shown("http", clients)));

    interrupts.next().await;
    terminal.note("Stopping…");
    stop.send_replace(true);
    let finish = async {
        let all = serving.await.unwrap_or(false);
        drop(managing.await);
        deployments.stop(GRACE).await;
        all
    };
    Ok(serving::finish(finish, &mut interrupts, &terminal).await)
}

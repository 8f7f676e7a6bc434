//! `taipan deploy`: brings a Worker to a `taipan serve`.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use fs_err as fs;
use serde_json::{Value, json};
use taipan_packages::pyodide::{self, ObtainError};
use ureq::http::Method;

use crate::cli::LogLevel;
use crate::console::Terminal;
use crate::deploy::bundle::{Bundle, Place};
use crate::deploy::client::{Client, Refused};
use crate::deploy::report;
use crate::progress::Progress;
use crate::project::Project;
use crate::report::{hint, hinted};
use crate::runtime;
use crate::settings::DeploySettings;

pub(super) fn run(settings: &DeploySettings) -> Result<ExitCode> {
    let terminal = Terminal::new(LogLevel::Info);
    let project = Project::load(&settings.project, &|line| terminal.note(line))?;
    // What is not done is not passed over: a bucket would be kept somewhere else than its Worker says.
    let elsewhere = (!project.object_stores.is_empty()).then_some("taipan.object_stores");
    if let Some(key) = project.unused_keys.first().map(String::as_str).or(elsewhere) {
        let error = anyhow!("`taipan serve` does not do this yet: `{key}`");
        return Err(hint(error, "remove the key, or have an environment without it for this server"));
    }
    project.warnings.iter().for_each(|warning| terminal.warn(warning));
    let bundle = Bundle::new(&project)?;
    report::sizes(&bundle)?.iter().for_each(|line| terminal.note(line));
    report::bindings(&bundle).iter().for_each(|line| terminal.note(line));
    if settings.dry_run {
        terminal.note("Nothing is deployed: this is a dry run");
        return Ok(ExitCode::SUCCESS);
    }
    let client = Client::new(&settings.server)?;
    match deploy(settings, &bundle, &client, &terminal) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Refused { error, report }) => {
            if let Some(report) = report {
                terminal.report(&report);
                let error = error.context("not deployed");
                return Err(hint(error, "correct it and deploy again; what was served before goes on"));
            }
            Err(error)
        }
    }
}

fn deploy(
    settings: &DeploySettings,
    bundle: &Bundle,
    client: &Client,
    terminal: &Terminal,
) -> Result<(), Refused> {
    let begun = Instant::now();
    let name = &bundle.manifest.name;
    let manifest = serde_json::to_vec(&bundle.manifest).context("cannot write the manifest")?;
    let answer = client.ask(Method::POST, &format!("workers/{name}/missing"), manifest.as_slice())?;
    let missing: Vec<&str> = answer
        .get("missing")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let replaces = answer.get("current").cloned().unwrap_or_default();
    upload(settings, bundle, client, &missing)?;
    if !missing.is_empty() {
        let count = missing.len();
        terminal
            .note(&format!("Uploaded {name}: {count} contents ({:.2} sec)", begun.elapsed().as_secs_f64()));
    }
    let deployment = json!({ "manifest": bundle.manifest, "replaces": replaces }).to_string();
    let answer = client.ask(Method::POST, &format!("workers/{name}/versions"), deployment.as_bytes())?;
    let startup = answer.get("startup_ms").and_then(Value::as_u64).unwrap_or_default();
    terminal.note(&format!("Worker Startup Time: {startup} ms"));
    terminal.note(&format!("Deployed {name} ({:.2} sec)", begun.elapsed().as_secs_f64()));
    for route in &bundle.manifest.routes {
        terminal.note(&format!("  {route}"));
    }
    for cron in &bundle.manifest.crons {
        terminal.note(&format!("  schedule: {cron}"));
    }
    let version = answer.get("version").and_then(Value::as_str).unwrap_or_default();
    terminal.note(&format!("Current Version ID: {version}"));
    Ok(())
}

fn upload(
    settings: &DeploySettings,
    bundle: &Bundle,
    client: &Client,
    missing: &[&str],
) -> Result<(), Refused> {
    let mut release = None;
    for sha256 in missing {
        let place = bundle.contents.get(*sha256).context("the server asks for what is not the Worker's")?;
        let put = |body: &[u8]| client.ask(Method::PUT, &format!("contents/{sha256}"), body);
        match place {
            Place::Memory(bytes) => put(bytes)?,
            Place::File(path) => put(&fs::read(path).map_err(anyhow::Error::from)?)?,
            Place::Release(file) => {
                let folder = match &release {
                    Some(folder) => folder,
                    None => release.insert(obtain(settings, bundle)?),
                };
                put(&fs::read(folder.join(file)).map_err(anyhow::Error::from)?)?
            }
        };
    }
    Ok(())
}

/// The folder with the files of the Worker's Pyodide release.
fn obtain(settings: &DeploySettings, bundle: &Bundle) -> Result<std::path::PathBuf> {
    let told = |error| hinted(error, ObtainError::hint);
    let release = pyodide::release(&bundle.manifest.release.version).map_err(told)?;
    runtime::obtain(release, &settings.project.releases, &Progress::new()).map_err(told)
}

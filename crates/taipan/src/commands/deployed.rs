//! Commands about Workers that are deployed.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::Value;
use taipan_config::{ConfigError, WorkerConfig};
use taipan_server::percent_encoded;
use ureq::SendBody;
use ureq::http::Method;

use crate::cli::deploy::{DeploymentsCommand, NamedArgs, RollbackArgs, SecretCommand};
use crate::deploy::client::{Client, Refused};
use crate::report::hinted;
use crate::settings::ServerSettings;

/// A deployed Worker.
struct Deployed {
    client: Client,
    name: String,
}

impl Deployed {
    fn new(args: NamedArgs) -> Result<Self> {
        let client = Client::new(&ServerSettings::new(args.server))?;
        let name = match args.name {
            Some(name) => name,
            None => {
                let path = args.config.as_ref().unwrap_or(&args.folder);
                let config = WorkerConfig::load(path, args.env.as_deref());
                config.map_err(|e| hinted(e, ConfigError::hint))?.name
            }
        };
        Ok(Self { client, name })
    }

    fn ask(&self, method: Method, path: &str, body: &str) -> Result<Value> {
        let path = format!("workers/{}{path}", percent_encoded(&self.name));
        let answer = match body {
            "" => self.client.ask(method, &path, SendBody::none()),
            body => self.client.ask(method, &path, body),
        };
        answer.map_err(|Refused { error, report }| {
            if let Some(report) = report {
                eprint!("{report}");
            }
            error
        })
    }
}

pub(super) fn secret(command: SecretCommand) -> Result<ExitCode> {
    match command {
        SecretCommand::Put { secret, worker } => {
            let worker = Deployed::new(worker)?;
            if std::io::stdin().is_terminal() {
                eprintln!("Type the secret's value, then Enter and Ctrl-D:");
            }
            let mut value = String::new();
            std::io::stdin().read_to_string(&mut value).context("the secret cannot be read")?;
            // The end of the line belongs to the terminal, or to `echo`.
            let value = value.strip_suffix('\n').unwrap_or(&value);
            let value = value.strip_suffix('\r').unwrap_or(value);
            worker.ask(Method::PUT, &format!("/secrets/{}", percent_encoded(&secret)), value)?;
            println!("Set the secret {secret} of {}", worker.name);
        }
        SecretCommand::List { worker } => {
            let answer = Deployed::new(worker)?.ask(Method::GET, "/secrets", "")?;
            for name in answer.get("secrets").and_then(Value::as_array).into_iter().flatten() {
                println!("{}", name.as_str().unwrap_or_default());
            }
        }
        SecretCommand::Delete { secret, worker } => {
            let worker = Deployed::new(worker)?;
            worker.ask(Method::DELETE, &format!("/secrets/{}", percent_encoded(&secret)), "")?;
            println!("Removed the secret {secret} of {}", worker.name);
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn deployments(command: DeploymentsCommand) -> Result<ExitCode> {
    let DeploymentsCommand::List { worker, json } = command;
    let answer = Deployed::new(worker)?.ask(Method::GET, "/versions", "")?;
    if json {
        println!("{answer}");
        return Ok(ExitCode::SUCCESS);
    }
    for version in answer.get("versions").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| version.get(name).and_then(Value::as_str).unwrap_or_default();
        let current = version.get("current").and_then(Value::as_bool).unwrap_or_default();
        println!(
            "{}  {}  Pyodide {}{}",
            part("version"),
            part("created"),
            part("pyodide"),
            if current { "  current" } else { "" }
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn rollback(args: RollbackArgs) -> Result<ExitCode> {
    let worker = Deployed::new(args.worker)?;
    let body = match &args.version {
        Some(version) => serde_json::json!({ "version": version }).to_string(),
        None => String::new(),
    };
    let answer = worker.ask(Method::POST, "/rollback", &body)?;
    let version = answer.get("version").and_then(Value::as_str).unwrap_or_default();
    println!("Current Version ID: {version}");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn delete(args: NamedArgs) -> Result<ExitCode> {
    let worker = Deployed::new(args)?;
    worker.ask(Method::DELETE, "", "")?;
    println!("Removed {} and its secrets; the data of its bindings stays", worker.name);
    Ok(ExitCode::SUCCESS)
}

//! `taipan kv`, `taipan d1`, `taipan r2`, `taipan queues` and `taipan analytics`: the data of bindings from outside of the Worker. While a `taipan dev` has it, that is asked.

mod analytics;
mod d1;
mod kv;
mod migrations;
mod queues;
mod r2;
mod remote;

use std::env;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use anyhow::{Result, anyhow};
use taipan_config::{ConfigError, WorkerConfig};
use taipan_storage::{StateFolder, StorageError, SystemClock};

use crate::cli::data::DataArgs;
use crate::report::{hint, hinted};

pub(super) use analytics::run as analytics;
pub(super) use d1::run as d1;
pub(super) use kv::run as kv;
pub(super) use queues::run as queues;
pub(super) use r2::run as r2;
use remote::Remote;

/// A Worker and its data.
struct Project {
    config: WorkerConfig,
    persist_to: Option<PathBuf>,
}

impl Project {
    fn load(args: DataArgs) -> Result<Self> {
        let path = args.config.as_ref().unwrap_or(&args.folder);
        let config = WorkerConfig::load(path, args.env.as_deref());
        Ok(Self { config: config.map_err(|e| hinted(e, ConfigError::hint))?, persist_to: args.persist_to })
    }

    /// Takes the folder with its data, or finds the process that has it.
    fn data(&self) -> Result<Place> {
        match self.take() {
            Err(error @ StorageError::InUse { .. }) => match Remote::find(&self.folder()) {
                Some(remote) => Ok(Place::There(remote)),
                None => told(Err(error)),
            },
            taken => Ok(Place::Here(told(taken)?)),
        }
    }

    fn take(&self) -> Result<StateFolder, StorageError> {
        let command = env::args().collect::<Vec<_>>().join(" ");
        StateFolder::take(&self.folder(), &command, Arc::new(SystemClock))
    }

    fn folder(&self) -> PathBuf {
        self.persist_to.clone().unwrap_or_else(|| self.config.root.join(".wrangler/state"))
    }
}

/// Where the data is.
enum Place {
    /// In a folder of ours for now.
    Here(StateFolder),
    /// With a process that can be asked.
    There(Remote),
}

fn told<T>(answer: Result<T, StorageError>) -> Result<T> {
    answer.map_err(|e| hinted(e, StorageError::hint))
}

/// Waits for what a store answers.
fn wait<T: Send + 'static>(ask: impl FnOnce(Box<dyn FnOnce(Result<T, StorageError>) + Send>)) -> Result<T> {
    let (sender, receiver) = mpsc::channel();
    ask(Box::new(move |answer| drop(sender.send(answer))));
    told(receiver.recv().unwrap_or(Err(StorageError::Closed)))
}

/// Says which names there are instead of `name`.
fn unknown(what: &str, name: &str, known: &[&str], key: &str) -> anyhow::Error {
    let advice = match known {
        [] => format!("the configuration has no `{key}`"),
        known => format!("the configuration has these: {}", known.join(", ")),
    };
    hint(anyhow!("unknown {what}: {name}"), advice)
}

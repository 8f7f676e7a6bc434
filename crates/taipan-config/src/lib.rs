//! What a Worker's configuration says, as types: `wrangler.json`, `wrangler.jsonc` or `wrangler.toml`, `.dev.vars`,
//! compatibility dates and flags.
//!
//! This crate reads the files that it is told to and does nothing else: no clock, no environment variables, no
//! network. It must never know how a Worker is run. Everything that can be wrong with a configuration is found here, once,
//! so that the rest of the program works with values that are right; and because a configuration is written by hand, every
//! error names the file, the line and the key, and says what to write instead.
//!
//! ```no_run
//! # fn main() -> Result<(), taipan_config::ConfigError> {
//! let worker = taipan_config::WorkerConfig::load("examples/hello".as_ref(), None)?;
//! println!("{} runs Python {}", worker.main.display(), worker.release.python);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod assets;
mod bindings;
pub mod compat;
mod cron;
mod date;
mod declared;
mod decode;
mod dev_vars;
mod error;
mod expand;
mod files;
mod keys;
mod nearest;
mod queues;
mod routes;
mod secret;
mod sections;
mod source;
mod taipan;
mod tree;
mod worker;

pub use assets::{Assets, HtmlHandling, NotFoundHandling, RunWorkerFirst};
pub use bindings::{Bindings, D1Database, KvNamespace, R2Bucket, RateLimit, ServiceReference};
pub use cron::Cron;
pub use date::date_of_day;
pub use declared::Declared;
pub use error::{ConfigError, Place};
pub use files::Files;
pub use queues::{QueueConsumer, QueueProducer};
pub use routes::Route;
pub use secret::Secret;
pub use sections::{Dev, Limits, ModuleType, Rule};
pub use taipan::{Isolates, ObjectStore, SecretsAtImport, Taipan};
pub use worker::{ASSETS_ONLY, CONFIG_NAMES, WorkerConfig};

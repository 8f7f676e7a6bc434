//! The process around the isolates: a [`Worker`] is one version of a Worker with its pool of isolates, the [`Scheduler`]
//! gives all isolates of the process their threads, a [`Slot`] says which version is current, and [`Ingress`] brings HTTP
//! requests to it.
//!
//! This crate must never know configuration files, terminals or the command line: what there is to say goes to
//! a [`Console`].

#![forbid(unsafe_code)]

mod assets;
mod body;
mod boot;
mod bound;
mod builder;
mod clock;
mod conduct;
mod console;
mod cron;
mod deployments;
mod egress;
mod elsewhere;
mod encoding;
mod executor;
mod ground;
mod identity;
mod imports;
mod ingress;
mod learned;
mod linger;
mod local;
mod packages;
mod page;
mod patience;
mod pool;
mod problem;
mod queues;
mod scheduler;
mod service;
mod services;
mod sites;
mod slot;
mod sources;
mod store;
mod tls;
mod web_socket;
mod within;
mod worker;

pub use assets::{Assets, AssetsBinding, list_assets};
pub use boot::{WorkerSpec, boot_isolate};
pub use bound::{Reach, declared};
pub use builder::{Builder, serve as serve_builder};
pub use console::{Console, Level, RequestLog};
pub use cron::run_crons;
pub use deployments::{
    Admin, ContentFile, Deployments, DeploymentsOptions, Manifest, PackageFiles, PinnedRelease, ServedAssets,
    is_plain_path,
};
pub use egress::Policy;
pub use elsewhere::{ObjectPlace, StoreKeys};
pub use executor::connections;
pub use ground::{Ground, compile_packages};
pub use identity::as_uuid;
pub use imports::{Import, imports};
pub use ingress::{Ingress, IngressOptions};
pub use local::{
    Local, MOST_PEEKED, S3Keys, message, percent_encoded, shown_count, shown_message, shown_rows,
    shown_settings,
};
pub use packages::PackageVolume;
pub use pool::PoolOptions;
pub use problem::{Frame, Problem, Report};
pub use queues::run_consumer;
pub use scheduler::{CapReason, IsolateCap, Scheduler};
pub use services::{ServiceBinding, Services};
pub use sites::Sites;
pub use slot::Slot;
pub use sources::SourceVolume;
pub use tls::{Tls, TlsError};
pub use worker::{Boot, Fault, Guest, Started, Worker};

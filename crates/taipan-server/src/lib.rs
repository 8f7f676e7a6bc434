//! The process around the isolates: a [`Worker`] owns the isolates of one version of a Worker and gives them their
//! turns, a [`Slot`] says which version is current, and [`Ingress`] brings HTTP requests to it.
//!
//! This crate must never know configuration files, terminals or the command line: what there is to say goes to
//! a [`Console`].

#![forbid(unsafe_code)]

mod body;
mod boot;
mod console;
mod ingress;
mod mailbox;
mod page;
mod problem;
mod service;
mod slot;
mod worker;

pub use boot::{WorkerSpec, boot_isolate};
pub use console::{Console, Level, RequestLog};
pub use ingress::Ingress;
pub use problem::{Frame, Problem, Report};
pub use slot::Slot;
pub use worker::{Boot, Fault, Guest, Started, Worker};

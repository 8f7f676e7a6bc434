//! Harness for behaviour tests and benchmarks: it runs the real `taipan` binary and talks to it over real
//! sockets, so that a test shows what a user would see.
//!
//! It knows the command line and HTTP from the outside only and must never use another crate of this
//! workspace: a test that shares code with what it tests can agree with it and still be wrong. For the same
//! reason the HTTP client is a small one of our own: it can send what a polite client would not.
//!
//! A behaviour test is a folder; `tests/README.md` describes it and [`case`] holds its format.
#![forbid(unsafe_code)]

pub mod behaviour;
pub mod case;
pub mod check;
pub mod command;
pub mod databases;
pub mod http;
pub mod index;
pub mod mirror;
pub mod process;
pub mod releases;
pub mod server;
pub mod stats;
pub mod upstream;
pub mod web_socket;

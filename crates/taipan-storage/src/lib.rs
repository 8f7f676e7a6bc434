//! The data of bindings on disk: key-value namespaces, databases, buckets and queues.
//!
//! This crate knows files and SQLite. It must never know isolates, HTTP or JavaScript: what a store is asked comes as plain
//! values and a function that is called with the answer, on a thread of the store's.
//!
//! ```text
//!  FOLDER/                        .wrangler/state, or what --persist-to names
//!    taipan-v1/
//!      lock                       held by the one process that uses the folder: its number and its command
//!      server                     how to ask that process: its address and a token
//!      s3-secret                  what S3's clients sign with
//!      kv/ID.sqlite               a namespace: see [`kv`]
//!      d1/ID.sqlite               a database, which is the Worker's own: see [`d1`]
//!      r2/ID.sqlite, r2/ID.blobs/  a bucket: see [`r2`]
//!      queues/queues.sqlite       all queues: see [`queues`]
//!      analytics/analytics.sqlite data points: see [`analytics`]
//! ```
//! `ID` is what the configuration says, with every byte but letters, digits, `-` and `_` as `%` and two hexadecimal digits. Beside
//! each file are SQLite's `-wal` and `-shm`, and what was set aside because it was damaged (`ID.damaged-SECONDS.sqlite`).
//! `PRAGMA user_version` of a file is the version of its layout; a newer one than this build knows is refused.
//!
//! **Durability.** A write is answered when it has been synced to disk: write-ahead log, `synchronous=FULL`. Each file has one
//! thread that writes, and what waits for it while it syncs goes to disk together with the next sync.
#![forbid(unsafe_code)]

mod aligned;
pub mod analytics;
mod clock;
pub mod d1;
mod error;
mod folder;
mod hex;
mod io;
pub mod kv;
mod order;
pub mod queues;
pub mod r2;
mod sqlite;

pub use aligned::Aligned;
pub use clock::{Clock, SystemClock};
pub use error::{Refusal, StorageError};
pub use folder::StateFolder;
pub use hex::{hex, sha256, unhex};
pub use io::on_io_thread;

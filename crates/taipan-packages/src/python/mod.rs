//! Python packages: what a project asks for, which versions that comes to, and where their files are.
//!
//! ```text
//! pyproject.toml or requirements.txt ──uv──▶ pylock.toml ──uv──▶ <cache>/packages/<SHA-256 of a wheel>/ ──▶ tree
//! ```
//! uv resolves and downloads, so that everything a user or a company has set up there (indexes, proxies, credentials) applies, and
//! our own Python is the interpreter that it asks for tags and markers. What it unpacks is checked and kept once per machine.

mod error;
mod libraries;
mod lock;
mod manifest;
mod marker;
mod pip;
mod resolve;
mod sizes;
mod stand_in;
mod store;
mod tags;
mod tree;
mod unzip;
mod uv;
mod watch;

pub use error::PackageError;
pub use libraries::{Libraries, Library};
pub use lock::{Lock, LockedPackage};
pub use manifest::{Manifest, requirement_name};
pub use resolve::{Index, Resolution, Resolver, Target};
pub use store::{Store, StoredWheel};
pub use tree::PackageTree;
pub use uv::Uv;

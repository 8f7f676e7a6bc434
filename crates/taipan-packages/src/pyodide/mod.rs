//! Releases of Pyodide: which files belong to one, where to get them, and where they are kept.
//!
//! A release comes as one archive, the npm package `pyodide`: through the npm client, so that everything a user or a company
//! has set up there (registries, proxies, credentials) applies, or from a mirror, or not at all when a folder holds it already.
//!
//! ```text
//! <cache>/pyodide/314.0.7-66b7949e5a0cba22/           the files; exists only whole and verified
//! <cache>/pyodide/314.0.7-66b7949e5a0cba22.lock       held while the folder is made
//! <cache>/pyodide/314.0.7-66b7949e5a0cba22.partial/   work in progress; belongs to the holder of the lock
//! ```

mod archive;
mod cache;
mod error;
pub(crate) mod http;
#[cfg(test)]
mod mirror;
mod npm;
mod obtain;
mod progress;
mod release;
#[cfg(test)]
mod tests;
mod verify;

pub use cache::Cache;
pub use error::ObtainError;
pub use obtain::{Source, obtain};
pub use progress::{Progress, Silent};
pub use release::{Artifact, RELEASES, Release, release};
pub use verify::Damage;

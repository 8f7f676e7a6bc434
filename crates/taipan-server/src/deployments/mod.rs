//! Workers that were deployed: their versions on disk, which of them run, and the API by which they come and go.
//!
//! ```text
//! deployer ── manifest ──▶ which contents are missing?         [`Admin`]
//!          ── contents ──▶ each compared with its SHA-256      [`folder`]
//!          ── manifest ──▶ staged ─▶ started ─▶ kept ─▶ served [`Deployments`]
//! ```
//! A version is what its [`Manifest`] says and nothing else: the release of Pyodide with the digests of its files, the resolved
//! configuration, the digest of every file. So a version stays what it was, whatever dates select by then, and needs nothing but the folder
//! to start again. Only what has started is kept, and what is kept is on disk before it is served.

mod admin;
mod folder;
mod manifest;
mod refusal;
mod routing;
mod running;
mod secrets;
mod version;

pub use admin::Admin;
pub use manifest::{ContentFile, Manifest, PackageFiles, PinnedRelease, ServedAssets, is_plain_path};
pub use running::{Deployments, DeploymentsOptions};

//! Real isolates with the real Pyodide: everything that ends one, what the cache refuses, snapshots, and exceptions
//! through code that others compiled.
//!
//! All tests share one [`Runtime`](taipan_engine::Runtime) and restore its base snapshot, so a test costs milliseconds
//! once the cache in the target folder is filled. The behaviour tests use the same cache.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy knows only functions marked as tests, not those that they share"
)]

mod cache;
mod clocks;
mod endings;
mod glue;
mod guest;
mod javascript;
mod native;
mod snapshots;

//! What runs inside the sandbox, as bytes, and the protocol between it and the host.
//!
//! This crate builds `engine.wasm` (QuickJS-ng plus our shim, see `engine/`), bundles the in-sandbox
//! JavaScript (`js/`) and carries the in-sandbox Python (`python/`). It knows nothing of Wasmtime, of
//! HTTP or of files on disk, and must never: everything here is data plus the pure codec of
//! [`protocol`], so that the engine and the host's operations agree on one definition.

pub mod ops;
pub mod protocol;

//! What runs inside the sandbox, as bytes, and the protocol between it and the host.
//!
//! This crate builds `engine.wasm` (QuickJS-ng plus our shim, see `engine/`), bundles the in-sandbox
//! JavaScript (`js/`) and carries the in-sandbox Python (`python/`). It knows nothing of Wasmtime, of
//! HTTP or of files on disk, and must never: everything here is data plus the pure codec of
//! [`protocol`], so that the engine and the host's operations agree on one definition.
#![forbid(unsafe_code)]

pub mod glue;
pub mod ops;
pub mod protocol;
/// The functions of Pyodide that the engine implements in place of its JavaScript, in the order of the engine's table.
pub const NATIVES: &[&str] = include!(concat!(env!("OUT_DIR"), "/natives.rs"));

/// QuickJS-ng with our shim: a WebAssembly side module.
pub const ENGINE_WASM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/engine.wasm"));

/// The JavaScript that runs first in every isolate.
pub const BUNDLE_JS: &str = include_str!(concat!(env!("OUT_DIR"), "/bundle.js"));

/// Our Python files, by their path below the folder that is on the module search path.
pub const PYTHON: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/python.rs"));

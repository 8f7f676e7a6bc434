//! Isolates: running instances of Workers inside Wasmtime.
//!
//! This is the only crate that knows Wasmtime and the only one with `unsafe`. It must never know HTTP,
//! configuration files or bindings: what a guest asks of the host goes through [`Ops`], and what happens in
//! the world reaches the guest as an [`Event`].

mod ahead;
mod base;
mod cache;
mod calls;
mod clocks;
mod code;
mod cpu;
mod entities;
mod error;
mod file_size;
mod files;
mod functions;
mod host;
mod imports;
mod interrupt;
mod isolate;
mod layered;
mod link;
mod memory;
mod pressure;
mod query;
mod runtime;
mod signature;
mod snapshot;
mod spares;
mod stamp;
mod state;
mod stop;
mod stub;
mod table;
mod view;

pub use ahead::NativeModule;
pub use cpu::thread_cpu;
pub use error::{BootError, IsolateError, RuntimeError};
pub use file_size::survive_file_size_limit;
pub use host::{
    Binding, CompileStep, Event, FolderOf, IsolateOptions, Meter, NoMeter, OpReply, Ops, Program,
    ProgramKind, RuntimeFiles, RuntimeOptions, Source, Turn, Volumes, WorkerCode,
};
pub use isolate::{Isolate, STACK_SIZE};
pub use runtime::Runtime;
pub use snapshot::{LayerInfo, ModuleCost, Snapshot, SnapshotError, SnapshotInfo, inspect, module_costs};
pub use spares::Spares;

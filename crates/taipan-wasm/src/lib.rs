//! Rewrites WebAssembly modules into the shape in which isolates run them: exceptions in the final form, memory and
//! table where the engine can copy or fill them cheaply, and all state that a snapshot must save within reach.
//!
//! Everything here is a pure function from bytes to bytes. This crate knows the binary format and the conventions of
//! Emscripten's dynamic linking; it must never know Wasmtime, Pyodide's file names, or where modules come from.
//!
//! Modules are hostile input. They are validated first, with only the features in [`features`] switched on, so what
//! the rewriting code sees is well typed; what it can be made to produce is bounded by constants ([`limits`]). Unknown
//! or impossible situations are a [`RewriteError`], never a panic.
//!
//! The rewriter splices bytes: what an option does not concern is copied as it stands, and index spaces never shift,
//! so function, global and table numbers mean the same before and after.
#![forbid(unsafe_code)]

mod data;
mod dylink;
mod emit;
mod error;
mod exceptions;
pub mod features;
mod layout;
pub mod limits;
mod module;
mod options;
mod output;
pub mod references;
mod seats;

pub use data::{OffsetExpr, Segment};
pub use dylink::{Dylink, Export, Import, dylink};
pub use error::{MemoryError, RewriteError};
pub use options::{MAIN_TABLE_RESERVE, MemoryPlacement, Options, TablePlacement};
pub use output::{
    FunctionType, Hidden, HiddenGlobal, HiddenTable, Output, ReferenceSignatures, Stats, ValueType,
};

use emit::Edits;
use module::Module;
use references::Lowered;

/// The version of the rewriter. Raised whenever the output for some input changes; part of every key under which
/// compiled code is kept.
pub const VERSION: u32 = 9;

/// What the names of exports begin with that [`rewrite`] adds for the engine. No input may use it.
pub const RESERVED_PREFIX: &str = "__taipan_";

/// The export of the global that holds the address of a [`references::layout`], if the module has references.
pub const REFERENCES_EXPORT: &str = "__taipan_references";

/// The export of the memory with [`MemoryPlacement::Define`].
pub const MEMORY_EXPORT: &str = "__taipan_memory";

/// The export under which a dropped start function can be called if it was not exported before.
pub const START_EXPORT: &str = "__taipan_start";

/// Validates `wasm` and rewrites it.
///
/// # Errors
/// If the input is not valid with the features in [`features`], if it has a memory that is not one plain 32-bit memory,
/// or if an option cannot be carried out; see [`RewriteError`].
pub fn rewrite(wasm: &[u8], options: &Options) -> Result<Output, RewriteError> {
    let module = Module::parse(wasm)?;
    module.check_memory(options)?;
    features::validate(wasm, &module)?;
    layout::check_names(&module)?;
    let lowered = match &options.references {
        Some(references) => references::lower(wasm, &module, references)?,
        None => None,
    };
    let Some(Lowered { wasm, signatures }) = lowered else {
        return rearrange(&module, options, ReferenceSignatures::default());
    };
    rearrange(&Module::parse(&wasm)?, options, signatures)
}

/// Everything but what concerns references.
fn rearrange(
    module: &Module<'_>,
    options: &Options,
    references: ReferenceSignatures,
) -> Result<Output, RewriteError> {
    let mut edits = Edits::default();
    let mut stats = Stats::default();
    if options.lower_exceptions {
        exceptions::lower(module, &mut edits, &mut stats)?;
    }
    let seated = if options.seat_exports { seats::unseated(module)? } else { Vec::new() };
    let first_seat = layout::place_memory_and_table(module, options, seated.len(), &mut edits)?;
    if !seated.is_empty() {
        let base = match options.table {
            TablePlacement::Define { extra } if module.imported_tables > 0 => Some(extra),
            _ => None,
        };
        seats::seat(module, &seated, first_seat, base, &mut edits)?;
    }
    let exports = layout::add_exports(module, options, &mut edits)?;
    let data = if options.detach_data { data::detach(module, &mut edits)? } else { Vec::new() };

    Ok(Output {
        wasm: emit::assemble(module, &edits),
        data,
        start: exports.start,
        dylink: dylink::of(module)?,
        hidden: exports.hidden,
        references,
        stats,
    })
}

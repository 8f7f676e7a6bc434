//! Why a module cannot be rewritten.

use thiserror::Error;

/// Why a module cannot be rewritten.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RewriteError {
    /// The bytes do not begin like a core module.
    #[error("not a WebAssembly module: expected the magic number and version 1")]
    NotAModule,
    /// The module does not validate with the features that are switched on.
    #[error("the WebAssembly module is invalid or uses a feature that is switched off")]
    Invalid(#[from] wasmparser::Error),
    /// The module defines a type of garbage-collected objects.
    #[error("the WebAssembly module defines a struct or array type, which is switched off: type {0}")]
    HeapType(usize),
    /// The module's memory is not what an isolate can be built on.
    #[error("the WebAssembly module must have exactly one 32-bit memory that is not shared: {0}")]
    Memory(MemoryError),
    /// Only a table that is defined, or that is the only imported one and becomes defined, can be enlarged.
    #[error(
        "cannot make the WebAssembly module define and enlarge its function table, since it imports tables: {0}"
    )]
    ImportedTables(usize),
    /// The defined table would not hold what was asked for.
    #[error(
        "cannot make the WebAssembly module's table {wanted} entries large, since its maximum is lower: {maximum}"
    )]
    TableSize {
        /// Entries wanted.
        wanted: u64,
        /// The import's maximum.
        maximum: u64,
    },
    /// An export of the input begins with [`RESERVED_PREFIX`](crate::RESERVED_PREFIX).
    #[error("the WebAssembly module exports a name that is reserved for the runtime: {0}")]
    ReservedExport(String),
    /// The name under which the table must be exported belongs to something else.
    #[error("cannot export the WebAssembly module's table, since something else has its name: {0}")]
    ExportTaken(String),
    /// A data segment's offset is none of the forms in [`OffsetExpr`](crate::OffsetExpr).
    #[error(
        "cannot detach a data segment whose offset is not a constant or an imported base plus one: segment {0}"
    )]
    DataOffset(usize),
    /// One function uses both the legacy and the final form of exception handling, which no toolchain emits.
    #[error("a function mixes legacy and final exception handling: function {0}")]
    MixedExceptions(usize),
    /// References are used in a way that the lowering does not know.
    #[error("the WebAssembly module uses external references in a way that is not supported: {0}")]
    Reference(&'static str),
    /// A bound of [`limits`](crate::limits) was met.
    #[error(
        "lowering the exceptions of the WebAssembly module would take too much: more than {limit} {what}"
    )]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The `dylink.0` section contains a number that makes no sense.
    #[error("the WebAssembly module's dylink.0 section is wrong: {0}")]
    Dylink(&'static str),
    /// Validation accepted what the rewriter cannot explain.
    #[error(
        "the WebAssembly rewriter met something that validation should have refused; please report it: {0}"
    )]
    Bug(&'static str),
}

/// What is wrong with a module's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MemoryError {
    /// There is none that could be turned into an import.
    #[error("it has none")]
    None,
    /// There are several.
    #[error("it has {0}")]
    Several(usize),
    /// It is shared between threads.
    #[error("it is shared")]
    Shared,
    /// Its addresses have 64 bits.
    #[error("its addresses have 64 bits")]
    Memory64,
}

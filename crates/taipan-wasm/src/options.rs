//! What [`rewrite`](crate::rewrite) is asked to do.

use crate::references::References;

/// Where the module's memory comes from after rewriting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MemoryPlacement {
    /// As it was.
    Keep,
    /// The module defines its memory, whether it did or imported it, and exports it as [`MEMORY_EXPORT`](crate::MEMORY_EXPORT),
    /// beside the exports that it has. Functions find a memory of their own module's one look-up earlier.
    Define,
}

/// Where the module's function table comes from after rewriting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TablePlacement {
    /// As it was.
    Keep,
    /// An imported table becomes one that the module defines, at the same index, and exports under the import's second
    /// name. Wasmtime fills a table lazily only where the module defines it.
    Define {
        /// Entries to add to the minimum that the import asked for, before the module's own: it becomes the offset of element
        /// segments that begin at the import `env.__table_base`. Tables that were defined already keep their size.
        extra: u32,
    },
}

/// [`Options::table_reserve`] of a main module: room for a JavaScript engine and all large packages together (numpy, scipy, pandas,
/// scikit-learn and pyarrow have 64 thousand functions in tables). An entry that nobody uses costs nothing but addresses. With
/// more entries two tables would not fit into what Linux leaves between the memories of isolates, which begin at multiples of
/// 2 MiB, and each would be a mapping of its own.
pub const MAIN_TABLE_RESERVE: u32 = 112 << 10;

/// What [`rewrite`](crate::rewrite) changes. The default is nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Turn legacy exception handling into that of the final proposal.
    pub lower_exceptions: bool,
    /// Turn references to the host's values into numbers of an engine's; see [`references`](crate::references).
    pub references: Option<References>,
    /// Where the memory comes from.
    pub memory: MemoryPlacement,
    /// Where the function table comes from.
    pub table: TablePlacement,
    /// Turn imported tags into tags that the module defines, at the same indices, and exports under their imports' second
    /// names.
    pub define_tags: bool,
    /// Entries to add at the end of the function table if the module defines it, for functions of other modules, unless
    /// it is 0. The table does not grow beyond them: where it is and how long, compiled code need not look up before each indirect
    /// call. Who instantiates the module counts these entries as not there yet.
    pub table_reserve: u32,
    /// Give every exported function a slot of the function table, as Emscripten's dynamic linker would at start-up.
    pub seat_exports: bool,
    /// Export every mutable global and every table that the module defines and does not export, so that a snapshot can
    /// save them; see [`Output::hidden`](crate::Output::hidden).
    pub export_hidden: bool,
    /// Take the active data segments out of the module and return them as [`Output::data`](crate::Output::data).
    pub detach_data: bool,
    /// Take the start section out of the module; the function is exported and named in
    /// [`Output::start`](crate::Output::start).
    pub drop_start: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lower_exceptions: false,
            references: None,
            memory: MemoryPlacement::Keep,
            table: TablePlacement::Keep,
            define_tags: false,
            table_reserve: 0,
            seat_exports: false,
            export_hidden: false,
            detach_data: false,
            drop_start: false,
        }
    }
}

impl Options {
    /// For a main module: it defines and exports its memory and its table, and instantiating it
    /// neither writes data nor runs code, so that the same compiled module serves a first boot and a restore. `references`: what an
    /// engine knows of them.
    pub fn main(references: References) -> Self {
        Self {
            references: Some(References { tables: true, ..references }),
            memory: MemoryPlacement::Define,
            // The glue makes such a table one entry larger than the import asks for: slot 0 is the null pointer.
            table: TablePlacement::Define { extra: 1 },
            define_tags: true,
            table_reserve: MAIN_TABLE_RESERVE,
            seat_exports: true,
            ..Self::side()
        }
    }

    /// For a `dylink.0` side module. Memory and table are shared with the main module and stay imports. Instantiating
    /// the module neither writes data nor runs its start function: whoever loads it the first time does both, in this
    /// order; a restore does neither.
    pub fn side() -> Self {
        Self {
            lower_exceptions: true,
            references: Some(References::default()),
            export_hidden: true,
            detach_data: true,
            drop_start: true,
            ..Self::default()
        }
    }
}

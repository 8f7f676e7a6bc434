//! What [`rewrite`](crate::rewrite) returns.

use std::collections::HashMap;
use std::fmt;

use crate::{Dylink, RewriteError, Segment};

/// A rewritten module and what was taken out of it or added to it.
#[derive(Clone, Debug)]
pub struct Output {
    /// The rewritten module.
    pub wasm: Vec<u8>,
    /// The active data segments that were detached, in the order in which they must be written.
    pub data: Vec<Segment>,
    /// The export under which the dropped start function can be called; `None` if there was none to drop.
    pub start: Option<String>,
    /// The module's `dylink.0` section, if it begins with one.
    pub dylink: Option<Dylink>,
    /// The exports added by [`Options::export_hidden`](crate::Options::export_hidden).
    pub hidden: Hidden,
    /// The types of functions that had references, as they were; see [`Options::references`](crate::Options::references).
    pub references: ReferenceSignatures,
    /// What the rewriter met.
    pub stats: Stats,
}

/// The types of a function's parameters and results.
pub type FunctionType = (Vec<ValueType>, Vec<ValueType>);

/// Functions that take or give references, which have become numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceSignatures {
    /// By the two parts of an import's name.
    pub imports: HashMap<(String, String), FunctionType>,
    /// By the name of an export.
    pub exports: HashMap<String, FunctionType>,
}

/// State of the module that it did not export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden {
    /// Mutable globals.
    pub globals: Vec<HiddenGlobal>,
    /// Tables.
    pub tables: Vec<HiddenTable>,
}

/// A mutable global that was not exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenGlobal {
    /// Its export now: `__taipan_global_<index>`.
    pub name: String,
    /// Its index in the module.
    pub index: u32,
    /// The type of its value.
    pub value: ValueType,
}

/// A table that was not exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenTable {
    /// Its export now: `__taipan_table_<index>`.
    pub name: String,
    /// Its index in the module.
    pub index: u32,
    /// The type of its elements.
    pub element: ValueType,
}

/// A type of WebAssembly values, as far as the accepted [`features`](crate::features) know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 128-bit vector.
    V128,
    /// Reference to a function.
    FuncRef,
    /// Reference to a value of the host.
    ExternRef,
    /// Reference to an exception.
    ExnRef,
}

impl ValueType {
    pub(crate) fn of(ty: wasmparser::ValType) -> Result<Self, RewriteError> {
        use wasmparser::ValType as V;
        Ok(match ty {
            V::I32 => Self::I32,
            V::I64 => Self::I64,
            V::F32 => Self::F32,
            V::F64 => Self::F64,
            V::V128 => Self::V128,
            V::FUNCREF => Self::FuncRef,
            V::EXTERNREF => Self::ExternRef,
            V::EXNREF => Self::ExnRef,
            V::Ref(_) => return Err(RewriteError::Bug("a reference type of a feature that is switched off")),
        })
    }

    pub(crate) fn encoded(self) -> wasm_encoder::ValType {
        use wasm_encoder::ValType as V;
        match self {
            Self::I32 => V::I32,
            Self::I64 => V::I64,
            Self::F32 => V::F32,
            Self::F64 => V::F64,
            Self::V128 => V::V128,
            Self::FuncRef => V::FUNCREF,
            Self::ExternRef => V::EXTERNREF,
            Self::ExnRef => V::EXNREF,
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::V128 => "v128",
            Self::FuncRef => "funcref",
            Self::ExternRef => "externref",
            Self::ExnRef => "exnref",
        })
    }
}

/// What the exception lowering met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Functions with legacy exception handling, all of which were rewritten.
    pub lowered_functions: usize,
    /// `try` blocks in them, those that delegate included.
    pub tries: usize,
    /// `rethrow` instructions.
    pub rethrows: usize,
    /// `delegate` instructions.
    pub delegates: usize,
    /// Functions in which some exception is delegated to the caller.
    pub landings: usize,
    /// Function types that were added for blocks.
    pub added_types: usize,
}

//! A compiled module and what it was separated from: the data and the start function that only its first instantiation
//! in an isolate's life needs. A restored isolate has both in its memory image.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use taipan_wasm::{OffsetExpr, Output};
use wasmtime::{Instance, Module, Result, StoreContextMut};

use crate::signature::Signature;
use crate::state::{State, count};

/// The name of compiled code: a digest of all that it was made from.
pub(crate) type CodeName = [u8; 32];

/// A compiled module.
pub(crate) struct Code {
    pub(crate) name: CodeName,
    pub(crate) module: Module,
    /// Loaded when the module is first instantiated without a snapshot.
    pub(crate) first: OnceLock<Arc<First>>,
}

/// What instantiating the module would have done.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct First {
    /// Bytes of static memory, of a module that can be placed anywhere.
    pub(crate) memory_size: Option<u32>,
    segments: Vec<Segment>,
    start: Option<String>,
    /// Signatures of imports and exports that have references to JavaScript's values, which its code knows as numbers.
    imports: HashMap<(String, String), String>,
    exports: HashMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Segment {
    /// An imported global to add, by its two names.
    base: Option<(String, String)>,
    offset: u32,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

impl First {
    pub(crate) fn of(output: &Output) -> Self {
        let segments = output.data.iter().map(|segment| {
            let (base, offset) = match &segment.offset {
                OffsetExpr::Const(at) => (None, *at),
                OffsetExpr::Global { module, name, plus } => (Some((module.clone(), name.clone())), *plus),
            };
            Segment { base, offset, bytes: segment.bytes.clone() }
        });
        let signature = |ty| Signature::of_references(ty).map(|signature| signature.text);
        let references = &output.references;
        let imports = references.imports.iter().filter_map(|(name, ty)| Some((name.clone(), signature(ty)?)));
        let exports = references.exports.iter().filter_map(|(name, ty)| Some((name.clone(), signature(ty)?)));
        Self {
            memory_size: output.dylink.as_ref().map(|dylink| dylink.memory_size),
            segments: segments.collect(),
            start: output.start.clone(),
            imports: imports.collect(),
            exports: exports.collect(),
        }
    }

    /// The signature of an import, if it has references.
    pub(crate) fn import(&self, module: &str, name: &str) -> Option<&str> {
        self.imports.get(&(module.to_owned(), name.to_owned())).map(String::as_str)
    }

    /// The signature of an export, if it has references.
    pub(crate) fn export(&self, name: &str) -> Option<&str> {
        self.exports.get(name).map(String::as_str)
    }

    /// Writes the data, then runs the start function. `bases`: the values of the imported globals.
    pub(crate) fn run(
        &self,
        mut store: StoreContextMut<'_, State>,
        memory: wasmtime::Memory,
        instance: Instance,
        bases: &HashMap<(String, String), u32>,
    ) -> Result<()> {
        for segment in &self.segments {
            let base = match &segment.base {
                None => 0,
                Some(name) => *bases.get(name).ok_or_else(|| {
                    wasmtime::Error::msg(format!("data depends on an unknown base: {}", name.1))
                })?,
            };
            let start = base.wrapping_add(segment.offset) as usize;
            let place = memory.data_mut(&mut store).get_mut(start..start.saturating_add(segment.bytes.len()));
            place
                .ok_or_else(|| {
                    let size = count(segment.bytes.len());
                    wasmtime::Error::msg(format!(
                        "data does not fit into the memory: {size} bytes at {start}"
                    ))
                })?
                .copy_from_slice(&segment.bytes);
        }
        match &self.start {
            Some(name) => instance.get_typed_func::<(), ()>(&mut store, name)?.call(&mut store, ()),
            None => Ok(()),
        }
    }
}

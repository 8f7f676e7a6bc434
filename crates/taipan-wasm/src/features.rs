//! The WebAssembly features that modules may use.
//!
//! What Emscripten emits for Pyodide and its wheels, and nothing else: each further proposal is more engine that a
//! tenant can reach, and some (threads, stack switching) would break assumptions of snapshots or of the exception
//! lowering. Of garbage collection only what concerns functions is on: CPython finds out with `ref.test` what type a C
//! function has. Modules that define structs or arrays are refused.

use wasmparser::{Validator, WasmFeatures};

use crate::RewriteError;
use crate::module::Module;

/// What inputs of [`rewrite`](crate::rewrite) may use.
pub const INPUT: WasmFeatures = OUTPUT.union(WasmFeatures::LEGACY_EXCEPTIONS);

/// What outputs of [`rewrite`](crate::rewrite) use once exceptions are lowered.
pub const OUTPUT: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::EXCEPTIONS)
    .union(WasmFeatures::FUNCTION_REFERENCES)
    .union(WasmFeatures::GC)
    // Not a proposal: without it `externref` is refused.
    .union(WasmFeatures::GC_TYPES);

pub(crate) fn validate(wasm: &[u8], module: &Module<'_>) -> Result<(), RewriteError> {
    Validator::new_with_features(INPUT).validate_all(wasm)?;
    match module.types.iter().position(Option::is_none) {
        Some(index) => Err(RewriteError::HeapType(index)),
        None => Ok(()),
    }
}

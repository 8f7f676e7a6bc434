//! Seats in the function table for exported functions.
//!
//! Emscripten's dynamic linker gives every exported function of the main module an address, which is a slot of the table,
//! one by one at start-up: some five thousand calls that a restore would have to repeat. Here the same slots become one
//! element segment at the end of the table, which an engine can fill lazily; the linker then finds each function seated.

use std::collections::HashSet;

use wasm_encoder::{Encode, SectionId};
use wasmparser::{
    ConstExpr, ElementItems, ElementKind, ElementSectionReader, ExternalKind, Operator, TypeRef,
};

use crate::RewriteError;
use crate::emit::{Edits, Items};
use crate::module::Module;

/// The exported functions that no element segment mentions, each once, in the order of their exports; none if there is
/// no table.
pub(crate) fn unseated(module: &Module<'_>) -> Result<Vec<u32>, RewriteError> {
    if module.tables.is_empty() {
        return Ok(vec![]);
    }
    let mut known = seated(module)?;
    let functions = module.exports.iter().filter(|e| e.kind == ExternalKind::Func).map(|e| e.index);
    Ok(functions.filter(|index| known.insert(*index)).collect())
}

fn seated(module: &Module<'_>) -> Result<HashSet<u32>, RewriteError> {
    let mut known = HashSet::new();
    let Some(section) = module.section(SectionId::Element) else { return Ok(known) };
    for element in ElementSectionReader::new(section.reader())? {
        match element?.items {
            ElementItems::Functions(functions) => {
                for function in functions {
                    known.insert(function?);
                }
            }
            ElementItems::Expressions(_, expressions) => {
                for expression in expressions {
                    for operator in expression?.get_operators_reader() {
                        if let Operator::RefFunc { function_index } = operator? {
                            known.insert(function_index);
                        }
                    }
                }
            }
        }
    }
    Ok(known)
}

/// Seats `functions` in the slots from `first` on; the table has room for them. `base` is where segments begin whose offset is
/// the base of the table, an import: engines fill a table lazily only with segments whose places are constants.
pub(crate) fn seat(
    module: &Module<'_>,
    functions: &[u32],
    first: u64,
    base: Option<u32>,
    edits: &mut Edits,
) -> Result<(), RewriteError> {
    let offset = i32::try_from(first).map_err(|_| RewriteError::Bug("a table of 2³¹ slots"))?;
    let mut elements = Items::default();
    if let Some(section) = module.section(SectionId::Element) {
        for element in ElementSectionReader::new(section.reader())? {
            let element = element?;
            let (start, end) = (element.range.start, element.range.end);
            match (base, element.kind) {
                (Some(base), ElementKind::Active { offset_expr, .. })
                    if is_table_base(module, &offset_expr)? =>
                {
                    let place = offset_expr.get_binary_reader().range();
                    let (before, after) = (module.bytes(start..place.start)?, module.bytes(place.end..end)?);
                    elements.push(|bytes| {
                        bytes.extend_from_slice(before);
                        wasm_encoder::ConstExpr::i32_const(base.cast_signed()).encode(bytes);
                        bytes.extend_from_slice(after);
                    });
                }
                _ => {
                    let same = module.bytes(start..end)?;
                    elements.push(|bytes| bytes.extend_from_slice(same));
                }
            }
        }
    }
    elements.push(|bytes| {
        // Kind 0: active, in table 0, functions by index.
        0u32.encode(bytes);
        wasm_encoder::ConstExpr::i32_const(offset).encode(bytes);
        functions.encode(bytes);
    });
    edits.replace(SectionId::Element, elements.section());
    Ok(())
}

fn is_table_base(module: &Module<'_>, offset: &ConstExpr<'_>) -> Result<bool, RewriteError> {
    let mut operators = offset.get_operators_reader();
    let Operator::GlobalGet { global_index } = operators.read()? else { return Ok(false) };
    if !matches!(operators.read()?, Operator::End) {
        return Ok(false);
    }
    let mut globals = module.imports.iter().filter(|import| matches!(import.ty, TypeRef::Global(_)));
    let import = globals.nth(global_index as usize);
    Ok(import.is_some_and(|import| (import.module, import.name) == ("env", "__table_base")))
}

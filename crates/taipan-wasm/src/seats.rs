//! Seats in the function table for exported functions.
//!
//! Emscripten's dynamic linker gives every exported function of the main module an address, which is a slot of the table,
//! one by one at start-up: some five thousand calls that a restore would have to repeat. Here the same slots become one
//! element segment at the end of the table, which an engine can fill lazily; the linker then finds each function seated.

use std::collections::HashSet;

use wasm_encoder::{Encode, SectionId, TableType};
use wasmparser::{ElementItems, ElementSectionReader, ExternalKind, Operator};

use crate::emit::{Edits, Items};
use crate::module::Module;
use crate::{RewriteError, ValueType};

/// The table whose slots are function addresses.
const TABLE: u32 = 0;

/// The exported functions that no element segment mentions, each once, in the order of their exports.
pub(crate) fn unseated(module: &Module<'_>) -> Result<Vec<u32>, RewriteError> {
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

/// Enlarges the defined table by one slot for each of `functions` and seats them there.
pub(crate) fn seat(module: &Module<'_>, functions: &[u32], edits: &mut Edits) -> Result<(), RewriteError> {
    let [first, rest @ ..] = module.tables.as_slice() else { return Err(RewriteError::NoTable) };
    if module.imported_tables > 0 {
        return Err(RewriteError::ImportedTables(module.imported_tables));
    }
    let wanted = first.initial.saturating_add(functions.len() as u64);
    if let Some(maximum) = first.maximum
        && maximum < wanted
    {
        return Err(RewriteError::TableSize { wanted, maximum });
    }
    let mut tables = Items::default();
    for (table, minimum) in std::iter::once((first, wanted)).chain(rest.iter().map(|t| (t, t.initial))) {
        let wasm_encoder::ValType::Ref(element_type) = ValueType::of(table.element_type.into())?.encoded()
        else {
            return Err(RewriteError::Bug("a table of values that are not references"));
        };
        let ty = TableType {
            element_type,
            table64: table.table64,
            minimum,
            maximum: table.maximum,
            shared: table.shared,
        };
        tables.push(|bytes| ty.encode(bytes));
    }
    edits.replace(SectionId::Table, tables.section());

    let offset = i32::try_from(first.initial).map_err(|_| RewriteError::Bug("a table of 2³¹ slots"))?;
    let mut elements = Items::of(module, SectionId::Element)?;
    elements.push(|bytes| {
        // Kind 0: active, in table 0, functions by index.
        TABLE.encode(bytes);
        wasm_encoder::ConstExpr::i32_const(offset).encode(bytes);
        functions.encode(bytes);
    });
    edits.replace(SectionId::Element, elements.section());
    Ok(())
}

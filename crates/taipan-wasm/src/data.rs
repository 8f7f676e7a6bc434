//! Taking active data segments out of a module, so that instantiating it does not write to memory.

use wasm_encoder::{Encode, SectionId};
use wasmparser::{CodeSectionReader, ConstExpr, DataKind, DataSectionReader, Operator};

use crate::RewriteError;
use crate::emit::Edits;
use crate::module::Module;

/// An active data segment that was detached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where its bytes go.
    pub offset: OffsetExpr,
    /// What is written there.
    pub bytes: Vec<u8>,
}

/// The address of a data segment, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OffsetExpr {
    /// An absolute address.
    Const(u32),
    /// The value of an imported global (usually `env.__memory_base`) plus a constant, modulo 2³².
    Global {
        /// First part of the import's name.
        module: String,
        /// Second part of the import's name.
        name: String,
        /// What to add.
        plus: u32,
    },
}

/// What an active segment becomes: an empty passive one. That is what instantiating a module leaves of an active
/// segment, so `memory.init` and `data.drop` on it behave as before and other segments keep their indices.
const EMPTY_PASSIVE: [u8; 2] = [1, 0];

/// Removes the active segments and returns them in order.
pub(crate) fn detach(module: &Module<'_>, edits: &mut Edits) -> Result<Vec<Segment>, RewriteError> {
    let Some(section) = module.section(SectionId::Data) else { return Ok(Vec::new()) };
    let reader = DataSectionReader::new(section.reader())?;
    let count = reader.count();
    let mut detached = Vec::new();
    let mut body = Vec::new();
    count.encode(&mut body);
    for (index, segment) in reader.into_iter().enumerate() {
        let segment = segment?;
        match segment.kind {
            DataKind::Passive => body.extend_from_slice(module.bytes(segment.range)?),
            DataKind::Active { offset_expr, .. } => {
                let offset = offset(module, &offset_expr)?.ok_or(RewriteError::DataOffset(index))?;
                detached.push(Segment { offset, bytes: segment.data.into() });
                body.extend_from_slice(&EMPTY_PASSIVE);
            }
        }
    }
    if detached.is_empty() {
        return Ok(detached);
    }
    if detached.len() == count as usize && !are_named(module)? {
        edits.drop(SectionId::Data);
        edits.drop(SectionId::DataCount);
    } else {
        edits.replace(SectionId::Data, body);
    }
    Ok(detached)
}

/// Whether some instruction names a data segment. If none does, thousands of empty ones need not stay.
fn are_named(module: &Module<'_>) -> Result<bool, RewriteError> {
    // Without this section, such instructions are invalid.
    if !module.has_data_count {
        return Ok(false);
    }
    let Some(section) = module.section(SectionId::Code) else { return Ok(false) };
    for body in CodeSectionReader::new(section.reader())? {
        let body = body?;
        if !body.as_bytes().array_windows().any(may_name_data) {
            continue;
        }
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            if matches!(operators.read()?, Operator::MemoryInit { .. } | Operator::DataDrop { .. }) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether the bytes could begin `memory.init` or `data.drop`, if an instruction began here. The second byte is the
/// first of a LEB128 number that is 8 or 9.
fn may_name_data(bytes: &[u8; 2]) -> bool {
    matches!(bytes, [0xfc, 0x08 | 0x09 | 0x88 | 0x89])
}

/// `None` for forms that no toolchain of ours emits.
fn offset(module: &Module<'_>, expression: &ConstExpr<'_>) -> Result<Option<OffsetExpr>, RewriteError> {
    let mut reader = expression.get_operators_reader();
    // Longer expressions than this are refused below.
    let mut operators = Vec::with_capacity(5);
    while !reader.eof() && operators.len() < 5 {
        operators.push(reader.read()?);
    }
    Ok(match operators.as_slice() {
        [Operator::I32Const { value }, Operator::End] => Some(OffsetExpr::Const(value.cast_unsigned())),
        [Operator::GlobalGet { global_index }, Operator::End] => global(module, *global_index, 0),
        [
            Operator::GlobalGet { global_index },
            Operator::I32Const { value },
            Operator::I32Add,
            Operator::End,
        ]
        | [
            Operator::I32Const { value },
            Operator::GlobalGet { global_index },
            Operator::I32Add,
            Operator::End,
        ] => global(module, *global_index, value.cast_unsigned()),
        _ => None,
    })
}

fn global(module: &Module<'_>, index: u32, plus: u32) -> Option<OffsetExpr> {
    let mut globals =
        module.imports.iter().filter(|import| matches!(import.ty, wasmparser::TypeRef::Global(_)));
    let import = globals.nth(index as usize)?;
    Some(OffsetExpr::Global { module: import.module.into(), name: import.name.into(), plus })
}

//! Types of the blocks that the lowering adds.

use std::collections::HashMap;

use wasm_encoder::{BlockType, Encode, ValType};
use wasmparser::FuncType;

use crate::emit::Items;
use crate::module::Module;
use crate::{RewriteError, ValueType, limits};

/// What the type of a handler's block depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct HandlerBlock {
    /// The type whose parameters the block passes through to the `try_table`.
    pub(super) params: Option<u32>,
    /// The type whose parameters the caught tag carries; `None` for `catch_all`.
    pub(super) tag: Option<u32>,
    /// Whether the exception itself comes on top.
    pub(super) exnref: bool,
}

/// The types of handlers' blocks, and the function types appended to the module's own for them.
#[derive(Default)]
pub(super) struct BlockTypes {
    known: HashMap<HandlerBlock, BlockType>,
    pub(super) added: Items,
}

impl BlockTypes {
    pub(super) fn get(
        &mut self,
        module: &Module<'_>,
        block: HandlerBlock,
    ) -> Result<BlockType, RewriteError> {
        if let Some(ty) = self.known.get(&block) {
            return Ok(*ty);
        }
        let params = values(module, block.params)?;
        let mut results = values(module, block.tag)?;
        if block.exnref {
            results.push(ValType::EXNREF);
        }
        let ty = match (params.as_slice(), results.as_slice()) {
            ([], []) => BlockType::Empty,
            ([], [result]) => BlockType::Result(*result),
            _ => BlockType::FunctionType(self.append(module, &params, &results)?),
        };
        self.known.insert(block, ty);
        Ok(ty)
    }

    fn append(
        &mut self,
        module: &Module<'_>,
        params: &[ValType],
        results: &[ValType],
    ) -> Result<u32, RewriteError> {
        const FUNCTION: u8 = 0x60;
        let own =
            u32::try_from(module.types.len()).map_err(|_| RewriteError::Bug("more types than indices"))?;
        let index = own + self.added.count;
        self.added.push(|bytes| {
            bytes.push(FUNCTION);
            params.encode(bytes);
            results.encode(bytes);
        });
        limits::check("bytes of block types", self.added.bytes.len(), limits::MAX_ADDED_TYPE_BYTES)?;
        limits::check("types", module.types.len() + self.added.count as usize, limits::MAX_TYPES)?;
        Ok(index)
    }
}

fn values(module: &Module<'_>, ty: Option<u32>) -> Result<Vec<ValType>, RewriteError> {
    let params = match ty {
        Some(ty) => module.func_type(ty).map(FuncType::params)?,
        None => &[],
    };
    params.iter().map(|ty| ValueType::of(*ty).map(ValueType::encoded)).collect()
}

//! Writing the lowered body of one function.

use std::ops::Range;

use wasm_encoder::{BlockType, Encode, Instruction, MemArg, ValType};
use wasmparser::{AbstractHeapType, FunctionBody, HeapType, Operator};

use super::{Context, block_type, is_extern, layout, lowered};
use crate::{RewriteError, limits};

/// What a function has to do with references.
#[derive(Default)]
struct Needs {
    /// Some instruction changes.
    change: bool,
    /// A handle can come to be in it.
    scope: bool,
    /// It asks how deep C's stack is.
    asks: bool,
    /// It calls itself.
    recurs: bool,
}

/// What C's stack pointer moves by while a function runs.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// The global.
    pub(super) pointer: u32,
    pub(super) size: u32,
}

/// The new body of a function, `None` if it stays as it is.
pub(super) fn lower(
    context: &Context<'_, '_>,
    body: &FunctionBody<'_>,
    (index, ty): (u32, u32),
) -> Result<Option<Vec<u8>>, RewriteError> {
    let mut needs = Needs::default();
    let mut locals = body.get_locals_reader()?;
    let mut groups = Vec::new();
    for _ in 0..locals.get_count() {
        let (count, ty) = locals.read()?;
        needs.change |= is_extern(ty);
        groups.push((count, ty));
    }
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let at = operators.original_position();
        let operator = operators.read()?;
        needs.recurs |= matches!(operator, Operator::Call { function_index } if function_index == index);
        needs.look(context, &operator, at)?;
    }
    let frame =
        context.frames.get(&index).or(if needs.asks && needs.recurs { context.frame.as_ref() } else { None });
    if !needs.change && !needs.scope && frame.is_none() {
        return Ok(None);
    }

    let ty = context.module.func_type(ty)?;
    let gives_handle = match ty.results() {
        _ if !needs.scope => false,
        [] => false,
        [result] => is_extern(*result),
        _ => return Err(RewriteError::Reference("a function with several results")),
    };
    let mut count =
        u32::try_from(ty.params().len()).map_err(|_| RewriteError::Bug("more parameters than indices"))?;
    let mut new = Vec::with_capacity(body.as_bytes().len() * 2);
    let added = if needs.scope { 1 + u32::from(gives_handle) } else { 0 };
    (groups.len() + usize::from(added > 0)).encode(&mut new);
    for (number, ty) in groups {
        count = count.saturating_add(number);
        number.encode(&mut new);
        lowered(ty)?.encode(&mut new);
    }
    if added > 0 {
        added.encode(&mut new);
        ValType::I32.encode(&mut new);
    }
    limits::check("locals in a function", count as usize + added as usize, limits::MAX_LOCALS)?;

    let copied = body.get_operators_reader()?.original_position();
    let is_wrapped = needs.scope || frame.is_some();
    let mut writer = Writer { context, new, copied, depth: 0, is_wrapped };
    if is_wrapped {
        let result = match ty.results() {
            [result] => BlockType::Result(lowered(*result)?),
            _ => BlockType::Empty,
        };
        if let Some(frame) = frame {
            writer.move_stack(frame, &Instruction::I32Sub);
        }
        if needs.scope {
            writer.load(layout::TOP);
            writer.write(&Instruction::LocalSet(count));
        }
        writer.write(&Instruction::Block(result));
    }
    writer.body(body)?;
    if needs.scope {
        writer.leave(count, gives_handle)?;
    }
    if let Some(frame) = frame {
        writer.move_stack(frame, &Instruction::I32Add);
    }
    if is_wrapped {
        writer.write(&Instruction::End);
    }
    let new = writer.new;
    limits::check("bytes in a function", new.len(), limits::MAX_FUNCTION_BYTES)?;
    Ok(Some(new))
}

fn is_extern_heap(ty: HeapType) -> bool {
    matches!(ty, HeapType::Abstract { ty: AbstractHeapType::Extern, .. })
}

impl Needs {
    fn look(
        &mut self,
        context: &Context<'_, '_>,
        operator: &Operator<'_>,
        at: usize,
    ) -> Result<(), RewriteError> {
        let module = context.module;
        let gives = |ty: u32| module.func_type(ty).map(|ty| ty.results().iter().any(|ty| is_extern(*ty)));
        match operator {
            Operator::Call { function_index }
                if [context.gives, context.checks]
                    .iter()
                    .flatten()
                    .any(|(mark, _)| mark == function_index) =>
            {
                self.change = true;
            }
            Operator::Call { function_index } => {
                self.change |= context.natives.contains_key(function_index);
                self.asks |= context.askers.contains(function_index);
                let ty = module.functions.get(*function_index as usize);
                self.scope |= gives(*ty.ok_or(RewriteError::Bug("a function that does not exist"))?)?;
            }
            Operator::CallIndirect { type_index, .. } | Operator::CallRef { type_index } => {
                self.scope |= gives(*type_index)?;
            }
            Operator::TableGet { table } if context.tables.contains_key(table) => {
                self.change = true;
                self.scope = true;
            }
            Operator::TableSet { table } | Operator::TableGrow { table } | Operator::TableSize { table } => {
                self.change |= context.tables.contains_key(table);
            }
            Operator::RefNull { hty } => self.change |= is_extern_heap(*hty),
            Operator::RefIsNull => self.change |= context.null_tests.contains(&at),
            Operator::TypedSelect { ty } => self.change |= is_extern(*ty),
            Operator::Block { blockty }
            | Operator::Loop { blockty }
            | Operator::If { blockty }
            | Operator::Try { blockty } => {
                self.change |= matches!(blockty, wasmparser::BlockType::Type(ty) if is_extern(*ty));
            }
            Operator::TableFill { table } | Operator::TableInit { table, .. }
                if context.tables.contains_key(table) =>
            {
                return Err(RewriteError::Reference("a table that is filled"));
            }
            Operator::TableCopy { dst_table, src_table }
                if [dst_table, src_table].iter().any(|table| context.tables.contains_key(table)) =>
            {
                return Err(RewriteError::Reference("a table that is copied"));
            }
            Operator::TryTable { try_table } if matches!(try_table.ty, wasmparser::BlockType::Type(ty) if is_extern(ty)) =>
            {
                return Err(RewriteError::Reference("the result of a try_table"));
            }
            Operator::TypedSelectMulti { .. }
            | Operator::AnyConvertExtern
            | Operator::ExternConvertAny
            | Operator::RefAsNonNull
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. } => {
                return Err(RewriteError::Reference("an instruction that no compiler of C emits"));
            }
            _ => {}
        }
        Ok(())
    }
}

struct Writer<'c, 'm, 'a> {
    context: &'c Context<'m, 'a>,
    new: Vec<u8>,
    /// The position in the input up to which instructions are in `new`.
    copied: usize,
    /// Blocks that are open in the input, the function's own left out.
    depth: u32,
    /// All of it is in a block, after which something is to be done.
    is_wrapped: bool,
}

impl Writer<'_, '_, '_> {
    fn write(&mut self, instruction: &Instruction<'_>) {
        instruction.encode(&mut self.new);
    }

    /// Loads a word of the layout.
    fn load(&mut self, word: u32) {
        self.write(&Instruction::GlobalGet(self.context.global));
        self.write(&Instruction::I32Load(MemArg { offset: u64::from(word) * 4, align: 2, memory_index: 0 }));
    }

    /// Calls the function whose address is a word of the layout; its arguments are on the stack.
    fn call(&mut self, word: u32, type_index: u32) {
        self.load(word);
        self.write(&Instruction::CallIndirect { type_index, table_index: 0 });
    }

    fn move_stack(&mut self, frame: &Frame, by: &Instruction<'_>) {
        self.write(&Instruction::GlobalGet(frame.pointer));
        self.write(&Instruction::I32Const(frame.size.cast_signed()));
        self.write(by);
        self.write(&Instruction::GlobalSet(frame.pointer));
    }

    fn help(&mut self, word: u32) -> Result<(), RewriteError> {
        let ty = self.context.helper_type(word)?;
        self.call(word, ty);
        Ok(())
    }

    fn body(&mut self, body: &FunctionBody<'_>) -> Result<(), RewriteError> {
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let start = operators.original_position();
            let operator = operators.read()?;
            self.operator(&operator, start..operators.original_position())?;
        }
        self.skip(body.range().end..body.range().end)
    }

    fn operator(&mut self, operator: &Operator<'_>, at: Range<usize>) -> Result<(), RewriteError> {
        let context = self.context;
        match operator {
            Operator::Block { blockty } => return self.open(*blockty, at, Instruction::Block),
            Operator::Loop { blockty } => return self.open(*blockty, at, Instruction::Loop),
            Operator::If { blockty } => return self.open(*blockty, at, Instruction::If),
            Operator::Try { blockty } => return self.open(*blockty, at, Instruction::Try),
            Operator::TryTable { .. } => self.depth += 1,
            Operator::End | Operator::Delegate { .. } => self.depth = self.depth.saturating_sub(1),
            Operator::Return if self.is_wrapped => {
                self.skip(at)?;
                self.write(&Instruction::Br(self.depth));
            }
            Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
                if self.is_wrapped =>
            {
                return Err(RewriteError::Reference(
                    "a tail call out of a function that has something to do at its end",
                ));
            }
            Operator::Call { function_index }
                if let Some((_, handle)) = context.gives.filter(|(give, _)| give == function_index) =>
            {
                self.skip(at)?;
                self.write(&Instruction::I32Const(handle.cast_signed()));
            }
            Operator::Call { function_index }
                if let Some((_, handle)) = context.checks.filter(|(check, _)| check == function_index) =>
            {
                self.skip(at)?;
                self.write(&Instruction::I32Const(handle.cast_signed()));
                self.write(&Instruction::I32Eq);
            }
            Operator::Call { function_index } => {
                if let Some(word) = context.natives.get(function_index) {
                    let ty = context.module.functions.get(*function_index as usize);
                    self.skip(at)?;
                    self.call(*word, *ty.ok_or(RewriteError::Bug("a function that does not exist"))?);
                }
            }
            Operator::RefNull { hty } if is_extern_heap(*hty) => {
                self.skip(at)?;
                self.write(&Instruction::I32Const(0));
            }
            Operator::RefIsNull if context.null_tests.contains(&at.start) => {
                self.skip(at)?;
                self.write(&Instruction::I32Eqz);
            }
            Operator::TypedSelect { ty } if is_extern(*ty) => {
                self.skip(at)?;
                self.write(&Instruction::Select);
            }
            Operator::TableGet { table } => self.table(*table, layout::TABLE_GET, at)?,
            Operator::TableSet { table } => self.table(*table, layout::TABLE_SET, at)?,
            Operator::TableGrow { table } => self.table(*table, layout::TABLE_GROW, at)?,
            Operator::TableSize { table } => self.table(*table, layout::TABLE_SIZE, at)?,
            _ => {}
        }
        Ok(())
    }

    fn open(
        &mut self,
        ty: wasmparser::BlockType,
        at: Range<usize>,
        instruction: impl FnOnce(BlockType) -> Instruction<'static>,
    ) -> Result<(), RewriteError> {
        self.depth += 1;
        if matches!(ty, wasmparser::BlockType::Type(ty) if is_extern(ty)) {
            self.skip(at)?;
            self.write(&instruction(block_type(ty)?));
        }
        Ok(())
    }

    /// An instruction on a table of references, as a call of the engine.
    fn table(&mut self, table: u32, word: u32, at: Range<usize>) -> Result<(), RewriteError> {
        let Some(number) = self.context.tables.get(&table) else { return Ok(()) };
        self.skip(at)?;
        self.write(&Instruction::I32Const(number.cast_signed()));
        self.help(word)
    }

    /// After the scope's block: releases what the function has left on the stack of handles.
    fn leave(&mut self, saved: u32, gives_handle: bool) -> Result<(), RewriteError> {
        let result = saved + 1;
        if gives_handle {
            self.write(&Instruction::LocalSet(result));
        }
        self.load(layout::TOP);
        self.write(&Instruction::LocalGet(saved));
        self.write(&Instruction::I32Ne);
        self.write(&Instruction::If(BlockType::Empty));
        if gives_handle {
            self.write(&Instruction::LocalGet(result));
            self.write(&Instruction::LocalGet(saved));
            self.help(layout::KEEP)?;
            self.write(&Instruction::LocalSet(result));
        } else {
            self.write(&Instruction::LocalGet(saved));
            self.help(layout::RELEASE)?;
        }
        self.write(&Instruction::End);
        if gives_handle {
            self.write(&Instruction::LocalGet(result));
        }
        Ok(())
    }

    /// Copies what comes before an instruction, but not the instruction.
    fn skip(&mut self, at: Range<usize>) -> Result<(), RewriteError> {
        self.new.extend_from_slice(self.context.module.bytes(self.copied..at.start)?);
        self.copied = at.end;
        Ok(())
    }
}

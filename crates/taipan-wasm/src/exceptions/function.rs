//! Writing the lowered body of one function.

use std::ops::Range;

use wasm_encoder::{BlockType, Catch, Encode, Instruction, ValType};
use wasmparser::{FunctionBody, Operator};

use super::Context;
use super::plan::{Handler, HandlerId, Plan, Scope, TryId};
use super::types::HandlerBlock;
use crate::{RewriteError, ValueType, limits};

/// The landing's block comes right after the function's own frame.
const LANDING: u32 = 1;

/// The new body of a function that has `params` parameters.
pub(super) fn lower(
    context: &mut Context<'_, '_>,
    body: &FunctionBody<'_>,
    params: usize,
    plan: Plan,
) -> Result<Vec<u8>, RewriteError> {
    let mut locals = body.get_locals_reader()?;
    let groups = locals.get_count();
    let groups_start = locals.original_position();
    let mut count = u32::try_from(params).map_err(|_| RewriteError::Bug("more parameters than indices"))?;
    for _ in 0..groups {
        count = count.saturating_add(locals.read()?.0);
    }
    let groups_end = locals.original_position();

    let module = context.module;
    let mut writer = Writer {
        context,
        plan,
        code: Vec::with_capacity(body.as_bytes().len() * 2),
        copied: groups_end,
        labels: vec![Label { scope: Scope::Plain, frame: 0, exnref: None }],
        height: 1,
        next_try: 0,
        exnrefs: Exnrefs { first: count, used: 0, most: 0 },
    };
    writer.write(body)?;
    let Writer { code, exnrefs, .. } = writer;
    limits::check("locals in a function", count as usize + exnrefs.most as usize, limits::MAX_LOCALS)?;

    let mut lowered = Vec::with_capacity(code.len() + 32);
    (groups + u32::from(exnrefs.most > 0)).encode(&mut lowered);
    lowered.extend_from_slice(module.bytes(groups_start..groups_end)?);
    if exnrefs.most > 0 {
        exnrefs.most.encode(&mut lowered);
        ValType::EXNREF.encode(&mut lowered);
    }
    lowered.extend_from_slice(&code);
    limits::check("bytes in a function", lowered.len(), limits::MAX_FUNCTION_BYTES)?;
    Ok(lowered)
}

/// A label of the input that is in scope.
struct Label {
    scope: Scope,
    /// The output's frame that stands for it, counted from the function's. It is also how many frames stay open once
    /// this one is closed.
    frame: u32,
    /// The local that keeps a handler's exception.
    exnref: Option<u32>,
}

/// The locals that keep exceptions, used as a stack.
struct Exnrefs {
    first: u32,
    used: u32,
    most: u32,
}

struct Writer<'c, 'm, 'a> {
    context: &'c mut Context<'m, 'a>,
    plan: Plan,
    code: Vec<u8>,
    /// The position in the input up to which instructions are in `code`.
    copied: usize,
    labels: Vec<Label>,
    /// Frames that are open in the output.
    height: u32,
    next_try: usize,
    exnrefs: Exnrefs,
}

impl Writer<'_, '_, '_> {
    fn write(&mut self, body: &FunctionBody<'_>) -> Result<(), RewriteError> {
        if self.plan.needs_landing {
            self.open(&Instruction::Block(BlockType::Result(ValType::EXNREF)));
        }
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let start = operators.original_position();
            let operator = operators.read()?;
            self.operator(&operator, start..operators.original_position())?;
        }
        self.skip(body.range().end..body.range().end)
    }

    fn operator(&mut self, operator: &Operator<'_>, at: Range<usize>) -> Result<(), RewriteError> {
        match operator {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                self.push(Scope::Plain, self.height);
                self.height += 1;
            }
            Operator::Br { relative_depth } => {
                self.branch(*relative_depth, at, Instruction::Br)?;
            }
            Operator::BrIf { relative_depth } => {
                self.branch(*relative_depth, at, Instruction::BrIf)?;
            }
            Operator::BrTable { targets } => {
                self.skip(at)?;
                let depths =
                    targets.targets().map(|target| self.target(target?)).collect::<Result<Vec<_>, _>>()?;
                let default = self.target(targets.default())?;
                Instruction::BrTable(depths.into(), default).encode(&mut self.code);
            }
            Operator::Try { .. } => {
                self.skip(at)?;
                let id = self.plan.nth(self.next_try);
                self.next_try += 1;
                self.open_try(id)?;
            }
            Operator::Catch { .. } | Operator::CatchAll => {
                self.skip(at)?;
                self.open_handler()?;
            }
            Operator::Rethrow { relative_depth } => {
                self.skip(at)?;
                let exnref = self
                    .label(*relative_depth)?
                    .exnref
                    .ok_or(RewriteError::Bug("a rethrow of what was not kept"))?;
                Instruction::LocalGet(exnref).encode(&mut self.code);
                Instruction::ThrowRef.encode(&mut self.code);
            }
            Operator::Delegate { .. } => {
                self.skip(at)?;
                let label = self.pop()?;
                self.close();
                self.height = label.frame;
            }
            Operator::End => {
                self.height = self.pop()?.frame;
                if self.labels.is_empty() && self.plan.needs_landing {
                    self.skip(at)?;
                    for instruction in
                        [Instruction::Return, Instruction::End, Instruction::ThrowRef, Instruction::End]
                    {
                        instruction.encode(&mut self.code);
                    }
                }
            }
            Operator::TryTable { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. }
            | Operator::BrOnCast { .. }
            | Operator::BrOnCastFail { .. }
            | Operator::BrOnCastDescEq { .. }
            | Operator::BrOnCastDescEqFail { .. }
            | Operator::Resume { .. }
            | Operator::ResumeThrow { .. }
            | Operator::ResumeThrowRef { .. } => {
                return Err(RewriteError::Bug("a label in an instruction of a feature that is switched off"));
            }
            _ => {}
        }
        Ok(())
    }

    fn open_try(&mut self, id: TryId) -> Result<(), RewriteError> {
        let r#try = self.plan.get(id)?;
        let (type_index, block) = match r#try.block_type {
            wasmparser::BlockType::Empty => (None, BlockType::Empty),
            wasmparser::BlockType::Type(ty) => (None, BlockType::Result(ValueType::of(ty)?.encoded())),
            wasmparser::BlockType::FuncType(ty) => (Some(ty), BlockType::FunctionType(ty)),
        };
        self.push(Scope::Body(id), self.height);

        if let Some(delegate) = &self.plan.get(id)?.delegate {
            let mut clauses = Vec::with_capacity(delegate.handlers.len() + 1);
            for handler in &delegate.handlers {
                let handler = self.plan.handler(*handler)?;
                clauses.push(clause(handler, self.depth(handler.frame)?));
            }
            if delegate.to_caller {
                clauses.push(Catch::AllRef { label: self.depth(LANDING)? });
            }
            return self.open_try_table(block, clauses);
        }

        self.open(&Instruction::Block(block));
        let count = self.plan.get(id)?.handlers.len();
        if count == 0 {
            return Ok(());
        }
        for nth in (0..count).rev() {
            let frame = self.height;
            let handler = self.plan.handler_mut(HandlerId { of: id, nth })?;
            handler.frame = frame;
            let (tag, exnref) = (handler.tag, handler.rethrown);
            let module = self.context.module;
            let tag = tag.map(|tag| module.tag_type(tag)).transpose()?;
            let ty = self.context.types.get(module, HandlerBlock { params: type_index, tag, exnref })?;
            self.open(&Instruction::Block(ty));
        }
        let mut clauses = Vec::with_capacity(count);
        for handler in &self.plan.get(id)?.handlers {
            clauses.push(clause(handler, self.depth(handler.frame)?));
        }
        self.open_try_table(block, clauses)
    }

    fn open_try_table(&mut self, block: BlockType, clauses: Vec<Catch>) -> Result<(), RewriteError> {
        limits::check("handlers for one try", clauses.len(), limits::MAX_CLAUSES)?;
        self.open(&Instruction::TryTable(block, clauses.into()));
        Ok(())
    }

    /// Ends the body or the handler before a handler and begins the handler.
    fn open_handler(&mut self) -> Result<(), RewriteError> {
        let before = self.pop()?;
        let id = match before.scope {
            Scope::Body(of) => {
                self.close();
                HandlerId { of, nth: 0 }
            }
            Scope::Handler(HandlerId { of, nth }) => HandlerId { of, nth: nth + 1 },
            Scope::Plain => return Err(RewriteError::Bug("a catch outside of a try")),
        };
        Instruction::Br(self.depth(before.frame)?).encode(&mut self.code);
        self.close();
        self.push(Scope::Handler(id), before.frame);
        if self.plan.handler(id)?.rethrown {
            let local = self.exnrefs.first.saturating_add(self.exnrefs.used);
            self.exnrefs.used += 1;
            self.exnrefs.most = self.exnrefs.most.max(self.exnrefs.used);
            Instruction::LocalSet(local).encode(&mut self.code);
            if let Some(label) = self.labels.last_mut() {
                label.exnref = Some(local);
            }
        }
        Ok(())
    }

    /// Copies what comes before an instruction, but not the instruction.
    fn skip(&mut self, at: Range<usize>) -> Result<(), RewriteError> {
        self.code.extend_from_slice(self.context.module.bytes(self.copied..at.start)?);
        self.copied = at.end;
        Ok(())
    }

    fn open(&mut self, instruction: &Instruction<'_>) {
        instruction.encode(&mut self.code);
        self.height += 1;
    }

    fn close(&mut self) {
        Instruction::End.encode(&mut self.code);
        self.height = self.height.saturating_sub(1);
    }

    fn push(&mut self, scope: Scope, frame: u32) {
        self.labels.push(Label { scope, frame, exnref: None });
    }

    fn pop(&mut self) -> Result<Label, RewriteError> {
        let label = self.labels.pop().ok_or(RewriteError::Bug("an end without a beginning"))?;
        if label.exnref.is_some() {
            self.exnrefs.used = self.exnrefs.used.saturating_sub(1);
        }
        Ok(label)
    }

    fn label(&self, depth: u32) -> Result<&Label, RewriteError> {
        self.labels.iter().nth_back(depth as usize).ok_or(RewriteError::Bug("a label that does not exist"))
    }

    /// How a branch names a frame of the output.
    fn depth(&self, frame: u32) -> Result<u32, RewriteError> {
        self.height.checked_sub(frame + 1).ok_or(RewriteError::Bug("a branch to a frame that is closed"))
    }

    /// How a branch of the input names its target in the output.
    fn target(&self, depth: u32) -> Result<u32, RewriteError> {
        self.depth(self.label(depth)?.frame)
    }

    fn branch(
        &mut self,
        depth: u32,
        at: Range<usize>,
        instruction: impl FnOnce(u32) -> Instruction<'static>,
    ) -> Result<(), RewriteError> {
        let target = self.target(depth)?;
        if target != depth {
            self.skip(at)?;
            instruction(target).encode(&mut self.code);
        }
        Ok(())
    }
}

fn clause(handler: &Handler, label: u32) -> Catch {
    match (handler.tag, handler.rethrown) {
        (Some(tag), false) => Catch::One { tag, label },
        (Some(tag), true) => Catch::OneRef { tag, label },
        (None, false) => Catch::All { label },
        (None, true) => Catch::AllRef { label },
    }
}

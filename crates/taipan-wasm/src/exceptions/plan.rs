//! What must be known of a function's `try` blocks before any of them can be written: which handlers some `rethrow`
//! names, and where `delegate`s lead. Both only become known further on in the function.

use std::collections::HashSet;

use wasmparser::{BlockType, FunctionBody, Operator};

use super::Context;
use crate::RewriteError;

/// A `try` of a function, counted in the order of the code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TryId(usize);

/// A `catch` or `catch_all`: the n-th one of a `try`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct HandlerId {
    pub(super) of: TryId,
    pub(super) nth: usize,
}

/// What a label of the input stands for.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    /// A block, loop, if, or the function.
    Plain,
    /// The body of a `try`.
    Body(TryId),
    /// A handler of a `try`.
    Handler(HandlerId),
}

pub(super) struct Handler {
    /// `None` for `catch_all`.
    pub(super) tag: Option<u32>,
    /// Whether some `rethrow` names it.
    pub(super) rethrown: bool,
    /// The output's block in front of it, as [`Scope`]s are numbered there. Known once the `try` was written.
    pub(super) frame: u32,
}

pub(super) struct Try {
    pub(super) block_type: BlockType,
    pub(super) handlers: Vec<Handler>,
    /// The innermost `try` whose body this one is in.
    parent: Option<TryId>,
    pub(super) delegate: Option<Delegate>,
}

/// Where a `try` … `delegate` leads.
pub(super) struct Delegate {
    /// The `try` whose handlers come next; `None` for the caller.
    target: Option<TryId>,
    /// The handlers that may catch the exception, in order.
    pub(super) handlers: Vec<HandlerId>,
    /// Whether the exception goes to the caller if none does.
    pub(super) to_caller: bool,
}

/// A function's `try` blocks.
#[derive(Default)]
pub(super) struct Plan {
    tries: Vec<Try>,
    pub(super) rethrows: usize,
    pub(super) delegates: usize,
    /// Whether some exception is delegated to the caller.
    pub(super) needs_landing: bool,
}

/// A label of the input.
struct Label {
    scope: Scope,
    /// The innermost `try` whose body is this label's scope or around it.
    active: Option<TryId>,
}

impl Plan {
    /// Looks through a function. `None` if it has no `try`.
    pub(super) fn of(
        context: &mut Context<'_, '_>,
        body: &FunctionBody<'_>,
    ) -> Result<Option<Self>, RewriteError> {
        let mut plan = Self::default();
        let mut has_try_table = false;
        let mut labels = vec![Label { scope: Scope::Plain, active: None }];
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let operator = operators.read()?;
            let active = labels.last().and_then(|label| label.active);
            match operator {
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                    labels.push(Label { scope: Scope::Plain, active });
                }
                Operator::TryTable { .. } => {
                    has_try_table = true;
                    labels.push(Label { scope: Scope::Plain, active });
                }
                Operator::Try { blockty } => {
                    let id = TryId(plan.tries.len());
                    plan.tries.push(Try {
                        block_type: blockty,
                        handlers: Vec::new(),
                        parent: active,
                        delegate: None,
                    });
                    labels.push(Label { scope: Scope::Body(id), active: Some(id) });
                }
                Operator::Catch { tag_index } => plan.catch(&mut labels, Some(tag_index))?,
                Operator::CatchAll => plan.catch(&mut labels, None)?,
                Operator::Rethrow { relative_depth } => {
                    let Scope::Handler(handler) = at(&labels, relative_depth)?.scope else {
                        return Err(RewriteError::Bug("a rethrow outside of a handler"));
                    };
                    plan.handler_mut(handler)?.rethrown = true;
                    plan.rethrows += 1;
                }
                Operator::Delegate { relative_depth } => {
                    let Some(Label { scope: Scope::Body(id), .. }) = labels.pop() else {
                        return Err(RewriteError::Bug("a delegate that does not end a try"));
                    };
                    let target = at(&labels, relative_depth)?.active;
                    plan.get_mut(id)?.delegate =
                        Some(Delegate { target, handlers: Vec::new(), to_caller: false });
                    plan.delegates += 1;
                }
                Operator::End => {
                    labels.pop();
                }
                _ => {}
            }
        }
        if plan.tries.is_empty() {
            return Ok(None);
        }
        if has_try_table {
            return Err(RewriteError::MixedExceptions(context.function));
        }
        plan.follow_delegates(context)?;
        Ok(Some(plan))
    }

    fn catch(&mut self, labels: &mut Vec<Label>, tag: Option<u32>) -> Result<(), RewriteError> {
        let of = match labels.pop().map(|label| label.scope) {
            Some(Scope::Body(id) | Scope::Handler(HandlerId { of: id, .. })) => id,
            _ => return Err(RewriteError::Bug("a catch outside of a try")),
        };
        let active = labels.last().and_then(|label| label.active);
        let handlers = &mut self.get_mut(of)?.handlers;
        labels.push(Label { scope: Scope::Handler(HandlerId { of, nth: handlers.len() }), active });
        handlers.push(Handler { tag, rethrown: false, frame: 0 });
        Ok(())
    }

    /// Finds the handlers that each `delegate` leads to.
    fn follow_delegates(&mut self, context: &mut Context<'_, '_>) -> Result<(), RewriteError> {
        for index in 0..self.tries.len() {
            let Some(Try { parent, delegate: Some(Delegate { target, .. }), .. }) = self.tries.get(index)
            else {
                continue;
            };
            let target = *target;
            // What is thrown in the body goes there anyway.
            if target == *parent {
                self.get_mut(TryId(index))?.delegate = None;
                continue;
            }
            let (handlers, to_caller) = self.handlers_from(target, context)?;
            self.needs_landing |= to_caller;
            self.get_mut(TryId(index))?.delegate = Some(Delegate { target, handlers, to_caller });
        }
        Ok(())
    }

    /// The handlers that an exception in the body of `from` may meet, and whether it can pass by all of them.
    fn handlers_from(
        &self,
        from: Option<TryId>,
        context: &mut Context<'_, '_>,
    ) -> Result<(Vec<HandlerId>, bool), RewriteError> {
        let mut found = Vec::new();
        let mut tags = HashSet::new();
        let mut next = from;
        while let Some(of) = next {
            context.step()?;
            let r#try = self.get(of)?;
            if let Some(delegate) = &r#try.delegate {
                next = delegate.target;
                continue;
            }
            for (nth, handler) in r#try.handlers.iter().enumerate() {
                context.step()?;
                match handler.tag {
                    None => {
                        found.push(HandlerId { of, nth });
                        return Ok((found, false));
                    }
                    // Of two handlers of one tag, the second never gets the exception.
                    Some(tag) if tags.insert(tag) => found.push(HandlerId { of, nth }),
                    Some(_) => {}
                }
            }
            next = r#try.parent;
        }
        Ok((found, true))
    }

    /// How many `try`s there are.
    pub(super) fn len(&self) -> usize {
        self.tries.len()
    }

    /// The id of the n-th `try`.
    pub(super) fn nth(&self, index: usize) -> TryId {
        TryId(index)
    }

    pub(super) fn get(&self, id: TryId) -> Result<&Try, RewriteError> {
        self.tries.get(id.0).ok_or(RewriteError::Bug("a try that does not exist"))
    }

    fn get_mut(&mut self, id: TryId) -> Result<&mut Try, RewriteError> {
        self.tries.get_mut(id.0).ok_or(RewriteError::Bug("a try that does not exist"))
    }

    pub(super) fn handler(&self, id: HandlerId) -> Result<&Handler, RewriteError> {
        self.get(id.of)?.handlers.get(id.nth).ok_or(RewriteError::Bug("a handler that does not exist"))
    }

    pub(super) fn handler_mut(&mut self, id: HandlerId) -> Result<&mut Handler, RewriteError> {
        self.get_mut(id.of)?
            .handlers
            .get_mut(id.nth)
            .ok_or(RewriteError::Bug("a handler that does not exist"))
    }
}

fn at(labels: &[Label], depth: u32) -> Result<&Label, RewriteError> {
    labels.iter().nth_back(depth as usize).ok_or(RewriteError::Bug("a label that does not exist"))
}

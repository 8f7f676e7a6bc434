//! Lowering of legacy exception handling (`try`, `catch`, `catch_all`, `rethrow`, `delegate`) to the final proposal
//! (`try_table`, `throw_ref`, `exnref`).
//!
//! Emscripten emits the legacy form, Wasmtime runs the final one. The two throw the same exceptions with the same tags;
//! only the shape of handlers differs. A legacy handler is a part of its `try`, a final one is a branch to a label. So
//! each handler becomes what follows a block:
//!
//! ```text
//! try $o (type)               block $o (type)
//!   BODY                        block $h1 (params) -> (params of $a) [exnref]
//! catch $a            ==>         block $h0 (params) -> (params of $b) [exnref]
//!   X                               try_table (type) (catch $b $h0) (catch $a $h1) …
//! catch $b                            BODY
//!   Y                               end
//! end                               br $o
//!                                 end
//!                                 [local.set $exn]  handler of $h0
//!                                 br $o
//!                               end
//!                               [local.set $exn]  handler of $h1
//!                             end
//! ```
//!
//! with the handlers in the order of the input: the first one belongs to the innermost block, and its clause comes
//! first in the `try_table`. The parameters of the `try`, if any, pass through the blocks into the `try_table`.
//!
//! **`rethrow n`** needs the exception that the handler at label `n` caught. Only such handlers use the `_ref` clauses,
//! which put an `exnref` on top of the tag's values; it is kept in a local, and `rethrow` is `local.get $exn;
//! throw_ref`. Handlers that are not nested in each other share locals.
//!
//! **`try BODY delegate n`** hands what BODY throws to the handlers that something thrown directly at label `n` would
//! meet. They are known statically: those of the innermost `try` whose body is at or around `n`, then those of the
//! `try`s around that one. Their labels are all in scope, so the whole becomes one `try_table` that branches straight
//! to them; nothing is caught and thrown again. If none of them catches everything, the rest belongs to the caller but
//! must pass by the handlers in between. It goes to a landing around the whole function:
//!
//! ```text
//! block $caller -> exnref
//!   … try_table (catch $a $h) (catch_all_ref $caller) BODY end …
//!   return
//! end
//! throw_ref
//! ```
//!
//! All other instructions are copied as runs of bytes, with the labels of branches adapted to the blocks that were
//! added. Functions without `try` are copied whole.

mod function;
mod plan;
mod types;

use wasm_encoder::{Encode, SectionId};
use wasmparser::{CodeSectionReader, FunctionBody};

use crate::emit::{Edits, Items};
use crate::module::Module;
use crate::{RewriteError, Stats, limits};

use plan::Plan;
use types::BlockTypes;

/// The opcode of `try`. Functions without such a byte need not be decoded.
const TRY: u8 = 0x06;

/// What the functions of a module share while they are lowered.
struct Context<'m, 'a> {
    module: &'m Module<'a>,
    /// The index of the function at hand.
    function: usize,
    types: BlockTypes,
    delegate_steps: usize,
}

impl Context<'_, '_> {
    /// Counts one more handler that a `delegate` looked at.
    fn step(&mut self) -> Result<(), RewriteError> {
        self.delegate_steps += 1;
        limits::check("steps to follow delegates", self.delegate_steps, limits::MAX_DELEGATE_STEPS)
    }
}

/// Lowers all functions of a validated module.
pub(crate) fn lower(module: &Module<'_>, edits: &mut Edits, stats: &mut Stats) -> Result<(), RewriteError> {
    let Some(section) = module.section(SectionId::Code) else { return Ok(()) };
    let mut context = Context { module, function: 0, types: BlockTypes::default(), delegate_steps: 0 };
    let reader = CodeSectionReader::new(section.reader())?;
    let mut code = Vec::with_capacity(section.body.len() + section.body.len() / 16);
    reader.count().encode(&mut code);

    // What was read up to here is in `code`.
    let mut copied = reader.original_position();
    let mut entry = copied;
    let defined = module.functions.iter().skip(module.imported_functions);
    for ((index, body), ty) in reader.into_iter().enumerate().zip(defined) {
        let body = body?;
        let end = body.range().end;
        context.function = module.imported_functions + index;
        if let Some(lowered) = lower_function(&mut context, &body, *ty, stats)? {
            code.extend_from_slice(module.bytes(copied..entry)?);
            lowered.encode(&mut code);
            copied = end;
        }
        entry = end;
    }
    if stats.lowered_functions == 0 {
        return Ok(());
    }
    code.extend_from_slice(module.bytes(copied..entry)?);
    edits.replace(SectionId::Code, code);
    if context.types.added.count > 0 {
        let mut types = Items::of(module, SectionId::Type)?;
        types.append(&context.types.added);
        edits.replace(SectionId::Type, types.section());
        stats.added_types = context.types.added.count as usize;
    }
    Ok(())
}

/// The new body of a function, `None` if it stays as it is.
fn lower_function(
    context: &mut Context<'_, '_>,
    body: &FunctionBody<'_>,
    ty: u32,
    stats: &mut Stats,
) -> Result<Option<Vec<u8>>, RewriteError> {
    if !body.as_bytes().contains(&TRY) {
        return Ok(None);
    }
    let Some(plan) = Plan::of(context, body)? else { return Ok(None) };
    stats.lowered_functions += 1;
    stats.tries += plan.len();
    stats.rethrows += plan.rethrows;
    stats.delegates += plan.delegates;
    stats.landings += usize::from(plan.needs_landing);
    let params = context.module.func_type(ty)?.params().len();
    function::lower(context, body, params, plan).map(Some)
}

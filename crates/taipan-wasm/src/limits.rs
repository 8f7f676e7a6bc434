//! Bounds on what a hostile module can make the rewriter do. Each is far more than Pyodide needs.

use crate::RewriteError;

/// Refuses more than `limit` of something.
pub(crate) fn check(what: &'static str, count: usize, limit: usize) -> Result<(), RewriteError> {
    if count > limit { Err(RewriteError::TooMuch { what, limit }) } else { Ok(()) }
}

/// Enclosing handlers looked at on behalf of `delegate` instructions, over the whole module. The output has at most
/// this many clauses more than the input has `catch` instructions; without a bound, nested `delegate`s are quadratic.
pub const MAX_DELEGATE_STEPS: usize = 1_000_000;

/// Bytes of function types added for blocks, over the whole module.
pub const MAX_ADDED_TYPE_BYTES: usize = 1 << 20;

/// Bytes of one function's body. This bound and those below are the ones on which engines agree; an input may come close
/// to them and the output pass them.
pub const MAX_FUNCTION_BYTES: usize = 7_654_321;

/// Locals of one function, its parameters included.
pub const MAX_LOCALS: usize = 50_000;

/// Clauses of one `try_table`.
pub const MAX_CLAUSES: usize = 10_000;

/// Types of a module.
pub const MAX_TYPES: usize = 1_000_000;

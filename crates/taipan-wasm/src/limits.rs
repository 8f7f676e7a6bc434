//! Bounds on what a hostile module can make the rewriter do. Each is some hundred times what Pyodide needs.

/// Enclosing handlers looked at on behalf of `delegate` instructions, over the whole module. The output has at most
/// this many clauses more than the input has `catch` instructions; without a bound, nested `delegate`s are quadratic.
pub const MAX_DELEGATE_STEPS: usize = 1_000_000;

/// Bytes of function types added for blocks, over the whole module.
pub const MAX_ADDED_TYPE_BYTES: usize = 1 << 20;

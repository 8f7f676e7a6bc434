//! Tests of the rewriter from outside.

mod exceptions;
mod hostile;
mod layout;
mod pyodide;

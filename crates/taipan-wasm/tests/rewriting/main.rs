//! Tests of the rewriter from outside.

mod exceptions;
mod frames;
mod hostile;
mod layout;
mod pyodide;

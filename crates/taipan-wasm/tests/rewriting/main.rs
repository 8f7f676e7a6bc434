//! Tests of the rewriter from outside.

mod pyodide;

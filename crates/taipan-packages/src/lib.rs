//! Obtaining what a Worker runs on: releases of Pyodide now, Python packages later.
//!
//! Nothing that comes from elsewhere is used before its digest was compared with one that is written in this crate, and nothing half
//! done ever has its final name. This crate must never know how the files are run, and never how progress is shown.
#![forbid(unsafe_code)]

pub mod pyodide;

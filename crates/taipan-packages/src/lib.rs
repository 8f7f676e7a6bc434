//! Obtaining what a Worker runs on: releases of Pyodide, and Python packages.
//!
//! Nothing that comes from elsewhere is used before its digest was compared with one that is written in this crate or in the project's
//! lock file, and nothing half
//! done ever has its final name. This crate must never know how the files are run, and never how progress is shown.
#![forbid(unsafe_code)]

pub mod pyodide;
pub mod python;

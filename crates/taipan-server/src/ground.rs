//! What all Workers of one Pyodide release start from.

use std::sync::Arc;

use taipan_engine::{NativeModule, Runtime, Spares};
use taipan_packages::python::PackageTree;

use crate::Builder;

/// What all Workers of one Pyodide release start from.
#[derive(Clone)]
pub struct Ground {
    /// Isolates that are kept ready.
    pub spares: Arc<Spares>,
    /// Makes their snapshots.
    pub builder: Arc<Builder>,
}

/// Compiles the packages' native modules, unless that was done before.
pub fn compile_packages(runtime: &Runtime, packages: &PackageTree) {
    let modules = packages.native().map(|(path, size)| NativeModule { path: path.to_owned(), size });
    runtime.compile_ahead(packages.name(), modules.collect());
}

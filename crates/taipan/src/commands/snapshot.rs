//! `taipan snapshot`.

use std::process::ExitCode;

use anyhow::Result;
use taipan_packages::pyodide::{Cache, ObtainError};

use crate::cli::InspectArgs;
use crate::commands::cache::size;
use crate::report::hinted;

pub(crate) fn inspect(args: InspectArgs) -> Result<ExitCode> {
    let cache = Cache::new(args.cache_dir).map_err(|e| hinted(e, ObtainError::hint))?;
    let info = taipan_engine::inspect(&args.file, cache.folder())?;
    if args.json {
        println!("{}", serde_json::to_string(&info)?);
        return Ok(ExitCode::SUCCESS);
    }
    println!("Pyodide {}, memory {}, format {}", info.runtime, size(info.memory_bytes), info.format);
    for layer in &info.layers {
        let digest = layer.digest.get(..12).unwrap_or_default();
        println!(
            "layer {digest}  {:>9} of pages in {} runs  {}",
            size(layer.stored_bytes),
            layer.runs,
            layer.path.display()
        );
    }
    match info.working_set_bytes {
        Some(bytes) => println!("working set of the first request: {}", size(bytes)),
        None => println!("working set of the first request: not measured yet"),
    }
    println!(
        "JavaScript knows {} functions and {} globals; WebAssembly holds {} of its values; native modules: {}",
        info.functions,
        info.globals,
        info.references,
        info.native_modules.len()
    );
    Ok(ExitCode::SUCCESS)
}

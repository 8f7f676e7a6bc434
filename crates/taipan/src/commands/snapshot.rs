//! `taipan snapshot`.

use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result, anyhow};
use taipan_engine::{ModuleCost, STACK_SIZE, SnapshotInfo};
use taipan_packages::pyodide::{Cache, RELEASES, Source};

use crate::cli::InspectArgs;
use crate::console::size;
use crate::report;
use crate::runtime;
use crate::settings::{ReleaseSettings, cache};

/// So many of the largest modules are shown.
const LARGEST: usize = 20;

pub(crate) fn inspect(args: InspectArgs) -> Result<ExitCode> {
    let cache = cache(args.cache_dir)?;
    let info = taipan_engine::inspect(&args.file, cache.folder())?;
    let modules = module_costs(info.clone(), cache);
    if args.json {
        let mut object = serde_json::to_value(&info)?;
        if let (Some(object), Ok(modules)) = (object.as_object_mut(), &modules) {
            object.insert("modules".to_owned(), serde_json::to_value(modules)?);
        }
        println!("{object}");
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
        "JavaScript knows {} functions and {} globals; native modules: {}",
        info.functions,
        info.globals,
        info.native_modules.len()
    );
    match modules {
        Ok(modules) => show(modules),
        // The file is whole, and of another version of this program or its runtime.
        Err(error) => report::print(&error.context("cannot ask what its modules cost")),
    }
    Ok(ExitCode::SUCCESS)
}

fn module_costs(info: SnapshotInfo, cache: Cache) -> Result<Vec<ModuleCost>> {
    let version = &info.runtime;
    let release = RELEASES.iter().find(|release| release.version == version);
    let release = release.with_context(|| format!("there is no Pyodide {version} for this program"))?;
    let runtime = runtime::prepare(release, ReleaseSettings { source: Source::Npm, cache })?;
    let ask = move || Ok(taipan_engine::module_costs(&runtime, &info)?);
    let asking = thread::Builder::new().stack_size(STACK_SIZE).spawn(ask)?;
    asking.join().map_err(|_| anyhow!("asking it failed"))?
}

fn show(mut modules: Vec<ModuleCost>) {
    let (count, bytes) = (modules.len(), modules.iter().map(|module| module.bytes).sum());
    let milliseconds: f64 = modules.iter().map(|module| module.milliseconds).sum();
    println!("{count} Python modules above the runtime: {} and {milliseconds:.1} ms of imports", size(bytes));
    modules.sort_by_key(|module| std::cmp::Reverse(module.bytes));
    for module in modules.iter().take(LARGEST) {
        println!("  {:>9} {:>8.1} ms  {}", size(module.bytes), module.milliseconds, module.name);
    }
    if count > LARGEST {
        println!("  … all of them with --json");
    }
}

//! Pyodide's real main module. Runs if `TAIPAN_TEST_PYODIDE` names a `pyodide.asm.wasm`.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use taipan_wasm::references::References;
use taipan_wasm::{MEMORY_EXPORT, Options, features, rewrite};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef, Validator};

const VARIABLE: &str = "TAIPAN_TEST_PYODIDE";

#[test]
fn main_module() -> Result<()> {
    let Some(path) = std::env::var_os(VARIABLE) else {
        println!("skipped: {VARIABLE} is not set");
        return Ok(());
    };
    let input = fs_err::read(path)?;
    let start = Instant::now();
    let output = rewrite(&input, &Options::main(References::default()))?;
    println!("rewritten in {:?}: {} -> {} bytes", start.elapsed(), input.len(), output.wasm.len());
    println!(
        "{:?}, {} data segments, {} hidden globals",
        output.stats,
        output.data.len(),
        output.hidden.globals.len()
    );
    Validator::new_with_features(features::OUTPUT).validate_all(&output.wasm)?;

    let mut exports = Vec::new();
    for payload in Parser::new(0).parse_all(&output.wasm) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    ensure!(!matches!(import.ty, TypeRef::Table(_)), "the table is still imported");
                    ensure!(!matches!(import.ty, TypeRef::Memory(_)), "the memory is still imported");
                }
            }
            Payload::StartSection { .. } => anyhow::bail!("the start function is still there"),
            Payload::DataSection(data) => {
                for segment in data {
                    ensure!(segment?.data.is_empty(), "data is still there");
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    exports.push((export.name.to_owned(), export.kind));
                }
            }
            _ => {}
        }
    }
    for wanted in [
        (MEMORY_EXPORT, ExternalKind::Memory),
        ("__indirect_function_table", ExternalKind::Table),
        ("malloc", ExternalKind::Func),
    ] {
        assert!(exports.contains(&(wanted.0.to_owned(), wanted.1)), "{wanted:?} is not exported");
    }
    for name in output.hidden.globals.iter().map(|global| &global.name) {
        assert!(exports.contains(&(name.clone(), ExternalKind::Global)));
    }
    let dylink = output.dylink.context("a main module has a dylink.0 section")?;
    assert!(dylink.table_size > 1000);
    assert!(output.stats.rethrows > 0 && output.data.len() > 1000);
    Ok(())
}

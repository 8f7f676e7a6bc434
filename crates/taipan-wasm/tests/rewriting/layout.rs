//! Memory, table, data, start function and exports; `dylink.0`.

use std::borrow::Cow;

use anyhow::{Context, Result, anyhow};
use taipan_wasm::references::References;
use taipan_wasm::{
    Dylink, HiddenGlobal, HiddenTable, MAIN_TABLE_RESERVE, MEMORY_EXPORT, MemoryError, MemoryPlacement,
    OffsetExpr, Options, Output, RewriteError, Segment, TablePlacement, ValueType, dylink, features, rewrite,
};
use wasm_encoder::{CustomSection, Encode, RawSection};
use wasmparser::Validator;
use wasmtime::{ExternType, Linker, Module, Store};

use crate::exceptions::engine::engine;

fn run(text: &str, options: &Options) -> Result<Output> {
    let output = rewrite(&wat::parse_str(text)?, options)?;
    Validator::new_with_features(features::OUTPUT).validate_all(&output.wasm)?;
    Ok(output)
}

fn refusal(text: &str, options: &Options) -> Result<RewriteError> {
    rewrite(&wat::parse_str(text)?, options).err().context("nothing was refused")
}

/// `module.name` of the imports and the names of the exports.
fn outline(wasm: &[u8]) -> Result<(Vec<String>, Vec<String>)> {
    let module = Module::new(&engine()?, wasm).map_err(|e| anyhow!("{e:#}"))?;
    let imports = module.imports().map(|import| format!("{}.{}", import.module(), import.name())).collect();
    Ok((imports, module.exports().map(|export| export.name().to_owned()).collect()))
}

/// A main module as Emscripten makes it today.
const NEW_MAIN: &str = r#"(module
    (import "env" "f" (func))
    (memory (export "memory") 2 10)
    (table (export "__indirect_function_table") 3 funcref)
    (table 0 funcref)
    (global $sp (mut i32) (i32.const 1024))
    (global (export "seen") (mut i64) (i64.const 1))
    (global i32 (i32.const 5))
    (func $init)
    (start $init)
    (data (i32.const 16) "hello")
    (data (i32.const -1) ""))"#;

/// A main module as it was made before: memory, table and bases come from outside.
const OLD_MAIN: &str = r#"(module
    (import "env" "memory" (memory 2))
    (import "env" "__indirect_function_table" (table 3 funcref))
    (import "env" "__memory_base" (global $base i32))
    (table $private 1 funcref)
    (elem (i32.const 1) func $seven)
    (func $seven (result i32) i32.const 7)
    (func (export "call") (param i32) (result i32) local.get 0 call_indirect (result i32))
    (func (export "private_size") (result i32) table.size $private)
    (data (global.get $base) "one")
    (data (i32.add (global.get $base) (i32.const 8)) "two")
    (data (i32.add (i32.const 16) (global.get $base)) "three"))"#;

#[test]
fn by_default_nothing_changes() -> Result<()> {
    let wasm = wat::parse_str(OLD_MAIN)?;
    assert_eq!(rewrite(&wasm, &Options::default())?.wasm, wasm);
    Ok(())
}

#[test]
fn a_memory_is_defined_and_exported_wherever_it_came_from() -> Result<()> {
    for (source, size) in [(NEW_MAIN, (2, Some(10))), (OLD_MAIN, (2, None))] {
        let memory = MemoryPlacement::Define;
        let output = run(source, &Options { memory, ..Options::default() })?;
        let module = Module::new(&engine()?, &output.wasm).map_err(|e| anyhow!("{e:#}"))?;
        assert!(module.imports().all(|import| !matches!(import.ty(), ExternType::Memory(_))));
        let Some(ExternType::Memory(ty)) = module.get_export(MEMORY_EXPORT) else { panic!("not a memory") };
        assert_eq!((ty.minimum(), ty.maximum()), size);
    }
    Ok(())
}

#[test]
fn a_main_module_becomes_inert_and_its_state_visible() -> Result<()> {
    let output = run(NEW_MAIN, &Options::main(References::default()))?;
    let (imports, exports) = outline(&output.wasm)?;
    assert_eq!(imports, ["env.f"]);
    assert_eq!(
        exports,
        [
            "memory",
            "__indirect_function_table",
            "seen",
            "__taipan_memory",
            "__taipan_global_0",
            "__taipan_table_1",
            "__taipan_start"
        ]
    );
    let global = HiddenGlobal { name: "__taipan_global_0".into(), index: 0, value: ValueType::I32 };
    assert_eq!(output.hidden.globals, [global]);
    let table = HiddenTable { name: "__taipan_table_1".into(), index: 1, element: ValueType::FuncRef };
    assert_eq!(output.hidden.tables, [table]);
    assert_eq!(output.start.as_deref(), Some("__taipan_start"));
    assert_eq!(
        output.data,
        [
            Segment { offset: OffsetExpr::Const(16), bytes: b"hello".to_vec() },
            Segment { offset: OffsetExpr::Const(u32::MAX), bytes: Vec::new() },
        ]
    );
    assert!(!output.wasm.windows(5).any(|bytes| bytes == b"hello"));
    Ok(())
}

#[test]
fn an_imported_table_becomes_defined_at_its_index() -> Result<()> {
    let output = run(OLD_MAIN, &Options::main(References::default()))?;
    let base = |plus| OffsetExpr::Global { module: "env".into(), name: "__memory_base".into(), plus };
    let offsets: Vec<_> = output.data.iter().map(|segment| segment.offset.clone()).collect();
    assert_eq!(offsets, [base(0), base(8), base(16)]);

    let failed = |e: wasmtime::Error| anyhow!("{e:#}");
    let engine = engine()?;
    let module = Module::new(&engine, &output.wasm).map_err(failed)?;
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let ty = wasmtime::GlobalType::new(wasmtime::ValType::I32, wasmtime::Mutability::Const);
    let global = wasmtime::Global::new(&mut store, ty, wasmtime::Val::I32(1024)).map_err(failed)?;
    linker.define(&mut store, "env", "__memory_base", global).map_err(failed)?;
    let instance = linker.instantiate(&mut store, &module).map_err(failed)?;
    let memory = instance.get_memory(&mut store, MEMORY_EXPORT).context("no memory")?;
    let table = instance.get_table(&mut store, "__indirect_function_table").context("no table")?;
    // Three, the null pointer's, and one for each of the two functions that only the exports mention.
    assert_eq!(table.size(&store), 6 + u64::from(MAIN_TABLE_RESERVE));
    assert_eq!(table.ty(&store).maximum(), Some(table.size(&store)), "compiled code knows its size");
    let call = instance.get_typed_func::<i32, i32>(&mut store, "call").map_err(failed)?;
    assert_eq!(call.call(&mut store, 1).map_err(failed)?, 7);
    let size = instance.get_typed_func::<(), i32>(&mut store, "private_size").map_err(failed)?;
    assert_eq!(size.call(&mut store, ()).map_err(failed)?, 1);
    assert!(memory.data(&store).iter().all(|byte| *byte == 0), "instantiating wrote data");
    Ok(())
}

#[test]
fn segments_that_instructions_name_keep_their_indices() -> Result<()> {
    let output = run(
        r#"(module
            (memory 1)
            (data (i32.const 0) "active")
            (data $passive "passive")
            (func (export "init") (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 7))))"#,
        &Options { detach_data: true, ..Options::default() },
    )?;
    assert_eq!(output.data.len(), 1);
    assert!(output.wasm.windows(7).any(|bytes| bytes == b"passive"));
    Ok(())
}

#[test]
fn active_segments_that_instructions_name_stay_as_empty_ones() -> Result<()> {
    let module = |instruction: &str| {
        format!(r#"(module (memory 1) (data $d (i32.const 0) "active") (func {instruction}))"#)
    };
    let options = Options { detach_data: true, ..Options::default() };
    let named = run(&module("data.drop $d"), &options)?;
    let unnamed = run(&module("(drop (i32.const 1148))"), &options)?;
    let has_data = |wasm: &[u8]| {
        wasmparser::Parser::new(0)
            .parse_all(wasm)
            .any(|p| matches!(p, Ok(wasmparser::Payload::DataSection(_))))
    };
    assert!(has_data(&named.wasm) && !has_data(&unnamed.wasm));
    Ok(())
}

#[test]
fn a_start_function_that_is_exported_keeps_its_name() -> Result<()> {
    let text = r#"(module (memory 1) (func $f (export "go")) (start $f))"#;
    let output = run(text, &Options { drop_start: true, ..Options::default() })?;
    assert_eq!(output.start.as_deref(), Some("go"));
    assert_eq!(outline(&output.wasm)?.1, ["go"]);
    let kept = run(text, &Options::default())?;
    assert_eq!(kept.start, None);
    Ok(())
}

#[test]
fn an_adapter_without_memory_is_accepted() -> Result<()> {
    let text = r#"(module (import "e" "f" (func $f)) (func (export "g") call $f))"#;
    assert_eq!(outline(&run(text, &Options::side())?.wasm)?.1, ["g"]);
    Ok(())
}

#[test]
fn sections_that_were_not_there_come_in_their_places() -> Result<()> {
    let text = r#"(module (import "env" "memory" (memory 1)) (func (result i32) i32.const 0 i32.load))"#;
    let output = run(text, &Options::main(References::default()))?;
    assert_eq!(outline(&output.wasm)?, (vec![], vec![MEMORY_EXPORT.to_owned()]));
    Ok(())
}

#[test]
fn what_cannot_be_done_is_refused() -> Result<()> {
    let main = Options::main(References::default());
    let memory = |text: &str| match refusal(text, &main) {
        Ok(RewriteError::Memory(error)) => Ok(error),
        other => Err(anyhow!("{other:?}")),
    };
    assert_eq!(memory("(module)")?, MemoryError::None);
    assert_eq!(memory("(module (memory 1) (memory 1))")?, MemoryError::Several(2));
    assert_eq!(memory("(module (memory 1 1 shared))")?, MemoryError::Shared);
    assert_eq!(memory("(module (memory i64 1))")?, MemoryError::Memory64);

    let refused = |text: &str| refusal(&format!("(module (memory 1) {text})"), &main);
    assert!(matches!(refused(r#"(func (export "__taipan_x"))"#)?, RewriteError::ReservedExport(_)));
    assert!(matches!(
        refused(r#"(global $g i32 (i32.const 1)) (data (i32.mul (i32.const 2) (i32.const 2)) "")"#)?,
        RewriteError::DataOffset(0)
    ));
    let error = refusal(
        r#"(module (import "a" "t" (table 5 5 funcref)) (memory 1))"#,
        &Options { table: TablePlacement::Define { extra: 1 }, ..Options::default() },
    )?;
    assert!(matches!(error, RewriteError::TableSize { wanted: 6, maximum: 5 }), "{error}");
    let error = refusal(
        r#"(module (import "a" "t" (table 5 funcref)) (import "a" "u" (table 5 funcref)) (memory 1))"#,
        &main,
    )?;
    assert!(matches!(error, RewriteError::ImportedTables(2)), "{error}");
    let error =
        refusal(r#"(module (import "a" "t" (table 5 funcref)) (memory 1) (func (export "t")))"#, &main)?;
    assert!(matches!(error, RewriteError::ExportTaken(_)), "{error}");
    Ok(())
}

#[test]
fn features_that_nothing_needs_are_refused() -> Result<()> {
    for text in [
        "(func (drop (i32.atomic.load (i32.const 0))))",
        "(func (param v128 v128) (drop (i32x4.relaxed_trunc_f32x4_s (local.get 0))))",
        "(type (struct))",
        "(type (array i32))",
        "(type $f (func)) (type $c (cont $f))",
        "(memory $m 1 (pagesize 1)) (func (drop (memory.size)))",
    ] {
        let Ok(wasm) = wat::parse_str(format!("(module (memory 1) {text})")) else { panic!("{text}") };
        assert!(rewrite(&wasm, &Options::main(References::default())).is_err(), "{text}");
    }
    Ok(())
}

#[test]
fn errors_explain_themselves() -> Result<()> {
    let error = refusal("(module (memory 1 1 shared))", &Options::main(References::default()))?;
    assert_eq!(
        error.to_string(),
        "the WebAssembly module must have exactly one 32-bit memory that is not shared: it is shared"
    );
    Ok(())
}

/// `module` after a `dylink.0` section with these subsections.
fn with_dylink(module: &[u8], subsections: &[(u8, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (id, body) in subsections {
        data.push(*id);
        body.encode(&mut data);
    }
    let mut section = Vec::new();
    CustomSection { name: "dylink.0".into(), data: Cow::Owned(data) }.encode(&mut section);
    let mut wasm = module.get(..8).unwrap_or_default().to_vec();
    wasm.push(0);
    wasm.extend(section);
    wasm.extend(module.get(8..).unwrap_or_default());
    wasm
}

#[test]
fn dylink_is_read_and_stays_first() -> Result<()> {
    let side = wat::parse_str(r#"(module (import "env" "memory" (memory 1)) (func $f) (start $f))"#)?;
    let wasm = with_dylink(
        &side,
        &[
            (1, &[0x80, 0x02, 4, 7, 0]),
            (2, &[1, 3, b'l', b'i', b'b']),
            (3, &[1, 1, b'x', 0x80, 0x02]),
            (4, &[1, 3, b'e', b'n', b'v', 1, b'w', 1]),
            (5, &[1, 1, b'.']),
            (99, &[1, 2, 3]),
        ],
    );
    let expected = Dylink {
        memory_size: 256,
        memory_align: 4,
        table_size: 7,
        table_align: 0,
        needed: vec!["lib".into()],
        exports: vec![taipan_wasm::Export { name: "x".into(), flags: 0x100 }],
        imports: vec![taipan_wasm::Import { module: "env".into(), name: "w".into(), flags: 1 }],
        runtime_path: vec![".".into()],
    };
    assert!(expected.is_weak("env", "w") && !expected.is_weak("env", "x"));
    assert_eq!(dylink(&wasm)?.as_ref(), Some(&expected));
    let output = rewrite(&wasm, &Options::side())?;
    assert_eq!(output.dylink.as_ref(), Some(&expected));
    assert_eq!(dylink(&output.wasm)?, Some(expected));
    assert_eq!(dylink(&side)?, None);
    Ok(())
}

#[test]
fn a_wrong_dylink_section_is_refused() -> Result<()> {
    let side = wat::parse_str("(module (memory 1))")?;
    assert!(matches!(dylink(&with_dylink(&side, &[(1, &[0, 32, 0, 0])])), Err(RewriteError::Dylink(_))));
    assert!(dylink(&with_dylink(&side, &[(2, &[0xff, 0xff, 0xff, 0xff, 0x0f])])).is_err());
    assert!(matches!(dylink(b"no module"), Err(RewriteError::NotAModule)));
    Ok(())
}

#[test]
fn sections_about_code_offsets_go() -> Result<()> {
    let mut module = wasm_encoder::Module::new();
    module.section(&RawSection { id: 5, data: &[1, 0, 0] });
    for name in [".debug_info", "sourceMappingURL", "name2", "producers"] {
        module.section(&CustomSection { name: name.into(), data: Cow::Borrowed(&[]) });
    }
    let output = rewrite(&module.finish(), &Options::default())?;
    let kept: Vec<_> = wasmparser::Parser::new(0)
        .parse_all(&output.wasm)
        .filter_map(|payload| match payload {
            Ok(wasmparser::Payload::CustomSection(section)) => Some(section.name().to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(kept, ["name2", "producers"]);
    Ok(())
}

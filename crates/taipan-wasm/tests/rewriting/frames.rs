//! Frames on C's stack for functions that have none.

use anyhow::{Result, anyhow};
use taipan_wasm::references::{Frames, References};
use taipan_wasm::{Options, features, rewrite};
use wasmparser::Validator;
use wasmtime::{Instance, Module, Store, Val};

use crate::exceptions::engine::engine;

/// `down(n)` calls itself n times, notes where the stack pointer is at the bottom, and leaves by each kind of exit. It asks `check`
/// at the bottom.
const RECURSION: &str = r#"(module
    (global $sp (export "__stack_pointer") (mut i32) (i32.const 65536))
    (global $lowest (export "lowest") (mut i32) (i32.const 0))
    (func $check (export "check"))
    (func $other (export "other") (call $check))
    (func $down (export "down") (param i32) (result i32)
        (block
            (br_if 0 (local.get 0))
            (call $check)
            (global.set $lowest (global.get $sp))
            (return (i32.const 7)))
        (if (i32.eq (local.get 0) (i32.const 2))
            (then (block (br 2 (call $down (i32.const 1))))))
        (call $down (i32.sub (local.get 0) (i32.const 1)))))"#;

fn named(functions: &[&str]) -> Frames {
    Frames { named: functions.iter().map(|name| ((*name).to_owned(), 256)).collect(), ..Frames::default() }
}

fn checked(functions: &[&str]) -> Frames {
    Frames {
        checks: functions.iter().map(|name| (*name).to_owned()).collect(),
        size: 64,
        ..Frames::default()
    }
}

/// The result of `down(4)`, and the pointer at the bottom and afterwards.
fn down(frames: &Frames) -> Result<(i32, Val, Val)> {
    let references = Some(References { frames: frames.clone(), ..References::default() });
    let output = rewrite(&wat::parse_str(RECURSION)?, &Options { references, ..Options::default() })?;
    Validator::new_with_features(features::OUTPUT).validate_all(&output.wasm)?;
    let failed = |e: wasmtime::Error| anyhow!("{e:#}");
    let engine = engine()?;
    let module = Module::new(&engine, &output.wasm).map_err(failed)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).map_err(failed)?;
    let down = instance.get_typed_func::<i32, i32>(&mut store, "down").map_err(failed)?;
    let result = down.call(&mut store, 4).map_err(failed)?;
    let mut global = |name| {
        let global = instance.get_global(&mut store, name).ok_or_else(|| anyhow!("no global {name}"))?;
        Ok::<_, anyhow::Error>(global.get(&mut store))
    };
    Ok((result, global("lowest")?, global("__stack_pointer")?))
}

#[test]
fn each_level_moves_the_stack_pointer_and_back() -> Result<()> {
    for (frames, lowest) in [
        (Frames::default(), 65536),
        (named(&["down"]), 65536 - 5 * 256),
        (named(&["check", "missing"]), 65536),
        (checked(&["check"]), 65536 - 5 * 64),
        (checked(&["other", "missing"]), 65536),
    ] {
        let (result, at_bottom, after) = down(&frames)?;
        assert_eq!(result, 7);
        assert_eq!(at_bottom.i32(), Some(lowest), "{frames:?}");
        assert_eq!(after.i32(), Some(65536));
    }
    Ok(())
}

#[test]
fn frames_need_a_stack() -> Result<()> {
    let references = Some(References { frames: named(&["f"]), ..References::default() });
    let wasm = wat::parse_str(r#"(module (func (export "f")))"#)?;
    let error = rewrite(&wasm, &Options { references, ..Options::default() }).err();
    assert!(error.is_some_and(|e| e.to_string().contains("stack")));
    Ok(())
}

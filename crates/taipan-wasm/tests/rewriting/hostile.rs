//! Any bytes give a module or an error, in bounded time and memory, and no invalid module becomes a valid one.

use anyhow::{Context, Result};
use taipan_wasm::references::References;
use taipan_wasm::{Options, RewriteError, dylink, features, rewrite};
use wasm_encoder::{
    BlockType, CodeSection, ExportSection, Function, FunctionSection, Instruction, MemorySection, MemoryType,
    Module, TagKind, TagSection, TagType, TypeSection, ValType,
};
use wasmparser::Validator;

use crate::exceptions::generator::{self, Random};

/// Bytes that mean much in code.
const TELLING: [u8; 14] =
    [0x00, 0x01, 0x02, 0x03, 0x06, 0x07, 0x09, 0x0b, 0x0c, 0x0d, 0x0e, 0x18, 0x19, 0x1f];

/// Rewrites; checks that if this works, input and output are valid. Returns whether it did.
fn survives(wasm: &[u8]) -> bool {
    let _ = dylink(wasm);
    let is_valid = |features, wasm: &[u8]| Validator::new_with_features(features).validate_all(wasm).is_ok();
    let mut worked = false;
    for options in [Options::main(References::default()), Options::side()] {
        if let Ok(output) = rewrite(wasm, &options) {
            worked = true;
            assert!(is_valid(features::INPUT, wasm), "an invalid module became valid");
            assert!(is_valid(features::OUTPUT, &output.wasm), "a valid module became invalid");
        }
    }
    worked
}

#[test]
fn changed_bytes() {
    let (mut worked, mut refused) = (0, 0);
    for seed in 0..60 {
        let original = generator::module(seed);
        let mut random = Random::new(seed);
        for _ in 0..60 {
            let mut wasm = original.clone();
            for _ in 0..1 + random.below(2) {
                let place = 8 + random.below(wasm.len() as u32 - 8) as usize;
                wasm[place] = match random.below(3) {
                    0 => random.below(256) as u8,
                    1 => TELLING[random.below(TELLING.len() as u32) as usize],
                    // Often the next label, local or tag: something valid that means something else.
                    _ => wasm[place] ^ 1,
                };
            }
            if survives(&wasm) { worked += 1 } else { refused += 1 }
        }
    }
    println!("{worked} rewritten, {refused} refused");
    assert!(worked > 200 && refused > 200);
}

#[test]
fn truncations() {
    let wasm = generator::module(1);
    for length in 0..wasm.len() {
        survives(&wasm[..length]);
    }
}

#[test]
fn noise() {
    let mut random = Random::new(1);
    for _ in 0..2000 {
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        for _ in 0..random.below(60) {
            wasm.push(random.below(16) as u8);
        }
        survives(&wasm);
    }
}

/// A module with one function, its own types after type 0, which is `[] -> []`, and a tag for each of `tags`.
fn module(types: &TypeSection, tags: impl IntoIterator<Item = u32>, body: &[Instruction<'_>]) -> Vec<u8> {
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 0,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut tag_section = TagSection::new();
    for ty in tags {
        tag_section.tag(TagType { kind: TagKind::Exception, func_type_idx: ty });
    }
    let mut code = CodeSection::new();
    let mut function = Function::new([]);
    for instruction in body {
        function.instruction(instruction);
    }
    code.function(&function);
    let mut module = Module::new();
    module
        .section(types)
        .section(&functions)
        .section(&memories)
        .section(&tag_section)
        .section(&ExportSection::new())
        .section(&code);
    module.finish()
}

fn no_types() -> TypeSection {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    types
}

#[test]
fn delegates_past_many_handlers_are_refused() -> Result<()> {
    const DEPTH: u32 = 2_000;
    let mut body = vec![Instruction::Try(BlockType::Empty); DEPTH as usize];
    for _ in 0..DEPTH {
        // Past a block, so that the delegate is not where the exception would go anyway.
        body.push(Instruction::Try(BlockType::Empty));
        body.push(Instruction::Try(BlockType::Empty));
        body.push(Instruction::Delegate(1));
        body.push(Instruction::CatchAll);
        body.push(Instruction::End);
    }
    for tag in 0..DEPTH {
        body.extend([Instruction::Catch(tag), Instruction::End]);
    }
    body.push(Instruction::End);
    let wasm = module(&no_types(), (0..DEPTH).map(|_| 0), &body);
    let error = rewrite(&wasm, &Options::side()).err().context("nothing was refused")?;
    assert!(matches!(error, RewriteError::TooMuch { .. }), "{error:?}");
    Ok(())
}

#[test]
fn many_large_block_types_are_refused() -> Result<()> {
    const VALUES: usize = 500;
    const TYPES: u32 = 60;
    let mut types = no_types();
    for index in 0..TYPES {
        let mut params = vec![ValType::I32; VALUES];
        params.extend(vec![ValType::I64; index as usize]);
        types.ty().function(params.clone(), []);
    }
    let mut body = Vec::new();
    for ty in 1..=TYPES {
        // In dead code, values of all types are there.
        body.push(Instruction::Unreachable);
        body.push(Instruction::Try(BlockType::FunctionType(ty)));
        body.push(Instruction::Unreachable);
        for tag in 0..TYPES {
            body.extend([Instruction::Catch(tag), Instruction::Unreachable]);
        }
        body.push(Instruction::End);
    }
    body.push(Instruction::End);
    let wasm = module(&types, 1..=TYPES, &body);
    let error = rewrite(&wasm, &Options::side()).err().context("nothing was refused")?;
    assert!(matches!(error, RewriteError::TooMuch { .. }), "{error:?}");
    Ok(())
}

#[test]
fn what_would_pass_the_bounds_of_engines_is_refused() -> Result<()> {
    // Each nested handler needs a local of its own.
    const DEPTH: usize = 50_001;
    let mut body = Vec::new();
    for _ in 0..DEPTH {
        body.extend([Instruction::Try(BlockType::Empty), Instruction::CatchAll]);
    }
    for _ in 0..DEPTH {
        body.extend([Instruction::Rethrow(0), Instruction::End]);
    }
    body.push(Instruction::End);
    let error =
        rewrite(&module(&no_types(), [], &body), &Options::side()).err().context("nothing was refused")?;
    assert!(matches!(error, RewriteError::TooMuch { what: "locals in a function", .. }), "{error:?}");

    let mut body = vec![Instruction::Try(BlockType::Empty)];
    body.extend(vec![Instruction::Catch(0); 10_001]);
    body.extend([Instruction::End, Instruction::End]);
    let error =
        rewrite(&module(&no_types(), [0], &body), &Options::side()).err().context("nothing was refused")?;
    assert!(matches!(error, RewriteError::TooMuch { what: "handlers for one try", .. }), "{error:?}");
    Ok(())
}

#[test]
fn deep_nesting_is_no_recursion() {
    const DEPTH: usize = 50_000;
    let mut body = vec![Instruction::Try(BlockType::Empty); DEPTH];
    for _ in 0..DEPTH {
        body.extend([Instruction::CatchAll, Instruction::Rethrow(0), Instruction::End]);
    }
    body.push(Instruction::End);
    assert!(survives(&module(&no_types(), [], &body)));
}

#[test]
fn functions_that_mix_both_forms_are_refused() -> Result<()> {
    let wasm = wat::parse_str(
        "(module (memory 0) (func) (func block try_table (catch_all 0) end end) (func try catch_all end block try_table (catch_all 0) end end))",
    )?;
    let error = rewrite(&wasm, &Options::side()).err().context("nothing was refused")?;
    assert!(matches!(error, RewriteError::MixedExceptions(2)), "{error:?}");
    Ok(())
}

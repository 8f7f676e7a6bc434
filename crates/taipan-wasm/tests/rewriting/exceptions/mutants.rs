//! The differential test must notice a wrong lowering. Each mutant gets one thing wrong on purpose.

use std::ops::Range;

use anyhow::{Context, Result};
use wasmparser::{Operator, Parser, Payload};

use super::{Program, compare, lower};

const PROGRAMS: u64 = 40;

/// How many of the programs' calls end differently with a lowering.
fn noticed(lowering: impl Fn(&[u8]) -> Result<Vec<u8>>) -> Result<usize> {
    let dir = tempfile::tempdir()?;
    let programs: Vec<_> = (1..=PROGRAMS).map(Program::random).collect();
    Ok(compare(&programs, dir.path(), lowering)?.differences.len())
}

/// Changes instructions in place. `change` gets an instruction, the one before it, and the instruction's bytes.
fn edit(wasm: &[u8], change: impl Fn(&Operator<'_>, &Operator<'_>, &mut [u8])) -> Result<Vec<u8>> {
    let mut edited = wasm.to_vec();
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CodeSectionEntry(body) = payload? else { continue };
        let mut operators = body.get_operators_reader()?;
        let mut before = (Operator::Nop, 0..0);
        while !operators.eof() {
            let start = operators.original_position();
            let operator = operators.read()?;
            let range: Range<usize> = start..operators.original_position();
            // The instruction before it may be edited too, since its immediate belongs to this one.
            let both = if range.start == before.1.end { before.1.start..range.end } else { range.clone() };
            change(&operator, &before.0, edited.get_mut(both).context("a range outside of the module")?);
            before = (operator, range);
        }
    }
    Ok(edited)
}

#[test]
fn a_rethrow_that_traps_is_noticed() -> Result<()> {
    const UNREACHABLE: u8 = 0x00;
    let differences = noticed(|wasm| {
        edit(&lower(wasm)?.wasm, |operator, _, bytes| {
            if let (Operator::ThrowRef, Some(last)) = (operator, bytes.last_mut()) {
                *last = UNREACHABLE;
            }
        })
    })?;
    assert!(differences > 100, "{differences}");
    Ok(())
}

#[test]
fn a_rethrow_of_another_exception_is_noticed() -> Result<()> {
    // One parameter and four locals come before the exceptions in the generator's functions.
    const FIRST_EXNREF: u32 = 5;
    let differences = noticed(|wasm| {
        edit(&lower(wasm)?.wasm, |operator, before, bytes| {
            if let (Operator::ThrowRef, Operator::LocalGet { local_index }) = (operator, before)
                && *local_index > FIRST_EXNREF
                && let [.., local, _] = bytes
            {
                *local -= 1;
            }
        })
    })?;
    assert!(differences > 10, "{differences}");
    Ok(())
}

#[test]
fn a_delegate_to_the_next_label_inside_is_noticed() -> Result<()> {
    let differences = noticed(|wasm| {
        let mutant = edit(wasm, |operator, _, bytes| {
            if let (Operator::Delegate { relative_depth: 1.. }, Some(depth)) = (operator, bytes.last_mut()) {
                *depth -= 1;
            }
        })?;
        Ok(lower(&mutant)?.wasm)
    })?;
    assert!(differences > 10, "{differences}");
    Ok(())
}

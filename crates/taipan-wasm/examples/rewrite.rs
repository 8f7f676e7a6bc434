//! Rewrites a module and says what came of it, for looking into a module that fails and for measuring.
//!
//! `cargo run --release -p taipan-wasm --example rewrite -- main|side INPUT [OUTPUT]`

use std::time::Instant;

use anyhow::{Context, Result, bail};
use taipan_wasm::references::References;
use taipan_wasm::{Options, features, rewrite};
use wasmparser::Validator;

const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (kind, input, output) = match arguments.as_slice() {
        [kind, input] => (kind, input, None),
        [kind, input, output] => (kind, input, Some(output)),
        _ => bail!("expected: main|side INPUT [OUTPUT]"),
    };
    let options = match kind.as_str() {
        "main" => Options::main(References::default()),
        "side" => Options::side(),
        other => bail!("neither main nor side: {other}"),
    };
    let wasm = fs_err::read(input)?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        rewrite(&wasm, &options)?;
        times.push(start.elapsed());
    }
    let rewritten = rewrite(&wasm, &options)?;
    Validator::new_with_features(features::OUTPUT).validate_all(&rewritten.wasm)?;
    let best = times.into_iter().min().context("no rounds")?;
    println!("{} -> {} bytes, best of {ROUNDS}: {best:?}", wasm.len(), rewritten.wasm.len());
    println!("{:?}", rewritten.stats);
    println!("data segments: {}, start: {:?}", rewritten.data.len(), rewritten.start);
    println!("{:?}", rewritten.hidden);
    if let Some(dylink) = &rewritten.dylink {
        println!(
            "memory: {} bytes, table: {} entries, needs: {:?}",
            dylink.memory_size, dylink.table_size, dylink.needed
        );
    }
    if let Some(output) = output {
        fs_err::write(output, &rewritten.wasm)?;
    }
    Ok(())
}

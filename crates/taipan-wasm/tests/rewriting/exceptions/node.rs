//! The reference: programs run by Node, in one process.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{ARGUMENTS, Program};

/// A line for each call. The modules are written to `dir` first, and stay there.
pub(crate) fn run(programs: &[Program], dir: &Path) -> Result<Vec<String>> {
    let mut described = Vec::new();
    for program in programs {
        let mut files = Vec::new();
        for (index, wasm) in program.modules.iter().enumerate() {
            let file = format!("{}.{index}.wasm", program.name);
            fs_err::write(dir.join(&file), wasm)?;
            files.push(file);
        }
        described.push(json!({ "name": program.name, "files": files }));
    }
    let manifest = dir.join("programs.json");
    fs_err::write(&manifest, json!({ "programs": described, "args": ARGUMENTS }).to_string())?;

    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/rewriting/exceptions/reference.mjs");
    let output = Command::new("node")
        .arg(script)
        .arg(manifest)
        .output()
        .context("cannot start node, which the reference run needs: install Node 20 or later")?;
    ensure!(output.status.success(), "the reference run failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

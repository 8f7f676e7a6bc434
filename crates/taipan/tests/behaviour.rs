//! The behaviour tests of `tests/behaviour` against the binary that this crate builds.

use std::path::Path;
use std::process::ExitCode;

use taipan_testkit::behaviour::Shared;

fn main() -> anyhow::Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let shared = Shared { cache: target.join("cache"), tools: target.join("../tools") };
    let binary = Path::new(env!("CARGO_BIN_EXE_taipan"));
    taipan_testkit::behaviour::main(binary, &root.join("tests/behaviour"), &shared)
}

//! The behaviour tests of `tests/behaviour` against the binary that this crate builds.

use std::path::Path;
use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    taipan_testkit::behaviour::main(
        Path::new(env!("CARGO_BIN_EXE_taipan")),
        &root.join("tests/behaviour"),
        &Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
    )
}

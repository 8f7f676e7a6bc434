//! Programs written by hand, one case for each thing that is easy to get wrong.

use anyhow::Result;

use super::{Program, compare, lower};

#[test]
fn lowered_cases_do_what_legacy_ones_do() -> Result<()> {
    let modules = vec![
        wat::parse_str(include_str!("hand/callee.wat"))?,
        wat::parse_str(include_str!("hand/cases.wat"))?,
    ];
    let dir = tempfile::tempdir()?;
    let report =
        compare(&[Program { name: "hand".into(), modules }], dir.path(), |wasm| Ok(lower(wasm)?.wasm))?;
    assert_eq!(report.differences, []);
    assert!(report.runs > 150 && report.thrown > 10, "{report:?}");
    Ok(())
}

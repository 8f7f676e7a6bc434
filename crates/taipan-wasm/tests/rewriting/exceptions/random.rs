//! Random programs.

use anyhow::Result;

use super::differential;

const FIRST_SEED: u64 = 1;
const PROGRAMS: u64 = 300;

#[test]
fn lowered_modules_do_what_legacy_ones_do() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let report = differential(FIRST_SEED, PROGRAMS, dir.path())?;
    println!("{} runs, {} thrown, {} rethrows", report.runs, report.thrown, report.rethrows);
    println!("{} delegates, {} landings", report.delegates, report.landings);
    assert_eq!(report.differences, []);
    // What the generator makes must stay worth running.
    assert!(report.thrown * 5 > report.runs, "few runs throw: {report:?}");
    assert!(report.rethrows > 1000 && report.delegates > 1000 && report.landings > 100, "{report:?}");
    Ok(())
}

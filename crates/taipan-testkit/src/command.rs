//! A command that runs to its end.

use std::process::Child;

use anyhow::Result;

/// How a command ended, and what it printed.
pub struct Ended {
    /// Its exit status; none when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said beside that.
    pub stderr: String,
}

/// Waits for the command, whose outputs are piped.
pub fn ended(child: Child) -> Result<Ended> {
    let output = child.wait_with_output()?;
    let (stdout, stderr) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    Ok(Ended { code: output.status.code(), stdout, stderr })
}

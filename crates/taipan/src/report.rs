//! How errors are shown: one line that says what happened, its causes, and what to do.

use std::error::Error;
use std::fmt;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};

/// An error with advice for whoever reads it.
#[derive(Debug)]
pub(crate) struct Hinted {
    source: anyhow::Error,
    hint: String,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for Hinted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

/// Adds advice to an error.
pub(crate) fn hint(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> anyhow::Error {
    Hinted { source: error.into(), hint: hint.into() }.into()
}

/// Adds an error's own advice to it, as libraries keep it.
pub(crate) fn hinted<E: Error + Send + Sync + 'static>(
    error: E,
    advice: impl Fn(&E) -> Option<String>,
) -> anyhow::Error {
    match advice(&error) {
        Some(advice) => hint(error, advice),
        None => error.into(),
    }
}

/// Prints an error to standard error.
pub(crate) fn print(error: &anyhow::Error) {
    let mut out = anstream::stderr().lock();
    // There is nowhere left to say that standard error is closed.
    drop(write!(out, "{}", render(error)));
}

fn render(error: &anyhow::Error) -> String {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let cyan = Style::new().bold().fg_color(Some(AnsiColor::Cyan.into()));
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // Some libraries repeat their source in their own message.
        if !line.contains(&cause) {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(cause.trim_end());
        }
    }
    let mut out = format!("{red}error{red:#}: {line}\n");
    if let Some(hinted) = error.downcast_ref::<Hinted>() {
        out.push_str(&format!("{cyan}hint{cyan:#}: {}\n", hinted.hint));
    }
    out
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn causes_share_the_line_and_the_hint_has_its_own() {
        let error = Err::<(), _>(anyhow!("permission denied")).context("cannot read file: a.py").unwrap_err();
        let text = render(&hint(error, "look at it"));
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(plain, "error: cannot read file: a.py: permission denied\nhint: look at it\n");
    }
}

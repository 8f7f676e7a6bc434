//! What commands show in the terminal: what Workers print, one line for each request, and what taipan itself has to say.

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use taipan_engine::IsolateError;
use taipan_server::{Console, Level, Problem, RequestLog};

use crate::cli::LogLevel;

/// Standard output is for what the Worker prints and for what scripts wait for; the log is on standard error. A closed stream is nobody's error: whoever
/// piped us may stop reading.
pub(crate) struct Terminal {
    least: LogLevel,
}

impl Terminal {
    pub(crate) fn new(least: LogLevel) -> Self {
        Self { least }
    }

    /// A line of our own about what goes on.
    pub(crate) fn note(&self, line: &str) {
        drop(writeln!(anstream::stdout(), "{line}"));
    }

    /// Empties the terminal, what was scrolled out of it too.
    pub(crate) fn clear(&self) {
        drop(write!(anstream::stdout(), "\x1b[2J\x1b[3J\x1b[H").and_then(|()| anstream::stdout().flush()));
    }

    /// A Worker that does not start.
    pub(crate) fn problem(&self, problem: &Problem) {
        self.failure(&problem.text());
    }

    /// What a Worker said that does not start elsewhere.
    pub(crate) fn report(&self, text: &str) {
        self.failure(text);
    }

    /// A warning of our own.
    pub(crate) fn warn(&self, line: &str) {
        if self.least <= LogLevel::Warn {
            let yellow = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
            drop(writeln!(anstream::stderr(), "{yellow}warning{yellow:#}: {line}"));
        }
    }
}

impl Console for Terminal {
    fn guest(&self, level: Level, line: &str) {
        let shown = match level {
            Level::Debug => LogLevel::Debug,
            Level::Log | Level::Info => LogLevel::Info,
            Level::Warning => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        if shown < self.least {
            return;
        }
        // As the Worker printed it, escape sequences included.
        drop(match level {
            Level::Debug | Level::Log | Level::Info => writeln!(std::io::stdout(), "{line}"),
            Level::Warning | Level::Error => writeln!(std::io::stderr(), "{line}"),
        });
    }

    fn request(&self, request: &RequestLog<'_>) {
        if self.least > LogLevel::Info {
            return;
        }
        let dim = Style::new().dimmed();
        let color = match request.status {
            500.. => AnsiColor::Red,
            400.. => AnsiColor::Yellow,
            300.. => AnsiColor::Cyan,
            _ => AnsiColor::Green,
        };
        let status = Style::new().fg_color(Some(color.into()));
        let space = if request.reason.is_empty() { "" } else { " " };
        drop(writeln!(
            anstream::stderr(),
            "{dim}[taipan:info]{dim:#} {} {} {status}{}{space}{}{status:#} {dim}({}ms){dim:#}",
            request.method,
            request.target,
            request.status,
            request.reason,
            request.took.as_millis(),
        ));
    }

    fn failure(&self, text: &str) {
        if self.least <= LogLevel::Error {
            drop(write!(anstream::stderr(), "{text}"));
        }
    }

    fn warning(&self, text: &str) {
        self.warn(text);
    }

    fn isolate_stopped(&self, error: &IsolateError, requests: usize) {
        if self.least <= LogLevel::Error {
            let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
            drop(writeln!(
                anstream::stderr(),
                "{red}error{red:#}: the isolate stopped and a new one starts, {requests} requests lost: {error}",
            ));
        }
    }
}

/// How many of something: "1 file", "2 files".
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!([size(5), size(2048), size(3 << 20)], ["5 B", "2 KiB", "3.0 MiB"]);
    }
}

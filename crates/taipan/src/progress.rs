//! Slow steps before the first request: a bar or a spinner in a terminal, single lines elsewhere. Always on standard
//! error, for standard output is the Worker's.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use taipan_packages::pyodide::Progress as _;

/// Shows one step at a time.
pub(crate) struct Progress {
    /// None where there is no terminal.
    bar: Option<Mutex<ProgressBar>>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| Mutex::new(ProgressBar::hidden()));
        Self { bar }
    }

    fn current(&self) -> Option<MutexGuard<'_, ProgressBar>> {
        self.bar.as_ref().map(|bar| bar.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl taipan_packages::pyodide::Progress for Progress {
    fn start(&self, what: &str, total: Option<u64>) {
        let Some(mut current) = self.current() else { return self.note(what) };
        current.finish_and_clear();
        let bar = match total {
            None => ProgressBar::new_spinner(),
            Some(total) => {
                let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
                ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
            }
        };
        *current = bar.with_message(what.to_owned());
        current.enable_steady_tick(Duration::from_millis(100));
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = self.current() {
            bar.inc(bytes);
        }
    }

    fn finish(&self) {
        if let Some(bar) = self.current() {
            bar.finish_and_clear();
        }
    }

    fn note(&self, message: &str) {
        let write = || drop(writeln!(std::io::stderr(), "{message}"));
        match self.current() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

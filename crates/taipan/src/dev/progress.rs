//! Slow steps before the first request: a bar or a spinner in a terminal, single lines elsewhere. Always on standard
//! error, for standard output is the Worker's.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

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

    /// A step of unknown length begins.
    pub(crate) fn begin(&self, text: &str) {
        self.show(text, ProgressBar::new_spinner);
    }

    /// A step of so many bytes begins.
    pub(crate) fn begin_bytes(&self, text: &str, total: u64) {
        self.show(text, || {
            let bar = ProgressBar::new(total);
            let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
    }

    fn show(&self, text: &str, make: impl FnOnce() -> ProgressBar) {
        let Some(current) = &self.bar else {
            eprintln_quietly(text);
            return;
        };
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        current.finish_and_clear();
        *current = make().with_message(text.to_owned());
        current.enable_steady_tick(Duration::from_millis(100));
    }

    /// So many bytes of the step are done.
    pub(crate) fn position(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.lock().unwrap_or_else(PoisonError::into_inner).set_position(bytes);
        }
    }

    /// The step is over.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.lock().unwrap_or_else(PoisonError::into_inner).finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn eprintln_quietly(text: &str) {
    use std::io::Write as _;
    drop(writeln!(std::io::stderr(), "{text}"));
}

//! Telling what takes time. How it looks is the command line's business.

/// Hears what is going on. One thing is under way at a time.
pub trait Progress {
    /// `what` begins; `total` is its size in bytes where that is known.
    fn start(&self, what: &str, total: Option<u64>);
    /// `bytes` more are done.
    fn advance(&self, bytes: u64);
    /// What began last is over, well or badly.
    fn finish(&self);
    /// Something worth a line that is no error.
    fn note(&self, message: &str);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _what: &str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
    fn note(&self, _message: &str) {}
}

/// Something under way; it is finished when this is dropped, on every path.
pub(super) struct Step<'a>(&'a dyn Progress);

impl<'a> Step<'a> {
    pub(super) fn start(progress: &'a dyn Progress, what: &str, total: Option<u64>) -> Self {
        progress.start(what, total);
        Self(progress)
    }

    pub(super) fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

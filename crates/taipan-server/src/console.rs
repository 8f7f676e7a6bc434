//! What the server has to say while it works.

use std::time::Duration;

use taipan_engine::IsolateError;

/// How serious a line is that a guest printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `console.debug`.
    Debug,
    /// `print()`, `console.log`.
    Log,
    /// `console.info`.
    Info,
    /// `console.warn`.
    Warning,
    /// `console.error`, `sys.stderr`.
    Error,
}

impl From<u8> for Level {
    fn from(level: u8) -> Self {
        match level {
            0 => Self::Debug,
            1 => Self::Log,
            2 => Self::Info,
            3 => Self::Warning,
            _ => Self::Error,
        }
    }
}

/// One request that has been answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLog<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query as the client sent them.
    pub target: &'a str,
    /// The response's status code.
    pub status: u16,
    /// Its reason phrase; may be empty.
    pub reason: &'a str,
    /// From the request's head to the response's.
    pub took: Duration,
}

/// Receives what the server has to say. Called from any thread; must not block for long.
pub trait Console: Send + Sync {
    /// A line that the guest printed.
    fn guest(&self, level: Level, line: &str);
    /// A request was answered.
    fn request(&self, request: &RequestLog<'_>);
    /// A request failed; `text` is the traceback or a message, of one line or more.
    fn failure(&self, text: &str);
    /// Something that whoever runs the server should know and can change.
    fn warning(&self, text: &str);
    /// The isolate stopped, and with it that many requests without a response.
    fn isolate_stopped(&self, error: &IsolateError, requests: usize);
}

//! What an error page is made from.

use serde::{Deserialize, Deserializer};
use taipan_bindings::Failure;
use taipan_engine::IsolateError;

use crate::Fault;

/// The guest's report of an exception. Every field may be missing: what comes out of the sandbox is never trusted
/// to be complete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Report {
    /// What sort of failure it is.
    #[serde(deserialize_with = "or_default")]
    pub kind: String,
    /// The exception's class.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub class: String,
    /// Its message.
    #[serde(deserialize_with = "or_default")]
    pub message: String,
    /// Where it came from, most recent call last.
    #[serde(deserialize_with = "or_default")]
    pub frames: Vec<Frame>,
    /// The traceback as Python prints it.
    #[serde(deserialize_with = "or_default")]
    pub text: String,
    /// The exception's notes.
    #[serde(deserialize_with = "or_default")]
    pub notes: Vec<String>,
    /// The exception that this one was raised from or while handling.
    pub cause: Option<Box<Report>>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// One call of a traceback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Frame {
    /// The file as Python knows it.
    #[serde(deserialize_with = "or_default")]
    pub file: String,
    /// Line, from 1.
    pub line: Option<u32>,
    /// First column of the expression, in characters from 0.
    pub column: Option<u32>,
    /// Column behind the expression.
    pub end_column: Option<u32>,
    /// The function.
    #[serde(deserialize_with = "or_default")]
    pub function: String,
    /// The line's text.
    pub source: Option<String>,
    /// Whether the file is the Worker's own.
    #[serde(deserialize_with = "or_default")]
    pub user: bool,
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Option::deserialize(d).map(Option::unwrap_or_default)
}

/// A request that cannot be answered as its handler meant to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What was going on, in a few words.
    pub title: &'static str,
    /// What went wrong.
    pub report: Report,
    /// The Worker did not start: the same holds for every request.
    pub starting: bool,
    /// The process is ending: the client may try again.
    pub stopping: bool,
}

impl Problem {
    /// The problem for a terminal: the traceback as Python prints it, and the hint.
    pub fn text(&self) -> String {
        let report = &self.report;
        let mut out = match (report.text.trim_end(), report.class.as_str()) {
            ("", "") => format!("error: {}", report.message),
            ("", class) => format!("{class}: {}", report.message),
            (text, _) => text.to_owned(),
        };
        if let Some(hint) = &report.hint {
            out.push_str("\nhint: ");
            out.push_str(hint);
        }
        out.push('\n');
        out
    }

    /// The problem in one line: what and where, and what to do.
    pub fn line(&self) -> String {
        let report = &self.report;
        let mut out = report.message.lines().next().unwrap_or_default().to_owned();
        if !matches!(report.class.as_str(), "" | "RuntimeError") {
            out.insert_str(0, &format!("{}: ", report.class));
        }
        let own = report.frames.iter().rev().find(|frame| frame.user);
        if let Some(Frame { file, line: Some(line), .. }) = own {
            out.push_str(&format!(" ({file}:{line})"));
        }
        if let Some(hint) = &report.hint {
            out.push_str("; ");
            out.push_str(hint);
        }
        out
    }

    /// A response that HTTP cannot carry.
    pub(crate) fn response(message: String) -> Box<Self> {
        Box::new(Self::plain("The response is not valid", message, None))
    }

    fn plain(title: &'static str, message: String, hint: Option<&str>) -> Self {
        let report = Report { message, hint: hint.map(str::to_owned), ..Report::default() };
        Self { title, report, starting: false, stopping: false }
    }
}

impl From<&Fault> for Problem {
    fn from(fault: &Fault) -> Self {
        let mut problem = match &fault.failure {
            Failure::Report(json) => {
                let report = serde_json::from_str(json)
                    .unwrap_or_else(|_| Report { message: json.to_string(), ..Report::default() });
                Self { title: "The handler failed", report, starting: false, stopping: false }
            }
            Failure::Isolate(error) => {
                Self::plain("The isolate stopped", error.to_string(), Some(hint(error)))
            }
            Failure::Hung => Self::plain(
                "The handler hangs",
                "the handler is waiting for something that can never happen".into(),
                Some(
                    "no timer and no operation is left that could wake it: look for an await on a future that nobody completes",
                ),
            ),
            Failure::NoResponse => {
                Self::plain("No response", "the handler ended without a response".into(), None)
            }
            Failure::Stopped => Self {
                stopping: true,
                ..Self::plain(
                    "Shutting down",
                    "the Worker is being stopped".into(),
                    Some("try again in a moment"),
                )
            },
        };
        problem.starting = fault.starting;
        if fault.starting {
            problem.title = "The Worker does not start";
        }
        problem
    }
}

fn hint(error: &IsolateError) -> &'static str {
    match error {
        IsolateError::CpuLimit { .. } => "look for a loop that does not end, or that does not await",
        IsolateError::OutOfMemory { .. } => {
            "keep less in memory at a time: stream large bodies instead of reading them whole"
        }
        IsolateError::StackOverflow => "look for a function that calls itself without end",
        IsolateError::Aborted { .. } => {
            "a Worker has no process to end: return a response or raise an exception instead"
        }
        IsolateError::Trap { .. } | IsolateError::Internal { .. } => {
            "this is a bug in taipan or in a native package: please report it"
        }
    }
}

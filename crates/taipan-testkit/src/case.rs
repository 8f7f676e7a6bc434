//! The format of `test.jsonc`: what a behaviour test does and expects.
//!
//! Unknown keys are refused everywhere, so that a misspelt expectation cannot pass by being ignored.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A whole test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The Worker's folder, relative to the test's, when it is another one.
    pub worker: Option<String>,
    /// Older releases of Python on which the same must come of it: `3.13` and `3.12`.
    #[serde(default)]
    pub also_on: Vec<String>,
    /// Files of `tests/shared` that the Worker has, too.
    #[serde(default)]
    pub shared: Vec<String>,
    /// Further arguments of `taipan dev`.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment variables of the process.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Whether the process starts with an empty cache folder of its own.
    #[serde(default)]
    pub fresh_cache: bool,
    /// Whether there is a server for the Worker to talk to; its addresses are in variables.
    #[serde(default)]
    pub upstream: bool,
    /// Whether there are a PostgreSQL and a Redis for the Worker to talk to.
    #[serde(default)]
    pub databases: bool,
    /// Whether packages come from the folder of wheels with native code for Python 3.12, too.
    #[serde(default)]
    pub native_wheels: bool,
    /// Whether something else already listens on the port.
    #[serde(default)]
    pub occupied_port: bool,
    /// The process must end before it serves; there are no steps then.
    pub fails_to_start: Option<StartFailure>,
    /// What happens, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
}

impl Case {
    /// Reads a test from the text of its `test.jsonc`.
    pub fn parse(text: &str) -> Result<Self> {
        jsonc_parser::parse_to_serde_value(text, &jsonc_parser::ParseOptions::default()).context("not a test")
    }
}

/// How a process that cannot start ends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartFailure {
    /// The exit code.
    pub exit: i32,
    /// What standard error says. The process prints nothing to standard output.
    pub stderr: Text,
}

/// One step.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
pub enum Step {
    /// Send one or more requests.
    Request(Box<RequestStep>),
    /// Send bytes that need not be HTTP.
    Raw(RawStep),
    /// Open a WebSocket.
    Socket(Box<SocketStep>),
    /// Change a file of the Worker.
    Edit(EditStep),
    /// End the process and start it again.
    Restart(RestartStep),
    /// Search the cache.
    Cache(CacheStep),
    /// Look at everything that was printed since the process started.
    Printed(PrintedStep),
}

impl TryFrom<Value> for Step {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        fn read<T: DeserializeOwned>(kind: &str, value: Value) -> Result<T, String> {
            serde_json::from_value(value).map_err(|e| format!("in a step with \"{kind}\": {e}"))
        }
        if value.get("request").is_some() {
            read("request", value).map(|step| Self::Request(Box::new(step)))
        } else if value.get("raw").is_some() {
            read("raw", value).map(Self::Raw)
        } else if value.get("socket").is_some() {
            read("socket", value).map(|step| Self::Socket(Box::new(step)))
        } else if value.get("edit").is_some() {
            read("edit", value).map(Self::Edit)
        } else if value.get("restart").is_some() {
            read("restart", value).map(Self::Restart)
        } else if value.get("cache").is_some() {
            read("cache", value).map(Self::Cache)
        } else if value.get("printed").is_some() {
            read("printed", value).map(Self::Printed)
        } else {
            Err("a step has one of \"request\", \"raw\", \"socket\", \"edit\", \"restart\", \"cache\" and \"printed\""
                .into())
        }
    }
}

/// Sends `parallel` × `repeat` equal requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestStep {
    /// Method and path: `GET /`.
    pub request: String,
    /// Headers to send.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body, as text.
    pub body: Option<String>,
    /// The body, as a file of the test's folder.
    pub body_file: Option<String>,
    /// The body, as a pattern.
    pub body_repeat: Option<Repeat>,
    /// The body, as a form with a file.
    pub body_upload: Option<Upload>,
    /// Whether the body is sent in chunks, without a length.
    #[serde(default)]
    pub chunked: bool,
    /// How many times, one after the other on one connection.
    #[serde(default = "one")]
    pub repeat: usize,
    /// How many connections do that at the same time.
    #[serde(default = "one")]
    pub parallel: usize,
    /// Whether the request is sent again until it is answered as expected, as after an edit.
    #[serde(default)]
    pub eventually: bool,
    /// SIGINT is sent when a line with this text appears; the request must still be answered as expected.
    pub interrupt_when_logged: Option<String>,
    /// An answer that is received in part before the request is sent, and to its end afterwards.
    pub meanwhile: Option<Meanwhile>,
    /// Every answer.
    pub expect: Expect,
    /// A bound for the whole step, in milliseconds; generous, to tell parallel from sequential.
    pub within_ms: Option<u64>,
    /// How much the resident memory of the process may grow during the step, in MiB.
    pub memory_growth_max_mib: Option<u64>,
    /// What is printed.
    #[serde(default)]
    pub logs: Logs,
}

/// A form of one file, whose content is as [`Repeat`] says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// The field's name.
    pub field: String,
    /// The file's name.
    pub filename: String,
    /// The first byte.
    pub byte: u8,
    /// How many bytes.
    pub count: usize,
}

impl Upload {
    /// As it is in the body of forms.
    pub const BOUNDARY: &str = "taipan-boundary";

    /// The form.
    pub fn bytes(&self) -> Vec<u8> {
        let Self { field, filename, byte, count } = self;
        let boundary = Self::BOUNDARY;
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"{field}\"; filename=\"{filename}\"\r\n\
             content-type: application/octet-stream\r\n\r\n"
        );
        let mut form = head.into_bytes();
        form.extend(Repeat { byte: *byte, count: *count }.bytes());
        form.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
        form
    }
}

/// Bytes on a connection of their own, whose answer takes long.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meanwhile {
    /// The bytes.
    pub raw: String,
    /// What of the answer must come before anything else happens.
    pub until: String,
    /// What must come after it.
    pub then: String,
}

fn one() -> usize {
    1
}

/// A byte many times. The bytes count up from the first one, so that a lost or repeated block shows.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// The first byte.
    pub byte: u8,
    /// How many bytes.
    pub count: usize,
}

impl Repeat {
    /// The bytes. The pattern's period is a prime, so that it does not line up with any buffer's size.
    pub fn bytes(self) -> Vec<u8> {
        (0..251u8).map(|i| self.byte.wrapping_add(i)).cycle().take(self.count).collect()
    }
}

/// Sends bytes on a connection of their own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawStep {
    /// The bytes.
    pub raw: String,
    /// The client leaves when the answer has come as far as this text.
    pub until: Option<String>,
    /// What is sent then instead; the answer follows.
    pub send: Option<String>,
    /// What must come after that, when it is not an answer of its own.
    pub then: Option<String>,
    /// The answer. Without it the client is gone as soon as it has sent the bytes.
    pub expect: Option<Expect>,
}

/// Opens a WebSocket, `parallel` times at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocketStep {
    /// The path.
    pub socket: String,
    /// Headers beside those of the handshake.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The answer to the handshake.
    #[serde(default = "switching")]
    pub expect: Expect,
    /// What is said, in order.
    #[serde(default)]
    pub talk: Vec<Talk>,
    /// How many connections do that at the same time.
    #[serde(default = "one")]
    pub parallel: usize,
    /// An answer that is received in part before the socket is opened, and to its end afterwards.
    pub meanwhile: Option<Meanwhile>,
    /// What is printed.
    #[serde(default)]
    pub logs: Logs,
}

fn switching() -> Expect {
    Expect { status: 101, headers: BTreeMap::new(), body: None }
}

/// One thing that is said on a WebSocket, or that must be heard next.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Talk {
    /// Send text.
    Send(String),
    /// Send bytes.
    SendRepeat(Repeat),
    /// Send what need not be a frame, in hexadecimal.
    SendHex(String),
    /// Send it byte by byte.
    SendDrip(String),
    /// Send a ping.
    Ping(String),
    /// Send a close frame: code and reason.
    Close(u16, String),
    /// Hear text.
    Receive(Text),
    /// Hear bytes.
    ReceiveRepeat(Repeat),
    /// Hear exactly these bytes, in hexadecimal.
    ReceiveHex(String),
    /// Hear a pong.
    Pong(String),
    /// Hear a close frame: code (1005: none) and reason.
    Closed(u16, String),
    /// The connection ends.
    End,
}

/// Ends the process, as after the last step, and starts it again with the same folders.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartStep {
    /// What happens in between.
    pub restart: Between,
}

/// Searches every byte of every file in the cache folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheStep {
    /// What is searched for.
    pub cache: CacheSearch,
}

/// What was printed since the process started.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrintedStep {
    /// Lines that must be there, or must not.
    pub printed: Logs,
}

/// Texts, in UTF-8 or UTF-16.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheSearch {
    /// Texts that must be in some file: that the search can find something.
    #[serde(default)]
    pub has: Vec<String>,
    /// Texts that must be in none.
    #[serde(default)]
    pub lacks: Vec<String>,
}

/// What happens while the process is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Between {
    /// Nothing.
    Nothing,
    /// One byte in the middle of every file of the cache is changed. The test has `fresh_cache`.
    DamagedCache,
}

/// Changes a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditStep {
    /// The file, relative to the Worker's folder.
    pub edit: String,
    /// Text to replace, and its replacement.
    pub replace: Option<(String, String)>,
    /// The new content, whole.
    pub content: Option<String>,
}

/// What a response must be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The status code.
    pub status: u16,
    /// Headers that must be there, with patterns for their values.
    #[serde(default)]
    pub headers: BTreeMap<String, Text>,
    /// The body.
    pub body: Option<Text>,
}

/// What a text must be: a string is the whole text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// The whole text.
    Exact(String),
    /// All of these conditions.
    Conditions(Box<Conditions>),
}

/// Conditions on a text; all that are given must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// Parts that must occur, in this order.
    #[serde(default)]
    pub contains: Vec<String>,
    /// Parts that must not occur.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// A pattern that must match somewhere.
    pub regex: Option<String>,
    /// The text as JSON.
    pub json: Option<Value>,
    /// The SHA-256 of the bytes, in hexadecimal.
    pub sha256: Option<String>,
    /// Whether the bytes are those of the request's body.
    #[serde(default)]
    pub equals_request_body: bool,
}

/// Lines that must be printed during a step: parts of lines, in any order.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// On standard output.
    #[serde(default)]
    pub stdout: Vec<String>,
    /// On standard error.
    #[serde(default)]
    pub stderr: Vec<String>,
    /// On neither.
    #[serde(default)]
    pub lacks: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_refused() {
        let error =
            Case::parse(r#"{ "steps": [{ "request": "GET /", "expect": { "status": 200, "bdoy": "" } }] }"#);
        assert!(format!("{:#}", error.unwrap_err()).contains("bdoy"));
        assert!(Case::parse(r#"{ "step": [] }"#).is_err());
        assert!(Case::parse(r#"{ "steps": [{ "reqest": "GET /" }] }"#).is_err());
    }

    #[test]
    fn comments_and_trailing_commas_are_fine() {
        let case =
            Case::parse("// why\n{ \"steps\": [ { \"edit\": \"a\", \"content\": \"b\", }, ], }").unwrap();
        assert_eq!(case.steps.len(), 1);
    }

    #[test]
    fn a_repeated_body_shows_lost_blocks() {
        let bytes = Repeat { byte: 250, count: 600 }.bytes();
        assert_eq!(bytes.len(), 600);
        assert_eq!(bytes[..8], [250, 251, 252, 253, 254, 255, 0, 1]);
        assert_ne!(bytes[0..256], bytes[256..512]);
    }
}

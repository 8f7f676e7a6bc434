//! Connections to WebSocket servers.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use taipan_bindings::{Dial, WebSocketDialer};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use url::{Position, Url};

use super::frame::Role;
use super::session::{self, Terms};
use super::{AGREED, EXTENSION, accept};
use crate::egress::{self, Dialed, Policy, TlsClient};

/// The time for everything up to the server's answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest head of an answer.
const HEAD_LIMIT: usize = 32 << 10;

const MOST_HEADERS: usize = 100;

/// What the handshake itself says; a guest's headers of these names are left out.
const OURS: [&str; 6] = [
    "host",
    "connection",
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
];

#[derive(Debug, Error)]
enum DialError {
    #[error("the URL is not one of a WebSocket: {0}")]
    Url(String),
    #[error("a header cannot be sent: {0}")]
    Header(String),
    #[error(transparent)]
    Connect(#[from] egress::EgressError),
    #[error("the connection to {host} broke off: {source}")]
    Broken { host: String, source: std::io::Error },
    #[error("the answer of {0} is not HTTP")]
    NotHttp(String),
    #[error("{host} answered with status {status} instead of a WebSocket")]
    Refused { host: String, status: u16 },
    #[error("{host} answered with a handshake that is wrong: {what}")]
    Handshake { host: String, what: &'static str },
    #[error("{0} did not answer in time")]
    TimedOut(String),
}

/// Opens WebSockets for isolates, on the executor that it was made on.
pub(crate) struct Dialer {
    executor: Handle,
    policy: Policy,
    tls: Arc<TlsClient>,
    stopping: watch::Receiver<bool>,
    _stop: watch::Sender<bool>,
}

impl Dialer {
    /// A dialer whose connections are served by the current executor. None outside of one.
    pub(crate) fn new(policy: Policy, tls: Arc<TlsClient>) -> Option<Arc<Self>> {
        let (stop, stopping) = watch::channel(false);
        Some(Arc::new(Self { executor: Handle::try_current().ok()?, policy, tls, stopping, _stop: stop }))
    }
}

impl WebSocketDialer for Dialer {
    fn dial(&self, url: String, headers: Vec<(String, String)>, dial: Dial) {
        let stopping = self.stopping.clone();
        let (policy, tls) = (self.policy, self.tls.clone());
        self.executor.spawn(async move {
            let host =
                Url::parse(&url).ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default();
            match timeout(PATIENCE, open(&url, headers, policy, &tls)).await {
                Ok(Ok(opened)) => {
                    let terms = Terms { role: Role::Client, has_deflate: opened.has_deflate, stopping };
                    if let Some(connection) = dial.connected(opened.headers) {
                        session::run(opened.stream, opened.early, connection, terms).await;
                    }
                }
                Ok(Err(error)) => dial.fail(error.to_string()),
                Err(_) => dial.fail(DialError::TimedOut(host).to_string()),
            }
        });
    }
}

struct Opened {
    stream: Dialed,
    early: Bytes,
    headers: Vec<(String, String)>,
    has_deflate: bool,
}

async fn open(
    url: &str,
    headers: Vec<(String, String)>,
    policy: Policy,
    tls: &TlsClient,
) -> Result<Opened, DialError> {
    let not_one = || DialError::Url(url.to_owned());
    let parsed = Url::parse(url).map_err(|_| not_one())?;
    let (is_secure, default) = match parsed.scheme() {
        "ws" | "http" => (false, 80),
        "wss" | "https" => (true, 443),
        _ => return Err(not_one()),
    };
    let host = parsed.host_str().ok_or_else(not_one)?.to_owned();
    let name = host.trim_matches(['[', ']']);
    let port = parsed.port().unwrap_or(default);
    let tls_error = |source| egress::EgressError::Tls { host: host.clone(), source };
    let tls = if is_secure { Some(tls.connector().map_err(tls_error)?) } else { None };
    let mut stream = egress::dial(name, port, policy, tls).await?;

    let mut nonce = [0; 16];
    // It need not be secret: it tells caches' answers from a server's.
    getrandom::fill(&mut nonce).unwrap_or_default();
    let key = BASE64_STANDARD.encode(nonce);
    let request = request(&parsed, &key, &headers)?;
    let broken = |source| DialError::Broken { host: host.clone(), source };
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut received = BytesMut::new();
    let (size, status, headers) = loop {
        if received.len() > HEAD_LIMIT {
            return Err(DialError::NotHttp(host));
        }
        if stream.read_buf(&mut received).await.map_err(broken)? == 0 {
            return Err(broken(std::io::ErrorKind::UnexpectedEof.into()));
        }
        match head(&received) {
            Ok(Some(head)) => break head,
            Ok(None) => {}
            Err(()) => return Err(DialError::NotHttp(host)),
        }
    };
    if status != 101 {
        return Err(DialError::Refused { host, status });
    }
    let wrong = |what| DialError::Handshake { host: host.clone(), what };
    let find = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let expected = accept(key.as_bytes());
    if find("sec-websocket-accept") != expected.as_ref().and_then(|e| e.to_str().ok()) {
        return Err(wrong("Sec-WebSocket-Accept is not for this request"));
    }
    let has_deflate = match find("sec-websocket-extensions") {
        None => false,
        Some(agreed) => {
            let mut parts = agreed.split(';').map(str::trim);
            // We have no window for more than one message, and offered to need none.
            let is_ours = parts.next() == Some(EXTENSION) && parts.any(|p| p == "server_no_context_takeover");
            if !is_ours {
                return Err(wrong("it names an extension that was not offered"));
            }
            true
        }
    };
    let _head = received.split_to(size);
    Ok(Opened { stream, early: received.freeze(), headers, has_deflate })
}

fn request(url: &Url, key: &str, headers: &[(String, String)]) -> Result<String, DialError> {
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let target = &url[Position::BeforePath..Position::AfterQuery];
    let mut request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Extensions: {AGREED}\r\n"
    );
    for (name, value) in headers {
        let is_name = hyper::header::HeaderName::from_bytes(name.as_bytes()).is_ok();
        if !is_name || hyper::header::HeaderValue::from_str(value).is_err() {
            return Err(DialError::Header(name.clone()));
        }
        if !OURS.contains(&name.to_ascii_lowercase().as_str()) {
            request += &format!("{name}: {value}\r\n");
        }
    }
    Ok(request + "\r\n")
}

/// Size, status and headers of a response's head; none when there is more to come.
#[expect(clippy::type_complexity, reason = "used once, and named in the line above")]
fn head(bytes: &[u8]) -> Result<Option<(usize, u16, Vec<(String, String)>)>, ()> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(size) = response.parse(bytes).map_err(|_| ())? else { return Ok(None) };
    let status = response.code.ok_or(())?;
    let owned = response
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()));
    Ok(Some((size, status, owned.collect())))
}

//! WebSockets: the handshake that makes one of an HTTP request (RFC 6455), compression (RFC 7692), and the frames.
//!
//! Written here because the libraries at hand have either no compression or no way to hold a fast peer back.

mod connect;
mod deflate;
mod frame;
mod pulse;
mod relay;
mod session;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, StatusCode, Version};
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use taipan_bindings::Connection;
use tokio::sync::watch;

use frame::Role;
use session::Terms;

pub(crate) use connect::Dialer;
pub(crate) use relay::relay;

/// By RFC 6455, section 1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const EXTENSION: &str = "permessage-deflate";

/// What we offer and agree to: no side keeps a window between messages.
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// A request for a WebSocket, until it is granted.
pub(crate) struct Upgrade {
    connection: OnUpgrade,
    accept: HeaderValue,
    has_deflate: bool,
}

/// Why a request for a WebSocket is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHandshake {
    Version,
    Key,
}

impl BadHandshake {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key => StatusCode::BAD_REQUEST,
        }
    }

    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Version => "the WebSocket version is not 13\n",
            Self::Key => "the Sec-WebSocket-Key header is not 16 bytes in base64\n",
        }
    }
}

impl Upgrade {
    /// The request's wish for a WebSocket, if it has one.
    pub(crate) fn of<B>(request: &mut Request<B>) -> Result<Option<Self>, BadHandshake> {
        let headers = request.headers();
        let wants = request.method() == Method::GET
            && request.version() == Version::HTTP_11
            && has_token(headers, &header::CONNECTION, "upgrade")
            && has_token(headers, &header::UPGRADE, "websocket");
        if !wants {
            return Ok(None);
        }
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|v| v != "13") {
            return Err(BadHandshake::Version);
        }
        let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
        let (Some(key), None) = (keys.next(), keys.next()) else { return Err(BadHandshake::Key) };
        let is_key = BASE64_STANDARD.decode(key.as_bytes()).is_ok_and(|bytes| bytes.len() == 16);
        let accept = accept(key.as_bytes()).filter(|_| is_key).ok_or(BadHandshake::Key)?;
        let has_deflate = accepts_deflate(headers);
        Ok(Some(Self { connection: hyper::upgrade::on(request), accept, has_deflate }))
    }

    /// Puts the handshake's answer into the response's headers, and serves the connection once that is sent.
    pub(crate) fn grant(self, headers: &mut HeaderMap, socket: Connection, stopping: watch::Receiver<bool>) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept);
        headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
        if self.has_deflate {
            headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(AGREED));
        }
        let terms = Terms { role: Role::Server, has_deflate: self.has_deflate, stopping };
        tokio::spawn(async move {
            // When it fails, the client was gone, and dropping the socket says so.
            if let Ok(stream) = self.connection.await {
                session::run(TokioIo::new(stream), Bytes::new(), socket, terms).await;
            }
        });
    }
}

/// `Sec-WebSocket-Accept` for a key.
fn accept(key: &[u8]) -> Option<HeaderValue> {
    let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, MAGIC.as_bytes()].concat());
    HeaderValue::try_from(BASE64_STANDARD.encode(sum)).ok()
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
}

/// Whether one of the client's offers is for what we can do: a window of the usual size, and none of the future's parameters.
fn accepts_deflate(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(is_acceptable)
}

fn is_acceptable(offer: &str) -> bool {
    let mut parts = offer.split(';').map(str::trim);
    if !parts.next().is_some_and(|name| name.eq_ignore_ascii_case(EXTENSION)) {
        return false;
    }
    let mut seen: Vec<&str> = vec![];
    parts.all(|parameter| {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (parameter, None),
        };
        let is_new = !seen.contains(&name);
        seen.push(name);
        is_new
            && match name {
                "server_no_context_takeover" | "client_no_context_takeover" => value.is_none(),
                // Without our using it, the client's window is its own business.
                "client_max_window_bits" => value.is_none_or(|v| matches!(v.parse::<u8>(), Ok(8..=15))),
                "server_max_window_bits" => value == Some("15"),
                _ => false,
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_of_the_rfc() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn offers_of_compression() {
        for (offer, good) in [
            ("permessage-deflate", true),
            ("permessage-deflate; client_max_window_bits", true),
            ("x-webkit-deflate-frame, permessage-deflate; client_max_window_bits=10", true),
            ("permessage-deflate; server_max_window_bits=15; server_no_context_takeover", true),
            ("permessage-deflate; server_max_window_bits=10", false),
            ("permessage-deflate; server_max_window_bits=10, permessage-deflate", true),
            ("permessage-deflate; client_max_window_bits=16", false),
            ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", false),
            ("permessage-deflate; unknown", false),
            ("permessage-bzip2", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
            assert_eq!(accepts_deflate(&headers), good, "{offer}");
        }
    }
}

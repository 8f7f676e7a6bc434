//! Requests: by the fetch standard, as far as a server's side of the world needs it.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use taipan_bindings::{BodySource, FetchAnswer, FetchBody, FetchHead, FetchRequest, Redirect};
use tokio::time::timeout;
use url::Url;

use super::body::{Decoded, Download, Upload, encodings};
use super::connect::{Connector, HasAnswered};
use super::error::EgressError;
use super::proxy::Proxies;
use super::{Patience, Policy, TlsClient, headers};
use crate::service::header_text;

/// The standard's.
const MOST_REDIRECTS: u32 = 20;

/// Of a response's head.
const MOST_HEADERS: usize = 256;
const HEAD_LIMIT: u32 = 256 << 10;

const IDLE: Duration = Duration::from_secs(60);
const IDLE_PER_HOST: usize = 32;

/// A request that may be sent again is, when the connection that it was sent on had been given up by the server: so often at most.
const MOST_REPEATS: u32 = 3;

/// So much of a redirect's body is read and thrown away, so that the connection can be used again.
const UNREAD_LIMIT: usize = 64 << 10;
const UNREAD_TIMEOUT: Duration = Duration::from_secs(1);

/// Statuses that say where to go.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// Performs requests, on connections that they share.
pub(super) struct Fetcher {
    client: Client<Connector, Upload>,
    proxies: Proxies,
    patience: Patience,
}

/// A request between two redirects.
struct Hop {
    method: Method,
    url: Url,
    headers: HeaderMap,
    /// None when it was a stream, which has been sent.
    body: Option<Bytes>,
}

impl Fetcher {
    pub(super) fn new(policy: Policy, tls: Arc<TlsClient>, patience: Patience) -> Self {
        let proxies = Proxies::from_env();
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http1_max_headers(MOST_HEADERS)
            // Of old servers; every other client takes them.
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_max_buf_size(HEAD_LIMIT as usize)
            .http2_max_header_list_size(HEAD_LIMIT)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(IDLE)
            .build(Connector { policy, tls, proxies: proxies.clone(), patience: patience.connect });
        Self { client, proxies, patience }
    }

    pub(super) async fn fetch(&self, request: FetchRequest, answer: FetchAnswer) {
        let decode = request.decode;
        let performed = tokio::select! {
            // Dropping it is what cancels it, at whatever stage it is.
            () = answer.cancelled() => return,
            performed = self.perform(request) => performed,
        };
        match performed {
            Ok((response, url, redirected)) => {
                give(response, url, redirected, decode, answer, self.patience.silence);
            }
            Err(message) => answer.fail(message),
        }
    }

    async fn perform(&self, request: FetchRequest) -> Result<(Response<Incoming>, Url, bool), String> {
        let FetchRequest { method, url, headers, body, redirect, decode, budget, depth: _ } = request;
        let keeps_length = match &body {
            FetchBody::Empty | FetchBody::Full(_) => false,
            FetchBody::Stream(_) => true,
            FetchBody::Passed(body) => body.length().is_none(),
        };
        let mut hop = Hop {
            method: Method::from_bytes(method.as_bytes())
                .map_err(|_| EgressError::Method(method).to_string())?,
            url: Url::parse(&url).map_err(|_| EgressError::Url(url).to_string())?,
            headers: headers::of_request(headers, decode, keeps_length).map_err(|e| e.to_string())?,
            body: None,
        };
        let mut upload = match body {
            FetchBody::Empty => {
                hop.body = Some(Bytes::new());
                Upload::Full(None)
            }
            FetchBody::Full(bytes) => {
                hop.body = Some(bytes.clone());
                Upload::Full(Some(bytes))
            }
            FetchBody::Stream(stream) => Upload::Stream(stream),
            FetchBody::Passed(body) => Upload::Passed(body),
        };
        let limit = MOST_REDIRECTS.min(budget);
        let mut redirects = 0;
        loop {
            let response = self.send(&hop, upload).await?;
            let status = response.status().as_u16();
            let location = response.headers().get(header::LOCATION).filter(|_| REDIRECTS.contains(&status));
            let Some(location) = location.map(header_text) else {
                return Ok((response, hop.url, redirects > 0));
            };
            let host = hop.url.host_str().unwrap_or_default().to_owned();
            match redirect {
                Redirect::Manual => return Ok((response, hop.url, false)),
                Redirect::Error => return Err(EgressError::Redirected { host, status }.to_string()),
                Redirect::Follow => {}
            }
            if redirects >= limit {
                return Err(EgressError::TooManyRedirects { host, limit }.to_string());
            }
            redirects += 1;
            hop = hop.follow(status, &location).map_err(|e| e.to_string())?;
            upload = Upload::Full(hop.body.clone().filter(|bytes| !bytes.is_empty()));
            drain(response.into_body()).await;
        }
    }

    async fn send(&self, hop: &Hop, mut upload: Upload) -> Result<Response<Incoming>, String> {
        let host = hop.url.host_str().unwrap_or_default();
        let copy = match &upload {
            Upload::Full(bytes) if hop.method.is_idempotent() => Some(bytes.clone()),
            _ => None,
        };
        let mut repeats = 0;
        loop {
            let request = self.request(hop, upload)?;
            let Ok(answer) = timeout(self.patience.head, self.client.request(request)).await else {
                return Err(EgressError::HeadTimeout(host.to_owned()).to_string());
            };
            match (answer, &copy) {
                (Ok(response), _) => {
                    HasAnswered::note(response.extensions());
                    return Ok(response);
                }
                (Err(error), Some(bytes)) if repeats < MOST_REPEATS && was_given_up(&error) => {
                    repeats += 1;
                    upload = Upload::Full(bytes.clone());
                }
                (Err(error), _) => return Err(EgressError::of_client(host, &error)),
            }
        }
    }

    fn request(&self, hop: &Hop, upload: Upload) -> Result<Request<Upload>, String> {
        let host = hop.url.host_str().unwrap_or_default();
        let not_one = || EgressError::Url(hop.url.to_string()).to_string();
        if !matches!(hop.url.scheme(), "http" | "https") || host.is_empty() {
            return Err(not_one());
        }
        let mut target = hop.url.clone();
        target.set_fragment(None);
        let mut request = Request::builder()
            .method(hop.method.clone())
            .uri(target.as_str())
            .body(upload)
            .map_err(|_| not_one())?;
        *request.headers_mut() = hop.headers.clone();
        if let Some(authorization) = self.proxies.authorization(request.uri()) {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, authorization);
        }
        if matches!(request.body(), Upload::Full(None)) && [Method::POST, Method::PUT].contains(&hop.method) {
            // Of these servers expect a body; the standard has us say that there is none.
            request.headers_mut().insert(header::CONTENT_LENGTH, 0.into());
        }
        Ok(request)
    }
}

/// Whether the server may have ended the connection before it saw the request.
fn was_given_up(error: &hyper_util::client::legacy::Error) -> bool {
    let cause = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
    HasAnswered::before(error.connect_info())
        && cause.is_some_and(|cause| !cause.is_parse() && !cause.is_user() && !cause.is_timeout())
}

impl Hop {
    /// The request that a redirect asks for.
    fn follow(self, status: u16, location: &str) -> Result<Self, EgressError> {
        let Self { method, url, mut headers, body } = self;
        let host = url.host_str().unwrap_or_default().to_owned();
        let bad = || EgressError::BadRedirect { host: host.clone(), location: location.to_owned() };
        let mut next = url.join(location).map_err(|_| bad())?;
        if !matches!(next.scheme(), "http" | "https") {
            return Err(bad());
        }
        if next.fragment().is_none() {
            next.set_fragment(url.fragment());
        }
        let (method, body) = match headers::method_after(status, &method) {
            Some(other) => {
                headers::forget_body(&mut headers);
                (other, Some(Bytes::new()))
            }
            None => (method, body),
        };
        if body.is_none() {
            return Err(EgressError::CannotRepeat { host });
        }
        if next.origin() != url.origin() {
            headers::forget_secrets(&mut headers);
        }
        Ok(Self { method, url: next, headers, body })
    }
}

/// Gives the guest a response.
fn give(
    response: Response<Incoming>,
    url: Url,
    redirected: bool,
    decode: bool,
    answer: FetchAnswer,
    silence: Duration,
) {
    let reason = response.extensions().get::<ReasonPhrase>();
    let status_text = match reason {
        Some(reason) => String::from_utf8_lossy(reason.as_bytes()).into_owned(),
        // HTTP/2 has none.
        None => response.status().canonical_reason().unwrap_or_default().to_owned(),
    };
    let host = url.host_str().unwrap_or_default().to_owned();
    let (mut parts, incoming) = response.into_parts();
    let is_empty = incoming.is_end_stream();
    let download = Download::new(incoming, host, silence);
    let undone = parts.headers.get(header::CONTENT_ENCODING).filter(|_| decode && !is_empty);
    let undone = undone.and_then(|value| encodings(value.to_str().ok()?)).filter(|list| !list.is_empty());
    let body: Option<Box<dyn BodySource>> = match undone {
        _ if is_empty => None,
        Some(list) => {
            // They are about what came, not about what the guest is given.
            parts.headers.remove(header::CONTENT_ENCODING);
            parts.headers.remove(header::CONTENT_LENGTH);
            Some(Box::new(Decoded::new(download, &list)))
        }
        None => Some(Box::new(download)),
    };
    let headers =
        parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), header_text(value))).collect();
    let head = FetchHead {
        status: parts.status.as_u16(),
        status_text,
        url: url.into(),
        redirected,
        headers,
        length: body.as_ref().map(|body| body.length()),
    };
    answer.respond(head, body);
}

/// Reads what is left of a body, if that is little.
async fn drain(mut body: Incoming) {
    let read = async {
        let mut unread = 0;
        while let Some(Ok(frame)) = body.frame().await {
            unread += frame.data_ref().map_or(0, Bytes::len);
            if unread > UNREAD_LIMIT {
                break;
            }
        }
    };
    timeout(UNREAD_TIMEOUT, read).await.unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn hop(url: &str, body: Option<&'static str>) -> Hop {
        let given = [("authorization", "secret"), ("content-type", "text/plain"), ("x", "kept")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Hop {
            method: Method::POST,
            url: Url::parse(url).unwrap(),
            headers: headers::of_request(given, true, false).unwrap(),
            body: body.map(Bytes::from),
        }
    }

    #[test]
    fn redirects_keep_what_they_may() {
        let next = hop("http://a.test/x#part", Some("body")).follow(307, "/y").unwrap();
        assert_eq!(next.url.as_str(), "http://a.test/y#part");
        assert_eq!(next.headers["authorization"], "secret");
        assert_eq!(next.body.as_deref(), Some(&b"body"[..]));

        let next = hop("http://a.test/x", Some("body")).follow(303, "https://a.test/y").unwrap();
        assert_eq!(next.method, Method::GET);
        assert!(!next.headers.contains_key("authorization"), "another scheme is another origin");
        assert!(!next.headers.contains_key("content-type"));
        assert_eq!(next.headers["x"], "kept");
        assert_eq!(next.body.as_deref(), Some(&b""[..]));
    }

    #[test]
    fn redirects_that_cannot_be_followed() {
        assert!(matches!(
            hop("http://a.test/", None).follow(307, "/y"),
            Err(EgressError::CannotRepeat { .. })
        ));
        assert!(hop("http://a.test/", None).follow(303, "/y").is_ok());
        for location in ["ftp://a.test/", "javascript:1", "http://[", "data:,x"] {
            let followed = hop("http://a.test/", Some("")).follow(302, location);
            assert!(matches!(followed, Err(EgressError::BadRedirect { .. })), "{location}");
        }
    }

    /// A server that reads a request, says this and no more, and holds the connection open; and a fetcher with little patience.
    async fn asked(answer: &[u8], millis: [u64; 3]) -> Result<Download, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answer = answer.to_vec();
        tokio::spawn(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _read = tcp.read(&mut head).await.unwrap();
            tcp.write_all(&answer).await.unwrap_or_default();
            std::future::pending::<()>().await;
        });
        let [connect, head, silence] = millis.map(Duration::from_millis);
        let patience = Patience { connect, head, silence };
        let fetcher = Fetcher::new(Policy::Open, Arc::default(), patience);
        let request = FetchRequest {
            method: "GET".into(),
            url,
            headers: vec![],
            body: FetchBody::Empty,
            redirect: Redirect::Follow,
            decode: true,
            budget: 1,
            depth: 0,
        };
        let (response, ..) = fetcher.perform(request).await?;
        Ok(Download::new(response.into_body(), "a.test".into(), silence))
    }

    async fn chunk(body: &mut impl BodySource) -> Option<Result<Bytes, String>> {
        std::future::poll_fn(|cx| body.poll_chunk(cx)).await
    }

    const LONG: u64 = 600_000;

    #[tokio::test]
    async fn servers_that_do_not_go_on() {
        let Patience { connect, head, silence } = Patience::default();
        assert_eq!([connect, head, silence].map(|time| time.as_secs()), [30, 300, 300]);

        let late = asked(b"HTTP/1.1 200 OK", [LONG, 20, LONG]).await.err().unwrap();
        assert_eq!(late, EgressError::HeadTimeout("127.0.0.1".into()).to_string());

        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nfirst";
        let mut body = asked(head, [LONG, LONG, 20]).await.unwrap();
        assert_eq!(chunk(&mut body).await, Some(Ok("first".into())));
        let silent = chunk(&mut body).await.unwrap().unwrap_err();
        assert_eq!(silent, "the response of a.test does not arrive");
    }

    #[tokio::test]
    async fn what_expands_beyond_reason_is_broken_off() {
        let zeros = tokio::io::repeat(0).take(300 << 20);
        let zeros = tokio::io::BufReader::with_capacity(1 << 20, zeros);
        let mut packed = vec![];
        async_compression::tokio::bufread::ZstdEncoder::new(zeros).read_to_end(&mut packed).await.unwrap();
        assert!(packed.len() < 64 << 10, "{} bytes", packed.len());
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", packed.len());
        let answer = [head.as_bytes(), &packed].concat();
        let body = asked(&answer, [LONG; 3]).await.unwrap();
        let mut decoded = Decoded::new(body, &encodings("zstd").unwrap());
        let mut size = 0;
        let broken = loop {
            match chunk(&mut decoded).await.unwrap() {
                Ok(bytes) => size += bytes.len(),
                Err(message) => break message,
            }
        };
        assert!(broken.starts_with("the response of a.test expands too much: "), "{broken}");
        assert!((256 << 20..=257 << 20).contains(&size), "after {size} bytes");
    }
}

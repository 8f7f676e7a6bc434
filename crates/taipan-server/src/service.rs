//! One HTTP request: to the Worker and back.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::{Authority, PathAndQuery};
use hyper::{Method, Request, Response, StatusCode, Version};
use serde_json::json;
use taipan_bindings::{FetchedBody, RequestBody, ResponseBody};
use taipan_guest::protocol::Field;
use tokio::sync::watch;
use url::Url;

use crate::assets::{Answer, AnswerBody};
use crate::body::{Arriving, Body, BodyFault, BodyLimits, Stream, pump};
use crate::conduct::Conduct;
use crate::encoding;
use crate::local::{self, Local};
use crate::page;
use crate::problem::Problem;
use crate::web_socket::Upgrade;
use crate::worker::Presence;
use crate::{Console, RequestLog, Sites, Slot, Worker};

/// The two ends of a connection, and how they speak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
    /// Version and cipher suite.
    pub(crate) tls: Option<(&'static str, &'static str)>,
    pub(crate) is_http2: bool,
}

/// The request as the handler and an error page see it.
pub(crate) struct Target {
    pub(crate) method: Method,
    pub(crate) url: Url,
}

/// What a request meets.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) sites: Arc<dyn Sites>,
    pub(crate) console: Arc<dyn Console>,
    /// Becomes true when the process is about to end.
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) conduct: Arc<Conduct>,
    /// How long a client may stand still in the middle of a body.
    pub(crate) stall_timeout: Duration,
    /// Of a request's body, in bytes.
    pub(crate) body_limit: Option<u64>,
    /// See [`crate::IngressOptions::open_handlers`].
    pub(crate) open_handlers: bool,
    /// See [`crate::IngressOptions::problem_pages`].
    pub(crate) problem_pages: bool,
    /// See [`crate::IngressOptions::local`].
    pub(crate) local: Option<Arc<Local>>,
}

pub(crate) async fn handle(request: Request<Incoming>, peer: Peer, service: &Service) -> Response<Body> {
    let begun = Instant::now();
    let flight = service.conduct.begin();
    let method = request.method().clone();
    service.conduct.note_unread(!peer.is_http2 && !request.body().is_end_stream());
    let shown = request.uri().path_and_query().map_or_else(|| request.uri().to_string(), |p| p.to_string());
    let response = answer(request, peer, service).await;
    let status = response.status();
    let reason = response.extensions().get::<ReasonPhrase>();
    let reason = reason.map(|r| String::from_utf8_lossy(r.as_bytes()).into_owned());
    service.console.request(&RequestLog {
        method: method.as_str(),
        target: &shown,
        status: status.as_u16(),
        reason: reason.as_deref().or(status.canonical_reason()).unwrap_or_default(),
        took: begun.elapsed(),
    });
    // What HTTP/1.1 writes fails when nobody reads it; streams of HTTP/2 wait.
    response.map(|body| body.of(flight, peer.is_http2.then_some(service.stall_timeout)))
}

async fn answer(mut request: Request<Incoming>, peer: Peer, service: &Service) -> Response<Body> {
    if request.method() == Method::CONNECT {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "this server is no proxy\n");
    }
    let upgrade = match Upgrade::of(&mut request) {
        Ok(upgrade) => upgrade,
        Err(bad) => {
            let mut response = plain(bad.status(), bad.message());
            let version = HeaderValue::from_static("13");
            response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, version);
            return response;
        }
    };
    let (parts, incoming) = request.into_parts();
    let incoming = Arriving::new(incoming, service.conduct.clone());
    let url = match absolute_url(&parts, peer) {
        Ok(url) => url,
        Err(message) => return plain(StatusCode::BAD_REQUEST, message),
    };
    let Some(slot) = service.sites.find(&url) else {
        return plain(StatusCode::NOT_FOUND, "no Worker is deployed for this address\n");
    };
    if service.open_handlers && url.path() == "/cdn-cgi/handler/scheduled" {
        return scheduled(Target { method: parts.method, url }, &parts.headers, &slot, service).await;
    }
    if let Some(local) = service.local.as_ref().filter(|_| url.path().starts_with(local::PATH)) {
        return local::answer(local, parts, &url, peer.remote.ip(), incoming).await;
    }
    if upgrade.is_none()
        && let Some(assets) = slot.assets()
        && let Some(answer) = assets.front(&parts.method, &url, &parts.headers).await
    {
        return asset(answer);
    }
    let exact = incoming.size_hint().exact();
    let length = match exact {
        _ if incoming.is_end_stream() => None,
        Some(n) => Some(n as f64),
        None => Some(-1.0),
    };
    let limits =
        BodyLimits { size: slot.body_limit().or(service.body_limit), silence: service.stall_timeout };
    if length.zip(limits.size).is_some_and(|(length, limit)| length > limit as f64) {
        return refuse(BodyFault::TooLarge);
    }
    let fault = Arc::new(OnceLock::new());
    let body = length.map(|_| {
        let (body, pulls) = RequestBody::channel();
        // Whoever waits to be asked for the body is not asked by a handler that does not read it.
        let waits = parts
            .headers
            .get(header::EXPECT)
            .is_some_and(|e| e.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        tokio::spawn(pump(incoming, pulls, limits, waits, fault.clone()));
        body.with_length(exact)
    });
    let head = head(&parts, &url, length, peer);
    let target = Target { method: parts.method, url };

    let worker = slot.current();
    let (response, presence) = worker.fetch(head, body).await;
    let answered = match response {
        Ok(response) if matches!(response.body, ResponseBody::WebSocket(_)) => {
            presence.served();
            open_socket(response, upgrade, service)
        }
        Ok(response) => {
            respond(response, &target.method, parts.headers.get(header::ACCEPT_ENCODING), presence)
        }
        Err(failed) => {
            presence.served();
            // The handler could not read the body: that is the client's doing.
            if let Some(fault) = fault.get() {
                return refuse(*fault);
            }
            Err(Box::new(Problem::from(&failed)))
        }
    };
    answered.unwrap_or_else(|problem| {
        // A Worker that does not start has said so once; every request would repeat it.
        if !problem.starting {
            service.console.failure(&problem.text());
        }
        service.show(&problem, &target, &parts.headers, &worker)
    })
}

impl Service {
    /// What a client is told of a problem.
    fn show(
        &self,
        problem: &Problem,
        target: &Target,
        headers: &HeaderMap,
        worker: &Worker,
    ) -> Response<Body> {
        match self.problem_pages {
            true => page::response(problem, target, headers, worker.sources()),
            false if problem.stopping => plain(StatusCode::SERVICE_UNAVAILABLE, "try again in a moment\n"),
            false => plain(StatusCode::INTERNAL_SERVER_ERROR, "the Worker failed\n"),
        }
    }
}

/// Has the handler `scheduled` called on demand: `?cron=…&time=…`, the time in milliseconds since the epoch.
async fn scheduled(target: Target, headers: &HeaderMap, slot: &Slot, service: &Service) -> Response<Body> {
    let query = |name: &str| target.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value);
    let time = query("time").and_then(|time| time.parse().ok());
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    };
    let worker = slot.current();
    let cron = query("cron").unwrap_or_default();
    match worker.scheduled(&cron, time.unwrap_or_else(now)).await {
        Ok(()) => plain(StatusCode::OK, "ok"),
        Err(fault) => {
            let problem = Problem::from(&fault);
            if !problem.starting {
                service.console.failure(&problem.text());
            }
            service.show(&problem, &target, headers, &worker)
        }
    }
}

/// What a file answers.
fn asset(answer: Answer) -> Response<Body> {
    let mut headers = answer.headers;
    let body = match answer.body {
        AnswerBody::Empty(length) => {
            if let Some(length) = length {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
            Body::full(Bytes::new())
        }
        AnswerBody::Full(bytes) => Body::full(bytes),
        AnswerBody::File(file) => {
            let body = FetchedBody::new(Box::new(file));
            if let Some(length) = body.length() {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
            Body::stream(Stream::of_host(body))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers;
    response
}

/// What the handler is given, as [`taipan_engine::Event::Fetch`] says.
fn head(parts: &Parts, url: &Url, length: Option<f64>, peer: Peer) -> Vec<Field> {
    let mut head: Vec<Field> = vec![
        parts.method.as_str().into(),
        url.as_str().into(),
        length.map_or(Field::Null, Field::Num),
        local_cf(parts, peer).into(),
        connection(parts.version, peer).into(),
    ];
    const CLIENT: &str = "cf-connecting-ip";
    for (name, value) in &parts.headers {
        // Ours, so that a client cannot pass for another one.
        if name.as_str() != CLIENT {
            head.push(name.as_str().into());
            head.push(header_text(value).into());
        }
    }
    head.push(CLIENT.into());
    head.push(peer.remote.ip().to_string().into());
    head
}

/// HTTP's version and the two ends.
fn connection(version: Version, peer: Peer) -> String {
    let version = match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    };
    let Peer { remote, local, .. } = peer;
    format!("{version} {} {} {} {}", remote.ip(), remote.port(), local.ip(), local.port())
}

/// Header values are bytes; Workers see them as UTF-8, and what is none as Latin-1.
pub(crate) fn header_text(value: &HeaderValue) -> String {
    let bytes = value.as_bytes();
    str::from_utf8(bytes).map_or_else(|_| bytes.iter().map(|b| char::from(*b)).collect(), str::to_owned)
}

/// `request.cf` of a machine that is not at Cloudflare's edge: what it does not know is null, so that looking it up is no error.
/// It is written as text, for every request has one: a map of it took some microseconds.
fn local_cf(parts: &Parts, peer: Peer) -> String {
    let (version, cipher) = peer.tls.unzip();
    let protocol = match parts.version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    };
    let json = |text: Option<String>| text.map_or_else(|| "null".to_owned(), |text| json!(text).to_string());
    // Countries that it does not know are written as Cloudflare writes them.
    format!(
        r#"{{"colo":"LOCAL","country":"XX","city":null,"region":null,"regionCode":null,"postalCode":null,"metroCode":null,
"continent":null,"isEUCountry":null,"timezone":null,"latitude":null,"longitude":null,"asn":null,"asOrganization":null,
"clientAcceptEncoding":{},"httpProtocol":"{protocol}","requestPriority":null,"edgeRequestKeepAliveStatus":1,
"tlsClientAuth":{{"certPresented":"0","certVerified":"NONE","certRevoked":"0"}},"tlsVersion":{},"tlsCipher":{}}}"#,
        json(parts.headers.get(header::ACCEPT_ENCODING).map(header_text)),
        // As Cloudflare writes it: TLSv1.3, and AEAD-AES128-GCM-SHA256 without the protocol's name.
        json(version.map(|v| v.replace('_', "."))),
        json(cipher.map(|c| c.trim_start_matches("TLS13_").to_owned())),
    )
}

/// The URL that the request is for. There must be no doubt about the host: whoever stands in front of us may have decided by it.
fn absolute_url(parts: &Parts, peer: Peer) -> Result<Url, &'static str> {
    const NOT_A_HOST: &str = "the Host header is not a host\n";
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err("there is more than one Host header\n"),
        (Some(host), None) => Some(host.to_str().map_err(|_| NOT_A_HOST)?),
        (None, None) => None,
    };
    let host = match (parts.uri.authority().map(Authority::as_str), host) {
        (Some(authority), Some(host)) if peer.is_http2 && !host.eq_ignore_ascii_case(authority) => {
            return Err("the Host header is not the request's authority\n");
        }
        (Some(host), _) | (None, Some(host)) => host.to_owned(),
        (None, None) if parts.version == Version::HTTP_10 => peer.local.to_string(),
        (None, None) => return Err("there is no Host header\n"),
    };
    // A host with a path, a query or a user in it is none.
    if host.is_empty() || host.contains(['/', '?', '#', '@', '\\']) {
        return Err(NOT_A_HOST);
    }
    let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let slash = if path.starts_with('/') { "" } else { "/" };
    let scheme = if peer.tls.is_some() { "https" } else { "http" };
    Url::parse(&format!("{scheme}://{host}{slash}{path}")).map_err(|_| NOT_A_HOST)
}

/// Answers the request with the handler's WebSocket.
fn open_socket(
    response: taipan_bindings::Response,
    upgrade: Option<Upgrade>,
    service: &Service,
) -> Result<Response<Body>, Box<Problem>> {
    let Some(upgrade) = upgrade else {
        let message = "the handler answered with a WebSocket, but the request does not ask for one";
        return Err(Problem::response(message.to_owned()));
    };
    let mut headers = response_headers(&response.headers)?;
    if let ResponseBody::WebSocket(socket) = response.body {
        upgrade.grant(&mut headers, socket, service.stopping.clone());
    }
    let mut out = Response::new(Body::full(Bytes::new()));
    *out.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *out.headers_mut() = headers;
    Ok(out)
}

fn response_headers(given: &[(String, String)]) -> Result<HeaderMap, Box<Problem>> {
    let mut headers = HeaderMap::with_capacity(given.len());
    for (name, value) in given {
        let parsed =
            HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_bytes(value.as_bytes()).ok());
        let Some((name, value)) = parsed else {
            return Err(Problem::response(format!("the response header cannot be sent: {name}: {value}")));
        };
        // The connection is ours.
        if ![header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE].contains(&name) {
            headers.append(name, value);
        }
    }
    Ok(headers)
}

/// Makes an HTTP response of the handler's. Err: what the handler gave cannot be sent.
fn respond(
    mut response: taipan_bindings::Response,
    method: &Method,
    accepted: Option<&HeaderValue>,
    presence: Presence,
) -> Result<Response<Body>, Box<Problem>> {
    let status = u16::try_from(response.status).ok().and_then(|s| StatusCode::from_u16(s).ok());
    let Some(status) = status.filter(|s| (200..600).contains(&s.as_u16())) else {
        return Err(Problem::response(format!("the status code cannot be sent: {}", response.status)));
    };
    let says = response.headers.iter().position(|(name, _)| name == encoding::MANUAL);
    let says = says.map(|at| response.headers.remove(at).1);
    let is_as_it_is = match says.as_deref() {
        Some(says) => says == "manual",
        // What comes from elsewhere is described by its headers as it is.
        None => matches!(response.body, ResponseBody::Fetched(_)),
    };
    let mut headers = response_headers(&response.headers)?;
    let start = match &response.body {
        ResponseBody::Full(bytes) => bytes.as_ref(),
        _ => &[],
    };
    let encoder = if is_as_it_is { None } else { encoding::negotiate(&mut headers, accepted, start) };
    let without_body =
        method == Method::HEAD || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    let body = match response.body {
        ResponseBody::Stream(stream) if !without_body => {
            Body::stream(Stream::new(stream, presence)).encoded(encoder)
        }
        ResponseBody::Fetched(body) if !without_body => {
            headers.remove(header::CONTENT_LENGTH);
            if encoder.is_none()
                && let Some(length) = body.length()
            {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
            Body::stream(Stream::fetched(body, presence)).encoded(encoder)
        }
        other => {
            presence.served();
            match other {
                ResponseBody::Full(bytes) if !without_body => {
                    headers.remove(header::CONTENT_LENGTH);
                    Body::full(bytes).encoded(encoder)
                }
                ResponseBody::Full(bytes) => {
                    if method == Method::HEAD && encoder.is_none() {
                        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
                    }
                    Body::full(Bytes::new())
                }
                ResponseBody::Empty
                | ResponseBody::Stream(_)
                | ResponseBody::Fetched(_)
                | ResponseBody::WebSocket(_) => Body::full(Bytes::new()),
            }
        }
    };
    let mut out = Response::new(body);
    *out.status_mut() = status;
    *out.headers_mut() = headers;
    if !response.status_text.is_empty()
        && let Ok(reason) = ReasonPhrase::try_from(response.status_text.into_bytes())
    {
        out.extensions_mut().insert(reason);
    }
    Ok(out)
}

/// The answer to a body that does not come whole; the rest of it is not waited for.
fn refuse(fault: BodyFault) -> Response<Body> {
    let mut response = plain(fault.status(), fault.message());
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::full(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

//! Requests of a Worker that something in this process answers: its assets, or another Worker.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use std::future::Future;
use std::task::{Context, Poll};
use taipan_bindings::{BodySource, FetchAnswer, FetchBody, FetchHead, FetchRequest, Redirect};
use url::Url;

use crate::encoding;
use crate::service::header_text;

/// The standard's.
const MOST_REDIRECTS: usize = 20;

/// A request between two redirects.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: FetchBody,
}

/// What is answered to it.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) status_text: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Box<dyn BodySource>>,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, body: Option<Box<dyn BodySource>>) -> Self {
        let text =
            |(name, value): (&HeaderName, &HeaderValue)| (name.as_str().to_owned(), header_text(value));
        let mut headers: Vec<_> = headers.iter().map(text).collect();
        if headers.iter().any(|(name, _)| name == header::CONTENT_ENCODING.as_str()) {
            // A file that was there in that form.
            headers.push((encoding::MANUAL.into(), "manual".into()));
        }
        let status_text = status.canonical_reason().unwrap_or_default().to_owned();
        Self { status: status.as_u16(), status_text, headers, body }
    }
}

/// Bytes that are there already, as a body.
pub(crate) struct Whole {
    bytes: Option<Bytes>,
    length: u64,
}

impl Whole {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { length: bytes.len() as u64, bytes: Some(bytes) }
    }
}

impl BodySource for Whole {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        Poll::Ready(self.bytes.take().filter(|bytes| !bytes.is_empty()).map(Ok))
    }

    fn length(&self) -> Option<u64> {
        Some(self.length)
    }
}

/// Has `send` answer the request, and follows redirects when the request says so.
pub(crate) async fn perform<F>(request: FetchRequest, answer: FetchAnswer, send: impl Fn(Call) -> F)
where
    F: Future<Output = Result<Reply, String>>,
{
    let performed = tokio::select! {
        () = answer.cancelled() => return,
        performed = follow(request, send) => performed,
    };
    match performed {
        Ok((reply, url, redirected)) => {
            let length = reply.body.as_ref().map(|body| body.length());
            let Reply { status, status_text, headers, body } = reply;
            answer.respond(FetchHead { status, status_text, url, redirected, headers, length }, body);
        }
        Err(message) => answer.fail(message),
    }
}

async fn follow<F>(request: FetchRequest, send: impl Fn(Call) -> F) -> Result<(Reply, String, bool), String>
where
    F: Future<Output = Result<Reply, String>>,
{
    let mut method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| format!("not a method: {}", request.method))?;
    let mut url = Url::parse(&request.url).map_err(|_| format!("not a URL: {}", request.url))?;
    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok();
        let Some((name, value)) = name.zip(HeaderValue::from_bytes(value.as_bytes()).ok()) else {
            return Err("a header of the request cannot be sent".to_owned());
        };
        headers.append(name, value);
    }
    let mut repeatable = match &request.body {
        FetchBody::Empty => Some(Bytes::new()),
        FetchBody::Full(bytes) => Some(bytes.clone()),
        FetchBody::Stream(_) | FetchBody::Passed(_) => None,
    };
    let mut body = request.body;
    for redirects in 0..=MOST_REDIRECTS {
        let call = Call { method: method.clone(), url: url.clone(), headers: headers.clone(), body };
        let reply = send(call).await?;
        let is_redirect = [301, 302, 303, 307, 308].contains(&reply.status);
        let location = reply.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("location"));
        let Some(to) = location.filter(|_| is_redirect).map(|(_, to)| to) else {
            return Ok((reply, url.into(), redirects > 0));
        };
        match request.redirect {
            Redirect::Manual => return Ok((reply, url.into(), redirects > 0)),
            Redirect::Error => return Err(format!("the answer is a redirect: {}", reply.status)),
            Redirect::Follow => {}
        }
        url = url.join(to).map_err(|_| format!("the answer redirects to what is no URL: {to}"))?;
        let is_post = method == Method::POST && matches!(reply.status, 301 | 302);
        if is_post || reply.status == 303 && method != Method::HEAD {
            method = Method::GET;
            repeatable = Some(Bytes::new());
            for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
                headers.remove(name);
            }
        }
        body = match &repeatable {
            Some(bytes) if bytes.is_empty() => FetchBody::Empty,
            Some(bytes) => FetchBody::Full(bytes.clone()),
            None => return Err("the answer redirects a request whose body has been sent".to_owned()),
        };
    }
    Err(format!("there were more than {MOST_REDIRECTS} redirects"))
}

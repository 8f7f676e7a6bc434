//! The explorer: a page to look into data. Everything it shows comes through the API, as text.

use bytes::Bytes;
use hyper::Response;
use hyper::header::{self, HeaderValue};

use crate::body::Body;

/// Nothing but what is served here, and nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page's.
pub(super) fn answer(path: &str) -> Option<Response<Body>> {
    let (kind, text) = match path {
        "explorer" | "explorer/" => ("text/html; charset=utf-8", include_str!("explorer/page.html")),
        "explorer.css" => ("text/css; charset=utf-8", include_str!("explorer/page.css")),
        "explorer.js" => ("text/javascript; charset=utf-8", include_str!("explorer/page.js")),
        _ => return None,
    };
    let mut response = Response::new(Body::full(Bytes::from_static(text.as_bytes())));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
}

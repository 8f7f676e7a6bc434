//! Error pages for whoever is writing the Worker: HTML for a browser, Python's own text for everything else.

mod html;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use taipan_engine::Source;

use crate::body::Body;
use crate::problem::Problem;
use crate::service::Target;

/// The page itself may contain hostile text: nothing in it may run or load anything.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The response for a problem, in the form that the client asks for.
pub(crate) fn response(
    problem: &Problem,
    target: &Target,
    request: &HeaderMap,
    sources: &[Source],
) -> Response<Body> {
    let (kind, page) = if wants_html(request) {
        ("text/html; charset=utf-8", html::html(problem, target, sources))
    } else {
        ("text/plain; charset=utf-8", problem.text())
    };
    let mut response = Response::new(Body::full(Bytes::from(page)));
    *response.status_mut() =
        if problem.stopping { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn wants_html(request: &HeaderMap) -> bool {
    request
        .get_all(header::ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|a| a.to_ascii_lowercase().contains("text/html")))
}

//! Headers of outgoing requests.

use hyper::Method;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::error::EgressError;

/// Of the connection rather than the request: ours to say.
const OURS: [HeaderName; 6] = [
    header::HOST,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
];

/// What was meant for one server only.
const PRIVATE: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// What says something about a body.
const OF_BODY: [HeaderName; 5] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
];

/// The caller's headers, and those that the standard has every request carry.
pub(super) fn of_request(
    given: Vec<(String, String)>,
    decode: bool,
    keeps_length: bool,
) -> Result<HeaderMap, EgressError> {
    let mut headers = HeaderMap::with_capacity(given.len() + 3);
    for (name, value) in given {
        let parsed =
            HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_bytes(value.as_bytes()).ok());
        let Some((key, value)) = parsed else { return Err(EgressError::Header(name)) };
        if !OURS.contains(&key) && (keeps_length || key != header::CONTENT_LENGTH) {
            headers.append(key, value);
        }
    }
    let mut default = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    default(header::ACCEPT, "*/*");
    default(header::USER_AGENT, concat!("taipan/", env!("CARGO_PKG_VERSION")));
    if decode {
        default(header::ACCEPT_ENCODING, "gzip, deflate, br, zstd");
    }
    Ok(headers)
}

/// The method after a redirect with this status; none when it stays, and the body with it.
pub(super) fn method_after(status: u16, method: &Method) -> Option<Method> {
    let is_post = method == Method::POST;
    let is_read = method == Method::GET || method == Method::HEAD;
    match status {
        301 | 302 if is_post => Some(Method::GET),
        303 if !is_read => Some(Method::GET),
        _ => None,
    }
}

/// Leaves out what says something about a body that is not sent again.
pub(super) fn forget_body(headers: &mut HeaderMap) {
    OF_BODY.iter().for_each(|name| drop(headers.remove(name)));
}

/// Leaves out what another server must not see.
pub(super) fn forget_secrets(headers: &mut HeaderMap) {
    PRIVATE.iter().for_each(|name| drop(headers.remove(name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn callers_headers_win_except_for_the_connections() {
        let pairs =
            [("User-Agent", "mine"), ("host", "other"), ("connection", "close"), ("x", "é"), ("x", "2")];
        let headers = of_request(given(&pairs), true, false).unwrap();
        assert_eq!(headers[header::USER_AGENT], "mine");
        assert_eq!(headers.get_all("x").iter().count(), 2);
        assert_eq!(headers[header::ACCEPT_ENCODING], "gzip, deflate, br, zstd");
        assert!(!headers.contains_key(header::HOST) && !headers.contains_key(header::CONNECTION));
        assert!(of_request(given(&[("x", "a\r\nb: c")]), true, false).is_err());
        assert!(of_request(given(&[("a b", "c")]), true, false).is_err());
        assert!(!of_request(vec![], false, false).unwrap().contains_key(header::ACCEPT_ENCODING));
    }

    #[test]
    fn methods_after_redirects() {
        for (status, method, after) in [
            (301, Method::POST, Some(Method::GET)),
            (302, Method::POST, Some(Method::GET)),
            (302, Method::PUT, None),
            (303, Method::PUT, Some(Method::GET)),
            (303, Method::HEAD, None),
            (307, Method::POST, None),
            (308, Method::POST, None),
        ] {
            assert_eq!(method_after(status, &method), after, "{status} {method}");
        }
    }
}

//! What `dev` serves beside the Worker, below `/cdn-cgi/local/`: its data, for people, programs and S3's clients.
//!
//! ```text
//!  r2/s3/BUCKET/KEY   S3's clients; every request is signed
//!  api/…              JSON: commands of this user, who have a token, and the explorer
//!  explorer           a page for people
//! ```
//! A page of anybody's can make a browser send requests here. So the last two are for requests from this machine whose `Host` is one
//! of its own names, which no name of another's is made to mean, and which no other page has sent.

mod api;
mod checksum;
mod chunked;
mod explorer;
mod objects;
mod s3;
mod sigv4;
pub(crate) mod time;
mod uri;
mod xml;

use std::net::IpAddr;
use std::sync::OnceLock;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use ring::hmac;
use taipan_bindings::Stores;
use url::Url;

pub use api::{MOST_PEEKED, message, shown_count, shown_message, shown_rows, shown_settings};
pub use sigv4::S3Keys;
pub use uri::percent_encoded;

use crate::body::{Arriving, Body};

/// Below this path.
pub(crate) const PATH: &str = "/cdn-cgi/local/";

/// The data of this process for others than its Worker; none at first.
#[derive(Default)]
pub struct Local(OnceLock<Opened>);

struct Opened {
    stores: Stores,
    keys: S3Keys,
    token: String,
}

impl Local {
    /// From now on there is data. S3's clients have `keys`, and commands of this user the token.
    pub fn open(&self, stores: Stores, keys: S3Keys, token: String) {
        drop(self.0.set(Opened { stores, keys, token }));
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let token = self.0.get().map(|opened| opened.token.as_str()).unwrap_or_default();
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let sent = sent.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        // Takes as long either way.
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[]);
        let tag = hmac::sign(&key, token.as_bytes());
        hmac::verify(&key, sent.as_bytes(), tag.as_ref()).is_ok() && !token.is_empty()
    }
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Local")
    }
}

/// Whom an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Whoever may read the state folder.
    Owner,
    /// The explorer, in a browser on this machine.
    Page,
}

pub(crate) async fn answer(
    local: &Local,
    parts: Parts,
    url: &Url,
    remote: IpAddr,
    body: Arriving,
) -> Response<Body> {
    let path = url.path();
    if path.strip_prefix(s3::PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return match local.0.get() {
            Some(Opened { stores, keys, .. }) => s3::answer(stores, keys, parts, body).await,
            None => plain(StatusCode::NOT_FOUND, "the configuration has no `r2_buckets`\n"),
        };
    }
    let trust = match local.has_token(&parts.headers) {
        true => Trust::Owner,
        false if is_own(&parts.headers, url, remote) => Trust::Page,
        false => {
            let text = "this is for pages of its own, on this machine, by the name localhost\n";
            return plain(StatusCode::FORBIDDEN, text);
        }
    };
    match path.strip_prefix(PATH).unwrap_or_default() {
        rest if rest.starts_with("api/") => {
            api::answer(local.0.get().map(|opened| &opened.stores), trust, parts, body).await
        }
        rest => {
            explorer::answer(rest).unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "there is nothing here\n"))
        }
    }
}

/// Whether a request comes from this machine, by a name that only this machine has, and not from another site's page.
fn is_own(headers: &HeaderMap, url: &Url, remote: IpAddr) -> bool {
    let is_here = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let origin = url.origin().ascii_serialization();
    remote.to_canonical().is_loopback()
        && is_here
        && text("origin").is_none_or(|sent| sent == origin)
        && text("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none")
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::full(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_others_are_told_apart() {
        let own = |url: &str, remote: &str, headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| {
                (header::HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            is_own(&headers.collect(), &Url::parse(url).unwrap(), remote.parse().unwrap())
        };
        let here = "http://localhost:8787/cdn-cgi/local/explorer";
        assert!(own(here, "127.0.0.1", &[]) && own("https://127.0.0.1/", "::ffff:127.0.0.1", &[]));
        assert!(own(
            "http://[::1]:1/",
            "::1",
            &[("origin", "http://[::1]:1"), ("sec-fetch-site", "same-origin")]
        ));
        // A name of another's that means this machine.
        assert!(!own("http://evil.example:8787/", "127.0.0.1", &[]));
        assert!(!own("http://localhost.evil.example/", "127.0.0.1", &[]));
        assert!(!own(here, "192.168.0.7", &[]));
        assert!(!own(here, "127.0.0.1", &[("origin", "https://evil.example")]));
        assert!(!own(here, "127.0.0.1", &[("origin", "null")]));
        assert!(!own(here, "127.0.0.1", &[("origin", "http://localhost:3000")]));
        assert!(!own(here, "127.0.0.1", &[("sec-fetch-site", "cross-site")]));
    }
}

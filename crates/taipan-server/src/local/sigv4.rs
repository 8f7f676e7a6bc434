//! Requests that are signed as S3's clients do ("Signature Version 4"), in a header or in the URL.

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::header::{HeaderMap, HeaderValue};
use ring::hmac;
use taipan_storage::{hex, sha256, unhex};

use super::time::epoch_of_basic;
use super::uri::{decode, encode};

/// Who may ask.
#[derive(Clone)]
pub struct S3Keys {
    /// `AWS_ACCESS_KEY_ID`.
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
}

/// Clocks may differ by so many seconds.
const SKEW: i64 = 15 * 60;
/// A URL may be good for so many seconds at most: a week.
const LONGEST_LIFE: i64 = 7 * 24 * 3600;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A request that was signed.
pub(super) struct Signed {
    /// What was signed of the body: a SHA-256 as hexadecimal digits, or one of S3's words for none.
    pub(super) payload: String,
    /// What its chunks' signatures follow on.
    pub(super) chain: Chain,
}

/// Signatures of which each covers the one before. The first one is the request's.
#[derive(Clone)]
pub(super) struct Chain {
    key: hmac::Key,
    /// The date and the scope, a line each.
    origin: String,
    last: String,
}

impl Chain {
    /// After the request's signature.
    #[cfg(test)]
    pub(super) fn new(secret: &str, date: &str, region: &str, seed: &str) -> Self {
        let day = date.get(..8).unwrap_or_default();
        let scope = format!("{day}/{region}/s3/aws4_request");
        let key = signing_key(secret, [day, region, "s3", "aws4_request"]);
        Self { key, origin: format!("{date}\n{scope}"), last: seed.to_owned() }
    }

    /// Whether this is the signature of the next chunk, whose SHA-256 is given.
    pub(super) fn is_next(&mut self, digest: &[u8], signature: &str) -> bool {
        let nothing = sha256(b"");
        self.follows("PAYLOAD", &format!("{nothing}\n{}", hex(digest)), signature)
    }

    /// Whether this is the signature of the trailers.
    pub(super) fn is_end(&mut self, trailers: &str, signature: &str) -> bool {
        self.follows("TRAILER", &sha256(trailers.as_bytes()), signature)
    }

    fn follows(&mut self, what: &str, content: &str, signature: &str) -> bool {
        let to_sign = format!("{ALGORITHM}-{what}\n{}\n{}\n{content}", self.origin, self.last);
        let bytes = unhex(signature).unwrap_or_default();
        self.last = hex(&bytes);
        // Takes as long either way.
        hmac::verify(&self.key, to_sign.as_bytes(), &bytes).is_ok()
    }
}

/// Why a request is not who it says; S3's code and what to say.
pub(super) type Refusal = (&'static str, String);

struct Claim {
    credential: String,
    date: String,
    headers: String,
    signature: String,
    /// In seconds, of a URL.
    life: Option<i64>,
}

/// Checks the signature.
pub(super) fn check(
    keys: &S3Keys,
    method: &str,
    path: &str,
    query: &[(String, String)],
    headers: &HeaderMap,
) -> Result<Signed, Refusal> {
    let claim = match headers.get("authorization") {
        Some(value) => from_header(value, headers)?,
        None => from_url(query)?,
    };
    let mut scope = claim.credential.splitn(2, '/');
    let (id, scope) = (scope.next().unwrap_or_default(), scope.next().unwrap_or_default());
    if id != keys.id {
        return Err(("InvalidAccessKeyId", format!("there is no such access key: {id}")));
    }
    let parts: Vec<&str> = scope.split('/').collect();
    let [day, region, "s3", "aws4_request"] = parts[..] else {
        return Err(malformed("the credential is KEY/DAY/REGION/s3/aws4_request"));
    };
    if !claim.date.starts_with(day) {
        return Err(malformed("the credential is of another day"));
    }
    let signed_at = epoch_of_basic(&claim.date).ok_or_else(|| malformed("the date is YYYYMMDDTHHMMSSZ"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_secs()).unwrap_or_default();
    let age = i64::try_from(now).unwrap_or(i64::MAX) - signed_at;
    let life = claim.life.unwrap_or(SKEW);
    if !(0..=LONGEST_LIFE).contains(&life) {
        return Err(malformed("X-Amz-Expires is from 0 to 604800"));
    }
    if age < -SKEW || age > life {
        let code = if claim.life.is_some() { "AccessDenied" } else { "RequestTimeTooSkewed" };
        return Err((
            code,
            format!("the request was signed at {}, which is too long ago or to come", claim.date),
        ));
    }
    let payload = match (claim.life, headers.get("x-amz-content-sha256")) {
        (_, Some(payload)) => text(payload).to_owned(),
        (Some(_), None) => "UNSIGNED-PAYLOAD".to_owned(),
        (None, None) => return Err(malformed("x-amz-content-sha256 is missing")),
    };
    if !claim.headers.split(';').any(|name| name == "host") {
        return Err(malformed("the header host is not signed"));
    }
    let canonical = canonical(method, path, query, headers, &claim.headers, &payload);
    let to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{}", claim.date, sha256(canonical.as_bytes()));
    let key = signing_key(&keys.secret, [day, region, "s3", "aws4_request"]);
    let signature = unhex(&claim.signature).unwrap_or_default();
    // Takes as long either way.
    hmac::verify(&key, to_sign.as_bytes(), &signature)
        .map_err(|_| ("SignatureDoesNotMatch", "the signature is not that of this request".to_owned()))?;
    let chain = Chain { key, origin: format!("{}\n{scope}", claim.date), last: hex(&signature) };
    Ok(Signed { payload, chain })
}

fn signing_key(secret: &str, scope: [&str; 4]) -> hmac::Key {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope {
        key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
    }
    hmac::Key::new(hmac::HMAC_SHA256, &key)
}

fn from_header(value: &HeaderValue, headers: &HeaderMap) -> Result<Claim, Refusal> {
    let value = text(value);
    let Some(fields) = value.strip_prefix(ALGORITHM) else {
        return Err(malformed("the Authorization header is not AWS4-HMAC-SHA256"));
    };
    let field = |name: &str| {
        let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
        let found = fields.find(|(key, _)| *key == name).map(|(_, value)| value.trim().to_owned());
        found.ok_or_else(|| malformed(&format!("the Authorization header has no {name}")))
    };
    let date = headers.get("x-amz-date").map(text).unwrap_or_default().to_owned();
    Ok(Claim {
        credential: field("Credential")?,
        headers: field("SignedHeaders")?,
        signature: field("Signature")?,
        date,
        life: None,
    })
}

fn from_url(query: &[(String, String)]) -> Result<Claim, Refusal> {
    let field = |name: &str| {
        let found = query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let missing = || ("AccessDenied", "the request is not signed".to_owned());
        found.map(|(_, value)| value.clone()).ok_or_else(missing)
    };
    if field("X-Amz-Algorithm")? != ALGORITHM {
        return Err(malformed("X-Amz-Algorithm is not AWS4-HMAC-SHA256"));
    }
    Ok(Claim {
        credential: field("X-Amz-Credential")?,
        date: field("X-Amz-Date")?,
        headers: field("X-Amz-SignedHeaders")?,
        signature: field("X-Amz-Signature")?,
        life: Some(field("X-Amz-Expires")?.parse().map_err(|_| malformed("X-Amz-Expires is no number"))?),
    })
}

fn canonical(
    method: &str,
    path: &str,
    query: &[(String, String)],
    headers: &HeaderMap,
    signed: &str,
    payload: &str,
) -> String {
    let mut pairs: Vec<(String, String)> = query
        .iter()
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (encode(name, false), encode(value, false)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut canonical = format!("{method}\n{}\n{}\n", encode(&decode(path), true), pairs.join("&"));
    for name in signed.split(';') {
        let values: Vec<String> = headers
            .get_all(name)
            .iter()
            .map(|value| text(value).split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        canonical.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    canonical.push_str(&format!("\n{signed}\n{payload}"));
    canonical
}

fn text(value: &HeaderValue) -> &str {
    str::from_utf8(value.as_bytes()).unwrap_or_default()
}

fn malformed(message: &str) -> Refusal {
    ("AuthorizationHeaderMalformed", message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of AWS's own documentation, which gives each step: GET of a range.
    #[test]
    fn the_documented_request_has_the_documented_canonical_form() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("x-amz-date", "20130524T000000Z"),
        ] {
            headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let payload = text(&headers["x-amz-content-sha256"]).to_owned();
        let signed = "host;range;x-amz-content-sha256;x-amz-date";
        let canonical = canonical("GET", "/test.txt", &[], &headers, signed, &payload);
        assert_eq!(
            sha256(canonical.as_bytes()),
            "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972"
        );
    }

    #[test]
    fn what_is_not_signed_or_not_well_is_refused() {
        let keys = S3Keys { id: "id".into(), secret: "secret".into() };
        let refused = |authorization: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = authorization {
                headers.insert("authorization", HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            check(&keys, "GET", "/b/k", &[], &headers).err().unwrap().0
        };
        assert_eq!(refused(None), "AccessDenied");
        assert_eq!(refused(Some("Bearer x")), "AuthorizationHeaderMalformed");
        let other = "AWS4-HMAC-SHA256 Credential=x/1/r/s3/aws4_request,SignedHeaders=host,Signature=é";
        assert_eq!(refused(Some(other)), "InvalidAccessKeyId");
        let other = "AWS4-HMAC-SHA256 Credential=x/1/r/s3/aws4_request,SignedHeaders=host,Signature=0";
        assert_eq!(refused(Some(other)), "InvalidAccessKeyId");
        let old = "AWS4-HMAC-SHA256 Credential=id/20130524/r/s3/aws4_request,SignedHeaders=host,Signature=0";
        assert_eq!(refused(Some(old)), "AuthorizationHeaderMalformed");
    }
}

//! Content-Encoding of responses, when the Worker asks for one.
//!
//! A Worker asks by setting the header and giving a body that is not encoded, as at Cloudflare; what it has encoded itself it marks
//! with `encodeBody: "manual"`, as our ASGI and WSGI do for frameworks. Here the client's Accept-Encoding decides: who does not take the
//! encoding gets the body as it is. Every piece of a streamed body is flushed, so that events are not held back.

use std::io::{self, Write};

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use hyper::HeaderMap;
use hyper::header::{self, HeaderValue};

/// As a reverse proxy has it: better ones cost more than they save.
const BROTLI_QUALITY: u32 = 4;
const BROTLI_WINDOW: u32 = 20;

/// Encodes a body, piece by piece.
pub(crate) enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
}

impl Encoder {
    fn of(name: &str) -> Option<Self> {
        let out = Vec::new();
        Some(match name {
            "gzip" | "x-gzip" => Self::Gzip(GzEncoder::new(out, Compression::default())),
            "deflate" => Self::Deflate(ZlibEncoder::new(out, Compression::default())),
            "br" => Self::Brotli(Box::new(CompressorWriter::new(out, 4096, BROTLI_QUALITY, BROTLI_WINDOW))),
            _ => return None,
        })
    }

    /// A piece of the body. With `flush`, the client can make something of it at once.
    pub(crate) fn piece(&mut self, piece: &[u8], flush: bool) -> io::Result<Bytes> {
        fn write(encoder: &mut impl Write, piece: &[u8], flush: bool) -> io::Result<()> {
            encoder.write_all(piece)?;
            if flush { encoder.flush() } else { Ok(()) }
        }
        Ok(Bytes::from(match self {
            Self::Gzip(encoder) => {
                write(encoder, piece, flush)?;
                std::mem::take(encoder.get_mut())
            }
            Self::Deflate(encoder) => {
                write(encoder, piece, flush)?;
                std::mem::take(encoder.get_mut())
            }
            Self::Brotli(encoder) => {
                write(encoder, piece, flush)?;
                std::mem::take(encoder.get_mut())
            }
        }))
    }

    /// The end.
    pub(crate) fn finish(self) -> io::Result<Bytes> {
        Ok(Bytes::from(match self {
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Deflate(encoder) => encoder.finish()?,
            Self::Brotli(encoder) => encoder.into_inner(),
        }))
    }

    /// Whether this is what it would make, judging by how the body begins.
    pub(crate) fn is_done(&self, start: &[u8]) -> bool {
        matches!(self, Self::Gzip(_)) && is_gzip(start)
    }
}

/// Nobody names `gzip` and means that what is gzip already shall be so twice; many have not heard of `encodeBody`.
fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b, 8])
}

/// A pair among a response's headers by which the guest says `encodeBody: "manual"`, or `"automatic"` of a body that it passes on and that nobody
/// has encoded. No header has such a name.
pub(crate) const MANUAL: &str = ":encode-body";

/// Finds out how the body has to be encoded, and makes the headers say so. `accepted` is the client's Accept-Encoding, `start` how the
/// body begins, as far as that is known.
pub(crate) fn negotiate(
    headers: &mut HeaderMap,
    accepted: Option<&HeaderValue>,
    start: &[u8],
) -> Option<Encoder> {
    // A part of something is a part of it as it was encoded.
    if headers.contains_key(header::CONTENT_RANGE) {
        return None;
    }
    let name = headers.get(header::CONTENT_ENCODING)?.to_str().ok()?.trim().to_ascii_lowercase();
    // What we do not know, or what is encoded twice, the Worker has encoded.
    let encoder = Encoder::of(&name)?;
    if encoder.is_done(start) {
        return None;
    }
    headers.remove(header::CONTENT_LENGTH);
    let varies = |value: &HeaderValue| {
        value.to_str().unwrap_or_default().split(',').any(|name| {
            let name = name.trim();
            name == "*" || name.eq_ignore_ascii_case("accept-encoding")
        })
    };
    if !headers.get_all(header::VARY).iter().any(varies) {
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    // Both forms are the same to whoever reads them, but not byte by byte.
    if let Some(tag) = headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""))
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(header::ETAG, weak);
    }
    if accepts(accepted.and_then(|value| value.to_str().ok()).unwrap_or_default(), &name) {
        Some(encoder)
    } else {
        headers.remove(header::CONTENT_ENCODING);
        None
    }
}

fn accepts(accepted: &str, name: &str) -> bool {
    let mut any = false;
    for part in accepted.split(',') {
        let mut parts = part.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let weight = parts.find_map(|p| p.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        if coding.eq_ignore_ascii_case(name) {
            return weight > 0.0;
        }
        any |= coding == "*" && weight > 0.0;
    }
    any
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn clients_say_what_they_take() {
        for (accepted, takes) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0, *", false),
            ("*", true),
            ("br", false),
            ("", false),
            ("gzip;q=x", false),
            ("identity", false),
        ] {
            assert_eq!(accepts(accepted, "gzip"), takes, "{accepted}");
        }
    }

    #[test]
    fn headers_say_what_is_done() {
        let take = HeaderValue::from_static("gzip, br");
        let headers = |encoding| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
            headers
        };
        let mut known = headers("gzip");
        assert!(negotiate(&mut known, Some(&take), b"").is_some());
        assert_eq!(known.get(header::CONTENT_LENGTH), None);
        let mut done = headers("gzip");
        assert!(negotiate(&mut done, None, &[0x1f, 0x8b, 8, 0]).is_none());
        assert_eq!(done, headers("gzip"));
        let mut tagged = headers("br");
        tagged.insert(header::ETAG, HeaderValue::from_static("\"1\""));
        tagged.insert(header::VARY, HeaderValue::from_static("Origin, Accept-Encoding"));
        assert!(negotiate(&mut tagged, Some(&take), b"").is_some());
        assert_eq!(tagged.get(header::ETAG), Some(&HeaderValue::from_static("W/\"1\"")));
        assert_eq!(tagged.get_all(header::VARY).iter().count(), 1);
        let mut refused = headers("deflate");
        assert!(negotiate(&mut refused, Some(&take), b"").is_none());
        assert_eq!(refused.get(header::CONTENT_ENCODING), None);
        for unknown in ["zstd", "gzip, gzip", "identity"] {
            let mut headers = headers(unknown);
            assert!(negotiate(&mut headers, Some(&take), b"").is_none());
            assert!(
                headers.contains_key(header::CONTENT_ENCODING)
                    && headers.contains_key(header::CONTENT_LENGTH)
            );
        }
        let mut part = headers("gzip");
        part.insert(header::CONTENT_RANGE, HeaderValue::from_static("bytes 0-4/9"));
        assert!(
            negotiate(&mut part, Some(&take), b"").is_none() && part.contains_key(header::CONTENT_ENCODING)
        );
    }

    #[test]
    fn each_piece_can_be_read_when_it_comes() {
        let mut encoder = Encoder::of("gzip").unwrap();
        let first = encoder.piece(b"first", true).unwrap();
        let mut read = [0; 5];
        flate2::read::GzDecoder::new(&first[..]).read_exact(&mut read).unwrap();
        assert_eq!(&read, b"first");
        let rest = [first, encoder.piece(b" second", false).unwrap(), encoder.finish().unwrap()].concat();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&rest[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "first second");
    }
}

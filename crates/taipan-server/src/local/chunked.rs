//! `aws-chunked`: bodies in chunks of S3's own, with checksums after them, and each of them signed if the client likes.
//!
//! ```text
//!  SIZE[;chunk-signature=…]\r\n DATA \r\n … 0[;…]\r\n NAME:VALUE\r\n … [x-amz-trailer-signature:…\r\n] \r\n
//! ```

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use ring::digest;

use super::sigv4::Chain;

/// A line is no longer than this.
const LONGEST_LINE: usize = 4096;
/// There are no more trailers than this.
const MOST_TRAILERS: usize = 16;

/// The trailer that signs the others.
const SIGNATURE: &str = "x-amz-trailer-signature";

#[derive(Debug, Default)]
enum State {
    /// A chunk's first line comes next.
    #[default]
    Size,
    /// So much of a chunk's data.
    Data(usize),
    /// The end of its last line.
    AfterData,
    Trailers,
    Ended,
}

/// A body that is being decoded.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    buffer: BytesMut,
    trailers: BTreeMap<String, String>,
    signatures: Option<Signatures>,
}

/// Why a body is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It has not the form of chunks.
    Form(&'static str),
    /// A chunk, or what follows the last one, was not signed by who signed the request, or was changed.
    Signature,
}

/// What is checked of chunks that are signed.
struct Signatures {
    chain: Chain,
    /// Of the chunk that is coming.
    claimed: String,
    digest: digest::Context,
    /// Trailers are signed, too.
    of_trailers: bool,
}

impl std::fmt::Debug for Signatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signatures")
    }
}

impl Chunked {
    /// Of chunks that are signed, one after the other.
    pub(super) fn signed(chain: Chain, of_trailers: bool) -> Self {
        let digest = digest::Context::new(&digest::SHA256);
        let signatures = Signatures { chain, claimed: String::new(), digest, of_trailers };
        Self { signatures: Some(signatures), ..Self::default() }
    }

    /// Takes what has come, and gives the data in it. That a chunk's data is what was signed is known at its end.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Bytes>, Wrong> {
        self.buffer.extend_from_slice(bytes);
        let mut data = Vec::new();
        loop {
            match self.state {
                State::Size => {
                    let Some(line) = self.line()? else { return Ok(data) };
                    let (size, extensions) = line.split_once(';').unwrap_or((&line, ""));
                    let size = usize::from_str_radix(size.trim(), 16);
                    let size = size.map_err(|_| Wrong::Form("a chunk's size is no number"))?;
                    if let Some(signatures) = &mut self.signatures {
                        let claimed = extensions.trim().strip_prefix("chunk-signature=");
                        signatures.claimed =
                            claimed.ok_or(Wrong::Form("a chunk is not signed"))?.trim().to_owned();
                    }
                    self.state = State::Data(size);
                    if size == 0 {
                        self.check_chunk()?;
                        self.state = State::Trailers;
                    }
                }
                State::Data(left) => {
                    if self.buffer.is_empty() {
                        return Ok(data);
                    }
                    let piece = self.buffer.split_to(self.buffer.len().min(left)).freeze();
                    if let Some(signatures) = &mut self.signatures {
                        signatures.digest.update(&piece);
                    }
                    self.state = match left - piece.len() {
                        0 => State::AfterData,
                        left => State::Data(left),
                    };
                    data.push(piece);
                }
                State::AfterData => match self.line()? {
                    None => return Ok(data),
                    Some(line) if line.is_empty() => {
                        self.check_chunk()?;
                        self.state = State::Size;
                    }
                    Some(_) => return Err(Wrong::Form("a chunk is longer than it says")),
                },
                State::Trailers => match self.line()? {
                    None => return Ok(data),
                    Some(line) if line.is_empty() => {
                        self.check_trailers()?;
                        self.state = State::Ended;
                    }
                    Some(line) => {
                        let pair = line.split_once(':').ok_or(Wrong::Form("a trailer has no colon"))?;
                        if self.trailers.len() >= MOST_TRAILERS {
                            return Err(Wrong::Form("there are too many trailers"));
                        }
                        self.trailers.insert(pair.0.trim().to_ascii_lowercase(), pair.1.trim().to_owned());
                    }
                },
                State::Ended if self.buffer.is_empty() => return Ok(data),
                State::Ended => return Err(Wrong::Form("something follows the last chunk")),
            }
        }
    }

    fn check_chunk(&mut self) -> Result<(), Wrong> {
        let Some(signatures) = &mut self.signatures else { return Ok(()) };
        let digest = std::mem::replace(&mut signatures.digest, digest::Context::new(&digest::SHA256));
        let is_signed = signatures.chain.is_next(digest.finish().as_ref(), &signatures.claimed);
        if is_signed { Ok(()) } else { Err(Wrong::Signature) }
    }

    fn check_trailers(&mut self) -> Result<(), Wrong> {
        let Some(signatures) = self.signatures.as_mut().filter(|s| s.of_trailers) else { return Ok(()) };
        let claimed = self.trailers.get(SIGNATURE).ok_or(Wrong::Form("the trailers are not signed"))?;
        let others = self.trailers.iter().filter(|(name, _)| *name != SIGNATURE);
        let text: String = others.map(|(name, value)| format!("{name}:{value}\n")).collect();
        let is_signed = signatures.chain.is_end(&text, claimed);
        if is_signed { Ok(()) } else { Err(Wrong::Signature) }
    }

    /// A line without its end, once all of it is there.
    fn line(&mut self) -> Result<Option<String>, Wrong> {
        let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") else {
            let is_long = self.buffer.len() > LONGEST_LINE;
            return if is_long { Err(Wrong::Form("a line is too long")) } else { Ok(None) };
        };
        let line = self.buffer.split_to(end + 2);
        let line = str::from_utf8(line.get(..end).unwrap_or_default());
        Ok(Some(line.map_err(|_| Wrong::Form("a line is no text"))?.to_owned()))
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    pub(super) fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_may_come_in_any_pieces() {
        let sent =
            b"5;chunk-signature=00\r\nhello\r\nA\r\n, 9 bytes\n\r\n0\r\nx-amz-checksum-crc32: AAAA\r\n\r\n";
        for size in 1..sent.len() {
            let mut chunked = Chunked::default();
            let mut data = Vec::new();
            for piece in sent.chunks(size) {
                data.extend(chunked.push(piece).unwrap());
            }
            assert_eq!(data.concat(), b"hello, 9 bytes\n");
            assert_eq!(chunked.trailer("x-amz-checksum-crc32"), Some("AAAA"));
            assert!(chunked.has_ended());
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for sent in ["x\r\n", "1\r\nab\r\n", "0\r\nno\r\n", "0\r\n\r\nmore", "-1\r\n"] {
            assert!(Chunked::default().push(sent.as_bytes()).is_err(), "{sent:?}");
        }
        assert!(Chunked::default().push(&[b'1'; LONGEST_LINE + 1]).is_err());
        let mut short = Chunked::default();
        short.push(b"5\r\nab").unwrap();
        assert!(!short.has_ended());
    }

    /// The chain after the documented request's own signature, with the documented key.
    fn documented(seed: &str) -> Chain {
        Chain::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524T000000Z", "us-east-1", seed)
    }

    fn body(chunks: &[(usize, &str)], end: &str) -> Vec<u8> {
        let mut body = Vec::new();
        for (size, signature) in chunks {
            body.extend(format!("{size:x};chunk-signature={signature}\r\n").into_bytes());
            body.extend(vec![b'a'; *size]);
            body.extend(b"\r\n");
        }
        body.extend(end.as_bytes());
        body
    }

    /// The example of AWS's own documentation: 65 KiB of `a` in two chunks.
    #[test]
    fn the_documented_chunks_have_the_documented_signatures() {
        let chunks = [
            (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        ];
        let end =
            "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n";
        let sent = body(&chunks, end);
        let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        let decoded = |sent: &[u8]| {
            let mut chunked = Chunked::signed(documented(seed), false);
            let mut size = 0;
            for piece in sent.chunks(1000) {
                size += chunked.push(piece)?.iter().map(Bytes::len).sum::<usize>();
            }
            Ok((size, chunked.has_ended()))
        };
        assert_eq!(decoded(&sent), Ok((66560, true)));
        let mut changed = sent.clone();
        changed[40_000] = b'b';
        assert_eq!(decoded(&changed), Err(Wrong::Signature));
        // Neither their order nor their number can be changed.
        let swapped = body(&[chunks[1], chunks[0]], end);
        assert_eq!(decoded(&swapped), Err(Wrong::Signature));
        assert_eq!(decoded(&body(&chunks[..1], end)), Err(Wrong::Signature));
        assert_eq!(decoded(b"1\r\na\r\n"), Err(Wrong::Form("a chunk is not signed")));
    }

    /// The other example of AWS's documentation: the same with a checksum that is signed, too.
    #[test]
    fn the_documented_trailer_has_the_documented_signature() {
        let chunks = [
            (65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
            (1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
        ];
        let end = |sum: &str| {
            format!(
                "0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n\
                 x-amz-checksum-crc32c:{sum}\r\n\
                 x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
            )
        };
        let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
        let mut chunked = Chunked::signed(documented(seed), true);
        chunked.push(&body(&chunks, &end("sOO8/Q=="))).unwrap();
        assert!(chunked.has_ended() && chunked.trailer("x-amz-checksum-crc32c") == Some("sOO8/Q=="));
        let mut chunked = Chunked::signed(documented(seed), true);
        assert_eq!(chunked.push(&body(&chunks, &end("sOO8/A=="))), Err(Wrong::Signature));
    }
}

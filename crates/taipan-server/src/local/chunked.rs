//! `aws-chunked`: bodies in chunks of S3's own, with checksums after them.
//!
//! ```text
//!  SIZE[;chunk-signature=…]\r\n DATA \r\n … 0[;…]\r\n NAME:VALUE\r\n … \r\n
//! ```

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

/// A line is no longer than this.
const LONGEST_LINE: usize = 4096;
/// There are no more trailers than this.
const MOST_TRAILERS: usize = 16;

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
}

impl Chunked {
    /// Takes what has come, and gives the data in it.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Bytes>, &'static str> {
        self.buffer.extend_from_slice(bytes);
        let mut data = Vec::new();
        loop {
            match self.state {
                State::Size => {
                    let Some(line) = self.line()? else { return Ok(data) };
                    let size = line.split(';').next().unwrap_or_default().trim();
                    let size = usize::from_str_radix(size, 16).map_err(|_| "a chunk's size is no number")?;
                    self.state = if size == 0 { State::Trailers } else { State::Data(size) };
                }
                State::Data(left) => {
                    if self.buffer.is_empty() {
                        return Ok(data);
                    }
                    let piece = self.buffer.split_to(self.buffer.len().min(left)).freeze();
                    self.state = match left - piece.len() {
                        0 => State::AfterData,
                        left => State::Data(left),
                    };
                    data.push(piece);
                }
                State::AfterData => match self.line()? {
                    None => return Ok(data),
                    Some(line) if line.is_empty() => self.state = State::Size,
                    Some(_) => return Err("a chunk is longer than it says"),
                },
                State::Trailers => match self.line()? {
                    None => return Ok(data),
                    Some(line) if line.is_empty() => self.state = State::Ended,
                    Some(line) => {
                        let (name, value) = line.split_once(':').ok_or("a trailer has no colon")?;
                        if self.trailers.len() >= MOST_TRAILERS {
                            return Err("there are too many trailers");
                        }
                        self.trailers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
                    }
                },
                State::Ended if self.buffer.is_empty() => return Ok(data),
                State::Ended => return Err("something follows the last chunk"),
            }
        }
    }

    /// A line without its end, once all of it is there.
    fn line(&mut self) -> Result<Option<String>, &'static str> {
        let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") else {
            return if self.buffer.len() > LONGEST_LINE { Err("a line is too long") } else { Ok(None) };
        };
        let line = self.buffer.split_to(end + 2);
        let line = str::from_utf8(line.get(..end).unwrap_or_default()).map_err(|_| "a line is no text")?;
        Ok(Some(line.to_owned()))
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
}

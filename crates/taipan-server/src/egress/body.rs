//! Bodies between hyper and the bindings, outwards and back.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_compression::tokio::bufread::{
    BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use taipan_bindings::{Aborted, BodySource, Chunk, FetchedBody, ResponseStream};
use tokio::io::{AsyncBufRead, AsyncRead, BufReader, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// What a decoder gives at a time.
const DECODED: usize = 32 << 10;

/// Encodings on top of each other; more of them are nobody's honest wish.
const MOST_ENCODINGS: usize = 3;

/// From this size on, a body that is larger than its encoded form by more than `MOST_EXPANSION` is broken off.
const EXPANSION_FROM: u64 = 256 << 20;
const MOST_EXPANSION: u64 = 1100;

/// What is sent.
pub(super) enum Upload {
    Full(Option<Bytes>),
    Stream(ResponseStream),
    Passed(FetchedBody),
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => {
                stream.poll_chunk(cx).map(|chunk| match chunk? {
                    Ok(Chunk::Data(bytes)) => Some(Ok(Frame::data(bytes))),
                    // No operation sends any with a request.
                    Ok(Chunk::Trailers(_)) => None,
                    Err(aborted) => Some(Err(aborted)),
                })
            }
            Self::Passed(body) => body.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Stream(_) => SizeHint::default(),
            Self::Passed(body) => body.length().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// Reads frames of a response; nothing for longer than its patience is an error.
pub(super) struct Download {
    incoming: Incoming,
    silence: Option<Pin<Box<Sleep>>>,
    patience: Duration,
    host: String,
}

impl Download {
    pub(super) fn new(incoming: Incoming, host: String, patience: Duration) -> Self {
        Self { incoming, silence: None, patience, host }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        loop {
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(frame) => {
                    self.silence = None;
                    match frame {
                        None => return Poll::Ready(None),
                        Some(Err(error)) => {
                            let message = super::error::root(&error);
                            return Poll::Ready(Some(Err(format!(
                                "the response of {} broke off: {message}",
                                self.host
                            ))));
                        }
                        // Trailers are not part of the fetch standard.
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                            _ => {}
                        },
                    }
                }
                Poll::Pending => {
                    let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(self.patience)));
                    ready!(silence.as_mut().poll(cx));
                    silence.as_mut().reset(Instant::now() + self.patience);
                    return Poll::Ready(Some(Err(format!("the response of {} does not arrive", self.host))));
                }
            }
        }
    }
}

impl BodySource for Download {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        self.poll(cx)
    }

    fn length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }
}

/// An encoding of HTTP's that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// What `Content-Encoding` says, in the order in which it was done. None when some of it cannot be undone.
pub(super) fn encodings(header: &str) -> Option<Vec<Encoding>> {
    let names = header.split(',').map(str::trim).filter(|name| !name.is_empty());
    let known = names.filter(|name| !name.eq_ignore_ascii_case("identity")).map(|name| {
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Encoding::Gzip),
            "deflate" => Some(Encoding::Deflate),
            "br" => Some(Encoding::Brotli),
            "zstd" => Some(Encoding::Zstd),
            _ => None,
        }
    });
    known.collect::<Option<Vec<_>>>().filter(|found| found.len() <= MOST_ENCODINGS)
}

/// A body whose encodings are undone, as much at a time as somebody asks for.
pub(super) struct Decoded {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    host: String,
    encoded: Arc<AtomicU64>,
    decoded: u64,
}

impl Decoded {
    pub(super) fn new(download: Download, encodings: &[Encoding]) -> Self {
        let host = download.host.clone();
        let encoded = Arc::new(AtomicU64::new(0));
        let raw = Raw { download, rest: Bytes::new(), read: encoded.clone() };
        let mut reader: Encoded = Box::pin(raw);
        for encoding in encodings.iter().rev() {
            let inner: Pin<Box<dyn AsyncRead + Send>> = match encoding {
                Encoding::Gzip => Box::pin(Members::new(reader)),
                Encoding::Deflate => Box::pin(Deflate::Unseen(Some(reader))),
                Encoding::Brotli => Box::pin(BrotliDecoder::new(reader)),
                Encoding::Zstd => {
                    let mut decoder = ZstdDecoder::new(reader);
                    decoder.multiple_members(true);
                    Box::pin(decoder)
                }
            };
            reader = Box::pin(BufReader::new(inner));
        }
        Self { reader, host, encoded, decoded: 0 }
    }
}

impl BodySource for Decoded {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        let mut chunk = BytesMut::zeroed(DECODED);
        let mut buffer = ReadBuf::new(&mut chunk);
        let read = ready!(self.reader.as_mut().poll_read(cx, &mut buffer));
        let size = buffer.filled().len();
        if let Err(error) = read {
            let ours = error.get_ref().and_then(|e| e.downcast_ref::<BrokenOff>());
            let message = match ours {
                Some(broken) => broken.0.clone(),
                None => {
                    format!("the response of {} is not what its Content-Encoding says: {error}", self.host)
                }
            };
            return Poll::Ready(Some(Err(message)));
        }
        if size == 0 {
            return Poll::Ready(None);
        }
        self.decoded += size as u64;
        let encoded = self.encoded.load(Ordering::Relaxed);
        if self.decoded > EXPANSION_FROM && self.decoded / encoded.max(1) > MOST_EXPANSION {
            let message = format!(
                "the response of {} expands too much: {encoded} bytes to {}",
                self.host, self.decoded
            );
            return Poll::Ready(Some(Err(message)));
        }
        chunk.truncate(size);
        Poll::Ready(Some(Ok(chunk.freeze())))
    }

    fn length(&self) -> Option<u64> {
        None
    }
}

/// What is encoded.
type Encoded = Pin<Box<dyn AsyncBufRead + Send>>;

/// One member of gzip's format after the other. What follows and is none, such as zeros that fill a block, is nobody's.
enum Members {
    Decoding(GzipDecoder<Encoded>),
    Between(Option<Encoded>),
    Over,
}

impl Members {
    fn new(reader: Encoded) -> Self {
        Self::Decoding(GzipDecoder::new(reader))
    }
}

impl AsyncRead for Members {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match this {
                Self::Decoding(decoder) => {
                    let before = buffer.filled().len();
                    ready!(Pin::new(decoder).poll_read(cx, buffer))?;
                    if buffer.filled().len() > before || buffer.remaining() == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    let Self::Decoding(decoder) = std::mem::replace(this, Self::Over) else { continue };
                    *this = Self::Between(Some(decoder.into_inner()));
                }
                Self::Between(reader) => {
                    let Some(rest) = reader else { return Poll::Ready(Ok(())) };
                    let is_member = ready!(rest.as_mut().poll_fill_buf(cx))?.first() == Some(&GZIP);
                    *this = match reader.take().filter(|_| is_member) {
                        Some(reader) => Self::new(reader),
                        None => Self::Over,
                    };
                }
                Self::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// The first byte of a member of gzip's format.
const GZIP: u8 = 0x1f;

/// What is called deflate: zlib's format by the standard, and the bare algorithm by some servers.
enum Deflate {
    Unseen(Option<Encoded>),
    Zlib(ZlibDecoder<Encoded>),
    Bare(DeflateDecoder<Encoded>),
}

impl AsyncRead for Deflate {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match this {
                Self::Unseen(reader) => {
                    let Some(rest) = reader else { return Poll::Ready(Ok(())) };
                    // In zlib's format it names the algorithm, 8; nothing that is bare begins so.
                    let is_zlib =
                        ready!(rest.as_mut().poll_fill_buf(cx))?.first().is_none_or(|b| b & 15 == 8);
                    let Some(reader) = reader.take() else { continue };
                    *this = if is_zlib {
                        Self::Zlib(ZlibDecoder::new(reader))
                    } else {
                        Self::Bare(DeflateDecoder::new(reader))
                    };
                }
                Self::Zlib(decoder) => return Pin::new(decoder).poll_read(cx, buffer),
                Self::Bare(decoder) => return Pin::new(decoder).poll_read(cx, buffer),
            }
        }
    }
}

/// Our own message, on its way through a decoder.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BrokenOff(String);

/// A download as decoders read it.
struct Raw {
    download: Download,
    rest: Bytes,
    read: Arc<AtomicU64>,
}

impl AsyncBufRead for Raw {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match ready!(this.download.poll(cx)) {
                Some(Ok(chunk)) => {
                    this.read.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                    this.rest = chunk;
                }
                Some(Err(message)) => return Poll::Ready(Err(io::Error::other(BrokenOff(message)))),
                None => {}
            }
        }
        Poll::Ready(Ok(&this.rest))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let rest = &mut self.get_mut().rest;
        let _read = rest.split_to(amount.min(rest.len()));
    }
}

impl AsyncRead for Raw {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = ready!(self.as_mut().poll_fill_buf(cx))?;
        let size = bytes.len().min(buffer.remaining());
        buffer.put_slice(bytes.get(..size).unwrap_or_default());
        self.consume(size);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_encodings() {
        use Encoding::{Brotli, Gzip};
        assert_eq!(encodings("gzip"), Some(vec![Gzip]));
        assert_eq!(encodings(" GZIP , br"), Some(vec![Gzip, Brotli]));
        assert_eq!(encodings("identity"), Some(vec![]));
        assert_eq!(encodings("gzip, compress"), None);
        assert_eq!(encodings("br, br, br, br"), None);
    }
}

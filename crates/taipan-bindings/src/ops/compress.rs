//! `compress.*`: streams that are compressed or expanded, a piece at a time.
//!
//! What a small piece expands to may be large, so an answer has a bound, and says whether there is more of it: then the guest
//! asks again, when it has room.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::write::{DeflateEncoder, GzDecoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, Decompress, FlushDecompress, Status};
use taipan_engine::{Event, OpReply};
use taipan_guest::protocol::{Field, Message};

use super::OpError;
use crate::background::Client;

/// Each takes up to 300 KB here, outside the isolate's memory.
const MOST_STREAMS: usize = 256;

/// Longer pieces are worked on elsewhere.
const AT_ONCE: usize = 16 << 10;

/// An answer is complete when it has so many bytes.
const ENOUGH: usize = 64 << 10;

/// So much is expanded before the size of the answer is looked at: it can become a thousand times as long.
const STEP: usize = 1 << 10;

enum Codec {
    Gzip(GzEncoder<Vec<u8>>),
    Zlib(ZlibEncoder<Vec<u8>>),
    Deflate(DeflateEncoder<Vec<u8>>),
    Gunzip(GzDecoder<Vec<u8>>),
    /// With or without zlib's frame; whether the end was seen.
    Inflate(Decompress, bool),
}

impl Codec {
    fn new(format: &str, expands: bool) -> Result<Self, OpError> {
        let (out, level) = (Vec::new(), Compression::default());
        Ok(match (format, expands) {
            ("gzip", false) => Self::Gzip(GzEncoder::new(out, level)),
            ("deflate", false) => Self::Zlib(ZlibEncoder::new(out, level)),
            ("deflate-raw", false) => Self::Deflate(DeflateEncoder::new(out, level)),
            ("gzip", true) => Self::Gunzip(GzDecoder::new(out)),
            ("deflate", true) => Self::Inflate(Decompress::new(true), false),
            ("deflate-raw", true) => Self::Inflate(Decompress::new(false), false),
            _ => {
                return Err(OpError::type_error(format!("there is no such format of compression: {format}")));
            }
        })
    }
}

struct Stream {
    codec: Codec,
    /// What has not been worked on yet, from `at`.
    input: Vec<u8>,
    at: usize,
}

impl Stream {
    /// Works on the input that there is; gives what comes of it, and whether there is more.
    fn work(&mut self) -> io::Result<(Vec<u8>, bool)> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let (taken, out) = match &mut self.codec {
            Codec::Gzip(encoder) => (write(encoder, rest)?, std::mem::take(encoder.get_mut())),
            Codec::Zlib(encoder) => (write(encoder, rest)?, std::mem::take(encoder.get_mut())),
            Codec::Deflate(encoder) => (write(encoder, rest)?, std::mem::take(encoder.get_mut())),
            Codec::Gunzip(decoder) => {
                let mut taken = 0;
                while let Some(step) = next_step(rest, taken)
                    && decoder.get_ref().len() < ENOUGH
                {
                    match decoder.write(step)? {
                        0 => return Err(trailing()),
                        n => taken += n,
                    }
                }
                (taken, std::mem::take(decoder.get_mut()))
            }
            Codec::Inflate(decoder, is_over) => {
                let (mut taken, mut out) = (0, Vec::with_capacity(ENOUGH));
                while let Some(step) = next_step(rest, taken)
                    && out.len() < out.capacity()
                {
                    if *is_over {
                        return Err(trailing());
                    }
                    let before = decoder.total_in();
                    let status = decoder.decompress_vec(step, &mut out, FlushDecompress::None)?;
                    taken += usize::try_from(decoder.total_in() - before).unwrap_or(usize::MAX);
                    *is_over = status == Status::StreamEnd;
                }
                // What the decoder holds back comes out once there is room.
                while taken == rest.len() && !*is_over && out.len() < out.capacity() {
                    let before = out.len();
                    let status = decoder.decompress_vec(&[], &mut out, FlushDecompress::None);
                    *is_over = matches!(status, Ok(Status::StreamEnd));
                    if out.len() == before {
                        break;
                    }
                }
                let is_full = out.len() == out.capacity() && !*is_over;
                self.at += taken;
                return Ok((out, is_full || self.at < self.input.len()));
            }
        };
        self.at += taken;
        Ok((out, self.at < self.input.len()))
    }

    fn finish(&mut self) -> io::Result<Vec<u8>> {
        match &mut self.codec {
            Codec::Gzip(encoder) => {
                encoder.try_finish()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Codec::Zlib(encoder) => {
                encoder.try_finish()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Codec::Deflate(encoder) => {
                encoder.try_finish()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Codec::Gunzip(decoder) => {
                decoder.try_finish()?;
                Ok(std::mem::take(decoder.get_mut()))
            }
            Codec::Inflate(_, true) => Ok(Vec::new()),
            Codec::Inflate(..) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the data ends too early"))
            }
        }
    }
}

fn write(encoder: &mut impl Write, rest: &[u8]) -> io::Result<usize> {
    encoder.write_all(rest)?;
    Ok(rest.len())
}

fn next_step(rest: &[u8], taken: usize) -> Option<&[u8]> {
    let left = rest.get(taken..).filter(|left| !left.is_empty())?;
    Some(left.get(..STEP).unwrap_or(left))
}

fn trailing() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "there is something after the end of the compressed data")
}

/// The streams of an isolate, by number.
#[derive(Default)]
pub(super) struct Streams {
    last: u32,
    open: HashMap<u32, Arc<Mutex<Stream>>>,
}

pub(super) fn call(
    verb: &str,
    id: u32,
    args: &Message<'_>,
    streams: &mut Streams,
    client: Client,
) -> Result<OpReply, OpError> {
    match verb {
        "open" => {
            if streams.open.len() >= MOST_STREAMS {
                let message =
                    format!("more than {MOST_STREAMS} compression streams are open: read or cancel some");
                return Err(OpError::range_error(message));
            }
            let codec = Codec::new(args.str(0)?, args.u32(1)? != 0)?;
            streams.last = streams.last.wrapping_add(1);
            let stream = Stream { codec, input: Vec::new(), at: 0 };
            streams.open.insert(streams.last, Arc::new(Mutex::new(stream)));
            Ok(OpReply::Ready(vec![streams.last.into()]))
        }
        "drop" => {
            streams.open.remove(&args.u32(0)?);
            Ok(OpReply::Ready(vec![]))
        }
        "write" => {
            let stream = find(streams, args.u32(0)?)?;
            let input = args.bytes(1)?;
            {
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                if !input.is_empty() {
                    stream.input = input.to_vec();
                    stream.at = 0;
                }
                if stream.input.len() - stream.at <= AT_ONCE {
                    return answer(&mut stream).map(OpReply::Ready);
                }
            }
            Client { request: args.u32(2)?, ..client }.answer(move || {
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                match answer(&mut stream) {
                    Ok(fields) => Event::Complete { id, fields },
                    Err(e) => Event::Failed { id, name: e.name, message: e.message },
                }
            });
            Ok(OpReply::Later)
        }
        "finish" => {
            let number = args.u32(0)?;
            let stream = find(streams, number)?;
            streams.open.remove(&number);
            let out = stream.lock().unwrap_or_else(PoisonError::into_inner).finish();
            out.map(|out| OpReply::Ready(vec![out.into()])).map_err(failed)
        }
        _ => Err(OpError::unknown(verb)),
    }
}

fn find(streams: &Streams, number: u32) -> Result<Arc<Mutex<Stream>>, OpError> {
    let gone = || {
        OpError::type_error("the compression stream is gone: it was made before the snapshot, or has ended")
    };
    streams.open.get(&number).cloned().ok_or_else(gone)
}

fn answer(stream: &mut Stream) -> Result<Vec<Field>, OpError> {
    let (out, more) = stream.work().map_err(failed)?;
    Ok(vec![out.into(), u32::from(more).into()])
}

fn failed(e: io::Error) -> OpError {
    OpError::type_error(format!("the compressed data is damaged: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that comes of the pieces, or the error.
    fn run(format: &str, expands: bool, pieces: &[&[u8]]) -> io::Result<Vec<u8>> {
        let codec = Codec::new(format, expands).unwrap_or_else(|e| panic!("{}", e.message));
        let mut stream = Stream { codec, input: vec![], at: 0 };
        let mut all = vec![];
        for piece in pieces {
            stream.input = piece.to_vec();
            stream.at = 0;
            loop {
                let (out, more) = stream.work()?;
                assert!(out.len() <= ENOUGH + STEP * 1100, "{}", out.len());
                all.extend(out);
                if !more {
                    break;
                }
            }
        }
        all.extend(stream.finish()?);
        Ok(all)
    }

    #[test]
    fn there_and_back_in_pieces_of_every_size() {
        let data: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 3).to_le_bytes()).collect();
        for format in ["gzip", "deflate", "deflate-raw"] {
            let whole = run(format, false, &[&data]).unwrap();
            assert!(whole.len() < data.len() / 2);
            for size in [1, 7, 1000, 1 << 20] {
                let pieces: Vec<&[u8]> = whole.chunks(size).collect();
                assert!(run(format, true, &pieces).unwrap() == data, "{format} in pieces of {size}");
            }
        }
    }

    #[test]
    fn damaged_cut_and_lengthened_data_is_refused() {
        for format in ["gzip", "deflate", "deflate-raw"] {
            let whole = run(format, false, &[b"some text, some more text"]).unwrap();
            for end in 0..whole.len() {
                assert!(run(format, true, &[&whole[..end]]).is_err(), "{format} cut to {end}");
            }
            assert!(run(format, true, &[&whole, b"x"]).is_err(), "{format} with more in another piece");
            assert!(run(format, true, &[&[&whole[..], b"x"].concat()]).is_err(), "{format} with more");
        }
        assert!(run("gzip", true, &[b"this is not compressed at all"]).is_err());
    }

    #[test]
    fn a_bomb_comes_out_in_bounded_parts() {
        let bomb = run("gzip", false, &[&vec![0; 100 << 20]]).unwrap();
        assert!(bomb.len() < 200 << 10);
        assert_eq!(run("gzip", true, &[&bomb]).unwrap().len(), 100 << 20);
        let bomb = run("deflate", false, &[&vec![0; 100 << 20]]).unwrap();
        assert_eq!(run("deflate", true, &[&bomb]).unwrap().len(), 100 << 20);
    }
}

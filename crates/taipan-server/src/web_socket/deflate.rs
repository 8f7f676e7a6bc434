//! permessage-deflate (RFC 7692), without context takeover: an idle connection keeps no window, and thread's buffers serve
//! all connections.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::frame::Violation;

/// What every message ends with before compression, and what is not sent.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

const STEP: usize = 16 << 10;

thread_local! {
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(1), false));
    static DECOMPRESS: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// Compresses a message.
pub(super) fn deflate(data: &[u8]) -> Vec<u8> {
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        let mut out = Vec::with_capacity(data.len() / 2 + 64);
        loop {
            let (read, room) = (done(compress.total_in()), out.capacity() - out.len());
            let rest = data.get(read..).unwrap_or_default();
            let status = compress.compress_vec(rest, &mut out, FlushCompress::Sync);
            // With room left over, all that was given is flushed.
            if status.is_err() || (out.len() < out.capacity() && done(compress.total_in()) == data.len()) {
                break;
            }
            out.reserve(room.max(STEP));
        }
        if out.ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        out
    })
}

/// Expands a message to `limit` bytes at most.
pub(super) fn inflate(data: &[u8], limit: usize) -> Result<Vec<u8>, Violation> {
    DECOMPRESS.with_borrow_mut(|decompress| {
        decompress.reset(false);
        let mut out = Vec::with_capacity((data.len() * 4).clamp(256, STEP));
        for part in [data, &TAIL] {
            let start = decompress.total_in();
            loop {
                let rest = part.get(done(decompress.total_in() - start)..).unwrap_or_default();
                let before = (decompress.total_in(), out.len());
                let status = decompress.decompress_vec(rest, &mut out, FlushDecompress::Sync);
                let status = status
                    .map_err(|_| Violation { code: 1007, reason: "the message is not compressed data" })?;
                if out.len() > limit {
                    return Err(Violation { code: 1009, reason: "the message is too large" });
                }
                if status == Status::StreamEnd {
                    return Ok(out);
                }
                if out.len() < out.capacity() && before == (decompress.total_in(), out.len()) {
                    break;
                }
                if out.len() == out.capacity() {
                    out.reserve(out.len().max(STEP));
                } else if done(decompress.total_in() - start) == part.len() {
                    break;
                }
            }
        }
        Ok(out)
    })
}

fn done(total: u64) -> usize {
    usize::try_from(total).unwrap_or(usize::MAX)
}

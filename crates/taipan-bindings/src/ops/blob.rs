//! `blob.*`: bytes that stay with the host while they are on their way.
//!
//! A guest moves them piece by piece, or not at all: a request's body goes into a blob, and a blob becomes a response's body,
//! without a byte of it in the guest's memory.

use std::sync::PoisonError;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use taipan_engine::{Event, OpReply};
use taipan_guest::protocol::{Field, Message};
use taipan_storage::r2::Body;
use taipan_storage::{StorageError, on_io_thread};
use tokio::sync::oneshot;

use super::OpError;
use super::data::Parts;
use super::save;
use crate::blobs::{Blobs, Readable, Shared};
use crate::blocks::Blocks;
use crate::fetches::Fetches;
use crate::{BodySource, EventSender, FetchedBody, Requests};

/// A blob may be as large as the largest value of a store.
const LARGEST_BLOB: usize = taipan_storage::kv::LARGEST_VALUE;

/// A piece of a file as the guest gets it, and as a client does.
const PIECE: usize = 256 << 10;
const LARGE_PIECE: usize = 1 << 20;

pub(super) fn call(
    verb: &str,
    id: u32,
    args: &Message<'_>,
    parts: &Parts<'_>,
    fetches: &Fetches,
) -> Result<OpReply, OpError> {
    let blobs = parts.blobs;
    let answer = match verb {
        "write" if let Some(upload) = blobs.writes(args.u32(0)?) => {
            let piece = blobs.waiting(args.bytes(1)?.to_vec()).map_err(OpError::range_error)?;
            let reply = parts.answer(id, |()| Ok(vec![]));
            on_io_thread(move || {
                let done = with(&upload, |upload| upload.write(piece.bytes.clone()));
                drop(piece);
                reply(done);
            });
            return Ok(OpReply::Later);
        }
        "read" if let Some(body) = blobs.reads(args.u32(0)?) => {
            let (blob, blobs) = (args.u32(0)?, blobs.clone());
            let reply = parts.answer(id, move |piece: Option<Vec<u8>>| {
                if piece.is_none() {
                    blobs.forget(blob);
                }
                Ok(piece.into_iter().map(Field::from).collect())
            });
            on_io_thread(move || reply(with(&body, |body| body.read(PIECE))));
            return Ok(OpReply::Later);
        }
        "new" => vec![blobs.grow().map_err(OpError::range_error)?.into()],
        "write" => {
            blobs.write(args.u32(0)?, args.bytes(1)?, LARGEST_BLOB).map_err(OpError::range_error)?;
            vec![]
        }
        "read" => {
            let piece = blobs.read(args.u32(0)?).map_err(OpError::type_error)?;
            piece.into_iter().map(Field::from).collect()
        }
        "pass" => match blobs.pass(args.u32(0)?).map_err(OpError::type_error)? {
            Readable::Bytes(bytes) => vec![fetches.hold(Box::new(Whole(bytes))).into()],
            Readable::File(body) => vec![fetches.hold(Box::new(File::new(body))).into()],
        },
        "drop" => {
            blobs.forget(args.u32(0)?);
            vec![]
        }
        _ => return Err(OpError::unknown(verb)),
    };
    Ok(OpReply::Ready(answer))
}

/// `http.save`: moves what is left of a request's body into a blob.
pub(super) fn save(
    id: u32,
    args: &Message<'_>,
    requests: &Requests,
    blobs: &Blobs,
    events: &EventSender,
) -> Result<OpReply, OpError> {
    let (request, blob) = (args.u32(0)?, args.u32(1)?);
    let Some(body) = requests.body(request) else {
        return Err(OpError::type_error("the request body is no longer available"));
    };
    let sink = match blobs.writes(blob) {
        Some(upload) => Sink::File(upload),
        None => Sink::Memory(blobs.clone(), blob),
    };
    let events = events.clone();
    save::save(body, sink, move |done| {
        events.send(match done {
            Ok(()) => Event::Complete { id, fields: vec![] },
            Err(OpError { name, message }) => Event::Failed { id, name, message },
        });
    });
    Ok(OpReply::Later)
}

/// Where a request's body goes.
pub(super) enum Sink {
    File(Shared<taipan_storage::r2::Upload>),
    Memory(Blobs, u32),
}

impl Sink {
    pub(super) fn write(&self, bytes: &Bytes) -> Result<(), OpError> {
        match self {
            Self::File(upload) => with(upload, |upload| upload.write(bytes.clone())).map_err(OpError::from),
            Self::Memory(blobs, blob) => {
                blobs.write(*blob, bytes, LARGEST_BLOB).map_err(OpError::range_error)
            }
        }
    }
}

/// Does something with a file that is still there; one that fails is given up.
fn with<T, R>(
    shared: &Shared<T>,
    work: impl FnOnce(&mut T) -> Result<R, StorageError>,
) -> Result<R, StorageError> {
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let done = match shared.as_mut() {
        Some(file) => work(file),
        None => Err(StorageError::Closed),
    };
    if done.is_err() {
        *shared = None;
    }
    done
}

/// Bytes for a client.
struct Whole(Bytes);

impl BodySource for Whole {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready(Some(bytes).filter(|bytes| !bytes.is_empty()).map(Ok))
    }

    fn length(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

type Piece = (Body, Result<Bytes, StorageError>);

/// An object's bytes on their way to a client.
pub fn object_body(body: Body) -> FetchedBody {
    FetchedBody::new(Box::new(File::new(body)))
}

/// A file for a client. The next piece is read while the client takes the one before.
struct File {
    length: u64,
    blocks: Blocks,
    next: oneshot::Receiver<Piece>,
    is_over: bool,
}

impl File {
    fn new(body: Body) -> Self {
        let length = body.left();
        let size = usize::try_from(length).unwrap_or(LARGE_PIECE).min(LARGE_PIECE);
        let blocks = Blocks::new(size);
        Self { length, next: read(body, &blocks), blocks, is_over: false }
    }
}

fn read(mut body: Body, blocks: &Blocks) -> oneshot::Receiver<Piece> {
    let (reply, next) = oneshot::channel();
    let blocks = blocks.clone();
    on_io_thread(move || {
        // A client that is gone has gone unnoticed until now.
        if !reply.is_closed() {
            let mut block = blocks.take();
            let filled = block.fill(|buffer| body.read_into(buffer));
            drop(reply.send((body, filled.map(|()| block.freeze()))));
        }
    });
    next
}

impl BodySource for File {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let piece = match ready!(std::pin::Pin::new(&mut self.next).poll(cx)) {
            Ok((_, Ok(piece))) if piece.is_empty() => None,
            Ok((body, Ok(piece))) => {
                self.next = read(body, &self.blocks);
                return Poll::Ready(Some(Ok(piece)));
            }
            Ok((_, Err(error))) => Some(Err(OpError::from(error).message)),
            Err(_) => Some(Err("the file is not there any more".to_owned())),
        };
        self.is_over = true;
        Poll::Ready(piece)
    }

    fn length(&self) -> Option<u64> {
        Some(self.length)
    }
}

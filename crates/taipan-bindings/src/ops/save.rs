//! A request's body on its way into a blob.
//!
//! ```text
//!  connection ─▶ chunk ─▶ block ─▶ queue ─▶ file
//!                 pull       a thread for files
//! ```
//! The next chunk comes while a block is being written: both take about as long. When blocks wait nothing more is pulled, which slows
//! the client down.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use taipan_storage::on_io_thread;

use super::OpError;
use super::blob::Sink;
use crate::blocks::{Block, Blocks};
use crate::streams::RequestBody;

/// What is written at once, or all of a body that is smaller: whole pages, as disks want them.
const BLOCK: usize = 512 << 10;
const PAGE: usize = 4 << 10;

/// So many blocks may wait for the one that is being written.
const MOST_WAITING: usize = 4;

type Done = Box<dyn FnOnce(Result<(), OpError>) + Send>;

/// A body that is being saved.
struct Saving {
    body: RequestBody,
    sink: Sink,
    blocks: Blocks,
    state: Mutex<State>,
}

struct State {
    /// What comes next goes here.
    block: Option<Block>,
    waiting: VecDeque<Bytes>,
    /// A thread writes, or will.
    is_writing: bool,
    /// The next chunk has not been pulled, because too much waits.
    is_held: bool,
    /// All chunks are here.
    has_ended: bool,
    /// Who is told; none once it was.
    done: Option<Done>,
}

/// Moves what is left of the body into the sink.
pub(super) fn save(body: RequestBody, sink: Sink, done: impl FnOnce(Result<(), OpError>) + Send + 'static) {
    let state = State {
        block: None,
        waiting: VecDeque::new(),
        is_writing: false,
        is_held: false,
        has_ended: false,
        done: Some(Box::new(done)),
    };
    let length = body.length().and_then(|length| usize::try_from(length).ok()).unwrap_or(BLOCK);
    let blocks = Blocks::new(length.clamp(1, BLOCK).next_multiple_of(PAGE));
    Saving::pull(&Arc::new(Saving { body, sink, blocks, state: Mutex::new(state) }));
}

impl Saving {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pull(self: &Arc<Self>) {
        let saving = self.clone();
        self.body.pull_for(move |chunk| saving.take(chunk));
    }

    /// Takes a chunk.
    fn take(self: &Arc<Self>, chunk: Result<Option<Bytes>, String>) {
        let mut state = self.lock();
        if state.done.is_none() {
            // Writing has failed: nothing more is wanted of the client.
            return;
        }
        match chunk {
            Ok(Some(chunk)) => state.append(&chunk, &self.blocks),
            Ok(None) => {
                state.has_ended = true;
                let last = state.block.take();
                state.waiting.extend(last.map(Block::freeze));
            }
            Err(message) => return Self::finish(state, Err(OpError::type_error(message))),
        }
        let pulls = !state.has_ended && state.waiting.len() < MOST_WAITING;
        state.is_held = !state.has_ended && !pulls;
        let writes = !state.is_writing && (state.has_ended || !state.waiting.is_empty());
        state.is_writing |= writes;
        drop(state);
        if writes {
            let saving = self.clone();
            on_io_thread(move || saving.write());
        }
        if pulls {
            self.pull();
        }
    }

    /// Writes what waits.
    fn write(self: &Arc<Self>) {
        loop {
            let mut state = self.lock();
            let Some(bytes) = state.waiting.pop_front() else {
                state.is_writing = false;
                if state.has_ended {
                    Self::finish(state, Ok(()));
                }
                return;
            };
            let pulls = std::mem::take(&mut state.is_held);
            drop(state);
            if pulls {
                self.pull();
            }
            if let Err(error) = self.sink.write(&bytes) {
                return Self::finish(self.lock(), Err(error));
            }
        }
    }

    fn finish(mut state: MutexGuard<'_, State>, result: Result<(), OpError>) {
        let done = state.done.take();
        state.waiting.clear();
        // Whatever comes now is not written.
        state.is_writing = true;
        drop(state);
        if let Some(done) = done {
            done(result);
        }
    }
}

impl State {
    fn append(&mut self, mut bytes: &[u8], blocks: &Blocks) {
        while !bytes.is_empty() {
            let block = self.block.get_or_insert_with(|| blocks.take());
            bytes = block.append(bytes);
            if block.is_full() {
                let full = self.block.take();
                self.waiting.extend(full.map(Block::freeze));
            }
        }
    }
}

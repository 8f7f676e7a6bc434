//! The MD5 of bytes while they are being written, beside that: it takes longer than writing them.
//!
//! One thread at a time computes, mostly one for files that has nothing else to do. Whoever writes helps when there is too much to do, so
//! that what waits is bounded, and nobody waits for a thread that might never come.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::md5::Md5;
use crate::io::on_io_thread;

/// Fewer bytes are not worth a thread.
const SMALLEST_SHARED: usize = 64 << 10;
/// So many pieces wait at most.
const MOST_WAITING: usize = 2;

#[derive(Clone, Debug)]
pub(super) struct Hasher(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Whoever has it takes what comes next.
    md5: Mutex<Md5>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Bytes>,
    /// A thread is at work, or will be.
    has_thread: bool,
}

impl Hasher {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared { md5: Mutex::new(Md5::new()), state: Mutex::default() }))
    }

    /// What comes next.
    pub(super) fn update(&self, bytes: &Bytes) {
        let mut state = self.0.state.lock();
        state.pieces.push_back(bytes.clone());
        let is_small = bytes.len() < SMALLEST_SHARED && !state.has_thread;
        if !is_small && !std::mem::replace(&mut state.has_thread, true) {
            let hasher = self.clone();
            on_io_thread(move || hasher.run());
        }
        drop(state);
        self.help(if is_small { 0 } else { MOST_WAITING });
    }

    /// The digest of all that came.
    pub(super) fn finish(self) -> [u8; 16] {
        self.help(0);
        self.0.md5.lock().clone().finish()
    }

    /// Computes until so many pieces are left.
    fn help(&self, most: usize) {
        while self.0.state.lock().pieces.len() > most {
            let mut md5 = self.0.md5.lock();
            let piece = self.0.state.lock().pieces.pop_front();
            if let Some(piece) = piece {
                md5.update(&piece);
            }
        }
    }

    fn run(&self) {
        loop {
            let mut md5 = self.0.md5.lock();
            let piece = {
                let mut state = self.0.state.lock();
                let piece = state.pieces.pop_front();
                state.has_thread = piece.is_some();
                piece
            };
            match piece {
                Some(piece) => md5.update(&piece),
                None => return,
            }
        }
    }
}

//! The MD5 of bytes while they are being written, beside that: it takes longer than writing them.
//!
//! A thread for files that has nothing else to do computes. What waits for it is bounded: whoever writes waits then, or computes
//! himself while no thread has come, since all of them may be such who write.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::md5::Md5;
use crate::io::on_io_thread;

/// Fewer bytes are not worth a thread.
const SMALLEST_SHARED: usize = 64 << 10;
/// So many bytes wait at most, but for one piece: enough to compute with while a disk takes its time.
const MOST_WAITING: usize = 4 << 20;

#[derive(Clone, Debug)]
pub(super) struct Hasher(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Whoever has it takes what comes next.
    md5: Mutex<Md5>,
    state: Mutex<State>,
    advanced: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Bytes>,
    /// Bytes of the pieces.
    waiting: usize,
    thread: Thread,
}

/// A thread that computes until nothing waits.
#[derive(Debug, Default, PartialEq, Eq)]
enum Thread {
    #[default]
    None,
    Asked,
    Running,
}

impl Hasher {
    pub(super) fn new() -> Self {
        let (state, advanced) = (Mutex::default(), Condvar::new());
        Self(Arc::new(Shared { md5: Mutex::new(Md5::new()), state, advanced }))
    }

    /// What comes next.
    pub(super) fn update(&self, bytes: &Bytes) {
        let mut state = self.0.state.lock();
        state.pieces.push_back(bytes.clone());
        state.waiting += bytes.len();
        let is_small = bytes.len() < SMALLEST_SHARED && state.thread == Thread::None;
        if !is_small && state.thread == Thread::None {
            state.thread = Thread::Asked;
            let hasher = self.clone();
            on_io_thread(move || hasher.run());
        }
        drop(state);
        self.wait(if is_small { 0 } else { MOST_WAITING });
    }

    /// The digest of all that came.
    pub(super) fn finish(self) -> [u8; 16] {
        self.wait(0);
        self.0.md5.lock().clone().finish()
    }

    /// Until no more bytes wait than that.
    fn wait(&self, most: usize) {
        let mut state = self.0.state.lock();
        while state.waiting > most {
            if state.thread == Thread::Running {
                self.0.advanced.wait(&mut state);
            } else {
                drop(state);
                self.advance();
                state = self.0.state.lock();
            }
        }
    }

    /// Computes with what comes next. Gives whether there was something.
    fn advance(&self) -> bool {
        let mut md5 = self.0.md5.lock();
        let Some(piece) = self.0.state.lock().pieces.pop_front() else { return false };
        md5.update(&piece);
        self.0.state.lock().waiting -= piece.len();
        self.0.advanced.notify_one();
        true
    }

    fn run(&self) {
        self.0.state.lock().thread = Thread::Running;
        loop {
            while self.advance() {}
            let mut state = self.0.state.lock();
            if state.pieces.is_empty() {
                state.thread = Thread::None;
                self.0.advanced.notify_one();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn more_writers_than_threads_for_files_get_their_digests() {
        let together = Arc::new(Barrier::new(20));
        let writers = (0..20u8).map(|n| {
            let together = together.clone();
            thread::spawn(move || {
                let (pieces, mut whole) = ([1, 70_000, 0, 300_000, 63, 1 << 20], Md5::new());
                let hasher = Hasher::new();
                together.wait();
                for (i, size) in pieces.into_iter().cycle().take(24).enumerate() {
                    let piece = Bytes::from(vec![n.wrapping_add(i as u8); size]);
                    whole.update(&piece);
                    hasher.update(&piece);
                }
                assert_eq!(hasher.finish(), whole.finish());
            })
        });
        let writers: Vec<_> = writers.collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    }
}

//! What a client does on its connection, and what the connection is ended for.
//!
//! HTTP/2 lets a client have many requests under way, give them up at no cost to itself, and read the answers as slowly as it
//! likes. Each of these is fine now and then.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep;

/// How many requests a client may give up, unless more were answered.
const GIVEN_UP: usize = 200;

/// A client's conduct on one connection.
#[derive(Default)]
pub(crate) struct Conduct {
    begun: AtomicUsize,
    answered: AtomicUsize,
    given_up: AtomicUsize,
    /// Of the last request's body something may still come. On HTTP/1 requests come one after the other.
    has_unread: AtomicBool,
    enough: Notify,
}

impl Conduct {
    /// A request begins.
    pub(crate) fn begin(self: &Arc<Self>) -> Flight {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Flight { conduct: self.clone(), is_answered: false }
    }

    /// How many requests have begun, and how many of them are over.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let over = self.answered.load(Ordering::Relaxed) + self.given_up.load(Ordering::Relaxed);
        (self.begun.load(Ordering::Relaxed), over)
    }

    /// Whether something of the last request may still come.
    pub(crate) fn has_unread(&self) -> bool {
        self.has_unread.load(Ordering::Relaxed)
    }

    pub(crate) fn note_unread(&self, has_unread: bool) {
        self.has_unread.store(has_unread, Ordering::Relaxed);
    }

    /// Waits until the connection is to be ended.
    pub(crate) async fn is_enough(&self) {
        self.enough.notified().await;
    }
}

/// A request under way, until its response is sent. Dropped early, it was given up.
pub(crate) struct Flight {
    conduct: Arc<Conduct>,
    is_answered: bool,
}

impl Flight {
    /// The response is on its way.
    pub(crate) fn answered(mut self) {
        self.is_answered = true;
    }

    /// Ends the connection when the client has not taken more of a response for `limit`.
    pub(crate) fn watch(&self, limit: Duration) -> Progress {
        let taken = Arc::new(Mutex::new(Some(Instant::now())));
        tokio::spawn(end_when_stalled(Arc::downgrade(&taken), limit, self.conduct.clone()));
        Progress(taken)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Conduct { answered, given_up, enough, .. } = &*self.conduct;
        if self.is_answered {
            answered.fetch_add(1, Ordering::Relaxed);
        } else if given_up.fetch_add(1, Ordering::Relaxed) >= GIVEN_UP.max(answered.load(Ordering::Relaxed)) {
            enough.notify_one();
        }
    }
}

/// When the client last took something of a response; none while it waits for more.
pub(crate) struct Progress(Arc<Mutex<Option<Instant>>>);

impl Progress {
    /// The client took something, or waits.
    pub(crate) fn note(&self, has_taken: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = has_taken.then(Instant::now);
    }
}

async fn end_when_stalled(taken: Weak<Mutex<Option<Instant>>>, limit: Duration, conduct: Arc<Conduct>) {
    loop {
        sleep(limit).await;
        let Some(taken) = taken.upgrade() else { return };
        let taken = *taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.is_some_and(|at| at.elapsed() >= limit) {
            return conduct.enough.notify_one();
        }
    }
}

//! CPU time: what turns and requests spend, and the thread that watches it.
//!
//! While there are turns, that thread looks at each: how much CPU time the turn's thread has used since, and for which
//! request it works, to which that is charged. Who has spent too much is ended ([`crate::interrupt`]). The guest is not
//! asked and does not wait; an idle process is not woken.
//!
//! It looks every millisecond while a turn takes long, and else every four: a look, for which a processor may have to be woken, costs
//! as much as a small request's turn. While turns follow one another it goes on looking, also when it finds none at that moment: to
//! wait for the next turn and be woken by it would cost small requests a twentieth of their time.
//!
//! A request works in many turns, and a turn for many requests. The guest keeps in a word of its memory which request the
//! running code works for: an event says it, operations and timers remember it. What a turn did for others between two looks, the
//! last of them pays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::time::{ClockId, clock_gettime};

use crate::Meter;
use crate::interrupt::{Interruptible, Thread};

/// Between two looks while a turn has taken longer than this.
const TICK: Duration = Duration::from_millis(1);

/// Between two looks while none has.
const WHILE_SHORT: Duration = Duration::from_millis(4);

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

/// The word in a guest's memory that says for which request it works.
pub(crate) struct Cause(*const AtomicU32);

// SAFETY: what it points to is only read, as an atomic, while `Cause::new`'s caller keeps it there.
unsafe impl Send for Cause {}

impl Cause {
    /// # Safety
    /// The word must be aligned and stay mapped for as long as this is used. The guest may write it meanwhile.
    pub(crate) unsafe fn new(word: *const u32) -> Self {
        Self(word.cast())
    }

    fn request(&self) -> u32 {
        // SAFETY: `new` was promised that the word is there and aligned.
        unsafe { &*self.0 }.load(Ordering::Relaxed)
    }
}

/// What a turn may spend, and every request in all of its turns together. A turn stays on one thread, so the thread's clock
/// is the turn's.
pub(crate) struct Budget {
    pub(crate) limit: Duration,
    /// None as long as there is no guest.
    pub(crate) cause: Option<Cause>,
    pub(crate) meter: Arc<dyn Meter>,
    /// Set when more was spent.
    pub(crate) spent_too_much: Arc<AtomicBool>,
}

/// A turn as the watching thread sees it.
struct Watched {
    number: u64,
    thread: Thread,
    budget: Budget,
    started: Duration,
    /// Until then requests have been charged.
    charged: Duration,
}

impl Watched {
    /// Charges what was spent to the request for which the guest works. Whether it was too much.
    fn charge(&mut self, now: Duration) -> bool {
        let spent = now.saturating_sub(self.charged);
        self.charged = now;
        let budget = &self.budget;
        let total = match budget.cause.as_ref().map_or(0, Cause::request) {
            0 => spent,
            request => budget.meter.spent(request, spent),
        };
        if total.max(now.saturating_sub(self.started)) > budget.limit {
            budget.spent_too_much.store(true, Ordering::Relaxed);
        }
        budget.spent_too_much.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Turns {
    watched: Vec<Watched>,
    /// How many there have been.
    count: u64,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    turns: Mutex<Turns>,
    changed: Condvar,
}

/// Watches turns, as long as it lives.
pub(crate) struct Ticker(Arc<Shared>);

impl Ticker {
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let watcher = shared.clone();
        thread::Builder::new().name("taipan-ticker".into()).spawn(move || watch(&watcher))?;
        Ok(Self(shared))
    }

    /// The calling thread runs the guest until the guard is dropped. What `budget` points to must be there until then.
    pub(crate) fn turn(&self, budget: Budget) -> TurnGuard {
        let interruptible = Interruptible::new(budget.spent_too_much.clone());
        let now = thread_cpu();
        let thread = Thread::current();
        let mut turns = self.0.turns.lock();
        turns.count += 1;
        let number = turns.count;
        turns.watched.push(Watched { number, thread, budget, started: now, charged: now });
        if turns.watched.len() == 1 {
            self.0.changed.notify_one();
        }
        TurnGuard { shared: self.0.clone(), number, _interruptible: interruptible }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.turns.lock().closed = true;
        self.0.changed.notify_one();
    }
}

/// A turn in progress.
pub(crate) struct TurnGuard {
    shared: Arc<Shared>,
    number: u64,
    _interruptible: Interruptible,
}

impl TurnGuard {
    /// Ends the turn and charges the rest. Whether it was too much.
    pub(crate) fn settle(&self) -> bool {
        self.leave().is_some_and(|mut watched| watched.charge(thread_cpu()))
    }

    fn leave(&self) -> Option<Watched> {
        let mut turns = self.shared.turns.lock();
        let place = turns.watched.iter().position(|watched| watched.number == self.number)?;
        Some(turns.watched.swap_remove(place))
    }
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        self.leave();
    }
}

fn watch(shared: &Shared) {
    let mut failed = false;
    let mut seen = 0;
    let mut pause = WHILE_SHORT;
    loop {
        {
            let mut turns = shared.turns.lock();
            while turns.watched.is_empty() && turns.count == seen && !turns.closed {
                shared.changed.wait(&mut turns);
            }
            seen = turns.count;
            if turns.closed {
                return;
            }
        }
        thread::sleep(pause);
        pause = WHILE_SHORT;
        for turn in &mut shared.turns.lock().watched {
            let now = turn.thread.cpu();
            if now.saturating_sub(turn.started) >= TICK {
                pause = TICK;
            }
            if !turn.charge(now) {
                continue;
            }
            // SAFETY: a thread with a turn has to take the lock that is held here before it can end.
            let ended = unsafe { turn.thread.interrupt() };
            if let Err(error) = ended
                && !failed
            {
                failed = true;
                tracing::error!("cannot end a guest that has used up its CPU time: {error}");
            }
        }
    }
}

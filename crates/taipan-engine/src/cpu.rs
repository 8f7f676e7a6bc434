//! CPU time: a budget that a turn spends, and the ticker that lets Wasmtime ask.
//!
//! Compiled code compares the engine's epoch with a deadline at every loop and call. The ticker moves the epoch on
//! every millisecond, but only while some turn runs: an idle process is not woken. Deadlines that are lowered are not
//! seen by frames that already run, so the deadline is always one tick away and is renewed in a callback, which
//! compares the thread's CPU clock with the budget.
//!
//! A request works in many turns, and a turn for many requests. The guest keeps in a word of its memory which request the
//! running code works for: an event says it, operations and timers remember it.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::time::{ClockId, clock_gettime};
use wasmtime::{AsContextMut, Engine, EngineWeak, Result};

use crate::state::State;
use crate::stop::Stop;

const TICK: Duration = Duration::from_millis(1);

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

/// What a turn may spend, and every request in all of its turns together. A turn stays on one thread, so the thread's clock
/// is the turn's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuBudget {
    pub(crate) limit: Duration,
    started: Duration,
    /// Until then requests have been charged.
    charged: Duration,
}

impl CpuBudget {
    pub(crate) fn new(limit: Duration) -> Self {
        let now = thread_cpu();
        Self { limit, started: now, charged: now }
    }

    /// What was spent since this was last asked.
    fn take(&mut self) -> Duration {
        let now = thread_cpu();
        let spent = now.saturating_sub(self.charged);
        self.charged = now;
        spent
    }

    fn turn(&self) -> Duration {
        self.charged.saturating_sub(self.started)
    }
}

/// Charges what was spent to the request for which the guest works. Called at every tick and at a turn's end: what a turn
/// did for others between two ticks, the last of them pays.
pub(crate) fn charge(mut store: impl AsContextMut<Data = State>) -> Result<()> {
    let request = match &store.as_context().data().guest {
        Some(guest) => guest.read_u32(&store, guest.cause)?,
        None => 0,
    };
    let mut store = store.as_context_mut();
    let state = store.data_mut();
    let spent = state.cpu.take();
    let total = if request == 0 { spent } else { state.ops.spent(request, spent) };
    if total.max(state.cpu.turn()) > state.cpu.limit { Err(Stop::Cpu.into()) } else { Ok(()) }
}

struct Active {
    turns: Mutex<usize>,
    changed: Condvar,
}

/// Moves an engine's epoch on while turns run.
pub(crate) struct Ticker(Arc<Active>);

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let active = Arc::new(Active { turns: Mutex::new(0), changed: Condvar::new() });
        let shared = active.clone();
        let engine = engine.weak();
        thread::Builder::new().name("taipan-ticker".into()).spawn(move || tick(&engine, &shared))?;
        Ok(Self(active))
    }

    /// Ticks until the guard is dropped.
    pub(crate) fn turn(&self) -> TurnGuard {
        let mut turns = self.0.turns.lock();
        *turns += 1;
        if *turns == 1 {
            self.0.changed.notify_one();
        }
        TurnGuard(self.0.clone())
    }
}

/// A turn in progress.
pub(crate) struct TurnGuard(Arc<Active>);

impl Drop for TurnGuard {
    fn drop(&mut self) {
        *self.0.turns.lock() -= 1;
    }
}

fn tick(engine: &EngineWeak, active: &Active) {
    loop {
        {
            let mut turns = active.turns.lock();
            while *turns == 0 {
                // Now and then, look whether the engine is still there.
                active.changed.wait_for(&mut turns, Duration::from_secs(5));
                if engine.upgrade().is_none() {
                    return;
                }
            }
        }
        thread::sleep(TICK);
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
    }
}

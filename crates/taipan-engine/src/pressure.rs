//! When to collect garbage.
//!
//! An isolate has two heaps, Python's and JavaScript's, each with a collector that paces itself by what it sees of its own.
//! That is not enough: a Python object in a cycle can hold the last reference to a buffer of megabytes, while the linear memory,
//! which both share, is bounded tightly. So when it is nearly full, both are collected between turns, for at most a twentieth
//! of the time.

use std::time::Instant;

use wasmtime::{Result, Store};

use crate::state::{Guest, State};

/// Between two collections pass this many times the duration of the first.
const PAUSE: u32 = 19;

/// When an isolate may be collected again.
#[derive(Default)]
pub(crate) struct Pressure {
    next: Option<Instant>,
}

/// Between turns. Gives whether finalizers may have left work for the engine.
pub(crate) fn tidy(store: &mut Store<State>, guest: &Guest) -> Result<bool> {
    let is_due = is_nearly_full(store, guest);
    if is_due {
        collect(store, guest)?;
    }
    Ok(is_due)
}

fn is_nearly_full(store: &Store<State>, guest: &Guest) -> bool {
    let State { limits, pressure, .. } = store.data();
    let size = guest.memory.data_size(store);
    (limits.refused || size > limits.memory - limits.memory / 4)
        && pressure.next.is_none_or(|next| limits.refused || next <= Instant::now())
}

fn collect(store: &mut Store<State>, guest: &Guest) -> Result<()> {
    let start = Instant::now();
    // What Python drops lets go of JavaScript, and the other way round: what closes such a circle stays.
    let main = store.data().instances.first().copied();
    if let Some(main) = main
        && let Ok(collect) = main.get_typed_func::<(), i32>(&mut *store, "PyGC_Collect")
    {
        collect.call(&mut *store, ())?;
    }
    guest.collect.call(&mut *store, ())?;
    let end = Instant::now();
    store.data_mut().pressure.next = Some(end + (end - start) * PAUSE);
    Ok(())
}

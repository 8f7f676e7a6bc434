//! When to collect garbage.
//!
//! An isolate has three heaps: Python's, JavaScript's, and Wasmtime's own, which holds the references from WebAssembly to
//! JavaScript. Each has a collector that paces itself by what it sees of its own heap. That is not enough: a reference of a
//! few bytes can be the last to a buffer of megabytes, and so can a Python object in a cycle, while the linear memory,
//! which all of them share, is bounded tightly. Here is what looks at the whole:
//!
//! - References are collected when JavaScript's heap has grown by [`ALLOCATED`], or after [`REFERENCES`] were made. That
//!   costs microseconds.
//! - When the memory is nearly full, all heaps are collected between turns, for at most a twentieth of the time.

use std::time::Instant;

use wasmtime::{AsContext, AsContextMut, Caller, Result, Store};

use crate::references::release;
use crate::state::{Guest, State};

/// In bytes, since the last collection of references.
const ALLOCATED: u32 = 1 << 20;

/// Made since the last collection of references.
const REFERENCES: u32 = 20_000;

/// Collected references are told to the engine once this many wait.
const RELEASE: usize = 256;

/// Between two collections of everything pass this many times the duration of the first.
const PAUSE: u32 = 19;

/// What an isolate has made since it was last collected.
#[derive(Default)]
pub(crate) struct Pressure {
    /// Where in the guest the engine counts the bytes that it has allocated.
    counter: u32,
    /// What it counted after the last collection.
    allocated: u32,
    references: u32,
    /// When everything may be collected again.
    next: Option<Instant>,
}

impl Pressure {
    pub(crate) fn watch(&mut self, counter: u32) {
        self.counter = counter;
    }

    pub(crate) fn made_reference(&mut self) {
        self.references = self.references.saturating_add(1);
    }
}

/// Whether it is worth the while to look for references that nobody holds.
fn is_due(mut store: impl AsContextMut<Data = State>, guest: &Guest) -> Result<bool> {
    let pressure = &store.as_context().data().pressure;
    if pressure.references == 0 {
        return Ok(false);
    }
    let now = allocated(&store, guest)?;
    let mut store = store.as_context_mut();
    let pressure = &mut store.data_mut().pressure;
    if pressure.allocated == 0 || now < pressure.allocated {
        pressure.allocated = now;
    }
    Ok(now - pressure.allocated >= ALLOCATED || pressure.references >= REFERENCES)
}

fn allocated(store: &impl AsContext<Data = State>, guest: &Guest) -> Result<u32> {
    guest.read_u32(store, store.as_context().data().pressure.counter)
}

fn collect_references(mut store: impl AsContextMut<Data = State>, guest: &Guest) -> Result<()> {
    store.as_context_mut().gc(None)?;
    release(&mut store, guest)?;
    let allocated = allocated(&store, guest)?;
    let mut store = store.as_context_mut();
    let pressure = &mut store.data_mut().pressure;
    pressure.references = 0;
    pressure.allocated = allocated;
    Ok(())
}

/// Where JavaScript and WebAssembly call each other, and no reference is on its way between them.
pub(crate) fn relieve(caller: &mut Caller<'_, State>, guest: &Guest) -> Result<()> {
    if is_due(&mut *caller, guest)? {
        collect_references(caller, guest)
    } else if caller.data().freed.len() >= RELEASE {
        release(caller, guest)
    } else {
        Ok(())
    }
}

/// Between turns. Gives whether finalizers may have left work for the engine.
pub(crate) fn tidy(store: &mut Store<State>, guest: &Guest) -> Result<bool> {
    let everything = is_nearly_full(store, guest);
    if everything {
        collect_everything(store, guest)?;
    } else if is_due(&mut *store, guest)? {
        collect_references(&mut *store, guest)?;
    } else if store.data().freed.len() > 0 {
        release(store, guest)?;
    }
    Ok(everything)
}

fn is_nearly_full(store: &Store<State>, guest: &Guest) -> bool {
    let State { limits, pressure, .. } = store.data();
    let size = guest.memory.data_size(store);
    (limits.refused || size > limits.memory - limits.memory / 4)
        && pressure.next.is_none_or(|next| limits.refused || next <= Instant::now())
}

fn collect_everything(store: &mut Store<State>, guest: &Guest) -> Result<()> {
    let start = Instant::now();
    // What Python drops lets go of JavaScript, and the other way round: what closes such a circle stays.
    let main = store.data().instances.first().copied();
    if let Some(main) = main
        && let Ok(collect) = main.get_typed_func::<(), i32>(&mut *store, "PyGC_Collect")
    {
        collect.call(&mut *store, ())?;
    }
    collect_references(&mut *store, guest)?;
    guest.collect.call(&mut *store, ())?;
    collect_references(&mut *store, guest)?;
    let end = Instant::now();
    store.data_mut().pressure.next = Some(end + (end - start) * PAUSE);
    Ok(())
}

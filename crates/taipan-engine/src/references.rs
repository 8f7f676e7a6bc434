//! External references: how WebAssembly code holds JavaScript values.
//!
//! A JavaScript value is a handle of the engine's table (`engine/src/handles.c`); WebAssembly sees an `externref` to a
//! [`Handle`]. When Wasmtime has collected the reference, its handle waits in the store's own queue until the engine
//! is told.

use std::sync::Arc;

use wasmtime::{AsContext, AsContextMut, ExternRef, Result, RootScope};

use crate::state::{FreedHandles, Guest, State, count};

/// Handles below this are constants of the shim (null, undefined, true, …) and own nothing.
const FIRST_HANDLE: u32 = 8;

/// What an `externref` refers to.
pub(crate) struct Handle {
    number: u32,
    freed: Arc<FreedHandles>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.number >= FIRST_HANDLE {
            self.freed.push(self.number);
        }
    }
}

/// A new reference to the handle, which it owns from now on; `None` for JavaScript's null.
pub(crate) fn to_reference(
    mut store: impl AsContextMut<Data = State>,
    handle: u32,
) -> Result<Option<wasmtime::Rooted<ExternRef>>> {
    if handle == 0 {
        return Ok(None);
    }
    let mut store = store.as_context_mut();
    let state = store.data_mut();
    state.pressure.made_reference();
    let object = Handle { number: handle, freed: state.freed.clone() };
    ExternRef::new(&mut store, object).map(Some)
}

/// As [`to_reference`], in the form that unchecked calls take. The reference must be stored or passed on before the
/// next allocation: it is not rooted.
pub(crate) fn to_raw(mut store: impl AsContextMut<Data = State>, handle: u32) -> Result<u32> {
    let mut scope = RootScope::new(store.as_context_mut());
    match to_reference(&mut scope, handle)? {
        Some(reference) => reference.to_raw(&mut scope),
        None => Ok(0),
    }
}

/// The handle behind a raw reference, still owned by the reference.
pub(crate) fn from_raw(mut store: impl AsContextMut<Data = State>, raw: u32) -> Result<u32> {
    if raw == 0 {
        return Ok(0);
    }
    let mut scope = RootScope::new(store.as_context_mut());
    let Some(reference) = ExternRef::from_raw(&mut scope, raw) else { return Ok(0) };
    handle_of(scope.as_context(), &reference)
}

/// The handle behind a reference; 0 for a reference that is not ours.
pub(crate) fn handle_of(
    store: wasmtime::StoreContext<'_, State>,
    reference: &wasmtime::Rooted<ExternRef>,
) -> Result<u32> {
    let data = reference.data(store)?;
    Ok(data.and_then(|d| d.downcast_ref::<Handle>()).map_or(0, |h| h.number))
}

/// Tells the engine which handles nobody holds any more.
pub(crate) fn release(mut store: impl AsContextMut<Data = State>, guest: &Guest) -> Result<()> {
    let mut store = store.as_context_mut();
    let freed = store.data().freed.take();
    let (base, cells) = guest.arguments;
    // Two handles to a cell of the argument stack, as many at a time as it has room for.
    let used = store.data().arguments_used;
    let room = cells.saturating_sub(used).saturating_mul(2) as usize;
    if room == 0 {
        freed.iter().for_each(|handle| store.data().freed.push(*handle));
        return Ok(());
    }
    let at = base.saturating_add(used.saturating_mul(8));
    for chunk in freed.chunks(room) {
        let bytes: Vec<u8> = chunk.iter().flat_map(|h| h.to_le_bytes()).collect();
        guest.write(&mut store, at, &bytes)?;
        // Finalizers of JavaScript objects can call back: keep the chunk out of their way.
        let cells = count(chunk.len().div_ceil(2));
        store.data_mut().arguments_used = used.saturating_add(cells);
        let result = guest.free_handles.call(&mut store, (at, count(chunk.len())));
        store.data_mut().arguments_used = used;
        result?;
    }
    Ok(())
}

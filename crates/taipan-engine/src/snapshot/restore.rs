//! Making an isolate from a snapshot, in two steps.
//!
//! All Workers have the lowest layer in common, so an isolate of it can be prepared before anybody knows for which Worker:
//! linked as at boot, with that layer mapped. What a Worker's own layers say is put on top of it. The image comes last,
//! since linking side modules may write to memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::{AsContextMut, Ref, Result, Store};

use super::{Frozen, Image, Snapshot};
use crate::entities::{function, value_of};
use crate::link::{Linked, link};
use crate::query::make_instance;
use crate::signature::Kind;
use crate::state::State;

fn lost(what: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the snapshot does not fit the runtime: {what}"))
}

/// Turns a new store into an isolate of a snapshot's lowest layer, but for what [`finish`] does; `ahead` of time or not.
pub(crate) fn prepare(store: &mut Store<State>, lowest: &Arc<Image>, ahead: bool) -> Result<Linked> {
    let frozen = &lowest.frozen;
    know(store.data_mut(), frozen);
    let linked = link(store, Some(frozen))?;
    add_modules(store, &linked, frozen)?;
    for (index, number) in &frozen.table_sets {
        set_slot(store, &linked, *index, *number)?;
    }
    let memory = crate::calls::guest(&*store)?.memory;
    lowest.map_lowest(store, memory, ahead)?;
    Ok(linked)
}

/// Makes what was prepared an isolate of the snapshot.
pub(crate) fn finish(store: &mut Store<State>, linked: &Linked, snapshot: &Snapshot) -> Result<()> {
    let lowest = snapshot.image.lowest();
    let (before, frozen) = (&lowest.frozen, &snapshot.image.frozen);
    know(store.data_mut(), frozen);
    let memory = crate::calls::guest(&*store)?.memory;
    if memory.data_size(&*store) > store.data().limits.memory {
        return Err(crate::stop::Stop::OutOfMemory.into());
    }
    let more = frozen.memory_pages.saturating_sub(memory.size(&*store));
    memory.grow(&mut *store, more)?;
    add_modules(store, linked, frozen)?;
    let mut known = before.table_sets.iter().peekable();
    for set @ (index, number) in &frozen.table_sets {
        while known.next_if(|(i, _)| i < index).is_some() {}
        if known.peek() != Some(&set) {
            set_slot(store, linked, *index, *number)?;
        }
    }
    set_made_globals(store, before, frozen)?;
    set_globals(store, linked, frozen)?;
    snapshot.image.map_rest(store, memory)
}

/// Takes over what a snapshot knows by number. What an earlier layer knows keeps its numbers.
fn know(state: &mut State, frozen: &Arc<Frozen>) {
    state.started = Instant::now()
        .checked_sub(Duration::from_secs_f64(frozen.monotonic_ms / 1e3))
        .unwrap_or_else(Instant::now);
    state.functions.restore(frozen.functions.clone());
    state.globals.restore(frozen.globals.clone());
    state.frozen = Some(frozen.clone());
}

/// Enlarges the table and instantiates the side modules that are not there yet.
fn add_modules(store: &mut Store<State>, linked: &Linked, frozen: &Frozen) -> Result<()> {
    let runtime = store.data().runtime.clone();
    store.data_mut().slots = frozen.slots;
    let length = store.data().table_length;
    let more = frozen.table_length.checked_sub(length).ok_or_else(|| lost("table"))?;
    crate::table::grow(&mut *store, linked.table, more)?;
    // The main module and its instance come before those of the snapshot.
    for name in frozen.modules.iter().skip(store.data().modules.len() - 1) {
        let code = runtime.code(*name).ok_or_else(|| lost("compiled code of a package is gone"))?;
        store.data_mut().modules.push(code);
    }
    for record in frozen.instances.iter().skip(store.data().instances.len() - 1) {
        // A module may import what an earlier one exports.
        register_exports(store, frozen)?;
        let code = store.data().modules.get(record.module as usize).cloned().ok_or_else(|| lost("module"))?;
        let instance = make_instance(store.as_context_mut(), &code, record)?;
        store.data_mut().instances.push(instance);
        store.data_mut().instance_records.push(record.clone());
    }
    register_exports(store, frozen)
}

fn set_slot(store: &mut Store<State>, linked: &Linked, index: u32, number: Option<u32>) -> Result<()> {
    let f = match number {
        Some(number) => Some(function(&mut *store, number)?.func),
        None => None,
    };
    linked.table.set(&mut *store, u64::from(index), Ref::Func(f))
}

/// Tables and tags get the numbers they had, as far as their instances exist.
fn register_exports(store: &mut Store<State>, frozen: &super::Frozen) -> Result<()> {
    while let Some(origin) = frozen.tags.get(store.data().tags.len()) {
        let Some(instance) = store.data().instances.get(origin.instance as usize).copied() else { break };
        let tag = instance.get_tag(&mut *store, &origin.name).ok_or_else(|| lost("tag"))?;
        store.data_mut().tags.push((tag, origin.clone()));
    }
    // The first is the function table, which linking has registered.
    while let Some(origin) = frozen.tables.get(store.data().tables.len() - 1) {
        let Some(instance) = store.data().instances.get(origin.instance as usize).copied() else { break };
        let table = instance.get_table(&mut *store, &origin.name).ok_or_else(|| lost("table"))?;
        store.data_mut().tables.push((table, origin.clone()));
    }
    Ok(())
}

/// The globals that JavaScript knows and no module exports, where they differ from what was prepared.
fn set_made_globals(store: &mut Store<State>, before: &Frozen, frozen: &Frozen) -> Result<()> {
    let imported = (0u32..).zip(frozen.main_import_globals.iter().zip(&before.main_import_globals));
    let mut changed: Vec<_> =
        imported.filter(|(_, (now, then))| now != then).map(|(n, (now, _))| (n, *now)).collect();
    for (number, then) in &before.made_globals {
        changed.extend(frozen.made_globals.get(number).filter(|now| *now != then).map(|now| (*number, *now)));
    }
    for (number, value) in changed {
        // One that was not looked for yet gets its value when it is.
        let Some(entry) = store.data().globals.get(number) else { continue };
        let value = entry.kind.and_then(|k| value_of(k, value)).ok_or_else(|| lost("global"))?;
        entry.global.set(&mut *store, value)?;
    }
    Ok(())
}

fn set_globals(store: &mut Store<State>, linked: &Linked, frozen: &Frozen) -> Result<()> {
    let mut instances = store.data().instances.clone();
    instances.push(linked.engine);
    for (instance, values) in instances.iter().zip(&frozen.mutable_globals) {
        for (name, value) in values {
            let global = instance.get_global(&mut *store, name).ok_or_else(|| lost("global"))?;
            let kind = Kind::of(global.ty(&*store).content());
            let value = kind.and_then(|k| value_of(k, *value)).ok_or_else(|| lost("global"))?;
            global.set(&mut *store, value)?;
        }
    }
    Ok(())
}

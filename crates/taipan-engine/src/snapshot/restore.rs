//! Making an isolate from a snapshot: link as at boot, put back what lives outside of the memory, then map the image, which comes last, since linking side modules may
//! write to memory.

use std::time::{Duration, Instant};

use wasmtime::{AsContextMut, Ref, Result, RootScope, Store};

use super::Snapshot;
use crate::entities::{function, value_of};
use crate::functions::Functions;
use crate::link::{Linked, link};
use crate::query::make_instance;
use crate::references;
use crate::state::{Globals, State};

fn lost(what: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the snapshot does not fit the runtime: {what}"))
}

/// Turns a new store into the isolate of the snapshot.
pub(crate) fn restore(store: &mut Store<State>, snapshot: &Snapshot) -> Result<Linked> {
    let frozen = &snapshot.frozen;
    let runtime = store.data().runtime.clone();
    let state = store.data_mut();
    state.started = Instant::now()
        .checked_sub(Duration::from_secs_f64(frozen.monotonic_ms / 1e3))
        .unwrap_or_else(Instant::now);
    state.functions = Functions::restored(frozen.functions.clone());
    state.globals = Globals::restored(frozen.globals.clone());
    state.frozen = Some(frozen.clone());
    let linked = link(store, Some(frozen))?;
    store.data_mut().slots = frozen.slots;

    let length = linked.table.size(&*store);
    let more = frozen.table_length.checked_sub(length).ok_or_else(|| lost("table"))?;
    linked.table.grow(&mut *store, more, Ref::Func(None))?;
    for name in &frozen.modules {
        let code = runtime.code(*name).ok_or_else(|| lost("compiled code of a package is gone"))?;
        store.data_mut().modules.push(code);
    }
    for record in &frozen.instances {
        // A module may import what an earlier one exports.
        register_exports(store, frozen)?;
        let code = store.data().modules.get(record.module as usize).cloned().ok_or_else(|| lost("module"))?;
        let instance = make_instance(store.as_context_mut(), &code, record)?;
        store.data_mut().instances.push(instance);
        store.data_mut().instance_records.push(record.clone());
    }
    register_exports(store, frozen)?;
    for (index, number) in &frozen.table_sets {
        let f = match number {
            Some(number) => Some(function(&mut *store, *number)?.func),
            None => None,
        };
        linked.table.set(&mut *store, u64::from(*index), Ref::Func(f))?;
    }
    set_globals(store, &linked, snapshot)?;
    set_references(store, &linked, snapshot)?;
    let memory = crate::calls::guest(&*store)?.memory;
    snapshot.image.map(store, memory)?;
    Ok(linked)
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

fn set_globals(store: &mut Store<State>, linked: &Linked, snapshot: &Snapshot) -> Result<()> {
    let mut instances = store.data().instances.clone();
    instances.push(linked.engine);
    for (instance, values) in instances.iter().zip(&snapshot.frozen.mutable_globals) {
        for (name, value) in values {
            let global = instance.get_global(&mut *store, name).ok_or_else(|| lost("global"))?;
            let kind = crate::signature::Kind::of(global.ty(&*store).content());
            let value = kind.and_then(|k| value_of(k, *value)).ok_or_else(|| lost("global"))?;
            global.set(&mut *store, value)?;
        }
    }
    Ok(())
}

fn set_references(store: &mut Store<State>, linked: &Linked, snapshot: &Snapshot) -> Result<()> {
    for (name, handles) in &snapshot.frozen.references {
        let table = linked.main.get_table(&mut *store, name).ok_or_else(|| lost("table of references"))?;
        let more = (handles.len() as u64).checked_sub(table.size(&*store)).ok_or_else(|| lost("table"))?;
        table.grow(&mut *store, more, Ref::Extern(None))?;
        for (index, handle) in (0u64..).zip(handles).filter(|(_, handle)| **handle != 0) {
            let mut scope = RootScope::new(&mut *store);
            let reference = references::to_reference(&mut scope, *handle)?;
            table.set(&mut scope, index, Ref::Extern(reference))?;
        }
    }
    Ok(())
}

//! Reading a snapshot from an isolate that has nothing left to do.

use std::collections::HashMap;
use std::path::Path;

use wasmtime::{ExternType, Instance, Module, Mutability, Ref, Store};

use super::{Frozen, Snapshot, SnapshotError, file};
use crate::entities::{cell_of, global, number_of};
use crate::functions::Origin;
use crate::layered::Layered;
use crate::link::Linked;
use crate::state::{GlobalOrigin, State, count};

fn not_now(reason: impl Into<String>) -> SnapshotError {
    SnapshotError::NotNow { reason: reason.into() }
}

impl From<wasmtime::Error> for SnapshotError {
    fn from(e: wasmtime::Error) -> Self {
        not_now(format!("{e:#}"))
    }
}

/// Writes the isolate to `path`: what differs from the snapshot `below`, from which it was made, or all of it.
pub(crate) fn take(
    store: &mut Store<State>,
    linked: &Linked,
    below: Option<&Snapshot>,
    path: &Path,
) -> Result<Snapshot, SnapshotError> {
    let guest = crate::calls::guest(&*store)?;
    if guest.outstanding.call(&mut *store, ())? > 0 {
        return Err(not_now("an operation is under way"));
    }
    if store.data().exceptions.iter().any(Option::is_some) {
        return Err(not_now("JavaScript holds a WebAssembly exception"));
    }

    let table_length = store.data().table_length;
    let numbered = below.map(|b| b.image.frozen.table_numbers.clone());
    let mut table_numbers = vec![];
    let sets = table_sets(store.data());
    for index in numbered.as_ref().map_or(0, |n| n.len() as u64)..table_length {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        table_numbers.push(match linked.table.get(&mut *store, u64::from(index)) {
            Some(Ref::Func(Some(f))) if !sets.contains_key(&index) => {
                Some(number_of(&mut *store, f, || Origin::Table(index)))
            }
            _ => None,
        });
    }
    check_origins(store.data())?;

    let mut mutable_globals = vec![];
    let runtime = store.data().runtime.clone();
    let instances = store.data().instances.clone();
    let records = store.data().instance_records.clone();
    let modules: Vec<_> = store.data().modules.clone();
    mutable_globals.push(mutable_exports(store, &runtime.main().module, linked.main));
    for (instance, record) in instances.iter().skip(1).zip(&records) {
        let code =
            modules.get(record.module as usize).cloned().ok_or_else(|| not_now("a module is missing"))?;
        mutable_globals.push(mutable_exports(store, &code.module, *instance));
    }
    mutable_globals.push(mutable_exports(store, &runtime.engine_module().module, linked.engine));

    let globals = store.data().globals.freeze(below.is_none());
    let mut main_import_globals = vec![];
    let mut made_globals = HashMap::new();
    for (number, origin) in (0u32..).zip(globals.iter()) {
        let keep = match origin {
            GlobalOrigin::Export { .. } => continue,
            GlobalOrigin::MainImport(_) => None,
            GlobalOrigin::Made { .. } => Some(number),
        };
        let entry = global(&mut *store, number)?;
        let value = cell_of(&entry.global.get(&mut *store));
        match keep {
            None => main_import_globals.push(value),
            Some(number) => {
                made_globals.insert(number, value);
            }
        }
    }
    crate::files::own(store)?;
    let state = store.data();
    let frozen = Frozen {
        version: runtime.version().to_owned(),
        main: runtime.main().name,
        engine: runtime.engine_module().name,
        memory_pages: guest.memory.size(&*store),
        monotonic_ms: state.started.elapsed().as_secs_f64() * 1e3,
        slots: state.slots,
        layout: linked.layout,
        main_import_globals,
        mutable_globals,
        functions: state.functions.freeze(below.is_none()).into(),
        globals: globals.into(),
        made_globals,
        tables: state.tables.iter().skip(1).map(|(_, origin)| origin.clone()).collect(),
        tags: state.tags.iter().map(|(_, origin)| origin.clone()).collect(),
        modules: state.modules.iter().skip(1).map(|code| code.name).collect(),
        own_modules: state.frozen.as_ref().map_or(count(state.modules.len() - 1), |base| base.own_modules),
        instances: records,
        table_length,
        table_numbers: Layered::new(numbered, table_numbers).into(),
        table_sets: sets.into_iter().collect(),
    };
    file::write(&runtime, path, below.map(|b| &b.image), frozen, guest.memory.data(&*store))
}

/// The slots that JavaScript has set, before and after a restore.
fn table_sets(state: &State) -> std::collections::BTreeMap<u32, Option<u32>> {
    let before = state.frozen.iter().flat_map(|f| f.table_sets.iter().copied());
    before.chain(state.table_sets.iter().map(|(i, f)| (*i, *f))).collect()
}

/// Every function must be found again, and what is found through the table must not have been replaced there.
fn check_origins(state: &State) -> Result<(), SnapshotError> {
    let sets = table_sets(state);
    for number in 0..count(state.functions.len()) {
        match state.functions.origin(number) {
            Some(Origin::Unknown) | None => {
                return Err(not_now("JavaScript holds a function that is neither exported nor in the table"));
            }
            Some(Origin::Table(index)) if sets.contains_key(index) => {
                return Err(not_now(format!("slot {index} of the function table was replaced")));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn mutable_exports(store: &mut Store<State>, module: &Module, instance: Instance) -> Vec<(String, u64)> {
    let mut values = vec![];
    for export in module.exports() {
        let ExternType::Global(ty) = export.ty() else { continue };
        if ty.mutability() == Mutability::Var
            && let Some(global) = instance.get_global(&mut *store, export.name())
        {
            values.push((export.name().to_owned(), cell_of(&global.get(&mut *store))));
        }
    }
    values
}

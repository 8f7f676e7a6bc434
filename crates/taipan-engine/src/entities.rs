//! Finding functions and globals by number, in a store that may have been restored.

use wasmtime::{AsContextMut, Func, Global, GlobalType, Mutability, Ref, Result, StoreContextMut, Val};

use crate::calls::trampoline;
use crate::functions::{Function, Origin};
use crate::signature::Kind;
use crate::state::{GlobalEntry, GlobalOrigin, State};

fn missing(what: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the engine named a {what} that does not exist"))
}

/// The function of this number.
pub(crate) fn function(mut store: impl AsContextMut<Data = State>, number: u32) -> Result<Function> {
    let mut store = store.as_context_mut();
    match store.data().functions.get(number) {
        Some(function) => Ok(function.clone()),
        None => find_function(&mut store, number),
    }
}

fn find_function(store: &mut StoreContextMut<'_, State>, number: u32) -> Result<Function> {
    let origin = store.data().functions.origin(number).cloned().ok_or_else(|| missing("function"))?;
    let function = match origin {
        Origin::Export { instance, ref name, .. } => {
            let instance = store.data().instances.get(instance as usize).copied();
            let func =
                instance.and_then(|i| i.get_func(&mut *store, name)).ok_or_else(|| missing("function"))?;
            describe(store, func, &origin)
        }
        Origin::Table(index) => {
            let table = store.data().tables.first().map(|(t, _)| *t).ok_or_else(|| missing("table"))?;
            match table.get(&mut *store, u64::from(index)) {
                Some(Ref::Func(Some(func))) => describe(store, func, &origin),
                _ => return Err(missing("function")),
            }
        }
        Origin::Trampoline { slot, signature } => {
            let signature =
                store.data_mut().signatures.parse(&signature).ok_or_else(|| missing("signature"))?;
            let ty = signature.func_type(store.engine());
            let shared = store.data().runtime.clone().links().trampoline(store, slot, &signature)?;
            let func = shared.unwrap_or_else(|| trampoline(&mut *store, ty, slot, signature.clone()));
            Function { func, signature: Some(signature) }
        }
        Origin::Unknown => return Err(missing("function")),
    };
    let address = function.func.to_raw(&mut *store) as usize;
    store.data_mut().functions.found(number, address, function.clone());
    Ok(function)
}

fn describe(store: &mut StoreContextMut<'_, State>, func: Func, origin: &Origin) -> Function {
    let signature = match origin {
        Origin::Export { signature: Some(text), .. } => store.data_mut().signatures.parse(text),
        _ => {
            let ty = func.ty(&*store);
            store.data_mut().signatures.of_type(&ty)
        }
    };
    Function { func, signature }
}

/// The number by which JavaScript knows a function; `origin` says where it was met if it has none yet.
pub(crate) fn number_of(
    mut store: impl AsContextMut<Data = State>,
    func: Func,
    origin: impl FnOnce() -> Origin,
) -> u32 {
    let mut store = store.as_context_mut();
    let address = func.to_raw(&mut store) as usize;
    if let Some(number) = store.data().functions.number(address) {
        return number;
    }
    if store.data().functions.may_be_frozen() {
        for number in store.data_mut().functions.frozen_numbers() {
            // One that cannot be found is not the one we look for.
            let _ = function(&mut store, number);
        }
        if let Some(number) = store.data().functions.number(address) {
            return number;
        }
    }
    let origin = origin();
    let function = describe(&mut store, func, &origin);
    store.data_mut().functions.add(address, origin, function)
}

/// The global of this number.
pub(crate) fn global(mut store: impl AsContextMut<Data = State>, number: u32) -> Result<GlobalEntry> {
    let mut store = store.as_context_mut();
    if let Some(entry) = store.data().globals.get(number) {
        return Ok(entry);
    }
    let origin = store.data().globals.origin(number).cloned().ok_or_else(|| missing("global"))?;
    let entry = match origin {
        GlobalOrigin::Export { instance, name } => {
            let instance = store.data().instances.get(instance as usize).copied();
            let global =
                instance.and_then(|i| i.get_global(&mut store, &name)).ok_or_else(|| missing("global"))?;
            entry_of(&store, global)
        }
        GlobalOrigin::Made { kind, mutable } => {
            let value = store.data().frozen.as_ref().and_then(|f| f.made_globals.get(&number).copied());
            let value = value.and_then(|v| value_of(kind, v)).ok_or_else(|| missing("global"))?;
            make_global(&mut store, kind, mutable, value)?
        }
        // Linking has found these.
        GlobalOrigin::MainImport(_) => return Err(missing("global")),
    };
    store.data_mut().globals.found(number, entry);
    Ok(entry)
}

pub(crate) fn entry_of(store: &StoreContextMut<'_, State>, global: Global) -> GlobalEntry {
    let ty = global.ty(store);
    GlobalEntry { global, kind: Kind::of(ty.content()), mutable: ty.mutability() == Mutability::Var }
}

pub(crate) fn make_global(
    mut store: impl AsContextMut<Data = State>,
    kind: Kind,
    mutable: bool,
    value: Val,
) -> Result<GlobalEntry> {
    let mutability = if mutable { Mutability::Var } else { Mutability::Const };
    let global = Global::new(&mut store, GlobalType::new(kind.val_type(), mutability), value)?;
    Ok(GlobalEntry { global, kind: Some(kind), mutable })
}

/// A cell as a number of this kind; `None` for references.
pub(crate) fn value_of(kind: Kind, cell: u64) -> Option<Val> {
    // Truncation is what a cell means: its low bits are the value.
    Some(match kind {
        Kind::I32 => Val::I32(cell as i32),
        Kind::I64 => Val::I64(cell as i64),
        Kind::F32 => Val::F32(cell as u32),
        Kind::F64 => Val::F64(cell),
        Kind::Extern | Kind::Func => return None,
    })
}

/// The inverse of [`value_of`].
pub(crate) fn cell_of(value: &Val) -> u64 {
    match value {
        Val::I32(x) => u64::from(x.cast_unsigned()),
        Val::I64(x) => x.cast_unsigned(),
        Val::F32(x) => u64::from(*x),
        Val::F64(x) => *x,
        _ => 0,
    }
}

//! Calls across the border, in both directions.
//!
//! Arguments and results travel as 64-bit cells in guest memory: JavaScript → WebAssembly in a buffer on the engine's
//! stack, WebAssembly → JavaScript on the engine's argument stack, whose top this module keeps. References become
//! handles, functions become numbers. JavaScript exceptions cross WebAssembly frames as WebAssembly exceptions with a
//! tag of ours (the value waits in the engine); WebAssembly exceptions cross JavaScript frames as
//! `WebAssembly.Exception` objects around a number of [`State::exceptions`].

use std::mem::MaybeUninit;
use std::sync::Arc;

use wasmtime::{
    AsContext, AsContextMut, Caller, ExnRef, ExnRefPre, ExnType, Func, FuncType, Linker, Result, RootScope,
    Rooted, StoreContextMut, Tag, ThrownException, ValRaw,
};

use crate::entities::{function, number_of};
use crate::functions::{Function, Origin};
use crate::signature::{Kind, MAX_PARAMS, Signature};
use crate::state::{Guest, State, count};
use crate::stop::Stop;

/// The shim's `CALL_…`.
mod status {
    pub(super) const OK: i32 = 0;
    pub(super) const JS_EXCEPTION: i32 = 1;
    pub(super) const UNBOUND: i32 = 2;
    pub(super) const WASM_EXCEPTION: i32 = 3;
}

/// "No function", where a function's number is expected.
const NO_FUNCTION: u32 = u32::MAX;

pub(crate) fn guest(store: impl AsContext<Data = State>) -> Result<Arc<Guest>> {
    store
        .as_context()
        .data()
        .guest
        .clone()
        .ok_or_else(|| wasmtime::Error::msg("the guest called the host before it was linked"))
}

/// A cell as a raw value.
fn scalar(kind: Kind, cell: u64) -> ValRaw {
    // Truncation is what a cell means: its low bits are the value.
    match kind {
        Kind::I32 | Kind::Extern | Kind::Func => ValRaw::i32(cell as i32),
        Kind::I64 => ValRaw::i64(cell as i64),
        Kind::F32 => ValRaw::f32(cell as u32),
        Kind::F64 => ValRaw::f64(cell),
    }
}

fn raw_function(mut store: impl AsContextMut<Data = State>, number: u32) -> Result<ValRaw> {
    if number == NO_FUNCTION {
        return Ok(ValRaw::funcref(std::ptr::null_mut()));
    }
    let f = function(&mut store, number)?.func;
    Ok(ValRaw::funcref(f.to_raw(&mut store)))
}

/// A raw value as a cell.
fn to_cell(mut store: impl AsContextMut<Data = State>, kind: Kind, value: &ValRaw) -> Result<u64> {
    Ok(match kind {
        Kind::I32 | Kind::Extern => u64::from(value.get_u32()),
        Kind::I64 => value.get_u64(),
        Kind::F32 => u64::from(value.get_f32()),
        Kind::F64 => value.get_f64(),
        Kind::Func => {
            let raw = value.get_funcref();
            // SAFETY: the value came from WebAssembly code of this store, typed funcref; it is null or points to a
            // function of this store.
            match unsafe { Func::from_raw(&mut store, raw) } {
                Some(f) => u64::from(number_of(&mut store, f, || Origin::Unknown)),
                None => u64::from(NO_FUNCTION),
            }
        }
    })
}

/// JavaScript calls function `number` with the cells at `cells`; the result replaces the first cell.
pub(crate) fn call(mut caller: Caller<'_, State>, number: u32, cells: u32) -> Result<i32> {
    let guest = guest(&caller)?;
    let Function { func, signature } = function(&mut caller, number)?;
    let Some(signature) = signature else { return Ok(status::UNBOUND) };
    let mut values: [ValRaw; MAX_PARAMS] = std::array::from_fn(|_| ValRaw::i64(0));
    load_arguments(&mut caller, &guest, &signature, cells, &mut values)?;

    let stack_pointer = guest.stack_pointer.get(&mut caller);
    let engine_stack_pointer = guest.engine_stack_pointer.get(&mut caller);
    let used = caller.data().arguments_used;
    // SAFETY: `values` has room for all parameters and the one result, and `load_arguments` filled it after the
    // function's own type.
    let result = unsafe { func.call_unchecked(&mut caller, &raw mut values) };
    match result {
        Ok(()) => {
            if let (Some(kind), [first, ..]) = (signature.result, &values) {
                let cell = to_cell(&mut caller, kind, first)?;
                guest.write(&mut caller, cells, &cell.to_le_bytes())?;
            }
            Ok(status::OK)
        }
        Err(error) if error.is::<ThrownException>() => {
            // The exception unwound frames that had moved these.
            caller.data_mut().arguments_used = used;
            guest.engine_stack_pointer.set(&mut caller, engine_stack_pointer)?;
            guest.stack_pointer.set(&mut caller, stack_pointer)?;
            catch(&mut caller, &guest, cells)
        }
        Err(error) => Err(error),
    }
}

fn load_arguments(
    caller: &mut Caller<'_, State>,
    guest: &Guest,
    signature: &Signature,
    cells: u32,
    values: &mut [ValRaw; MAX_PARAMS],
) -> Result<()> {
    let bytes = guest.bytes(caller, cells, count(signature.params.len() * 8))?;
    let mut arguments = [0u64; MAX_PARAMS];
    for (argument, cell) in arguments.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *argument = u64::from_le_bytes(*cell);
    }
    for ((value, kind), argument) in values.iter_mut().zip(&signature.params).zip(arguments) {
        *value = match kind {
            Kind::Func => raw_function(&mut *caller, argument as u32)?,
            kind => scalar(*kind, argument),
        };
    }
    Ok(())
}

/// Takes the pending exception: JavaScript's own waits in the engine, any other gets a number.
fn catch(caller: &mut Caller<'_, State>, guest: &Guest, cells: u32) -> Result<i32> {
    let owned = {
        let mut scope = RootScope::new(&mut *caller);
        let Some(exception) = scope.as_context_mut().take_pending_exception() else {
            return Err(wasmtime::Error::msg("an exception was thrown but is not there"));
        };
        let tag = exception.tag(&mut scope)?;
        if Tag::eq(&tag, &guest.js_tag, scope.as_context()) {
            return Ok(status::JS_EXCEPTION);
        }
        exception.to_owned_rooted(&mut scope)?
    };
    let number = caller.data_mut().hold_exception(owned);
    guest.write(caller, cells, &u64::from(number).to_le_bytes())?;
    Ok(status::WASM_EXCEPTION)
}

/// A WebAssembly function that calls whatever JavaScript bound to `slot`.
pub(crate) fn trampoline(
    store: impl AsContextMut<Data = State>,
    ty: FuncType,
    slot: u32,
    signature: Arc<Signature>,
) -> Func {
    // SAFETY: `dispatch` reads one value per parameter of `signature`, which is `ty` in other words, and writes the
    // one result if there is one, with the kind that `ty` says.
    unsafe {
        Func::new_unchecked(store, ty, move |caller, values| dispatch(caller, slot, &signature, values))
    }
}

/// As [`trampoline`], for all isolates.
pub(crate) fn define_trampoline(
    linker: &mut Linker<State>,
    (module, name): (&str, &str),
    ty: FuncType,
    slot: u32,
    signature: &Arc<Signature>,
) -> Result<()> {
    let signature = signature.clone();
    // SAFETY: as in `trampoline`.
    unsafe {
        linker.func_new_unchecked(module, name, ty, move |caller, values| {
            dispatch(caller, slot, &signature, values)
        })?;
    }
    Ok(())
}

/// WebAssembly calls the JavaScript function in `slot`.
fn dispatch(
    mut caller: Caller<'_, State>,
    slot: u32,
    signature: &Signature,
    values: &mut [MaybeUninit<ValRaw>],
) -> Result<()> {
    let guest = guest(&caller)?;
    let (base, room) = guest.arguments;
    let state = caller.data_mut();
    if let Some(calls) = state.crossings.get_mut(slot as usize) {
        *calls += 1;
    }
    let used = state.arguments_used;
    let cells = count(signature.params.len().max(1));
    if used.saturating_add(cells) > room {
        return Err(Stop::StackOverflow.into());
    }
    let at = base.saturating_add(used.saturating_mul(8));
    let mut arguments = [0u8; MAX_PARAMS * 8];
    for ((kind, value), cell) in
        signature.params.iter().zip(values.iter()).zip(arguments.as_chunks_mut::<8>().0)
    {
        // SAFETY: Wasmtime initialises a value for each parameter of the function's type before it calls us.
        let value = unsafe { value.assume_init_ref() };
        *cell = to_cell(&mut caller, *kind, value)?.to_le_bytes();
    }
    if let Some(arguments) = arguments.get(..signature.params.len() * 8) {
        guest.write(&mut caller, at, arguments)?;
    }
    caller.data_mut().arguments_used = used.saturating_add(cells);
    let result = guest.dispatch.call(&mut caller, (slot, at));
    caller.data_mut().arguments_used = used;
    match result? {
        status::OK => {
            let result = guest.read_u64(&caller, at)?;
            let (Some(kind), [first, ..]) = (signature.result, values) else { return Ok(()) };
            first.write(match kind {
                Kind::Func => raw_function(&mut caller, result as u32)?,
                kind => scalar(kind, result),
            });
            Ok(())
        }
        status::UNBOUND => {
            Err(wasmtime::Error::msg(format!("the import in slot {slot} was called before it was bound")))
        }
        other => throw_answer(caller, other, at),
    }
}

/// Throws what the engine's answer says, through the WebAssembly that called.
pub(crate) fn throw_answer(mut caller: Caller<'_, State>, answer: i32, at: u32) -> Result<()> {
    let guest = guest(&caller)?;
    match answer {
        status::JS_EXCEPTION => throw_js(caller.as_context_mut(), &guest),
        status::WASM_EXCEPTION => {
            let number = guest.read_u64(&caller, at)? as usize;
            let held = caller.data_mut().exceptions.get_mut(number).and_then(Option::take);
            let Some(held) = held else {
                return Err(wasmtime::Error::msg("the engine threw an exception that does not exist"));
            };
            let mut scope = RootScope::new(&mut caller);
            let exception = held.to_rooted(&mut scope);
            throw(&mut scope.as_context_mut(), exception)
        }
        _ => Err(wasmtime::Error::msg("the engine threw nothing")),
    }
}

fn throw_js(store: StoreContextMut<'_, State>, guest: &Guest) -> Result<()> {
    let mut scope = RootScope::new(store);
    let ty = ExnType::from_tag_type(&guest.js_tag.ty(&scope))?;
    let pre = ExnRefPre::new(&mut scope, ty);
    let exception = ExnRef::new(&mut scope, &pre, &guest.js_tag, &[])?;
    throw(&mut scope.as_context_mut(), exception)
}

fn throw(store: &mut StoreContextMut<'_, State>, exception: Rooted<ExnRef>) -> Result<()> {
    store.throw(exception)
}

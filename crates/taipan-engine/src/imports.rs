//! The host functions that the engine imports (`engine/src/shim.h` declares their other side).

use std::time::{Duration, Instant};

use taipan_guest::ops::{self, OPS};
use taipan_guest::protocol::{Message, encode};
use wasmtime::{AsContext, AsContextMut, Caller, Linker, Ref, Result, Val};

use crate::calls::{self, guest, trampoline};
use crate::clocks;
use crate::entities::{cell_of, function, global, make_global, number_of, value_of};
use crate::functions::{Function, Origin};
use crate::host::{Event, OpReply};
use crate::query;
use crate::signature::Kind;
use crate::state::{GlobalOrigin, State, count};
use crate::stop::Stop;

type C<'a> = Caller<'a, State>;

/// Kinds of events, as the shim numbers them.
pub(crate) mod event {
    pub(crate) const COMPLETE: i32 = 0;
    pub(crate) const FAILED: i32 = 1;
    pub(crate) const FETCH: i32 = 2;
    pub(crate) const DISCONNECTED: i32 = 3;
    pub(crate) const BOOT: i32 = 4;
    pub(crate) const FREEZE: i32 = 5;
    pub(crate) const THAW: i32 = 6;
    pub(crate) const LOAD: i32 = 7;
    pub(crate) const HUNG: i32 = 8;
    pub(crate) const UNLOAD: i32 = 9;
    pub(crate) const PENDING: i32 = 10;
    pub(crate) const LOAD_PACKAGES: i32 = 11;
    pub(crate) const COMPACT: i32 = 12;
    pub(crate) const PROGRAM: i32 = 13;
    pub(crate) const COSTS: i32 = 14;
    pub(crate) const IMPORTED: i32 = 15;
}

/// The shim's `OP_…`.
mod status {
    pub(super) const READY: i32 = 0;
    pub(super) const LATER: i32 = 1;
    pub(super) const FAILED: i32 = 2;
}

const TABLE_NULL: i32 = -1;
const TABLE_OUT_OF_BOUNDS: i32 = -2;

/// The module that the engine imports the host's functions from.
pub(crate) const MODULE: &str = "taipan";

/// Defines the host's functions, once for all isolates.
pub(crate) fn define(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(MODULE, "call", calls::call)?;
    linker.func_wrap(MODULE, "throw", calls::throw_answer)?;
    linker.func_wrap(MODULE, "signature", signature)?;
    linker.func_wrap(MODULE, "trampoline", new_trampoline)?;
    linker.func_wrap(MODULE, "new_slot", |mut c: C<'_>| c.data_mut().new_slot())?;
    linker.func_wrap(MODULE, "table_get", table_get)?;
    linker.func_wrap(MODULE, "table_set", table_set)?;
    linker.func_wrap(MODULE, "table_grow", table_grow)?;
    linker.func_wrap(MODULE, "table_size", |c: C<'_>, table: u32| -> Result<u32> {
        Ok(u32::try_from(table_length(&c, table)?).unwrap_or(u32::MAX))
    })?;
    linker.func_wrap(MODULE, "global_new", global_new)?;
    linker.func_wrap(MODULE, "global_get", global_get)?;
    linker.func_wrap(MODULE, "global_set", global_set)?;
    linker.func_wrap(MODULE, "module_new", module_new)?;
    linker.func_wrap(MODULE, "query", |mut c: C<'_>, at: u32, length: u32, out: u32| -> Result<()> {
        let guest = guest(&c)?;
        let question = guest.text(&c, at, length)?;
        let answer = query::answer(&mut c, &question)?;
        guest.place_block(&mut c, answer.as_bytes(), out)
    })?;
    linker.func_wrap(MODULE, "exception_tag", exception_tag)?;
    linker.func_wrap(MODULE, "exception_arg", exception_arg)?;
    linker.func_wrap(MODULE, "exception_free", |mut c: C<'_>, exception: u32| {
        if let Some(place) = c.data_mut().exceptions.get_mut(exception as usize) {
            *place = None;
        }
    })?;
    linker.func_wrap(MODULE, "now", |c: C<'_>, clock: i32| now(c.data(), clock))?;
    linker.func_wrap(MODULE, "log", |mut c: C<'_>, level: i32, at: u32, length: u32| -> Result<()> {
        let line = guest(&c)?.text(&c, at, length)?;
        c.data_mut().ops.log(u8::try_from(level).unwrap_or(4), &line);
        Ok(())
    })?;
    linker.func_wrap(MODULE, "random", |mut c: C<'_>, at: u32, length: u32| -> Result<()> {
        let guest = guest(&c)?;
        getrandom::fill(guest.bytes_mut(&mut c, at, length)?)
            .map_err(|e| wasmtime::Error::msg(format!("the operating system has no randomness: {e}")))
    })?;
    linker.func_wrap(MODULE, "read_file", read_file)?;
    crate::files::define(linker, MODULE)?;
    linker.func_wrap(MODULE, "op_number", |c: C<'_>, at: u32, length: u32| -> Result<i32> {
        let name = guest(&c)?.text(&c, at, length)?;
        Ok(ops::number(&name).and_then(|n| i32::try_from(n).ok()).unwrap_or(-1))
    })?;
    linker.func_wrap(MODULE, "op", op)?;
    linker.func_wrap(MODULE, "wait", wait)?;
    linker.func_wrap(MODULE, "booted", |mut c: C<'_>, at: u32, length: u32| -> Result<()> {
        let report = guest(&c)?.text(&c, at, length)?;
        c.data_mut().booted = Some(if report.is_empty() { Ok(()) } else { Err(report) });
        Ok(())
    })?;
    linker.func_wrap(MODULE, "exit", |c: C<'_>, _kind: i32, at: u32, length: u32| -> Result<()> {
        Err(Stop::Exit(guest(&c)?.text(&c, at, length)?).into())
    })?;
    Ok(())
}

fn now(state: &State, clock: i32) -> f64 {
    clocks::milliseconds(if clock == 0 { clocks::wall() } else { clocks::monotonic(state) })
}

/// A point in the guest's monotonic milliseconds as ours; `None` for "never".
pub(crate) fn instant(state: &State, ms: f64) -> Option<Instant> {
    // A timer further away than this cannot be told from one that never fires.
    const YEAR_MS: f64 = 365.0 * 24.0 * 3600.0 * 1e3;
    (ms >= 0.0).then(|| state.started + Duration::from_secs_f64(ms.min(YEAR_MS * 100.0) / 1e3))
}

fn signature(mut c: C<'_>, number: u32, out: u32) -> Result<u32> {
    let text = match function(&mut c, number)?.signature {
        Some(signature) => signature.text.clone(),
        None => String::from("?"),
    };
    guest(&c)?.write(&mut c, out, text.as_bytes())?;
    Ok(count(text.len()))
}

fn new_trampoline(mut c: C<'_>, at: u32, length: u32, slot: u32) -> Result<u32> {
    let text = guest(&c)?.text(&c, at, length)?;
    let signature = c.data_mut().signatures.parse(&text);
    let signature = signature.ok_or_else(|| wasmtime::Error::msg(format!("not a signature: {text}")))?;
    let ty = signature.func_type(c.engine());
    let func = trampoline(&mut c, ty, slot, signature.clone());
    let address = func.to_raw(&mut c) as usize;
    let origin = Origin::Trampoline { slot, signature: text };
    Ok(c.data_mut().functions.add(address, origin, Function { func, signature: Some(signature) }))
}

fn table_at(c: &C<'_>, table: u32) -> Result<wasmtime::Table> {
    let table = c.data().tables.get(table as usize).map(|(t, _)| *t);
    table.ok_or_else(|| wasmtime::Error::msg("the engine named a table that does not exist"))
}

fn table_length(c: &C<'_>, table: u32) -> Result<u64> {
    let size = table_at(c, table)?.size(c);
    Ok(if table == FUNCTION_TABLE { c.data().table_length } else { size })
}

/// The function table; what JavaScript puts into others is not remembered.
const FUNCTION_TABLE: u32 = 0;

fn table_get(mut c: C<'_>, table: u32, index: u32) -> Result<i32> {
    if table == FUNCTION_TABLE
        && let Some(known) = known_slot(c.data(), index)
    {
        return Ok(known.and_then(|n| i32::try_from(n).ok()).unwrap_or(TABLE_NULL));
    }
    if u64::from(index) >= table_length(&c, table)? {
        return Ok(TABLE_OUT_OF_BOUNDS);
    }
    Ok(match table_at(&c, table)?.get(&mut c, u64::from(index)) {
        None => TABLE_OUT_OF_BOUNDS,
        Some(Ref::Func(Some(f))) => {
            let number = number_of(&mut c, f, || Origin::Table(index));
            i32::try_from(number).unwrap_or(TABLE_NULL)
        }
        Some(_) => TABLE_NULL,
    })
}

/// What is in a slot of the function table, if that is known without looking: `Some(None)` is known to be null.
fn known_slot(state: &State, index: u32) -> Option<Option<u32>> {
    if let Some(set) = state.table_sets.get(&index) {
        return Some(*set);
    }
    let frozen = state.frozen.as_ref()?;
    if let Ok(set) = frozen.table_sets.binary_search_by_key(&index, |(i, _)| *i) {
        return frozen.table_sets.get(set).map(|(_, number)| *number);
    }
    frozen.table_numbers.get(index as usize).copied().filter(Option::is_some)
}

fn table_set(mut c: C<'_>, table: u32, index: u32, number: i32) -> Result<i32> {
    let number = u32::try_from(number).ok();
    let f = match number {
        Some(number) => Some(function(&mut c, number)?.func),
        None => None,
    };
    if u64::from(index) >= table_length(&c, table)? {
        return Ok(1);
    }
    let set = table_at(&c, table)?.set(&mut c, u64::from(index), Ref::Func(f));
    if set.is_ok() && table == FUNCTION_TABLE {
        c.data_mut().table_sets.insert(index, number);
    }
    Ok(i32::from(set.is_err()))
}

fn table_grow(mut c: C<'_>, table: u32, by: u32) -> Result<i32> {
    let object = table_at(&c, table)?;
    let grown = match table {
        FUNCTION_TABLE => crate::table::grow(&mut c, object, by.into()),
        _ => object.grow(&mut c, by.into(), Ref::Func(None)),
    };
    Ok(match grown {
        Ok(old) => i32::try_from(old).unwrap_or(-1),
        Err(_) => -1,
    })
}

fn global_new(mut c: C<'_>, code: i32, mutable: i32, at: u32) -> Result<u32> {
    let initial = guest(&c)?.read_u64(&c, at)?;
    let kind = u8::try_from(code).ok().and_then(Kind::of_code);
    let Some((kind, initial)) = kind.and_then(|k| Some((k, value_of(k, initial)?))) else {
        return Err(wasmtime::Error::msg("globals made by JavaScript hold numbers only"));
    };
    let mutable = mutable != 0;
    let entry = make_global(&mut c, kind, mutable, initial)?;
    Ok(c.data_mut().globals.add(GlobalOrigin::Made { kind, mutable }, entry))
}

fn global_get(mut c: C<'_>, number: u32, out: u32) -> Result<i32> {
    let entry = global(&mut c, number)?;
    let value = entry.global.get(&mut c);
    guest(&c)?.write(&mut c, out, &cell_of(&value).to_le_bytes())?;
    Ok(entry.kind.map_or(0, |k| i32::from(k.code())))
}

fn global_set(mut c: C<'_>, number: u32, at: u32) -> Result<i32> {
    let entry = global(&mut c, number)?;
    let new = guest(&c)?.read_u64(&c, at)?;
    let Some(new) = entry.kind.and_then(|k| value_of(k, new)) else { return Ok(1) };
    if !entry.mutable {
        return Ok(1);
    }
    entry.global.set(&mut c, new)?;
    Ok(0)
}

fn module_new(mut c: C<'_>, at: u32, length: u32, error: u32) -> Result<i32> {
    let guest = guest(&c)?;
    let bytes = guest.bytes(&c, at, length)?.to_vec();
    let runtime = c.data().runtime.clone();
    // The main module is instantiated at boot, and there is a snapshot after that.
    if c.data().frozen.is_none() && runtime.files().map_err(wasmtime::Error::new)?.is_main_stub(&bytes) {
        return Ok(0);
    }
    match runtime.side_module(&bytes) {
        Ok(module) => {
            let modules = &mut c.data_mut().modules;
            modules.push(module);
            Ok(i32::try_from(modules.len() - 1).unwrap_or(-1))
        }
        Err(e) => {
            let source = std::error::Error::source(&e).map(|s| format!(": {s}")).unwrap_or_default();
            guest.place_block(&mut c, format!("{e}{source}").as_bytes(), error)?;
            Ok(-1)
        }
    }
}

fn held_exception(c: &mut C<'_>, number: u32) -> Option<wasmtime::OwnedRooted<wasmtime::ExnRef>> {
    c.data().exceptions.get(number as usize).and_then(Clone::clone)
}

/// The number of the exception's tag among those that JavaScript knows, or −1.
fn exception_tag(mut c: C<'_>, number: u32) -> Result<i32> {
    let Some(held) = held_exception(&mut c, number) else { return Ok(-1) };
    let mut scope = wasmtime::RootScope::new(&mut c);
    let tag = held.to_rooted(&mut scope).tag(&mut scope)?;
    let store = scope.as_context();
    let known = store.data().tags.iter().position(|(t, _)| wasmtime::Tag::eq(t, &tag, &store));
    Ok(known.and_then(|i| i32::try_from(i).ok()).unwrap_or(-1))
}

/// The kind of the exception's value `index`, which is written at `out`; 0 when there is none.
fn exception_arg(mut c: C<'_>, number: u32, index: u32, out: u32) -> Result<i32> {
    let Some(held) = held_exception(&mut c, number) else { return Ok(0) };
    let field = {
        let mut scope = wasmtime::RootScope::new(&mut c);
        held.to_rooted(&mut scope).fields(&mut scope)?.nth(index as usize)
    };
    let kind = match field {
        Some(Val::I32(_)) => Kind::I32,
        Some(Val::I64(_)) => Kind::I64,
        Some(Val::F32(_)) => Kind::F32,
        Some(Val::F64(_)) => Kind::F64,
        _ => return Ok(0),
    };
    let cell = field.as_ref().map_or(0, cell_of);
    guest(&c)?.write(&mut c, out, &cell.to_le_bytes())?;
    Ok(i32::from(kind.code()))
}

fn read_file(mut c: C<'_>, at: u32, length: u32, out: u32) -> Result<i32> {
    let guest = guest(&c)?;
    let path = guest.text(&c, at, length)?;
    let source = path
        .strip_prefix(crate::link::SOURCES)
        .and_then(|path| c.data().sources.iter().find(|s| s.path == path))
        .map(|s| s.content.clone());
    if let Some(content) = source {
        guest.place_block(&mut c, &content, out)?;
        return Ok(1);
    }
    let runtime = c.data().runtime.clone();
    match runtime.files().map_err(wasmtime::Error::new)?.get(&path) {
        Some(bytes) => guest.place_block(&mut c, bytes, out).map(|()| 1),
        None => Ok(0),
    }
}

fn op(mut c: C<'_>, number: u32, id: u32, at: u32, length: u32, out: u32) -> Result<i32> {
    let guest = guest(&c)?;
    let (memory, state) = guest.memory.data_and_store_mut(&mut c);
    let start = at as usize;
    let message = memory.get(start..start.saturating_add(length as usize)).unwrap_or_default();
    let reply = match (OPS.get(number as usize), Message::decode(message)) {
        (Some(_), Ok(message)) => state.ops.call(number, id, &message),
        (None, _) => {
            OpReply::Failed { name: "TypeError", message: format!("there is no operation {number}") }
        }
        (Some(op), Err(e)) => {
            OpReply::Failed { name: "TypeError", message: format!("operation {}: {e}", op.name) }
        }
    };
    let (status, answer) = match reply {
        OpReply::Ready(fields) => (status::READY, encode(&fields)),
        OpReply::Later => return Ok(status::LATER),
        OpReply::Failed { name, message } => (status::FAILED, encode(&[name.into(), message.into()])),
    };
    guest.place_block(&mut c, &answer, out)?;
    Ok(status)
}

/// Blocks in the middle of a turn (`run_sync`): until an operation has completed or the deadline has passed.
fn wait(mut c: C<'_>, deadline: f64, kind: u32, id: u32, out: u32) -> Result<i32> {
    let deadline = instant(c.data(), deadline);
    let Some(event) = c.data_mut().ops.wait(deadline) else { return Ok(0) };
    let (number, whose, message) = encode_event(event);
    let guest = guest(&c)?;
    guest.write(c.as_context_mut(), kind, &number.to_le_bytes())?;
    guest.write(c.as_context_mut(), id, &whose.to_le_bytes())?;
    guest.place_block(&mut c, &message, out)?;
    Ok(1)
}

/// An event as the shim takes it: kind, id, message.
pub(crate) fn encode_event(event: Event) -> (i32, u32, Vec<u8>) {
    match event {
        Event::Complete { id, fields } => (event::COMPLETE, id, encode(&fields)),
        Event::Failed { id, name, message } => (event::FAILED, id, encode(&[name.into(), message.into()])),
        Event::Fetch { request, head } => (event::FETCH, request, encode(&head)),
        Event::Disconnected { request } => (event::DISCONNECTED, request, encode(&[])),
        Event::Hung { request } => (event::HUNG, request, encode(&[])),
    }
}

//! Puts an isolate together: the main module, the engine inside its memory, and the host's functions.
//!
//! ```text
//!  linear memory   | CPython's static data | heap: … engine's data … engine's stack … objects of both … |
//!  function table  | CPython's functions   | engine's functions | side modules' functions …             |
//! ```
//! The main module comes first. `malloc` works as soon as it is instantiated, so the engine's static data and its stack
//! are blocks of the main module's heap. Only then does JavaScript run, which fills the slots of the main module's imports.

use std::sync::Arc;

use wasmtime::{
    AsContextMut, Extern, ExternType, Global, GlobalType, Instance, Memory, Mutability, Ref, Result, Store,
    Table, Tag, TagType, TypedFunc, Val, ValType, WasmParams, WasmResults,
};

use crate::calls::trampoline;
use crate::imports::host_function;
use crate::signature::Kind;
use crate::state::{GlobalEntry, Guest, ImportItem, MainImport, State};

/// Where guest JavaScript finds the Worker's files.
pub(crate) const SOURCES: &str = "/worker/";

/// The engine's own stack. JavaScript's recursion limit keeps within it.
const ENGINE_STACK: u32 = 4 << 20;
/// What the engine leaves unused, for its C code that does not check.
const ENGINE_STACK_RESERVE: u32 = 128 << 10;

/// Emscripten's growth policy: a fifth more than there was, 96 MiB more at the most.
const GROWTH_STEP_MAX: u64 = 96 << 20;
const PAGE: u64 = 65536;

/// Instantiates main module and engine, and starts the engine.
pub(crate) fn link(store: &mut Store<State>) -> Result<()> {
    let runtime = store.data().runtime.clone();
    let engine = store.engine().clone();
    let js_tag = Tag::new(&mut *store, &TagType::new(wasmtime::FuncType::new(&engine, [], [])))?;

    let (main, memory) = instantiate_main(store)?;
    let table = export(store, main, "__indirect_function_table", Extern::into_table)?;
    let stack_pointer = export(store, main, "__stack_pointer", Extern::into_global)?;
    let malloc: TypedFunc<u32, u32> = main.get_typed_func(&mut *store, "malloc")?;
    {
        let state = store.data_mut();
        state.tables.push(table);
        state.modules.push(runtime.main().clone());
        state.instances.push(main);
    }
    if let Ok(init) = main.get_typed_func::<(), ()>(&mut *store, "emscripten_stack_init") {
        init.call(&mut *store, ())?;
    }

    let (instance, engine_stack_pointer) = instantiate_engine(store, main, memory, table, &malloc)?;
    for name in ["__wasm_apply_data_relocs", "__wasm_call_ctors"] {
        if let Ok(f) = instance.get_typed_func::<(), ()>(&mut *store, name) {
            f.call(&mut *store, ())?;
        }
    }
    let arguments_at: u32 =
        typed::<(), u32>(store, instance, "engine_argument_stack")?.call(&mut *store, ())?;
    let arguments_room: u32 =
        typed::<(), u32>(store, instance, "engine_argument_room")?.call(&mut *store, ())?;
    let guest = Guest {
        memory,
        malloc,
        stack_pointer,
        engine_stack_pointer,
        dispatch: typed(store, instance, "engine_dispatch")?,
        free_handles: typed(store, instance, "engine_free_handles")?,
        memory_grown: typed(store, instance, "engine_memory_grown")?,
        event: typed(store, instance, "engine_event")?,
        run: typed(store, instance, "engine_run")?,
        outstanding: typed(store, instance, "engine_outstanding")?,
        eval: typed(store, instance, "engine_eval")?,
        arguments: (arguments_at, arguments_room),
        js_tag,
    };
    store.data_mut().guest = Some(Arc::new(guest));
    let failed: i32 = typed::<u32, i32>(store, instance, "engine_init")?
        .call(&mut *store, ENGINE_STACK - ENGINE_STACK_RESERVE)?;
    if failed != 0 {
        return Err(wasmtime::Error::msg(format!("the JavaScript engine did not start: {failed}")));
    }
    Ok(())
}

fn typed<P: WasmParams, R: WasmResults>(
    store: &mut Store<State>,
    instance: Instance,
    name: &str,
) -> Result<TypedFunc<P, R>> {
    instance.get_typed_func(store, name)
}

fn export<T>(
    store: &mut Store<State>,
    instance: Instance,
    name: &str,
    kind: impl FnOnce(Extern) -> Option<T>,
) -> Result<T> {
    let found = instance.get_export(store, name).and_then(kind);
    found.ok_or_else(|| wasmtime::Error::msg(format!("the main module does not export {name}")))
}

/// The main module with a slot behind each of its function imports.
fn instantiate_main(store: &mut Store<State>) -> Result<(Instance, Memory)> {
    let runtime = store.data().runtime.clone();
    let module = runtime.main();
    let mut memory = None;
    let mut given = Vec::with_capacity(module.imports().len());
    let mut described = Vec::with_capacity(module.imports().len());
    for import in module.imports() {
        let (item, value): (ImportItem, Extern) = match import.ty() {
            ExternType::Func(ty) => {
                let signature = store.data_mut().signatures.of_type(&ty);
                let slot = store.data_mut().new_slot();
                let f = match (import.name(), &signature) {
                    ("emscripten_resize_heap", _) => wasmtime::Func::wrap(&mut *store, resize_heap),
                    (_, Some(signature)) => trampoline(&mut *store, ty, slot, signature.clone()),
                    (name, None) => {
                        return Err(wasmtime::Error::msg(format!("import of an unsupported type: {name}")));
                    }
                };
                (ImportItem::Slot(slot, signature), f.into())
            }
            ExternType::Global(ty) => {
                // Addresses that the glue fills in; -1 is its mark for "not yet".
                let global = Global::new(&mut *store, ty.clone(), Val::I32(-1))?;
                let entry = GlobalEntry {
                    global,
                    kind: Kind::of(ty.content()),
                    mutable: ty.mutability() == Mutability::Var,
                };
                (ImportItem::Global(store.data_mut().add_global(entry)), global.into())
            }
            ExternType::Memory(ty) => {
                let m = Memory::new(&mut *store, ty)?;
                memory = Some(m);
                (ImportItem::Other, m.into())
            }
            ExternType::Tag(ty) => (ImportItem::Other, Tag::new(&mut *store, &ty)?.into()),
            ExternType::Table(ty) => {
                (ImportItem::Other, Table::new(&mut *store, ty, Ref::Func(None))?.into())
            }
        };
        described.push(MainImport { module: import.module().into(), name: import.name().into(), item });
        given.push(value);
    }
    store.data_mut().main_imports = described;
    let instance = Instance::new(&mut *store, module, &given)?;
    let memory = memory.ok_or_else(|| wasmtime::Error::msg("the main module does not import its memory"))?;
    Ok((instance, memory))
}

/// The engine as a side module: its data and stack from the main module's heap, its functions at the end of the table.
fn instantiate_engine(
    store: &mut Store<State>,
    main: Instance,
    memory: Memory,
    table: Table,
    malloc: &TypedFunc<u32, u32>,
) -> Result<(Instance, Global)> {
    let runtime = store.data().runtime.clone();
    let layout = runtime.engine_layout();
    let align = 1u32.checked_shl(layout.memory_align).unwrap_or(16).max(16);
    let data = allocate(store, malloc, layout.memory_size, align)?;
    let start = data as usize;
    let block =
        memory.data_mut(&mut *store).get_mut(start..start.saturating_add(layout.memory_size as usize));
    block.ok_or_else(|| wasmtime::Error::msg("malloc gave memory that does not exist"))?.fill(0);
    let stack = allocate(store, malloc, ENGINE_STACK, 16)?.saturating_add(ENGINE_STACK);
    let table_base = table.grow(&mut *store, u64::from(layout.table_size), Ref::Func(None))?;
    let table_base = i32::try_from(table_base).map_err(|_| wasmtime::Error::msg("the table is full"))?;

    let i32_global = |store: &mut Store<State>, mutability, value: u32| {
        Global::new(store, GlobalType::new(ValType::I32, mutability), Val::I32(value.cast_signed()))
    };
    let stack_pointer = i32_global(store, Mutability::Var, stack)?;
    let mut given: Vec<Extern> = vec![];
    for import in runtime.engine_module().imports() {
        let missing =
            || wasmtime::Error::msg(format!("the engine wants {}.{}", import.module(), import.name()));
        given.push(match (import.module(), import.name()) {
            ("env", "memory") => memory.into(),
            ("env", "__indirect_function_table") => table.into(),
            ("env", "__stack_pointer") => stack_pointer.into(),
            ("env", "__memory_base") => i32_global(store, Mutability::Const, data)?.into(),
            ("env", "__table_base") => {
                i32_global(store, Mutability::Const, table_base.cast_unsigned())?.into()
            }
            ("env", name) => main.get_export(&mut *store, name).ok_or_else(missing)?,
            ("GOT.mem", name) => {
                let address = export(store, main, name, Extern::into_global)?.get(&mut *store);
                i32_global(store, Mutability::Var, address.i32().ok_or_else(missing)?.cast_unsigned())?.into()
            }
            ("GOT.func", name) => {
                let f = main.get_func(&mut *store, name).ok_or_else(missing)?;
                let index = table.grow(&mut *store, 1, Ref::Func(Some(f)))?;
                let index = u32::try_from(index).map_err(|_| missing())?;
                i32_global(store, Mutability::Var, index)?.into()
            }
            ("taipan", name) => host_function(store, name).ok_or_else(missing)?.into(),
            _ => return Err(missing()),
        });
    }
    Ok((Instance::new(&mut *store, runtime.engine_module(), &given)?, stack_pointer))
}

fn allocate(store: &mut Store<State>, malloc: &TypedFunc<u32, u32>, size: u32, align: u32) -> Result<u32> {
    let at = malloc.call(&mut *store, size.saturating_add(align))?;
    if at == 0 {
        return Err(crate::stop::Stop::OutOfMemory.into());
    }
    Ok(at.next_multiple_of(align))
}

/// `emscripten_resize_heap`: native, because the engine's own `malloc` can ask for it and must not re-enter JavaScript.
fn resize_heap(mut caller: wasmtime::Caller<'_, State>, wanted: u32) -> Result<i32> {
    let guest = crate::calls::guest(&caller).map(|g| g.memory).or_else(|_| {
        caller
            .get_export("memory")
            .and_then(Extern::into_memory)
            .ok_or_else(|| wasmtime::Error::msg("no memory"))
    })?;
    let old = guest.data_size(&caller) as u64;
    let wanted = u64::from(wanted);
    if wanted <= old {
        return Ok(1);
    }
    let pages = |size: u64| size.saturating_sub(old).div_ceil(PAGE);
    let generous = wanted.max((old + old / 5).min(old + GROWTH_STEP_MAX));
    // A refusal of the generous step is not the guest's last word.
    let refused = caller.data().limits.refused;
    if guest.grow(&mut caller, pages(generous)).is_err() {
        caller.data_mut().limits.refused = refused;
        if guest.grow(&mut caller, pages(wanted)).is_err() {
            return Ok(0);
        }
    }
    if let Some(guest) = caller.data().guest.clone() {
        guest.memory_grown.call(caller.as_context_mut(), ())?;
    }
    Ok(1)
}

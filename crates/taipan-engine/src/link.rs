//! Puts an isolate together: the main module, the engine inside its memory, and the host's functions.
//!
//! ```text
//!  linear memory   | CPython's static data | heap: … engine's data … engine's stack … objects of both … |
//!  function table  | CPython's functions   | engine's functions | side modules' functions …             |
//! ```
//! The main module comes first. `malloc` works as soon as its data is in place, so the engine's static data and its stack
//! are blocks of the main module's heap. Only then does JavaScript run, which fills the slots of the main module's imports.
//!
//! A restored isolate is linked the same way, but for what its memory image holds already: no data is written, nothing
//! is allocated and no start function runs.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use taipan_wasm::MEMORY_EXPORT;
use wasmtime::{
    AsContextMut, Engine, Extern, ExternType, Func, Global, GlobalType, Instance, Linker, Memory, Module,
    Mutability, Ref, Result, Store, StoreContextMut, Table, TableType, Tag, TagType, TypedFunc, Val, ValType,
    WasmParams, WasmResults,
};

use crate::calls::define_trampoline;
use crate::clocks;
use crate::entities::value_of;
use crate::imports;
use crate::signature::{Kind, Signature, Signatures};
use crate::snapshot::{Frozen, Layout};
use crate::state::{ExportOrigin, GlobalEntry, GlobalOrigin, Guest, ImportItem, MainImport, State};

/// Where guest JavaScript finds the Worker's files.
pub(crate) const SOURCES: &str = "/worker/";

/// The function table's export.
pub(crate) const TABLE: &str = "__indirect_function_table";

/// C's stack pointer: the main module exports it, or before Pyodide 314 imports it.
const STACK_POINTER: &str = "__stack_pointer";

/// The engine's own stack. JavaScript's recursion limit keeps within it.
const ENGINE_STACK: u32 = 4 << 20;
/// What the engine leaves unused, for its C code that does not check.
const ENGINE_STACK_RESERVE: u32 = 128 << 10;

/// Emscripten's growth policy: a fifth more than there was, 96 MiB more at the most.
const GROWTH_STEP_MAX: u64 = 96 << 20;
const PAGE: u64 = 65536;

/// What snapshots need of a linked isolate besides its state.
pub(crate) struct Linked {
    pub(crate) main: Instance,
    pub(crate) engine: Instance,
    pub(crate) table: Table,
    pub(crate) layout: Layout,
}

/// Instantiates main module and engine. Without a snapshot the engine is started as well.
pub(crate) fn link(store: &mut Store<State>, frozen: Option<&Frozen>) -> Result<Linked> {
    let runtime = store.data().runtime.clone();
    let js_tag = {
        let ty = wasmtime::FuncType::new(store.engine(), [], []);
        Tag::new(&mut *store, &TagType::new(ty))?
    };
    let (main, memory, given) = instantiate_main(store, frozen)?;
    let table = export(store, main, TABLE, Extern::into_table)?;
    let stack_pointer = match given {
        Some(imported) => imported,
        None => export(store, main, STACK_POINTER, Extern::into_global)?,
    };
    let malloc: TypedFunc<u32, u32> = main.get_typed_func(&mut *store, "malloc")?;
    let length = crate::table::initial_length(table.size(&*store));
    let state = store.data_mut();
    state.table_length = length;
    state.tables.push((table, ExportOrigin { instance: 0, name: TABLE.to_owned() }));
    state.modules.push(runtime.main().clone());
    state.instances.push(main);

    let blocks = match frozen {
        Some(frozen) => (frozen.layout.data, frozen.layout.stack),
        None => {
            let first = runtime.first(runtime.main())?;
            let places = first.memory_size.map(Places::new).unwrap_or_default();
            first.run(store.as_context_mut(), memory, main, &places.bases())?;
            for name in ["__wasm_apply_data_relocs", "emscripten_stack_init"] {
                if let Ok(f) = main.get_typed_func::<(), ()>(&mut *store, name) {
                    f.call(&mut *store, ())?;
                }
            }
            allocate_engine(store, memory, &malloc)?
        }
    };
    let parts = Parts { main, memory, table };
    let (engine, engine_stack_pointer) = instantiate_engine(store, &parts, blocks, frozen.is_none())?;
    let arguments = match frozen {
        Some(frozen) => frozen.layout.arguments,
        None => (
            typed::<(), u32>(store, engine, "engine_argument_stack")?.call(&mut *store, ())?,
            typed::<(), u32>(store, engine, "engine_argument_room")?.call(&mut *store, ())?,
        ),
    };
    let cause = match frozen {
        Some(frozen) => frozen.layout.cause,
        None => typed::<(), u32>(store, engine, "engine_cause")?.call(&mut *store, ())?,
    };
    let guest = Guest {
        memory,
        malloc,
        stack_pointer,
        engine_stack_pointer,
        dispatch: typed(store, engine, "engine_dispatch")?,
        collect: typed(store, engine, "engine_collect")?,
        fatal: typed(store, engine, "engine_fatal")?,
        memory_grown: typed(store, engine, "engine_memory_grown")?,
        event: typed(store, engine, "engine_event")?,
        run: typed(store, engine, "engine_run")?,
        outstanding: typed(store, engine, "engine_outstanding")?,
        eval: typed(store, engine, "engine_eval")?,
        seed_random: typed(store, engine, "engine_seed_random")?,
        arguments,
        cause,
        js_tag,
    };
    store.data_mut().guest = Some(Arc::new(guest));
    if frozen.is_none() {
        let failed: i32 = typed::<u32, i32>(store, engine, "engine_init")?
            .call(&mut *store, ENGINE_STACK - ENGINE_STACK_RESERVE)?;
        if failed != 0 {
            return Err(wasmtime::Error::msg(format!("the JavaScript engine did not start: {failed}")));
        }
        let at: u32 = typed::<(), u32>(store, engine, "engine_references")?.call(&mut *store, ())?;
        let global = export(store, main, taipan_wasm::REFERENCES_EXPORT, Extern::into_global)?;
        global.set(&mut *store, Val::I32(at.cast_signed()))?;
    }
    let layout = Layout { data: blocks.0, stack: blocks.1, arguments, cause };
    Ok(Linked { main, engine, table, layout })
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

/// Where things are in the memory of a main module that imports it (those of Pyodide before 314). Its glue says the same, and
/// compares (`bindMain` of the guest's `WebAssembly`).
#[derive(Default)]
struct Places(HashMap<&'static str, u32>);

impl Places {
    /// Emscripten's choices: static data begins after a page that nothing uses, functions after the null pointer, and C's
    /// stack lies between data and heap.
    fn new(memory_size: u32) -> Self {
        const MEMORY_BASE: u32 = 1024;
        const TABLE_BASE: u32 = 1;
        const STACK: u32 = 5 << 20;
        let stack_low = MEMORY_BASE.saturating_add(memory_size).saturating_add(15) & !15;
        let stack_high = stack_low.saturating_add(STACK);
        Self(HashMap::from([
            ("__memory_base", MEMORY_BASE),
            ("__table_base", TABLE_BASE),
            ("__stack_low", stack_low),
            ("__stack_high", stack_high),
            (STACK_POINTER, stack_high),
            ("__heap_base", stack_high),
        ]))
    }

    fn bases(&self) -> HashMap<(String, String), u32> {
        self.0.iter().map(|(name, at)| (("env".to_owned(), (*name).to_owned()), *at)).collect()
    }

    /// What an imported global holds at first. The glue fills in the rest; -1 says that we do not know it.
    fn initial(&self, name: &str) -> Val {
        Val::I32(self.0.get(name).map_or(-1, |at| at.cast_signed()))
    }
}

/// What all isolates are linked with, made once: host functions belong to no store.
pub(crate) struct Links {
    linker: Linker<State>,
    /// The main module's imports, in order.
    main: Vec<MainLink>,
    /// What calls JavaScript's functions in slots, as far as snapshots have wanted it.
    trampolines: RwLock<Trampolines>,
}

struct Trampolines {
    linker: Linker<State>,
    /// By slot, the signatures that are there: a linker makes an error of what it does not have.
    known: HashMap<u32, Vec<String>>,
}

impl Trampolines {
    fn find(&self, store: &mut StoreContextMut<'_, State>, slot: u32, signature: &str) -> Option<Func> {
        self.known.get(&slot)?.iter().find(|known| *known == signature)?;
        self.linker.get(store, signature, &slot.to_string()).ok().and_then(Extern::into_func)
    }
}

/// Isolates share what calls the function in a slot below this. There is a limit because guests choose the slots.
const SHARED_SLOTS: u32 = 8192;

struct MainLink {
    module: String,
    name: String,
    kind: LinkKind,
}

enum LinkKind {
    /// A function that calls what JavaScript binds to the next slot; the type, where it can be said.
    Slot(Option<Arc<Signature>>),
    Global(GlobalType),
    Tag(TagType),
    Table(TableType),
}

impl Links {
    pub(crate) fn new(engine: &Engine, main: &Module) -> Result<Self> {
        let mut linker = Linker::new(engine);
        linker.allow_shadowing(true);
        imports::define(&mut linker)?;
        let mut signatures = Signatures::default();
        let mut links = vec![];
        let mut slots = 0;
        for import in main.imports() {
            let kind = match import.ty() {
                ExternType::Func(ty) => {
                    let signature = signatures.of_type(&ty);
                    match (import.name(), &signature) {
                        ("emscripten_resize_heap", _) => {
                            linker.func_wrap(import.module(), import.name(), resize_heap)?;
                        }
                        (name, _) if clocks::define(&mut linker, import.module(), name)? => {}
                        (name, Some(signature)) => {
                            define_trampoline(&mut linker, (import.module(), name), ty, slots, signature)?;
                        }
                        (name, None) => {
                            return Err(wasmtime::Error::msg(format!(
                                "import of an unsupported type: {name}"
                            )));
                        }
                    }
                    slots += 1;
                    LinkKind::Slot(signature)
                }
                ExternType::Global(ty) => LinkKind::Global(ty),
                ExternType::Memory(_) => {
                    return Err(wasmtime::Error::msg("the main module imports its memory"));
                }
                ExternType::Tag(ty) => LinkKind::Tag(ty),
                ExternType::Table(ty) => LinkKind::Table(ty),
            };
            links.push(MainLink { module: import.module().into(), name: import.name().into(), kind });
        }
        let trampolines = Trampolines { linker: Linker::new(engine), known: HashMap::new() };
        Ok(Self { linker, main: links, trampolines: RwLock::new(trampolines) })
    }

    /// What the main module imports of JavaScript, in the order of its slots.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.main.iter().filter(|link| matches!(link.kind, LinkKind::Slot(_))).map(|link| link.name.as_str())
    }

    fn function(&self, store: &mut Store<State>, module: &str, name: &str) -> Result<Extern> {
        self.linker.get(store, module, name)
    }

    /// A function that calls the JavaScript function in `slot`; `None` for slots that are not shared.
    pub(crate) fn trampoline(
        &self,
        store: &mut StoreContextMut<'_, State>,
        slot: u32,
        signature: &Arc<Signature>,
    ) -> Result<Option<Func>> {
        if slot >= SHARED_SLOTS {
            return Ok(None);
        }
        let text = signature.text.as_str();
        if let Some(known) = self.trampolines.read().find(store, slot, text) {
            return Ok(Some(known));
        }
        let mut trampolines = self.trampolines.write();
        if trampolines.find(store, slot, text).is_none() {
            let ty = signature.func_type(store.engine());
            define_trampoline(&mut trampolines.linker, (text, &slot.to_string()), ty, slot, signature)?;
            trampolines.known.entry(slot).or_default().push(text.to_owned());
        }
        Ok(trampolines.find(store, slot, text))
    }
}

/// The main module with a slot behind each of its function imports; also its memory, and its stack pointer if it imports that.
fn instantiate_main(
    store: &mut Store<State>,
    frozen: Option<&Frozen>,
) -> Result<(Instance, Memory, Option<Global>)> {
    let runtime = store.data().runtime.clone();
    let links = runtime.links();
    let places = match frozen {
        None => runtime.first(runtime.main())?.memory_size.map(Places::new).unwrap_or_default(),
        Some(_) => Places::default(),
    };
    let mut stack_pointer = None;
    let mut globals = 0usize;
    let mut given = Vec::with_capacity(links.main.len());
    let mut described = Vec::new();
    store.data_mut().crossings = vec![0; links.names().count()];
    for link in &links.main {
        let (item, value): (ImportItem, Extern) = match &link.kind {
            LinkKind::Slot(signature) => {
                let slot = store.data_mut().new_slot();
                let function = links.function(store, &link.module, &link.name)?;
                (ImportItem::Slot(slot, signature.clone()), function)
            }
            LinkKind::Global(ty) => {
                let kind = Kind::of(ty.content());
                let saved = frozen.and_then(|f| value_of(kind?, *f.main_import_globals.get(globals)?));
                globals += 1;
                let initial = saved.unwrap_or_else(|| places.initial(&link.name));
                let global = Global::new(&mut *store, ty.clone(), initial)?;
                if link.name == STACK_POINTER {
                    stack_pointer = Some(global);
                }
                let entry = GlobalEntry { global, kind, mutable: ty.mutability() == Mutability::Var };
                let number = match frozen {
                    // The first numbers are these, in the same order.
                    Some(_) => {
                        let number = crate::state::count(globals - 1);
                        store.data_mut().globals.found(number, entry);
                        number
                    }
                    None => {
                        let origin = GlobalOrigin::MainImport(crate::state::count(globals - 1));
                        store.data_mut().globals.add(origin, entry)
                    }
                };
                (ImportItem::Global(number), global.into())
            }
            LinkKind::Tag(ty) => (ImportItem::Other, Tag::new(&mut *store, ty)?.into()),
            LinkKind::Table(ty) => {
                (ImportItem::Other, Table::new(&mut *store, ty.clone(), Ref::Func(None))?.into())
            }
        };
        // Only booting asks what the imports were called.
        if frozen.is_none() {
            described.push(MainImport { module: link.module.clone(), name: link.name.clone(), item });
        }
        given.push(value);
    }
    store.data_mut().main_imports = described;
    let instance = Instance::new(&mut *store, &runtime.main().module, &given)?;
    let memory = export(store, instance, MEMORY_EXPORT, Extern::into_memory)?;
    let more = frozen.map_or(0, |frozen| frozen.memory_pages.saturating_sub(memory.size(&*store)));
    memory.grow(&mut *store, more)?;
    store.data_mut().memory = Some(memory);
    Ok((instance, memory, stack_pointer))
}

/// Blocks of the main module's heap for the engine: the address of its data, and the top of its stack.
fn allocate_engine(
    store: &mut Store<State>,
    memory: Memory,
    malloc: &TypedFunc<u32, u32>,
) -> Result<(u32, u32)> {
    let runtime = store.data().runtime.clone();
    let layout = runtime.engine_layout();
    let align = 1u32.checked_shl(layout.memory_align).unwrap_or(16).max(16);
    let data = allocate(store, malloc, layout.memory_size, align)?;
    let start = data as usize;
    let block =
        memory.data_mut(&mut *store).get_mut(start..start.saturating_add(layout.memory_size as usize));
    block.ok_or_else(|| wasmtime::Error::msg("malloc gave memory that does not exist"))?.fill(0);
    let stack = allocate(store, malloc, ENGINE_STACK, 16)?.saturating_add(ENGINE_STACK);
    Ok((data, stack))
}

struct Parts {
    main: Instance,
    memory: Memory,
    table: Table,
}

/// What older main modules have under another name. Before Pyodide 0.28, JavaScript's null is None.
const ELSEWHERE: [(&str, &str); 1] = [("_js2python_null", "_js2python_none")];

/// The engine as a side module: its functions at the end of the table, its data and stack in the given blocks.
fn instantiate_engine(
    store: &mut Store<State>,
    parts: &Parts,
    (data, stack): (u32, u32),
    fresh: bool,
) -> Result<(Instance, Global)> {
    let runtime = store.data().runtime.clone();
    let size = u64::from(runtime.engine_layout().table_size);
    let table_base = crate::table::grow(&mut *store, parts.table, size)?;
    let table_base = u32::try_from(table_base)?;

    let i32_global = |store: &mut Store<State>, mutability, value: u32| {
        Global::new(store, GlobalType::new(ValType::I32, mutability), Val::I32(value.cast_signed()))
    };
    let stack_pointer = i32_global(store, Mutability::Var, stack)?;
    let code = runtime.engine_module();
    let mut given: Vec<Extern> = vec![];
    for import in code.module.imports() {
        let missing =
            || wasmtime::Error::msg(format!("the engine wants {}.{}", import.module(), import.name()));
        given.push(match (import.module(), import.name()) {
            ("env", "memory") => parts.memory.into(),
            ("env", TABLE) => parts.table.into(),
            ("env", STACK_POINTER) => stack_pointer.into(),
            ("env", "__memory_base") => i32_global(store, Mutability::Const, data)?.into(),
            ("env", "__table_base") => i32_global(store, Mutability::Const, table_base)?.into(),
            ("env", name) => {
                let known = parts.main.get_export(&mut *store, name);
                let older = ELSEWHERE.iter().find(|(new, _)| *new == name);
                let found = known.or_else(|| parts.main.get_export(&mut *store, older?.1));
                found.ok_or_else(missing)?
            }
            (imports::MODULE, name) => runtime.links().function(store, imports::MODULE, name)?,
            _ => return Err(missing()),
        });
    }
    let instance = Instance::new(&mut *store, &code.module, &given)?;
    if fresh {
        let name = |name: &str| ("env".to_owned(), name.to_owned());
        let bases = HashMap::from([(name("__memory_base"), data), (name("__table_base"), table_base)]);
        runtime.first(code)?.run(store.as_context_mut(), parts.memory, instance, &bases)?;
        for name in ["__wasm_apply_data_relocs", "__wasm_call_ctors"] {
            if let Ok(f) = instance.get_typed_func::<(), ()>(&mut *store, name) {
                f.call(&mut *store, ())?;
            }
        }
    }
    Ok((instance, stack_pointer))
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
    // While linking, the engine's stack is allocated before the guest is complete.
    let memory = caller.data().memory.ok_or_else(|| wasmtime::Error::msg("there is no memory yet"))?;
    let old = memory.data_size(&caller) as u64;
    let wanted = u64::from(wanted);
    if wanted <= old {
        return Ok(1);
    }
    let pages = |size: u64| size.saturating_sub(old).div_ceil(PAGE);
    let generous = wanted.max((old + old / 5).min(old + GROWTH_STEP_MAX));
    // A refusal of the generous step is not the guest's last word.
    let refused = caller.data().limits.refused;
    if memory.grow(&mut caller, pages(generous)).is_err() {
        caller.data_mut().limits.refused = refused;
        if memory.grow(&mut caller, pages(wanted)).is_err() {
            return Ok(0);
        }
    }
    if let Some(guest) = caller.data().guest.clone() {
        guest.memory_grown.call(caller.as_context_mut(), ())?;
    }
    Ok(1)
}

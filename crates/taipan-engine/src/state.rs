//! What one isolate's store holds besides Wasmtime's own: the numbers by which guest JavaScript knows functions,
//! tables, globals and exceptions, and what is left of its limits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use wasmtime::{
    ExnRef, Func, Global, Instance, Memory, Module, OwnedRooted, ResourceLimiter, Table, Tag, TypedFunc,
};

use crate::cpu::CpuBudget;
use crate::host::{Ops, Source};
use crate::runtime::Runtime;
use crate::signature::{Kind, Signature, Signatures};

/// A function that guest JavaScript knows.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) func: Func,
    /// `None` for a type that JavaScript cannot call; it can still be stored in tables and imported.
    pub(crate) signature: Option<Arc<Signature>>,
}

/// A global that guest JavaScript knows.
#[derive(Clone, Copy)]
pub(crate) struct GlobalEntry {
    pub(crate) global: Global,
    pub(crate) kind: Option<Kind>,
    pub(crate) mutable: bool,
}

/// The parts of the guest that the host calls, known once both modules are linked.
pub(crate) struct Guest {
    pub(crate) memory: Memory,
    pub(crate) malloc: TypedFunc<u32, u32>,
    /// CPython's stack pointer and the engine's: restored after an exception has unwound their frames.
    pub(crate) stack_pointer: Global,
    pub(crate) engine_stack_pointer: Global,
    pub(crate) dispatch: TypedFunc<(u32, u32), i32>,
    pub(crate) free_handles: TypedFunc<(u32, u32), ()>,
    pub(crate) memory_grown: TypedFunc<(), ()>,
    pub(crate) event: TypedFunc<(i32, u32, u32, u32), ()>,
    pub(crate) run: TypedFunc<(), f64>,
    pub(crate) outstanding: TypedFunc<(), u32>,
    pub(crate) eval: TypedFunc<(u32, u32, u32), i32>,
    /// Address and number of 64-bit cells of the engine's argument stack.
    pub(crate) arguments: (u32, u32),
    /// The tag with which JavaScript exceptions cross WebAssembly frames.
    pub(crate) js_tag: Tag,
}

/// Handles whose host object was collected; the engine frees them at the next opportunity. It belongs to one
/// store: objects of another store must never end up here.
#[derive(Default)]
pub(crate) struct FreedHandles(Mutex<Vec<u32>>);

impl FreedHandles {
    pub(crate) fn push(&self, handle: u32) {
        self.0.lock().push(handle);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }

    pub(crate) fn take(&self) -> Vec<u32> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// The linear memory's bound.
pub(crate) struct Limits {
    pub(crate) memory: usize,
    /// Growth was refused since the last turn began.
    pub(crate) refused: bool,
}

/// Tables are bounded as well: an entry costs the host 16 bytes, whatever the guest's memory limit is.
const MAX_TABLE_ELEMENTS: usize = 1 << 20;

impl ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired <= self.memory;
        self.refused |= !allowed;
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}

/// The data of one isolate's store.
pub(crate) struct State {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) guest: Option<Arc<Guest>>,
    pub(crate) functions: Vec<Function>,
    by_address: HashMap<usize, u32>,
    pub(crate) signatures: Signatures,
    pub(crate) tables: Vec<Table>,
    pub(crate) globals: Vec<GlobalEntry>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) modules: Vec<Module>,
    pub(crate) instances: Vec<Instance>,
    /// The main module's imports: for functions the slot, for globals the number.
    pub(crate) main_imports: Vec<MainImport>,
    /// WebAssembly exceptions that JavaScript holds; freed entries are reused.
    pub(crate) exceptions: Vec<Option<OwnedRooted<ExnRef>>>,
    pub(crate) freed: Arc<FreedHandles>,
    /// External references made since the last collection.
    pub(crate) made_references: u32,
    /// Cells in use on the engine's argument stack.
    pub(crate) arguments_used: u32,
    pub(crate) slots: u32,
    pub(crate) limits: Limits,
    pub(crate) cpu: CpuBudget,
    pub(crate) ops: Box<dyn Ops>,
    pub(crate) sources: Vec<Source>,
    pub(crate) started: Instant,
    /// How booting ended: `Err` with the report of the guest.
    pub(crate) booted: Option<Result<(), String>>,
}

/// One import of the main module.
pub(crate) struct MainImport {
    pub(crate) module: String,
    pub(crate) name: String,
    pub(crate) item: ImportItem,
}

/// What was given to an import.
pub(crate) enum ImportItem {
    /// A slot that JavaScript fills.
    Slot(u32, Option<Arc<Signature>>),
    /// A global that JavaScript sets.
    Global(u32),
    /// Something that JavaScript has no part in.
    Other,
}

impl State {
    pub(crate) fn new(
        runtime: Arc<Runtime>,
        ops: Box<dyn Ops>,
        sources: Vec<Source>,
        memory_limit: usize,
        cpu: CpuBudget,
    ) -> Self {
        Self {
            runtime,
            guest: None,
            functions: vec![],
            by_address: HashMap::new(),
            signatures: Signatures::default(),
            tables: vec![],
            globals: vec![],
            tags: vec![],
            modules: vec![],
            instances: vec![],
            main_imports: vec![],
            exceptions: vec![],
            freed: Arc::default(),
            made_references: 0,
            arguments_used: 0,
            slots: 0,
            limits: Limits { memory: memory_limit, refused: false },
            cpu,
            ops,
            sources,
            started: Instant::now(),
            booted: None,
        }
    }

    /// The number of a function, given its address and how to describe it the first time.
    pub(crate) fn function_number(
        &mut self,
        address: usize,
        describe: impl FnOnce(&mut Signatures) -> Function,
    ) -> u32 {
        if let Some(number) = self.by_address.get(&address) {
            return *number;
        }
        let function = describe(&mut self.signatures);
        let number = count(self.functions.len());
        self.functions.push(function);
        self.by_address.insert(address, number);
        number
    }

    pub(crate) fn known_function(&self, address: usize) -> Option<u32> {
        self.by_address.get(&address).copied()
    }

    pub(crate) fn add_global(&mut self, entry: GlobalEntry) -> u32 {
        self.globals.push(entry);
        count(self.globals.len() - 1)
    }

    pub(crate) fn new_slot(&mut self) -> u32 {
        self.slots += 1;
        self.slots - 1
    }

    pub(crate) fn hold_exception(&mut self, exception: OwnedRooted<ExnRef>) -> u32 {
        if let Some(i) = self.exceptions.iter().position(Option::is_none) {
            if let Some(place) = self.exceptions.get_mut(i) {
                *place = Some(exception);
            }
            return count(i);
        }
        self.exceptions.push(Some(exception));
        count(self.exceptions.len() - 1)
    }
}

/// Numbers handed to the guest have 32 bits; nothing we count comes near.
pub(crate) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

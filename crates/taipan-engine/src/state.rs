//! What one isolate's store holds besides Wasmtime's own: the numbers by which guest JavaScript knows functions,
//! tables, globals and exceptions, and what is left of its limits.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wasmtime::{ExnRef, Global, Instance, Memory, OwnedRooted, ResourceLimiter, Table, Tag, TypedFunc};

use crate::code::Code;
use crate::files::Mapped;
use crate::functions::Functions;
use crate::host::{Meter, Ops, Source};
use crate::layered::Layered;
use crate::pressure::Pressure;
use crate::runtime::Runtime;
use crate::signature::{Kind, Signature, Signatures};
use crate::snapshot::Frozen;

/// A global that guest JavaScript knows.
#[derive(Clone, Copy)]
pub(crate) struct GlobalEntry {
    pub(crate) global: Global,
    pub(crate) kind: Option<Kind>,
    pub(crate) mutable: bool,
}

/// How to find a global in a new store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum GlobalOrigin {
    /// The main module imports it: the position among its imports.
    MainImport(u32),
    /// An export of an instance.
    Export { instance: u32, name: String },
    /// JavaScript made it.
    Made { kind: Kind, mutable: bool },
}

/// Globals by number; see [`Functions`] for why origins are shared and globals are found late.
#[derive(Default)]
pub(crate) struct Globals {
    frozen: Arc<Layered<GlobalOrigin>>,
    origins: Vec<GlobalOrigin>,
    found: HashMap<u32, GlobalEntry>,
}

impl Globals {
    /// Takes over the numbers of a snapshot, which begin with those of the layer below it.
    pub(crate) fn restore(&mut self, frozen: Arc<Layered<GlobalOrigin>>) {
        self.frozen = frozen;
    }

    pub(crate) fn add(&mut self, origin: GlobalOrigin, entry: GlobalEntry) -> u32 {
        let number = count(self.frozen.len() + self.origins.len());
        self.origins.push(origin);
        self.found.insert(number, entry);
        number
    }

    pub(crate) fn found(&mut self, number: u32, entry: GlobalEntry) {
        self.found.insert(number, entry);
    }

    pub(crate) fn get(&self, number: u32) -> Option<GlobalEntry> {
        self.found.get(&number).copied()
    }

    pub(crate) fn origin(&self, number: u32) -> Option<&GlobalOrigin> {
        let i = number as usize;
        self.frozen.get(i).or_else(|| self.origins.get(i.checked_sub(self.frozen.len())?))
    }

    /// As [`Functions::freeze`].
    pub(crate) fn freeze(&self, whole: bool) -> Layered<GlobalOrigin> {
        Layered::extended(&self.frozen, &self.origins, whole)
    }
}

/// A side module's instance, as it can be made again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InstanceRecord {
    /// Position in [`State::modules`].
    pub(crate) module: u32,
    pub(crate) imports: Vec<ImportRecord>,
}

/// What an import was given.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum ImportRecord {
    Slot(u32),
    Function(u32),
    Global(u32),
    Table(u32),
    Memory,
    Tag(u32),
}

/// An export that is more than a number, such as a tag or a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ExportOrigin {
    pub(crate) instance: u32,
    pub(crate) name: String,
}

/// The parts of the guest that the host calls, known once both modules are linked.
pub(crate) struct Guest {
    pub(crate) memory: Memory,
    pub(crate) malloc: TypedFunc<u32, u32>,
    /// CPython's stack pointer and the engine's: restored after an exception has unwound their frames.
    pub(crate) stack_pointer: Global,
    pub(crate) engine_stack_pointer: Global,
    pub(crate) dispatch: TypedFunc<(u32, u32), i32>,
    pub(crate) collect: TypedFunc<(), ()>,
    pub(crate) fatal: TypedFunc<(), ()>,
    pub(crate) memory_grown: TypedFunc<(), ()>,
    pub(crate) event: TypedFunc<(i32, u32, u32, u32), ()>,
    pub(crate) run: TypedFunc<(), f64>,
    pub(crate) outstanding: TypedFunc<(), u32>,
    pub(crate) eval: TypedFunc<(u32, u32, u32), i32>,
    pub(crate) seed_random: TypedFunc<u64, ()>,
    /// Address and number of 64-bit cells of the engine's argument stack.
    pub(crate) arguments: (u32, u32),
    /// Where the number of the request stands for which the guest works.
    pub(crate) cause: u32,
    /// The tag with which JavaScript exceptions cross WebAssembly frames.
    pub(crate) js_tag: Tag,
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
    /// The linear memory, from the moment that there is one.
    pub(crate) memory: Option<Memory>,
    pub(crate) guest: Option<Arc<Guest>>,
    /// What the snapshot says, in a restored isolate.
    pub(crate) frozen: Option<Arc<Frozen>>,
    pub(crate) functions: Functions,
    pub(crate) signatures: Signatures,
    pub(crate) globals: Globals,
    /// Tables and tags by number, and where each comes from.
    pub(crate) tables: Vec<(Table, ExportOrigin)>,
    /// Length of the first of them, the function table; see [`crate::table`].
    pub(crate) table_length: u64,
    pub(crate) tags: Vec<(Tag, ExportOrigin)>,
    /// The first is the main module, as it is the first of the instances.
    pub(crate) modules: Vec<Arc<Code>>,
    pub(crate) instances: Vec<Instance>,
    /// How the instances after the first were made.
    pub(crate) instance_records: Vec<InstanceRecord>,
    /// What JavaScript has put into the function table since boot or restore: index → function.
    pub(crate) table_sets: BTreeMap<u32, Option<u32>>,
    /// The main module's imports: for functions the slot, for globals the number.
    pub(crate) main_imports: Vec<MainImport>,
    /// WebAssembly exceptions that JavaScript holds; freed entries are reused.
    pub(crate) exceptions: Vec<Option<OwnedRooted<ExnRef>>>,
    pub(crate) pressure: Pressure,
    /// Cells in use on the engine's argument stack.
    pub(crate) arguments_used: u32,
    /// How often WebAssembly has called what JavaScript bound to each slot.
    pub(crate) crossings: Vec<u64>,
    pub(crate) slots: u32,
    pub(crate) limits: Limits,
    /// What the turn at hand may spend.
    pub(crate) cpu_limit: Duration,
    /// The turn or a request has spent more.
    pub(crate) spent_too_much: Arc<AtomicBool>,
    pub(crate) meter: Arc<dyn Meter>,
    pub(crate) ops: Box<dyn Ops>,
    /// Where pages of files are, or were.
    pub(crate) mapped: Vec<Mapped>,
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
        memory_limit: usize,
        cpu_limit: Duration,
    ) -> Self {
        let meter = ops.meter();
        Self {
            runtime,
            memory: None,
            guest: None,
            frozen: None,
            functions: Functions::default(),
            signatures: Signatures::default(),
            globals: Globals::default(),
            tables: vec![],
            table_length: 0,
            tags: vec![],
            modules: vec![],
            instances: vec![],
            instance_records: vec![],
            table_sets: BTreeMap::new(),
            main_imports: vec![],
            exceptions: vec![],
            pressure: Pressure::default(),
            arguments_used: 0,
            crossings: vec![],
            slots: 0,
            limits: Limits { memory: memory_limit, refused: false },
            cpu_limit,
            spent_too_much: Arc::default(),
            meter,
            ops,
            mapped: vec![],
            sources: vec![],
            started: Instant::now(),
            booted: None,
        }
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

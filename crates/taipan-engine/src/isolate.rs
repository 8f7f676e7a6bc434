//! One running instance of a Worker.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use taipan_guest::glue::Glue;
use taipan_guest::protocol::{Field, encode};
use wasmtime::{AsContextMut, Store, ThrownException};

use crate::base::NoHost;
use crate::cpu::{Budget, Cause, TurnGuard};
use crate::imports::{encode_event, event, instant};
use crate::link::{self, Linked};
use crate::pressure;
use crate::snapshot::{self, Image, Snapshot};
use crate::state::{Guest, State, count};
use crate::stop::{Stop, explain};
use crate::{
    Binding, BootError, Event, IsolateError, IsolateOptions, Ops, Program, Runtime, SnapshotError, Source,
    Turn, Volumes, WorkerCode,
};

/// The stack that a thread must have to call the functions of [`Isolate`]; guest calls nest on it. Only
/// what is used of it becomes memory.
///
/// C code in the guest stops recursing when its own stack in the linear memory ends, which for CPython has 10 MiB. Its calls need several
/// times that here: nested JSON ten times.
pub const STACK_SIZE: usize = 128 << 20;

/// One running instance of a Worker. It belongs to no thread: any thread with [`STACK_SIZE`] of stack may run
/// its next turn.
pub struct Isolate {
    store: Store<State>,
    linked: Linked,
    guest: Arc<Guest>,
    /// What it was made from.
    snapshot: Option<Snapshot>,
    request_cpu: Duration,
    boot_cpu: Duration,
    dead: bool,
}

/// What the guest's JavaScript is told when it boots (`js/src/boot.ts`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Boot<'a> {
    version: &'a str,
    /// The file with Pyodide's JavaScript.
    glue: &'static str,
    has_sockets: bool,
    finds_libraries: bool,
    python: Vec<&'a str>,
}

/// What it is told of the Worker.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Load<'a> {
    main: &'a str,
    sources: Vec<&'a str>,
    env_json: &'a str,
    withheld: &'a [String],
    global_handlers: bool,
    volumes: Volumes,
    memory_files: usize,
    bindings: &'a [Binding],
}

/// And of the packages that it will import.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoadPackages<'a> {
    sources: Vec<&'a str>,
    imports: &'a [String],
    learned: &'a [String],
    volumes: Volumes,
    memory_files: usize,
}

/// The part of an isolate's memory that files in it may take.
const MEMORY_FILES: usize = 4;

impl Isolate {
    /// Starts JavaScript and Python; no Worker is loaded. Takes seconds of CPU: see [`Runtime::base`].
    pub fn boot(runtime: &Arc<Runtime>, options: IsolateOptions) -> Result<Self, IsolateError> {
        let IsolateOptions { memory_limit, request_cpu, boot_cpu, ops } = options;
        let mut store = new_store(runtime, ops, memory_limit, boot_cpu);
        let turn = begin(&mut store, boot_cpu);
        let linked = start(&mut store).map_err(|e| explain(store.data(), &e))?;
        drop(turn);
        let mut isolate = Self::new(store, linked, None, request_cpu, boot_cpu)?;
        let python = taipan_guest::PYTHON.iter().map(|(name, _)| *name).collect();
        let &Glue { file: glue, has_sockets, finds_libraries, .. } = runtime.glue();
        let boot = Boot { version: runtime.version(), glue, has_sockets, finds_libraries, python };
        match isolate.ask_to_start(event::BOOT, &boot)? {
            Ok(()) => Ok(isolate),
            Err(report) => Err(IsolateError::Aborted { reason: report }),
        }
    }

    /// Makes an isolate from a snapshot, in a millisecond or two; [`crate::Spares`] takes part of that time beforehand.
    /// `env_json`: the variables and secrets of the Worker that the snapshot holds, as in [`WorkerCode::env_json`].
    pub fn restore(
        runtime: &Arc<Runtime>,
        snapshot: &Snapshot,
        options: IsolateOptions,
        env_json: &str,
    ) -> Result<Self, IsolateError> {
        Prepared::new(runtime, &snapshot.image.lowest(), false)?.finish(snapshot, options, env_json)
    }

    /// Runs a Worker's module scope, at most once unless it is unloaded.
    pub fn load(&mut self, worker: WorkerCode) -> Result<(), BootError> {
        let load = Load {
            main: &worker.main,
            sources: paths(&worker.sources),
            env_json: &worker.env_json,
            withheld: &worker.withheld,
            global_handlers: worker.global_handlers,
            volumes: worker.volumes,
            memory_files: self.memory_files(),
            bindings: &worker.bindings,
        };
        self.ask_to_load(event::LOAD, &load, worker.sources.clone())
    }

    /// Imports modules of packages, whose files are `sources` or in the host's volumes, before there is a Worker: what is frozen
    /// then, Workers with the same packages share. `learned` are modules that [`Self::imported`] has named; what cannot be
    /// imported of them is left out.
    pub fn load_packages(
        &mut self,
        sources: Vec<Source>,
        imports: &[String],
        learned: &[String],
        volumes: Volumes,
    ) -> Result<(), BootError> {
        let memory_files = self.memory_files();
        let load = LoadPackages { sources: paths(&sources), imports, learned, volumes, memory_files };
        self.ask_to_load(event::LOAD_PACKAGES, &load, sources.clone())
    }

    /// Runs a program to its end, within the CPU time of a start; how it ended, the operation `program.exit` is told.
    pub fn run_program(&mut self, program: &Program) -> Result<(), IsolateError> {
        self.ask_to_start(event::PROGRAM, program)?.map_err(|report| IsolateError::Aborted { reason: report })
    }

    fn memory_files(&self) -> usize {
        self.store.data().limits.memory / MEMORY_FILES
    }

    fn ask_to_load(
        &mut self,
        event: i32,
        question: &impl Serialize,
        sources: Vec<Source>,
    ) -> Result<(), BootError> {
        self.store.data_mut().sources = sources;
        let loaded = self.ask_to_start(event, question);
        // Python has copies of them now.
        self.store.data_mut().sources = vec![];
        loaded?.map_err(|report_json| BootError::Worker { report_json })
    }

    /// Tells the guest that time has passed and what its environment is now, and gives it new randomness.
    pub(crate) fn thaw(&mut self, env_json: &str) -> Result<(), IsolateError> {
        let thawed = (|| {
            let mut seed = [0; 8];
            getrandom::fill(&mut seed)
                .map_err(|e| wasmtime::Error::msg(format!("the operating system has no randomness: {e}")))?;
            self.guest.seed_random.call(&mut self.store, u64::from_le_bytes(seed))?;
            deliver(&mut self.store, &self.guest, event::THAW, 0, &encode(&[env_json.into()]))
        })();
        thawed.map_err(|e| explain(self.store.data(), &e))
    }

    /// Forgets the Worker.
    pub(crate) fn unload(&mut self) -> Result<(), IsolateError> {
        self.tell(event::UNLOAD)
    }

    /// Moves together what has run.
    pub(crate) fn compact(&mut self) -> Result<(), IsolateError> {
        self.tell(event::COMPACT)
    }

    fn tell(&mut self, event: i32) -> Result<(), IsolateError> {
        let _turn = begin(&mut self.store, self.request_cpu);
        let told = deliver(&mut self.store, &self.guest, event, 0, &encode(&[]));
        told.map_err(|e| explain(self.store.data(), &e))
    }

    /// Delivers an event that is answered with `booted`, and runs the guest until it is; the inner result is the
    /// guest's own verdict.
    fn ask_to_start(
        &mut self,
        event: i32,
        question: &impl Serialize,
    ) -> Result<Result<(), String>, IsolateError> {
        let question =
            serde_json::to_string(question).map_err(|e| IsolateError::Internal { reason: e.to_string() })?;
        let _turn = begin(&mut self.store, self.boot_cpu);
        let (store, guest) = (&mut self.store, &self.guest);
        let verdict = deliver(store, guest, event, 0, &encode(&[question.into()]))
            .and_then(|()| run_until_booted(store, guest));
        verdict.map_err(|e| self.end(e))
    }

    /// Writes the isolate to a file from which others can be made; this one is used up. It must have nothing under way:
    /// no timer, no operation, no request.
    pub fn freeze(mut self, path: &Path) -> Result<Snapshot, SnapshotError> {
        self.settle(self.snapshot.is_none())?;
        let taken = snapshot::take(&mut self.store, &self.linked, self.snapshot.as_ref(), path);
        self.leave();
        taken
    }

    /// As [`Self::freeze`], but the file holds all of the memory, so that it needs no other and isolates can be prepared for
    /// it. For what many Workers have in common.
    pub fn freeze_whole(mut self, path: &Path) -> Result<Snapshot, SnapshotError> {
        self.settle(true)?;
        snapshot::take(&mut self.store, &self.linked, None, path)
    }

    /// Is dropped, which takes a millisecond or two for which nobody need wait.
    fn leave(self) {
        // Without a thread it takes them here.
        drop(thread::Builder::new().name("drop".into()).spawn(move || drop(self)));
    }

    /// Makes the guest ready to be frozen. Unless the `whole` of it is looked at, what the layer below holds is left alone.
    fn settle(&mut self, whole: bool) -> Result<(), SnapshotError> {
        let _turn = begin(&mut self.store, self.request_cpu);
        let timer = self.ask(event::FREEZE, &[u32::from(whole).into()])?;
        let verdict = self.store.data_mut().booted.take();
        if let Some(Err(report_json)) = &verdict
            && report_json.starts_with('{')
        {
            return Err(SnapshotError::Worker { report_json: report_json.clone() });
        }
        let is_waiting = self.guest.outstanding.call(&mut self.store, ())? > 0;
        if timer >= 0.0 || is_waiting {
            // Python may know what goes on, and where.
            self.ask(event::PENDING, &[])?;
            let what = if is_waiting {
                "an operation is under way"
            } else {
                "a timer is running (setTimeout, asyncio.sleep)"
            };
            return Err(match self.store.data_mut().booted.take() {
                Some(Err(report_json)) => SnapshotError::Worker { report_json },
                _ => SnapshotError::NotNow { reason: what.into() },
            });
        }
        if let Some(Err(reason)) = verdict {
            return Err(SnapshotError::NotNow { reason });
        }
        Ok(())
    }

    /// What the modules cost that were imported above the base snapshot, as JSON.
    pub(crate) fn costs(&mut self) -> Result<String, SnapshotError> {
        self.ask_about_modules(event::COSTS)
    }

    /// The modules that loading the Worker has imported and that are not its own, in the order in which they were complete, and
    /// how long each took by itself. The guest says so: names can be anything.
    pub fn imported(&mut self) -> Result<Vec<(String, Duration)>, SnapshotError> {
        let json = self.ask_about_modules(event::IMPORTED)?;
        let modules: Vec<(String, f64)> = serde_json::from_str(&json)
            .map_err(|e| SnapshotError::NotNow { reason: format!("its answer is broken: {e}") })?;
        let took = |milliseconds: f64| Duration::try_from_secs_f64(milliseconds / 1e3).unwrap_or_default();
        Ok(modules.into_iter().map(|(name, milliseconds)| (name, took(milliseconds))).collect())
    }

    fn ask_about_modules(&mut self, event: i32) -> Result<String, SnapshotError> {
        let _turn = begin(&mut self.store, self.request_cpu);
        self.ask(event, &[])?;
        match self.store.data_mut().booted.take() {
            Some(Err(json)) => Ok(json),
            _ => Err(SnapshotError::NotNow { reason: "the guest does not know its modules".into() }),
        }
    }

    /// Delivers an event, and runs the guest until it has nothing left to do. Gives when the next timer is due.
    fn ask(&mut self, event: i32, fields: &[Field]) -> Result<f64, SnapshotError> {
        let due = deliver(&mut self.store, &self.guest, event, 0, &encode(fields))
            .and_then(|()| self.guest.run.call(&mut self.store, ()));
        due.map_err(|e| SnapshotError::Isolate(explain(self.store.data(), &e)))
    }

    fn new(
        store: Store<State>,
        linked: Linked,
        snapshot: Option<Snapshot>,
        request_cpu: Duration,
        boot_cpu: Duration,
    ) -> Result<Self, IsolateError> {
        match store.data().guest.clone() {
            Some(guest) => Ok(Self { store, linked, guest, snapshot, request_cpu, boot_cpu, dead: false }),
            None => Err(IsolateError::Internal { reason: "the guest was not linked".into() }),
        }
    }

    /// Delivers events to the guest and runs it until it has nothing left to do. After an error the isolate is
    /// dead: drop it.
    pub fn turn(&mut self, events: Vec<Event>) -> Result<Turn, IsolateError> {
        if self.dead {
            return Err(IsolateError::Internal { reason: "the isolate has stopped".into() });
        }
        let budget = begin(&mut self.store, self.request_cpu);
        let turn = run_turn(&mut self.store, &self.guest, events);
        let turn = if turn.is_ok() && budget.settle() { Err(Stop::Cpu.into()) } else { turn };
        turn.map_err(|e| self.end(e))
    }

    /// What the main module has called of JavaScript since the isolate was made, and how often. What is native is not among it.
    pub fn crossings(&self) -> Vec<(String, u64)> {
        let state = self.store.data();
        let names = state.runtime.links().names().map(str::to_owned);
        names.zip(state.crossings.iter().copied()).filter(|(_, calls)| *calls > 0).collect()
    }

    fn end(&mut self, mut error: wasmtime::Error) -> IsolateError {
        self.dead = true;
        if error.is::<ThrownException>() && self.store.as_context_mut().take_pending_exception().is_some() {
            // One that nobody may catch has unwound everything. JavaScript knows what it says, and stops the isolate.
            if let Err(stop) = self.guest.fatal.call(&mut self.store, ()) {
                error = stop;
            }
        }
        explain(self.store.data(), &error)
    }

    /// To be called when the first request has been answered: the memory that was written to until then is what the next
    /// isolates of this snapshot will need first. Costs a fraction of a millisecond, once for each snapshot.
    pub fn learn(&self) -> Result<(), SnapshotError> {
        match &self.snapshot {
            Some(snapshot) => snapshot::learn(&self.store, snapshot),
            None => Ok(()),
        }
    }
}

/// Far more than it takes to run what instances run when they are made.
const PREPARE_CPU: Duration = Duration::from_secs(10);

/// An isolate of a lowest layer that is not yet one of a Worker.
pub(crate) struct Prepared {
    store: Store<State>,
    linked: Linked,
}

impl Prepared {
    pub(crate) fn new(
        runtime: &Arc<Runtime>,
        lowest: &Arc<Image>,
        ahead: bool,
    ) -> Result<Self, IsolateError> {
        let mut store = new_store(runtime, Box::new(NoHost), usize::MAX, PREPARE_CPU);
        let linked = snapshot::prepare(&mut store, lowest, ahead).map_err(|e| explain(store.data(), &e))?;
        Ok(Self { store, linked })
    }

    /// Makes it an isolate of a snapshot whose lowest layer is the one that it was prepared with.
    pub(crate) fn finish(
        self,
        snapshot: &Snapshot,
        options: IsolateOptions,
        env_json: &str,
    ) -> Result<Isolate, IsolateError> {
        let Self { mut store, linked } = self;
        let IsolateOptions { memory_limit, request_cpu, boot_cpu, ops } = options;
        let state = store.data_mut();
        state.meter = ops.meter();
        state.ops = ops;
        state.limits.memory = memory_limit;
        let _turn = begin(&mut store, boot_cpu);
        let finished = snapshot::finish(&mut store, &linked, snapshot);
        finished.map_err(|e| explain(store.data(), &e))?;
        let mut isolate = Isolate::new(store, linked, Some(snapshot.clone()), request_cpu, boot_cpu)?;
        isolate.thaw(env_json)?;
        Ok(isolate)
    }
}

fn paths(sources: &[Source]) -> Vec<&str> {
    sources.iter().map(|s| s.path.as_str()).collect()
}

fn new_store(
    runtime: &Arc<Runtime>,
    ops: Box<dyn Ops>,
    memory_limit: usize,
    boot_cpu: Duration,
) -> Store<State> {
    let state = State::new(runtime.clone(), ops, memory_limit, boot_cpu);
    let mut store = Store::new(runtime.engine(), state);
    store.limiter(|state| &mut state.limits);
    store
}

/// A new turn on this thread, which may spend so much until the guard is dropped.
fn begin(store: &mut Store<State>, limit: Duration) -> TurnGuard {
    let cause = store.data().guest.as_ref().and_then(|guest| {
        let word = guest.memory.data(&*store).get(guest.cause as usize..)?.first_chunk::<4>()?.as_ptr();
        // SAFETY: the word is the guest's `uint32_t`. The linear memory stays where it is, being reserved in full, and is there until the
        // store is dropped; who has called this function holds that until the guard is dropped.
        word.cast::<u32>().is_aligned().then(|| unsafe { Cause::new(word.cast()) })
    });
    let state = store.data_mut();
    state.cpu_limit = limit;
    state.limits.refused = false;
    state.spent_too_much.store(false, Ordering::Relaxed);
    let (meter, spent_too_much) = (state.meter.clone(), state.spent_too_much.clone());
    let runtime = state.runtime.clone();
    runtime.ticker().turn(Budget { limit, cause, meter, spent_too_much })
}

/// Links, and runs our JavaScript.
fn start(store: &mut Store<State>) -> wasmtime::Result<Linked> {
    let linked = link::link(store, None)?;
    let guest = crate::calls::guest(&*store)?;
    let source = guest.place(&mut *store, taipan_guest::BUNDLE_JS.as_bytes())?;
    let name = guest.place(&mut *store, b"taipan:bundle.js")?;
    if guest.eval.call(&mut *store, (source, count(taipan_guest::BUNDLE_JS.len()), name))? != 0 {
        return Err(wasmtime::Error::msg("the JavaScript bundle does not run"));
    }
    Ok(linked)
}

fn run_until_booted(store: &mut Store<State>, guest: &Guest) -> wasmtime::Result<Result<(), String>> {
    loop {
        let timer = guest.run.call(&mut *store, ())?;
        if let Some(booted) = store.data_mut().booted.take() {
            pressure::tidy(store, guest)?;
            return Ok(booted);
        }
        // Module scope may sleep and wait: time passes, completions come in.
        let timer = instant(store.data(), timer);
        let pending = guest.outstanding.call(&mut *store, ())? > 0;
        match (timer, pending) {
            (None, false) => {
                return Err(wasmtime::Error::msg(
                    "the Worker waits at start for something that cannot happen",
                ));
            }
            (Some(at), false) => thread::sleep(at.saturating_duration_since(Instant::now())),
            (at, true) => {
                if let Some(e) = store.data_mut().ops.wait(at) {
                    let (kind, id, message) = encode_event(e);
                    deliver(store, guest, kind, id, &message)?;
                }
            }
        }
    }
}

fn deliver(
    store: &mut Store<State>,
    guest: &Guest,
    kind: i32,
    id: u32,
    message: &[u8],
) -> wasmtime::Result<()> {
    let at = guest.place(&mut *store, message)?;
    guest.event.call(store, (kind, id, at, count(message.len())))
}

fn run_turn(store: &mut Store<State>, guest: &Guest, events: Vec<Event>) -> wasmtime::Result<Turn> {
    for event in events {
        let (kind, id, message) = encode_event(event);
        deliver(store, guest, kind, id, &message)?;
    }
    let mut timer = guest.run.call(&mut *store, ())?;
    if pressure::tidy(store, guest)? {
        timer = guest.run.call(&mut *store, ())?;
    }
    let pending_ops = guest.outstanding.call(&mut *store, ())?;
    Ok(Turn { next_timer: instant(store.data(), timer), pending_ops })
}

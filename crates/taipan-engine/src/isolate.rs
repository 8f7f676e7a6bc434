//! One running instance of a Worker.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use wasmtime::{Store, UpdateDeadline};

use crate::cpu::CpuBudget;
use crate::imports::{encode_event, event, instant};
use crate::state::{Guest, State, count};
use crate::stop::{Stop, explain};
use crate::{BootError, Event, IsolateError, IsolateOptions, Runtime, Turn, link, references};

/// The stack that a thread must have to call [`Isolate::boot`] or [`Isolate::turn`]; guest calls nest on it. Only
/// what is used of it becomes memory.
pub const STACK_SIZE: usize = 64 << 20;

/// One running instance of a Worker. It belongs to no thread: any thread with [`STACK_SIZE`] of stack may run
/// its next turn.
pub struct Isolate {
    store: Store<State>,
    guest: Arc<Guest>,
    turn_cpu: Duration,
    dead: bool,
}

/// What the guest's JavaScript is told when it boots (`js/src/boot.ts`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Boot<'a> {
    version: &'a str,
    main: &'a str,
    sources: Vec<&'a str>,
    python: Vec<&'a str>,
    env_json: &'a str,
    global_handlers: bool,
}

impl Isolate {
    /// Starts Python and runs the Worker's module scope. Blocks for seconds.
    pub fn boot(runtime: &Arc<Runtime>, options: IsolateOptions) -> Result<Self, BootError> {
        let boot = Boot {
            version: runtime.version(),
            main: &options.main,
            sources: options.sources.iter().map(|s| s.path.as_str()).collect(),
            python: taipan_guest::PYTHON.iter().map(|(name, _)| *name).collect(),
            env_json: &options.env_json,
            global_handlers: options.global_handlers,
        };
        let boot =
            serde_json::to_string(&boot).map_err(|e| IsolateError::Internal { reason: e.to_string() })?;
        let mut store = Store::new(
            runtime.engine(),
            State::new(
                runtime.clone(),
                options.ops,
                options.sources,
                options.memory_limit,
                CpuBudget::new(options.boot_cpu),
            ),
        );
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            if store.data().cpu.exhausted() { Err(Stop::Cpu.into()) } else { Ok(UpdateDeadline::Continue(1)) }
        });
        let turn = runtime.ticker().turn();
        let booted = start(&mut store, &boot).map_err(|e| explain(store.data(), &e))?;
        drop(turn);
        let Some(guest) = store.data().guest.clone() else {
            return Err(IsolateError::Internal { reason: "the guest was not linked".into() }.into());
        };
        booted.map_err(|report_json| BootError::Worker { report_json })?;
        Ok(Self { store, guest, turn_cpu: options.turn_cpu, dead: false })
    }

    /// Delivers events to the guest and runs it until it has nothing left to do. After an error the isolate is
    /// dead: drop it.
    pub fn turn(&mut self, events: Vec<Event>) -> Result<Turn, IsolateError> {
        if self.dead {
            return Err(IsolateError::Internal { reason: "the isolate has stopped".into() });
        }
        let runtime = self.store.data().runtime.clone();
        let _turn = runtime.ticker().turn();
        let state = self.store.data_mut();
        state.cpu = CpuBudget::new(self.turn_cpu);
        state.limits.refused = false;
        self.store.set_epoch_deadline(1);
        let turn = run_turn(&mut self.store, &self.guest, events);
        turn.map_err(|e| {
            self.dead = true;
            explain(self.store.data(), &e)
        })
    }

    /// The size of the linear memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.guest.memory.data_size(&self.store)
    }
}

/// Links, runs our JavaScript, and lets it boot Python; the inner result is the guest's own verdict.
fn start(store: &mut Store<State>, boot: &str) -> wasmtime::Result<Result<(), String>> {
    link::link(store)?;
    let guest = crate::calls::guest(&*store)?;
    let source = guest.place(&mut *store, taipan_guest::BUNDLE_JS.as_bytes())?;
    let name = guest.place(&mut *store, b"taipan:bundle.js")?;
    if guest.eval.call(&mut *store, (source, count(taipan_guest::BUNDLE_JS.len()), name))? != 0 {
        return Err(wasmtime::Error::msg("the JavaScript bundle does not run"));
    }
    deliver(store, &guest, event::BOOT, 0, &taipan_guest::protocol::encode(&[boot.into()]))?;
    loop {
        let timer = guest.run.call(&mut *store, ())?;
        if let Some(booted) = store.data_mut().booted.take() {
            references::tidy(store, &guest)?;
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
                    deliver(store, &guest, kind, id, &message)?;
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
    let timer = guest.run.call(&mut *store, ())?;
    let pending_ops = guest.outstanding.call(&mut *store, ())?;
    references::tidy(store, guest)?;
    Ok(Turn { next_timer: instant(store.data(), timer), pending_ops })
}

//! Connections for those who read on the spot, on their own thread: a trip to a reader's thread and back takes ten times as long as
//! finding a row.
//!
//! Whoever may not wait asks here first. What would take long, or goes wrong, has no answer here, and is asked again of the
//! [`Readers`], who say what is wrong. So reading on the spot is bounded: by [`LONGEST`], at which SQLite stops; it waits for no
//! lock; and connections are opened by readers. What it may wait for is the disk, when a page is in no cache: for one page at
//! a time, between which the clock is looked at.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::{Deadline, Readers, open_reader};

/// How long reading on the spot may take.
pub(crate) const LONGEST: Duration = Duration::from_micros(500);

/// Steps of SQLite's machine between looks at the clock: some microseconds.
const STEPS: i32 = 100;

type SetUp<C> = fn(&mut Connection) -> rusqlite::Result<C>;

struct Lent<C> {
    connection: Connection,
    with: C,
    deadline: Deadline,
}

struct State<C> {
    idle: Vec<Lent<C>>,
    /// Those that are lent, and those that are being opened, too.
    connections: usize,
}

struct Shared<C> {
    file: PathBuf,
    set_up: SetUp<C>,
    most: usize,
    state: Mutex<State<C>>,
}

/// The connections. They are opened as they are needed, no more than there are threads to use them.
pub(crate) struct Near<C: 'static = ()>(Arc<Shared<C>>);

impl<C: Send> Near<C> {
    /// `set_up` is done to each connection, as for readers.
    pub(crate) fn new(file: PathBuf, set_up: SetUp<C>) -> Self {
        let most = thread::available_parallelism().map_or(1, usize::from);
        let state = Mutex::new(State { idle: Vec::new(), connections: 0 });
        Self(Arc::new(Shared { file, set_up, most, state }))
    }

    /// What `work` finds; nothing when that takes too long, fails, or when there is no connection, of which a reader makes one then.
    pub(crate) fn read<D: Send + 'static, T>(
        &self,
        readers: &Readers<D>,
        work: impl FnOnce(&Connection, &C) -> Option<T>,
    ) -> Option<T> {
        let lent = {
            let mut state = self.0.state.lock();
            let lent = state.idle.pop();
            if lent.is_none() && state.connections < self.0.most {
                state.connections += 1;
                let shared = self.0.clone();
                drop(state);
                readers.read(move |_| shared.open());
            }
            lent?
        };
        lent.deadline.give(LONGEST);
        let found = work(&lent.connection, &lent.with);
        let mut state = self.0.state.lock();
        if lent.connection.is_autocommit() {
            state.idle.push(lent);
        } else {
            // A transaction that did not end would see for ever what it saw first.
            state.connections -= 1;
        }
        found
    }
}

impl<C> Shared<C> {
    fn open(&self) {
        let lent = self.try_open();
        let mut state = self.state.lock();
        match lent {
            Some(lent) => state.idle.push(lent),
            // The next one tries again; readers say what is wrong with the file.
            None => state.connections -= 1,
        }
    }

    fn try_open(&self) -> Option<Lent<C>> {
        let mut connection = open_reader(&self.file).ok()?;
        let with = (self.set_up)(&mut connection).ok()?;
        connection.busy_timeout(Duration::ZERO).ok()?;
        let deadline = Deadline::watch(&mut connection, STEPS).ok()?;
        Some(Lent { connection, with, deadline })
    }
}

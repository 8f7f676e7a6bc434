//! Isolates prepared in advance.
//!
//! Much of a restore is the same for all Workers with the same lowest layer, which is the base snapshot or that of their
//! packages: linking, mapping it, making private copies of the pages that every isolate writes to. A thread does that while
//! nobody waits, for those layers that were asked for lately.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::isolate::{Prepared, STACK_SIZE};
use crate::snapshot::Image;
use crate::{Isolate, IsolateError, IsolateOptions, Runtime, Snapshot};

/// Isolates are kept ready for so many lowest layers.
const LAYERS: usize = 4;

/// Preparing waits until nothing was restored for so long. An isolate that has just begun has page faults and mappings to get,
/// in the address space in which others would be prepared: the kernel would have its first request wait for them.
const QUIET: Duration = Duration::from_millis(8);

/// Keeps isolates ready from which snapshots can be restored. Each costs what an isolate writes to: some 2 MiB above the
/// base snapshot, more above large packages.
pub struct Spares {
    runtime: Arc<Runtime>,
    count: usize,
    shelf: Arc<Shelf>,
}

#[derive(Default)]
struct Shelf {
    stock: Mutex<Stock>,
    changed: Condvar,
}

#[derive(Default)]
struct Stock {
    /// By lowest layer, the last that was asked for first.
    kinds: Vec<Kind>,
    /// The end of the last restore.
    restored: Option<Instant>,
    /// A thread fills the shelf.
    is_tended: bool,
    is_closed: bool,
}

struct Kind {
    lowest: Arc<Image>,
    ready: Vec<Prepared>,
}

impl Stock {
    /// Makes a layer the first of the kinds. Gives what had to make room, to be dropped without the lock.
    fn know(&mut self, lowest: Arc<Image>) -> Option<Kind> {
        let known = self.kinds.iter().position(|kind| kind.lowest.digest == lowest.digest);
        let kind = match known {
            Some(place) => self.kinds.remove(place),
            None => Kind { lowest, ready: vec![] },
        };
        self.kinds.insert(0, kind);
        if self.kinds.len() > LAYERS { self.kinds.pop() } else { None }
    }

    /// Takes what is ready for a layer, and what had to make room as above.
    fn take(&mut self, lowest: Arc<Image>) -> (Option<Prepared>, Option<Kind>) {
        let dropped = self.know(lowest);
        (self.kinds.first_mut().and_then(|kind| kind.ready.pop()), dropped)
    }

    /// A layer of which fewer than `count` are ready.
    fn wanted(&self, count: usize) -> Option<Arc<Image>> {
        self.kinds.iter().find(|kind| kind.ready.len() < count).map(|kind| kind.lowest.clone())
    }

    /// Gives back what nobody wants any more.
    fn put(&mut self, lowest: &Image, prepared: Prepared) -> Option<Prepared> {
        match self.kinds.iter_mut().find(|kind| kind.lowest.digest == lowest.digest) {
            Some(kind) if !self.is_closed => kind.ready.push(prepared),
            _ => return Some(prepared),
        }
        None
    }
}

impl Spares {
    /// Keeps `count` ready of each kind, from the first restore on.
    pub fn new(runtime: Arc<Runtime>, count: usize) -> Self {
        Self { runtime, count, shelf: Arc::default() }
    }

    /// What the isolates run on.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// Has isolates prepared for what is going to be restored.
    pub fn expect(&self, snapshot: &Snapshot) {
        if self.count == 0 {
            return;
        }
        let _dropped = self.shelf.stock.lock().know(snapshot.image.lowest());
        self.tend();
    }

    /// As [`Isolate::restore`], from one that is ready if there is one.
    pub fn restore(
        &self,
        snapshot: &Snapshot,
        options: IsolateOptions,
        env_json: &str,
    ) -> Result<Isolate, IsolateError> {
        if self.count == 0 {
            return Isolate::restore(&self.runtime, snapshot, options, env_json);
        }
        let (spare, _dropped) = self.shelf.stock.lock().take(snapshot.image.lowest());
        let restored = match spare {
            Some(spare) => spare.finish(snapshot, options, env_json),
            None => Isolate::restore(&self.runtime, snapshot, options, env_json),
        };
        self.shelf.stock.lock().restored = Some(Instant::now());
        self.tend();
        restored
    }

    /// Has the shelf filled, by now or later.
    fn tend(&self) {
        let mut stock = self.shelf.stock.lock();
        if !stock.is_tended {
            let (runtime, shelf, count) = (self.runtime.clone(), self.shelf.clone(), self.count);
            let work = move || stock_up(&runtime, &shelf, count);
            // Without the thread every restore takes its full time.
            stock.is_tended =
                thread::Builder::new().name("spares".into()).stack_size(STACK_SIZE).spawn(work).is_ok();
        }
        self.shelf.changed.notify_one();
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        let kinds = {
            let mut stock = self.shelf.stock.lock();
            stock.is_closed = true;
            std::mem::take(&mut stock.kinds)
        };
        self.shelf.changed.notify_one();
        drop(kinds);
    }
}

fn stock_up(runtime: &Arc<Runtime>, shelf: &Shelf, count: usize) {
    loop {
        let lowest = {
            let mut stock = shelf.stock.lock();
            loop {
                if stock.is_closed {
                    return;
                }
                let Some(lowest) = stock.wanted(count) else {
                    shelf.changed.wait(&mut stock);
                    continue;
                };
                match stock.restored.and_then(|at| at.checked_add(QUIET)) {
                    Some(quiet) if quiet > Instant::now() => {
                        shelf.changed.wait_until(&mut stock, quiet);
                    }
                    _ => break lowest,
                }
            }
        };
        match Prepared::new(runtime, &lowest, true) {
            Ok(prepared) => drop(shelf.stock.lock().put(&lowest, prepared)),
            Err(error) => {
                // Memory or mappings are short: restoring says so to somebody who can do something about it.
                tracing::debug!("no isolate can be prepared: {error}");
                let mut stock = shelf.stock.lock();
                if !stock.is_closed {
                    shelf.changed.wait(&mut stock);
                }
            }
        }
    }
}

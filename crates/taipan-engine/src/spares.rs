//! Isolates prepared in advance.
//!
//! Two thirds of a restore are the same for all Workers: linking, mapping the base snapshot, making private copies of the
//! pages that every isolate writes to. A thread does that while nobody waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};

use crate::isolate::{Prepared, STACK_SIZE};
use crate::snapshot::Image;
use crate::{Isolate, IsolateError, IsolateOptions, Runtime, Snapshot};

/// Keeps a number of isolates ready from which any snapshot can be restored. Each costs some 2 MiB.
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
    ready: VecDeque<Prepared>,
    /// A thread fills the shelf.
    is_tended: bool,
    is_closed: bool,
}

impl Spares {
    /// Keeps `count` ready, from the first restore on.
    pub fn new(runtime: Arc<Runtime>, count: usize) -> Self {
        Self { runtime, count, shelf: Arc::default() }
    }

    /// What the isolates run on.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// As [`Isolate::restore`], from one that is ready if there is one.
    pub fn restore(
        &self,
        snapshot: &Snapshot,
        options: IsolateOptions,
        env_json: &str,
    ) -> Result<Isolate, IsolateError> {
        let spare = self.shelf.stock.lock().ready.pop_front();
        let restored = match spare {
            Some(spare) => spare.finish(snapshot, options, env_json),
            None => Isolate::restore(&self.runtime, snapshot, options, env_json),
        };
        self.tend(snapshot);
        restored
    }

    /// Has the shelf filled, by now or later.
    fn tend(&self, snapshot: &Snapshot) {
        let mut stock = self.shelf.stock.lock();
        if !stock.is_tended && self.count > 0 {
            let (runtime, shelf, count) = (self.runtime.clone(), self.shelf.clone(), self.count);
            let lowest = snapshot.image.lowest();
            let work = move || stock_up(&runtime, &lowest, &shelf, count);
            // Without the thread every restore takes its full time.
            stock.is_tended =
                thread::Builder::new().name("spares".into()).stack_size(STACK_SIZE).spawn(work).is_ok();
        }
        self.shelf.changed.notify_one();
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        let ready = {
            let mut stock = self.shelf.stock.lock();
            stock.is_closed = true;
            std::mem::take(&mut stock.ready)
        };
        self.shelf.changed.notify_one();
        drop(ready);
    }
}

fn stock_up(runtime: &Arc<Runtime>, lowest: &Arc<Image>, shelf: &Shelf, count: usize) {
    loop {
        {
            let mut stock = shelf.stock.lock();
            while stock.ready.len() >= count && !stock.is_closed {
                shelf.changed.wait(&mut stock);
            }
            if stock.is_closed {
                return;
            }
        }
        match Prepared::new(runtime, lowest) {
            Ok(prepared) => {
                let mut stock = shelf.stock.lock();
                if stock.is_closed {
                    return;
                }
                stock.ready.push_back(prepared);
            }
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

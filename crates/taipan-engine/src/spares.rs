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
use crate::{Isolate, IsolateError, IsolateOptions, Runtime, Snapshot, SnapshotError};

/// Keeps a number of isolates ready from which any snapshot can be restored. Each costs some 2 MiB.
pub struct Spares {
    runtime: Arc<Runtime>,
    shelf: Arc<Shelf>,
}

struct Shelf {
    stock: Mutex<Stock>,
    changed: Condvar,
}

#[derive(Default)]
struct Stock {
    ready: VecDeque<Prepared>,
    closed: bool,
}

impl Spares {
    /// Keeps `count` ready; makes the base snapshot first if there is none.
    pub fn new(runtime: Arc<Runtime>, count: usize) -> Result<Self, SnapshotError> {
        let lowest = runtime.base()?.image.lowest();
        let shelf = Arc::new(Shelf { stock: Mutex::default(), changed: Condvar::new() });
        if count > 0 {
            let (runtime, shelf) = (runtime.clone(), shelf.clone());
            let work = move || stock_up(&runtime, &lowest, &shelf, count);
            let thread = thread::Builder::new().name("spares".into()).stack_size(STACK_SIZE).spawn(work);
            thread.map_err(|_| SnapshotError::NotNow { reason: "the system has no thread for it".into() })?;
        }
        Ok(Self { runtime, shelf })
    }

    /// As [`Isolate::restore`].
    pub fn restore(
        &self,
        snapshot: &Snapshot,
        options: IsolateOptions,
        env_json: &str,
    ) -> Result<Isolate, IsolateError> {
        let spare = self.shelf.stock.lock().ready.pop_front();
        self.shelf.changed.notify_one();
        match spare {
            Some(spare) => spare.finish(snapshot, options, env_json),
            None => Isolate::restore(&self.runtime, snapshot, options, env_json),
        }
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        let ready = {
            let mut stock = self.shelf.stock.lock();
            stock.closed = true;
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
            while stock.ready.len() >= count && !stock.closed {
                shelf.changed.wait(&mut stock);
            }
            if stock.closed {
                return;
            }
        }
        match Prepared::new(runtime, lowest) {
            Ok(prepared) => {
                let mut stock = shelf.stock.lock();
                if stock.closed {
                    return;
                }
                stock.ready.push_back(prepared);
            }
            Err(error) => {
                // Memory or mappings are short: restoring says so to somebody who can do something about it.
                tracing::debug!("no isolate can be prepared: {error}");
                let mut stock = shelf.stock.lock();
                if !stock.closed {
                    shelf.changed.wait(&mut stock);
                }
            }
        }
    }
}

//! Threads for what waits for files, so that those do not wait who may not.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;

use parking_lot::Mutex;

/// Threads of the process.
const THREADS: usize = 8;

type Job = Box<dyn FnOnce() + Send>;

/// Has `job` done on one of the threads. It is dropped when there can be none.
pub fn on_io_thread(job: impl FnOnce() + Send + 'static) {
    static JOBS: OnceLock<Sender<Job>> = OnceLock::new();
    let jobs = JOBS.get_or_init(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..THREADS {
            let queue = queue.clone();
            let work = move || {
                while let Some(job) = next(&queue) {
                    job();
                }
            };
            if let Err(error) = thread::Builder::new().name("storage-io".to_owned()).spawn(work) {
                tracing::warn!("cannot start a thread for files: {error}");
            }
        }
        jobs
    });
    drop(jobs.send(Box::new(job)));
}

/// Waits for a job. The others wait for the lock meanwhile.
fn next(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue.lock().recv().ok()
}

//! Calls a Worker for the messages of a queue.
//!
//! A batch is complete when it has as many messages as it may, or when the first of them has waited for long enough. Several are worked
//! on at a time, each in whichever isolate is free.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use taipan_bindings::Failure;
use taipan_config::QueueConsumer;
use taipan_storage::StorageError;
use taipan_storage::queues::{self, Message, Queues, Taken, Terms};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use crate::worker::Outcome;
use crate::{Console, Problem, RequestLog, Slot};

/// How many batches are worked on at a time when the configuration does not say.
const CONCURRENCY: u32 = 8;

/// So often the queue is looked at although nothing was heard: a clock may be set.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How long messages rest that could not be delivered because the Worker does not start or the disk fails.
const REST: Duration = Duration::from_secs(1);

/// What deliveries have in common.
struct Consumer {
    slot: Arc<Slot>,
    config: QueueConsumer,
    queues: Arc<Queues>,
    console: Arc<dyn Console>,
}

/// Calls the current version of the Worker for the messages of its queue, until it is dropped.
pub async fn run_consumer(
    slot: Arc<Slot>,
    config: QueueConsumer,
    queues: Arc<Queues>,
    console: Arc<dyn Console>,
) {
    let arrived = Arc::new(Notify::new());
    let (told, name): (Weak<Notify>, _) = (Arc::downgrade(&arrived), config.queue.clone());
    queues.watch(Box::new(move |queue| {
        let told = told.upgrade();
        if queue == name {
            told.iter().for_each(|told| told.notify_one());
        }
        told.is_some()
    }));
    let permits = Arc::new(Semaphore::new(config.max_concurrency.unwrap_or(CONCURRENCY) as usize));
    let (most, patience) =
        (config.max_batch_size as usize, Duration::from_secs(config.max_batch_timeout.into()));
    let consumer = Arc::new(Consumer { slot, config, queues, console });
    // Since when there is a message that waits for others.
    let mut waiting: Option<Instant> = None;
    while let Ok(permit) = permits.clone().acquire_owned().await {
        let is_late = patience.is_zero() || waiting.is_some_and(|since| since.elapsed() >= patience);
        let taken = match consumer.take(if is_late { 1 } else { most }, most).await {
            Ok(taken) => taken,
            Err(error) => {
                consumer.console.failure(&format!(
                    "cannot read messages of the queue {}: {error}",
                    consumer.config.queue
                ));
                sleep(REST).await;
                continue;
            }
        };
        let is_more = taken.ready > taken.messages.len();
        waiting = is_more.then(|| waiting.filter(|_| taken.messages.is_empty()).unwrap_or_else(Instant::now));
        if !taken.messages.is_empty() {
            tokio::spawn(consumer.clone().deliver(taken.messages, permit));
            continue;
        }
        let until_due = taken
            .next_due
            .map(|due| due - now_ms())
            .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(1)));
        let until_late = waiting.map(|since| patience.saturating_sub(since.elapsed()));
        let wait =
            [until_due, until_late, Some(LOOK_EVERY)].into_iter().flatten().min().unwrap_or(LOOK_EVERY);
        drop(permit);
        drop(timeout(wait.max(Duration::from_millis(1)), arrived.notified()).await);
    }
}

impl Consumer {
    async fn take(&self, least: usize, most: usize) -> Result<Taken, StorageError> {
        let (answer, taken) = oneshot::channel();
        // Nobody waits when the process ends.
        self.queues.take(&self.config.queue, least, most, move |result| drop(answer.send(result)));
        taken.await.unwrap_or(Err(StorageError::Closed))
    }

    async fn deliver(self: Arc<Self>, messages: Vec<Message>, permit: OwnedSemaphorePermit) {
        let begun = Instant::now();
        let queue = &self.config.queue;
        let ids: Vec<i64> = messages.iter().map(|message| message.id).collect();
        let count = ids.len();
        let outcomes: Vec<(i64, queues::Outcome)> = match self.slot.current().messages(queue, messages).await
        {
            Ok(said) => {
                let settled = said.into_iter().map(|said| match said {
                    Outcome::Acknowledged => queues::Outcome::Acknowledged,
                    Outcome::Retry(delay) => queues::Outcome::Retry(delay.unwrap_or(self.config.retry_delay)),
                });
                ids.into_iter().zip(settled).collect()
            }
            Err(fault) => {
                let is_undelivered = fault.starting || fault.failure == Failure::Stopped;
                if !is_undelivered {
                    self.console.failure(&Problem::from(&fault).text());
                }
                let outcome = if is_undelivered {
                    sleep(REST).await;
                    queues::Outcome::Untouched
                } else {
                    queues::Outcome::Retry(self.config.retry_delay)
                };
                ids.into_iter().map(|id| (id, outcome)).collect()
            }
        };
        let done = outcomes.iter().filter(|(_, outcome)| *outcome == queues::Outcome::Acknowledged).count();
        let terms = Terms {
            max_retries: self.config.max_retries,
            dead_letter_queue: self.config.dead_letter_queue.clone(),
        };
        let (answer, settled) = oneshot::channel();
        self.queues.settle(queue, outcomes, terms, move |result| drop(answer.send(result)));
        if let Ok(Err(error)) = settled.await {
            self.console.failure(&format!("messages of the queue {queue} will be delivered again: {error}"));
            sleep(REST).await;
        }
        self.console.request(&RequestLog {
            method: "QUEUE",
            target: queue,
            status: if done == count { 200 } else { 500 },
            reason: &format!("{done}/{count}"),
            took: begun.elapsed(),
        });
        drop(permit);
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

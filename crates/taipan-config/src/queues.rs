//! `queues`: what a Worker sends messages to, and whose messages it is called for.

use serde::{Deserialize, Serialize};

use crate::bindings::{Names, text};
use crate::decode::Section;
use crate::error::ConfigError;
use crate::keys::{CONSUMER_KEYS, PRODUCER_KEYS, QUEUES_KEYS};
use crate::sections::required;

/// The longest delay of a message, in seconds.
const LONGEST_DELAY: u64 = 43_200;

/// One of `queues.producers`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct QueueProducer {
    /// Its name in `env`.
    pub binding: String,
    /// The queue.
    pub queue: String,
    /// How long its messages wait at least, in seconds; otherwise the queue says.
    pub delivery_delay: Option<u32>,
}

/// One of `queues.consumers`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct QueueConsumer {
    /// The queue.
    pub queue: String,
    /// The most messages of a batch.
    pub max_batch_size: u32,
    /// How long messages wait for others, in seconds.
    pub max_batch_timeout: u32,
    /// How many times a message is delivered again.
    pub max_retries: u32,
    /// The queue for those that are not any more.
    pub dead_letter_queue: Option<String>,
    /// How many batches are worked on at a time.
    pub max_concurrency: Option<u32>,
    /// How long a message that is to be delivered again waits, in seconds.
    pub retry_delay: u32,
}

/// Reads both.
pub(crate) fn read(
    own: &Section<'_>,
    names: &mut Names,
    warnings: &mut Vec<String>,
) -> Result<(Vec<QueueProducer>, Vec<QueueConsumer>), ConfigError> {
    let (mut producers, mut consumers) = (Vec::new(), Vec::<QueueConsumer>::new());
    let Some(section) = own.child("queues")? else { return Ok((producers, consumers)) };
    section.only(QUEUES_KEYS)?;
    for section in section.children("producers")? {
        section.only(PRODUCER_KEYS)?;
        producers.push(QueueProducer {
            binding: names.add(&section, "binding")?,
            queue: queue(&section)?,
            delivery_delay: number(&section, "delivery_delay", 0, LONGEST_DELAY)?,
        });
    }
    for section in section.children("consumers")? {
        section.only(CONSUMER_KEYS)?;
        let name = queue(&section)?;
        match section.string("type")? {
            None | Some(("worker", _)) => {}
            Some(("http_pull", at)) => {
                let place = section.source.link(at);
                warnings.push(format!(
                    "{place}: nobody pulls messages by HTTP here, so those of {name} stay where they are; `taipan queues peek {name}` shows them"
                ));
                continue;
            }
            Some((kind, at)) => {
                let message = format!("wrong value of `{}`: `{kind}`", section.path_of("type"));
                return Err(section.source.error(at, message).with_hint("write `worker`, or remove the key"));
            }
        }
        if consumers.iter().any(|consumer| consumer.queue == name) {
            let at = section.string("queue")?.map_or(0, |(_, at)| at);
            return Err(section
                .source
                .error(
                    at,
                    format!("the queue has a consumer already: `{}`: {name}", section.path_of("queue")),
                )
                .with_hint("remove one of them"));
        }
        let dead_letter_queue = text(&section, "dead_letter_queue")?;
        if dead_letter_queue.as_ref() == Some(&name) {
            let at = section.string("dead_letter_queue")?.map_or(0, |(_, at)| at);
            let path = section.path_of("dead_letter_queue");
            return Err(section
                .source
                .error(at, format!("wrong value of `{path}`: it is the queue itself: {name}"))
                .with_hint("name another queue, or messages that fail would come back for ever"));
        }
        consumers.push(QueueConsumer {
            queue: name,
            max_batch_size: number(&section, "max_batch_size", 1, 100)?.unwrap_or(10),
            max_batch_timeout: number(&section, "max_batch_timeout", 0, 60)?.unwrap_or(5),
            max_retries: number(&section, "max_retries", 0, 100)?.unwrap_or(3),
            dead_letter_queue,
            max_concurrency: match section.get("max_concurrency").map(|entry| &entry.node.value) {
                Some(crate::tree::Value::Null) => None,
                _ => number(&section, "max_concurrency", 1, 250)?,
            },
            retry_delay: number(&section, "retry_delay", 0, LONGEST_DELAY)?.unwrap_or_default(),
        });
    }
    Ok((producers, consumers))
}

fn queue(section: &Section<'_>) -> Result<String, ConfigError> {
    let (name, at) = required(section, section.string("queue")?, "queue")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > 63 || !name.chars().all(allowed) {
        let message = format!("wrong value of `{}`: `{name}`", section.path_of("queue"));
        return Err(section
            .source
            .error(at, message)
            .with_hint("use at most 63 letters, digits, `-` and `_`"));
    }
    Ok(name.to_owned())
}

pub(crate) fn number(
    section: &Section<'_>,
    key: &str,
    least: u64,
    greatest: u64,
) -> Result<Option<u32>, ConfigError> {
    Ok(section.integer(key, least, greatest)?.and_then(|n| u32::try_from(n).ok()))
}

//! `taipan queues …`.

use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use serde_json::{Map, Value, json};
use taipan_config::Bindings;
use taipan_server::{message, percent_encoded, shown_count, shown_message, shown_settings};
use taipan_storage::queues::{Change, Outgoing, Queues};
use ureq::SendBody;
use ureq::http::Method;

use super::remote::Remote;
use super::{Place, Project, told, unknown, wait};
use crate::cli::data::{QueueSettings, QueuesArgs, QueuesCommand};

pub(crate) fn run(args: QueuesArgs) -> Result<ExitCode> {
    let project = Project::load(args.data)?;
    let bindings = &project.config.bindings;
    match args.command {
        QueuesCommand::List => {
            let broker = Broker::open(&project)?;
            let mut listed = Vec::new();
            for name in bindings.queues() {
                listed.push(described(bindings, name, broker.count(name)?));
            }
            print(&Value::Array(listed))?;
        }
        QueuesCommand::Peek { queue, limit } => print(&known(&project, &queue)?.peek(&queue, limit)?)?,
        QueuesCommand::Send { queue, body, content_type, delay } => {
            let message = message(content_type, body.into(), delay).map_err(|error| anyhow!(error))?;
            known(&project, &queue)?.send(&queue, message)?;
        }
        QueuesCommand::Info { queue } => {
            let count = known(&project, &queue)?.count(&queue)?;
            print(&described(bindings, &queue, count))?;
        }
        QueuesCommand::Create { queue, settings } => {
            named(&queue)?;
            print(&Broker::open(&project)?.change(&queue, &settings.into(), true)?)?;
            if !bindings.queues().contains(&queue.as_str()) {
                anstream::eprintln!(
                    "A Worker sends to it with `queues.producers` in its configuration: {{ \"binding\": \"QUEUE\", \"queue\": \"{queue}\" }}"
                );
            }
        }
        QueuesCommand::Update { queue, settings } => {
            print(&known(&project, &queue)?.change(&queue, &settings.into(), false)?)?;
        }
        QueuesCommand::Delete { queue } => {
            let count = known(&project, &queue)?.remove(&queue)?;
            anstream::println!("{queue} was removed with {count} messages");
        }
        QueuesCommand::PauseDelivery { queue } => {
            let pause = Change { is_paused: Some(true), ..Change::default() };
            known(&project, &queue)?.change(&queue, &pause, false)?;
            anstream::println!(
                "messages of {queue} are not delivered until `taipan queues resume-delivery {queue}`"
            );
        }
        QueuesCommand::ResumeDelivery { queue } => {
            let resume = Change { is_paused: Some(false), ..Change::default() };
            known(&project, &queue)?.change(&queue, &resume, false)?;
            anstream::println!("messages of {queue} are delivered");
        }
        QueuesCommand::Purge { queue, force: _ } => {
            let count = known(&project, &queue)?.purge(&queue)?;
            anstream::println!("{count} messages were removed from {queue}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(value: &Value) -> Result<()> {
    anstream::println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// One of the configuration, or one that was created.
fn known(project: &Project, queue: &str) -> Result<Broker> {
    let (known, broker) = (project.config.bindings.queues(), Broker::open(project)?);
    let is_known = known.contains(&queue) || broker.count(queue)?.get("is_set") == Some(&json!(true));
    if is_known { Ok(broker) } else { Err(unknown("queue", queue, &known, "queues")) }
}

fn described(bindings: &Bindings, name: &str, mut count: Map<String, Value>) -> Value {
    let producers = bindings.queue_producers.iter().filter(|p| p.queue == name);
    count.remove("is_set");
    let mut queue = Map::from_iter([("queue".to_owned(), json!(name))]);
    queue.extend(count);
    queue.insert("bindings".to_owned(), producers.map(|p| p.binding.as_str()).collect());
    let is_consumed = bindings.queue_consumers.iter().any(|c| c.queue == name);
    queue.insert("consumed".to_owned(), json!(is_consumed));
    Value::Object(queue)
}

/// Names are as Cloudflare has them.
fn named(queue: &str) -> Result<()> {
    let is_name = (1..=63).contains(&queue.len())
        && queue.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_name { Ok(()) } else { bail!("a queue's name is 1 to 63 letters, digits, - and _: {queue}") }
}

impl From<QueueSettings> for Change {
    fn from(settings: QueueSettings) -> Self {
        let QueueSettings { message_retention_period_secs, delivery_delay_secs } = settings;
        Self { retention: message_retention_period_secs, delay: delivery_delay_secs, is_paused: None }
    }
}

fn removed(remote: &Remote, path: &str) -> Result<u64> {
    let done = remote.json(Method::DELETE, path, &[], SendBody::none())?;
    Ok(done.get("removed").and_then(Value::as_u64).unwrap_or_default())
}

enum Broker {
    Here(Queues),
    There(Remote),
}

fn path(queue: &str, what: &str) -> String {
    format!("queues/{}/{what}", percent_encoded(queue))
}

impl Broker {
    fn open(project: &Project) -> Result<Self> {
        Ok(match project.data()? {
            Place::Here(folder) => Self::Here(told(Queues::open(&folder))?),
            Place::There(remote) => Self::There(remote),
        })
    }

    fn count(&self, queue: &str) -> Result<Map<String, Value>> {
        let count = match self {
            Self::Here(queues) => shown_count(&wait(|reply| queues.count(queue, reply))?),
            Self::There(remote) => remote.json(Method::GET, &path(queue, "count"), &[], SendBody::none())?,
        };
        Ok(count.as_object().cloned().unwrap_or_default())
    }

    fn peek(&self, queue: &str, limit: u32) -> Result<Value> {
        match self {
            Self::Here(queues) => {
                let messages = wait(|reply| queues.peek(queue, limit as usize, reply))?;
                Ok(messages.into_iter().map(shown_message).collect())
            }
            Self::There(remote) => {
                let limit = limit.to_string();
                let query = [("limit", limit.as_str())];
                remote.json(Method::GET, &path(queue, "messages"), &query, SendBody::none())
            }
        }
    }

    fn send(&self, queue: &str, message: Outgoing) -> Result<()> {
        match self {
            Self::Here(queues) => wait(|reply| queues.send(queue, vec![message], reply)),
            Self::There(remote) => {
                let delay = message.delay.map(|delay| delay.to_string()).unwrap_or_default();
                let query = [("type", message.kind.as_str()), ("delay", delay.as_str())];
                remote.json(Method::POST, &path(queue, "messages"), &query, &*message.body).map(|_| ())
            }
        }
    }

    fn change(&self, queue: &str, change: &Change, is_new: bool) -> Result<Value> {
        match self {
            Self::Here(queues) => {
                Ok(shown_settings(wait(|reply| queues.change(queue, *change, is_new, reply))?))
            }
            Self::There(remote) => {
                let number =
                    |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
                let (retention, delay) = (number(change.retention), number(change.delay));
                let paused = change.is_paused.map(|paused| paused.to_string()).unwrap_or_default();
                let mut query =
                    vec![("retention", retention.as_str()), ("delay", &delay), ("paused", &paused)];
                query.extend(is_new.then_some(("new", "")));
                remote.json(Method::PUT, &path(queue, "settings"), &query, SendBody::none())
            }
        }
    }

    fn remove(&self, queue: &str) -> Result<u64> {
        match self {
            Self::Here(queues) => Ok(wait(|reply| queues.remove(queue, reply))? as u64),
            Self::There(remote) => removed(remote, &path(queue, "")),
        }
    }

    fn purge(&self, queue: &str) -> Result<u64> {
        match self {
            Self::Here(queues) => Ok(wait(|reply| queues.purge(queue, reply))? as u64),
            Self::There(remote) => removed(remote, &path(queue, "messages")),
        }
    }
}

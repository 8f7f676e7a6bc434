//! `taipan queues …`.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use serde_json::{Map, Value, json};
use taipan_server::{message, shown_message};
use taipan_storage::queues::{Count, Outgoing, Queues};
use ureq::SendBody;
use ureq::http::Method;

use super::remote::{Remote, encoded};
use super::{Place, Project, told, unknown, wait};
use crate::cli::data::{QueuesArgs, QueuesCommand};

pub(crate) fn run(args: QueuesArgs) -> Result<ExitCode> {
    let project = Project::load(args.data)?;
    let bindings = &project.config.bindings;
    match args.command {
        QueuesCommand::List => {
            let broker = Broker::open(&project)?;
            let mut listed = Vec::new();
            for name in bindings.queues() {
                let producers = bindings.queue_producers.iter().filter(|p| p.queue == name);
                let mut queue = Map::from_iter([("queue".to_owned(), json!(name))]);
                queue.extend(broker.count(name)?);
                queue.insert("bindings".to_owned(), producers.map(|p| p.binding.as_str()).collect());
                let is_consumed = bindings.queue_consumers.iter().any(|c| c.queue == name);
                queue.insert("consumed".to_owned(), json!(is_consumed));
                listed.push(Value::Object(queue));
            }
            print(&Value::Array(listed))?;
        }
        QueuesCommand::Peek { queue, limit } => print(&known(&project, &queue)?.peek(&queue, limit)?)?,
        QueuesCommand::Send { queue, body, content_type, delay } => {
            let message = message(content_type, body.into(), delay).map_err(|error| anyhow!(error))?;
            known(&project, &queue)?.send(&queue, message)?;
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

fn known(project: &Project, queue: &str) -> Result<Broker> {
    let known = project.config.bindings.queues();
    match known.contains(&queue) {
        true => Broker::open(project),
        false => Err(unknown("queue", queue, &known, "queues")),
    }
}

enum Broker {
    Here(Queues),
    There(Remote),
}

fn path(queue: &str, what: &str) -> String {
    format!("queues/{}/{what}", encoded(queue))
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
            Self::Here(queues) => {
                let Count { messages, delayed, oldest } = wait(|reply| queues.count(queue, reply))?;
                json!({ "messages": messages, "delayed": delayed, "oldest_sent_ms": oldest })
            }
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
                let delay = message.delay.to_string();
                let query = [("type", message.kind.as_str()), ("delay", delay.as_str())];
                remote.json(Method::POST, &path(queue, "messages"), &query, &*message.body).map(|_| ())
            }
        }
    }

    fn purge(&self, queue: &str) -> Result<u64> {
        match self {
            Self::Here(queues) => Ok(wait(|reply| queues.purge(queue, reply))? as u64),
            Self::There(remote) => {
                let done = remote.json(Method::DELETE, &path(queue, "messages"), &[], SendBody::none())?;
                Ok(done.get("removed").and_then(Value::as_u64).unwrap_or_default())
            }
        }
    }
}

//! `taipan queues …`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use taipan_storage::queues::{Outgoing, Queues};

use super::{Project, told, unknown, wait};
use crate::cli::data::{QueuesArgs, QueuesCommand};

pub(crate) fn run(args: QueuesArgs) -> Result<ExitCode> {
    let project = Project::load(args.data)?;
    match args.command {
        QueuesCommand::List => {
            let queues = told(Queues::open(&project.here()?))?;
            let mut listed = Vec::new();
            for name in names(&project) {
                let count = wait(|reply| queues.count(&name, reply))?;
                let bindings = &project.config.bindings;
                let of = |queue: &String| *queue == name;
                let producers: Vec<&str> = bindings
                    .queue_producers
                    .iter()
                    .filter(|p| of(&p.queue))
                    .map(|p| p.binding.as_str())
                    .collect();
                listed.push(json!({
                    "queue": name, "messages": count.messages, "delayed": count.delayed, "oldest_sent_ms": count.oldest,
                    "bindings": producers, "consumed": bindings.queue_consumers.iter().any(|c| of(&c.queue)),
                }));
            }
            print(&Value::Array(listed))?;
        }
        QueuesCommand::Peek { queue, limit } => {
            let queues = open(&project, &queue)?;
            let messages = wait(|reply| queues.peek(&queue, limit, reply))?;
            let shown = messages.into_iter().map(|message| {
                let body = match String::from_utf8(message.body) {
                    Ok(text) if message.kind == "json" => serde_json::from_str(&text).unwrap_or(Value::String(text)),
                    Ok(text) if message.kind == "text" => Value::String(text),
                    Ok(text) => json!({ "base64": BASE64.encode(text) }),
                    Err(error) => json!({ "base64": BASE64.encode(error.as_bytes()) }),
                };
                json!({
                    "id": format!("{:032x}", message.id), "content_type": message.kind, "sent_ms": message.sent_at,
                    "deliveries": message.attempts - 1, "body": body,
                })
            });
            print(&shown.collect())?;
        }
        QueuesCommand::Send { queue, body, content_type, delay } => {
            if content_type == "json"
                && let Err(error) = serde_json::from_str::<Value>(&body)
            {
                bail!("the body is not JSON: {error}");
            }
            let queues = open(&project, &queue)?;
            let message = Outgoing { kind: content_type, body: body.into(), delay };
            wait(|reply| queues.send(&queue, vec![message], reply))?;
        }
        QueuesCommand::Purge { queue, force: _ } => {
            let queues = open(&project, &queue)?;
            let count = wait(|reply| queues.purge(&queue, reply))?;
            anstream::println!("{count} messages were removed from {queue}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(value: &Value) -> Result<()> {
    anstream::println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// The queues that the configuration knows, in order.
fn names(project: &Project) -> Vec<String> {
    let bindings = &project.config.bindings;
    let sent = bindings.queue_producers.iter().map(|producer| &producer.queue);
    let dead = bindings.queue_consumers.iter().filter_map(|consumer| consumer.dead_letter_queue.as_ref());
    let consumed = bindings.queue_consumers.iter().map(|consumer| &consumer.queue);
    let mut names: Vec<String> = sent.chain(consumed).chain(dead).cloned().collect();
    names.sort();
    names.dedup();
    names
}

fn open(project: &Project, queue: &str) -> Result<Queues> {
    let known = names(project);
    if !known.iter().any(|name| name == queue) {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(unknown("queue", queue, &known, "queues"));
    }
    told(Queues::open(&project.here()?))
}

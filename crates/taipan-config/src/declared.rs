//! The names in `env`, with the keys of the configuration that define them: what an editor has to know about a Worker.
//!
//! This is about names only and takes what it does not understand for none: whoever makes a binding reads all of its keys.

use crate::decode::Section;
use crate::tree::{Node, Value};

/// A binding's name in `env`, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The key of the configuration, such as `kv_namespaces` or `queues.producers`.
    pub key: &'static str,
    /// The name.
    pub name: String,
    /// Of Durable Objects, workflows and services: the class that is behind it, where that is one of this Worker's.
    pub class_name: Option<String>,
}

/// Keys, and the key of the name in what is below them: one object or a list of them.
const KEYS: &[(&str, &str)] = &[
    ("agent_memory", "binding"),
    ("ai", "binding"),
    ("ai_search", "binding"),
    ("ai_search_namespaces", "binding"),
    ("analytics_engine_datasets", "binding"),
    ("artifacts", "binding"),
    ("assets", "binding"),
    ("browser", "binding"),
    ("d1_databases", "binding"),
    ("dispatch_namespaces", "binding"),
    ("durable_objects.bindings", "name"),
    ("flagship", "binding"),
    ("hyperdrive", "binding"),
    ("images", "binding"),
    ("kv_namespaces", "binding"),
    ("media", "binding"),
    ("mtls_certificates", "binding"),
    ("pipelines", "binding"),
    ("queues.producers", "binding"),
    ("r2_buckets", "binding"),
    ("ratelimits", "name"),
    ("secrets_store_secrets", "binding"),
    ("send_email", "name"),
    ("services", "binding"),
    ("stream", "binding"),
    ("unsafe_hello_world", "binding"),
    ("vectorize", "binding"),
    ("version_metadata", "binding"),
    ("vpc_networks", "binding"),
    ("vpc_services", "binding"),
    ("websearch", "binding"),
    ("worker_loaders", "binding"),
    ("workflows", "binding"),
];

/// The bindings, in the order of their keys; `section` gives the one that decides about a key.
pub(crate) fn read<'a>(section: impl Fn(&str) -> Section<'a>) -> Vec<Declared> {
    let mut found = vec![];
    for (key, name) in KEYS {
        let (first, rest) = key.split_once('.').map_or((*key, None), |(first, rest)| (first, Some(rest)));
        let section = section(first);
        let node = section.get(first).map(|entry| &entry.node);
        let node = rest.map_or(node, |rest| node.and_then(|node| below(node, rest)));
        let nodes = match node.map(|node| &node.value) {
            Some(Value::Array(nodes)) => nodes.as_slice(),
            Some(Value::Object(_)) => node.map_or(&[][..], std::slice::from_ref),
            _ => &[],
        };
        let is_elsewhere =
            |node: &Node| ["script_name", "service"].iter().any(|key| below(node, key).is_some());
        for node in nodes {
            let Some(name) = text(node, name) else { continue };
            let class_name = if is_elsewhere(node) { None } else { text(node, "class_name") };
            found.push(Declared { key, name, class_name });
        }
    }
    found
}

fn below<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Value::Object(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
}

fn text(node: &Node, key: &str) -> Option<String> {
    match &below(node, key)?.value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

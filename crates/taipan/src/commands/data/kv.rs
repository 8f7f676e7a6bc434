//! `taipan kv …`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fs_err as fs;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use taipan_server::percent_encoded;
use taipan_storage::kv::{End, KvNamespace, ListOptions, Put};
use ureq::SendBody;
use ureq::http::Method;

use super::remote::Remote;
use super::{Place, Project, told, unknown, wait};
use crate::cli::data::{KvArgs, KvBulkCommand, KvCommand, KvKeyCommand, KvNamespaceCommand, NamespaceArgs};

pub(crate) fn run(args: KvArgs) -> Result<ExitCode> {
    let project = Project::load(args.data)?;
    match args.command {
        KvCommand::Key(command) => key(&project, command)?,
        KvCommand::Bulk(command) => bulk(&project, command)?,
        KvCommand::Namespace(KvNamespaceCommand::List) => {
            let known = project.config.bindings.kv_namespaces.iter();
            let listed: Vec<Value> =
                known.map(|kv| json!({ "id": kv.id, "title": kv.id, "binding": kv.binding })).collect();
            print(&listed.into())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn key(project: &Project, command: KvKeyCommand) -> Result<()> {
    match command {
        KvKeyCommand::List { namespace, prefix } => {
            let keys = open(project, &namespace)?.keys(&prefix)?;
            print(&keys.into())?;
        }
        KvKeyCommand::Get { key, namespace, .. } => {
            let Some(value) = open(project, &namespace)?.get(&key)? else {
                bail!("there is no such key: {key}");
            };
            std::io::stdout().write_all(&value)?;
        }
        KvKeyCommand::Put { key, value, path, ttl, expiration, metadata, namespace } => {
            let value = match path {
                Some(path) => fs::read(path)?,
                None => value.unwrap_or_default().into_bytes(),
            };
            let metadata = metadata.map(|text| serde_json::from_str::<Value>(&text)).transpose();
            let put = Put {
                key,
                value: value.into(),
                metadata: metadata.context("the metadata is not JSON")?.map(|metadata| metadata.to_string()),
                end: ttl.map(End::After).or(expiration.map(End::At)),
            };
            open(project, &namespace)?.put(put)?;
        }
        KvKeyCommand::Delete { key, namespace } => open(project, &namespace)?.delete(key)?,
    }
    Ok(())
}

/// What is to be put under a key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: String,
    value: String,
    /// Whether the value is Base64.
    #[serde(default)]
    base64: bool,
    expiration: Option<i64>,
    expiration_ttl: Option<i64>,
    metadata: Option<Value>,
}

impl Entry {
    fn into_put(self) -> Result<Put> {
        let value = match self.base64 {
            true => BASE64
                .decode(&self.value)
                .with_context(|| format!("the value of {} is not Base64", self.key))?,
            false => self.value.into_bytes(),
        };
        let end = self.expiration_ttl.map(End::After).or(self.expiration.map(End::At));
        let metadata =
            self.metadata.filter(|metadata| !metadata.is_null()).map(|metadata| metadata.to_string());
        Ok(Put { key: self.key, value: value.into(), metadata, end })
    }
}

/// A key, as people write it, or as lists have it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a key is a text, or an object with `name`")]
enum Key {
    Text(String),
    Listed { name: String },
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        match key {
            Key::Text(key) | Key::Listed { name: key } => key,
        }
    }
}

fn bulk(project: &Project, command: KvBulkCommand) -> Result<()> {
    match command {
        KvBulkCommand::Get { file, namespace } => {
            let keys: Vec<Key> = list(&file)?;
            let namespace = open(project, &namespace)?;
            let mut found = Map::new();
            for key in keys.into_iter().map(String::from) {
                let value = namespace.get(&key)?.map(|value| String::from_utf8_lossy(&value).into_owned());
                found.insert(key, json!({ "value": value }));
            }
            print(&found.into())?;
        }
        KvBulkCommand::Put { file, namespace } => {
            let entries: Vec<Entry> = list(&file)?;
            let puts = entries.into_iter().map(Entry::into_put).collect::<Result<Vec<_>>>()?;
            let (namespace, count) = (open(project, &namespace)?, puts.len());
            for put in puts {
                let key = put.key.clone();
                namespace.put(put).with_context(|| format!("cannot put {key}"))?;
            }
            anstream::eprintln!("Put {count} keys");
        }
        KvBulkCommand::Delete { file, namespace, .. } => {
            let keys: Vec<Key> = list(&file)?;
            let (namespace, count) = (open(project, &namespace)?, keys.len());
            keys.into_iter().try_for_each(|key| namespace.delete(key.into()))?;
            anstream::eprintln!("Removed {count} keys");
        }
    }
    Ok(())
}

/// Reads a JSON list.
fn list<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>> {
    let text = fs::read_to_string(file)?;
    serde_json::from_str(&text).with_context(|| format!("{}: not the list that is expected", file.display()))
}

fn print(value: &Value) -> Result<()> {
    anstream::println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

fn open(project: &Project, wanted: &NamespaceArgs) -> Result<Namespace> {
    let known = &project.config.bindings.kv_namespaces;
    let found = known.iter().find(|kv| match &wanted.namespace_id {
        Some(id) => kv.id == *id,
        None => Some(&kv.binding) == wanted.binding.as_ref(),
    });
    let Some(found) = found else {
        let names = known.iter().map(|kv| if wanted.namespace_id.is_some() { &kv.id } else { &kv.binding });
        let names: Vec<&str> = names.map(String::as_str).collect();
        let name = wanted.namespace_id.as_ref().or(wanted.binding.as_ref());
        return Err(unknown("namespace", name.map_or("", String::as_str), &names, "kv_namespaces"));
    };
    Ok(match project.data()? {
        Place::Here(folder) => Namespace::Here(told(KvNamespace::open(&folder, &found.id))?),
        Place::There(remote) => Namespace::There(remote, format!("kv/{}", percent_encoded(&found.id))),
    })
}

enum Namespace {
    Here(KvNamespace),
    There(Remote, String),
}

impl Namespace {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Here(store) => Ok(wait(|reply| store.get(key.to_owned(), reply))?.map(|entry| entry.value)),
            Self::There(remote, path) => remote.bytes(&format!("{path}/value"), &[("key", key)]),
        }
    }

    fn put(&self, put: Put) -> Result<()> {
        match self {
            Self::Here(store) => wait(|reply| store.put(put, reply)),
            Self::There(remote, path) => {
                let (end, seconds) = match put.end {
                    Some(End::At(at)) => ("expiration", at.to_string()),
                    Some(End::After(seconds)) => ("ttl", seconds.to_string()),
                    None => ("ttl", String::new()),
                };
                let metadata = put.metadata.unwrap_or_default();
                let query =
                    [("key", put.key.as_str()), ("metadata", metadata.as_str()), (end, seconds.as_str())];
                remote.json(Method::PUT, &format!("{path}/value"), &query, &*put.value).map(|_| ())
            }
        }
    }

    fn delete(&self, key: String) -> Result<()> {
        match self {
            Self::Here(store) => wait(|reply| store.delete(vec![key], reply)),
            Self::There(remote, path) => {
                let query = [("key", key.as_str())];
                remote.json(Method::DELETE, &format!("{path}/value"), &query, SendBody::none()).map(|_| ())
            }
        }
    }

    fn keys(&self, prefix: &str) -> Result<Vec<Value>> {
        let mut keys = Vec::new();
        let mut after: Option<String> = None;
        loop {
            after = match self {
                Self::Here(store) => {
                    let options = ListOptions { prefix: prefix.to_owned(), limit: None, after: after.take() };
                    let list = wait(|reply| store.list(options, reply))?;
                    let last = list.keys.last().filter(|_| !list.is_complete).map(|key| key.key.clone());
                    for key in list.keys {
                        let metadata = key.metadata.map(|text| serde_json::from_str(&text)).transpose()?;
                        keys.push(shown(&key.key, key.expires_at, metadata));
                    }
                    last
                }
                Self::There(remote, path) => {
                    let query = [("prefix", prefix), ("cursor", after.as_deref().unwrap_or_default())];
                    let list = remote.json(Method::GET, &format!("{path}/keys"), &query, SendBody::none())?;
                    for key in list.get("keys").and_then(Value::as_array).into_iter().flatten() {
                        let name = key.get("name").and_then(Value::as_str).unwrap_or_default();
                        let metadata = key.get("metadata").filter(|metadata| !metadata.is_null()).cloned();
                        keys.push(shown(name, key.get("expiration").and_then(Value::as_i64), metadata));
                    }
                    list.get("cursor").and_then(Value::as_str).map(str::to_owned)
                }
            };
            if after.is_none() {
                return Ok(keys);
            }
        }
    }
}

fn shown(name: &str, expiration: Option<i64>, metadata: Option<Value>) -> Value {
    let mut shown = Map::from_iter([("name".to_owned(), json!(name))]);
    shown.extend(expiration.map(|at| ("expiration".to_owned(), at.into())));
    shown.extend(metadata.map(|metadata| ("metadata".to_owned(), metadata)));
    shown.into()
}

//! `taipan kv key …`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Result, bail};
use fs_err as fs;
use serde_json::{Map, Value, json};
use taipan_storage::kv::{End, KvNamespace, ListOptions, Put};
use ureq::SendBody;
use ureq::http::Method;

use super::remote::{Remote, encoded};
use super::{Place, Project, told, unknown, wait};
use crate::cli::data::{KvArgs, KvCommand, KvKeyCommand};

pub(crate) fn run(args: KvArgs) -> Result<ExitCode> {
    let project = Project::load(args.data)?;
    let KvCommand::Key(command) = args.command;
    match command {
        KvKeyCommand::List { namespace, prefix } => {
            let keys = open(&project, &namespace.binding)?.keys(&prefix)?;
            anstream::println!("{}", serde_json::to_string_pretty(&keys)?);
        }
        KvKeyCommand::Get { key, namespace } => {
            let Some(value) = open(&project, &namespace.binding)?.get(&key)? else {
                bail!("there is no such key: {key}");
            };
            std::io::stdout().write_all(&value)?;
        }
        KvKeyCommand::Put { key, value, path, ttl, expiration, metadata, namespace } => {
            let value = match path {
                Some(path) => fs::read(path)?,
                None => value.unwrap_or_default().into_bytes(),
            };
            let metadata = metadata.map(|text| serde_json::from_str::<Value>(&text)).transpose()?;
            let put = Put {
                key,
                value: value.into(),
                metadata: metadata.map(|metadata| metadata.to_string()),
                end: ttl.map(End::After).or(expiration.map(End::At)),
            };
            open(&project, &namespace.binding)?.put(put)?;
        }
        KvKeyCommand::Delete { key, namespace } => {
            open(&project, &namespace.binding)?.delete(key)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(project: &Project, binding: &str) -> Result<Namespace> {
    let known = &project.config.bindings.kv_namespaces;
    let Some(found) = known.iter().find(|kv| kv.binding == binding) else {
        let names: Vec<&str> = known.iter().map(|kv| kv.binding.as_str()).collect();
        return Err(unknown("namespace", binding, &names, "kv_namespaces"));
    };
    Ok(match project.data()? {
        Place::Here(folder) => Namespace::Here(told(KvNamespace::open(&folder, &found.id))?),
        Place::There(remote) => Namespace::There(remote, format!("kv/{}", encoded(&found.id))),
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

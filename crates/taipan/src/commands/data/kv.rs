//! `taipan kv key …`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Result, bail};
use fs_err as fs;
use serde_json::{Value, json};
use taipan_storage::kv::{End, KvNamespace, ListOptions, Put};

use super::{Project, told, unknown, wait};
use crate::cli::data::{KvArgs, KvCommand, KvKeyCommand};

pub(crate) fn run(args: KvArgs) -> Result<ExitCode> {
    let project = Project::load(args.data)?;
    let KvCommand::Key(command) = args.command;
    match command {
        KvKeyCommand::List { namespace, prefix } => {
            let keys = keys(&open(&project, &namespace.binding)?, &prefix)?;
            anstream::println!("{}", serde_json::to_string_pretty(&keys)?);
        }
        KvKeyCommand::Get { key, namespace } => {
            let store = open(&project, &namespace.binding)?;
            let Some(entry) = wait(|reply| store.get(key.clone(), reply))? else {
                bail!("there is no such key: {key}");
            };
            std::io::stdout().write_all(&entry.value)?;
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
            let store = open(&project, &namespace.binding)?;
            wait(|reply| store.put(put, reply))?;
        }
        KvKeyCommand::Delete { key, namespace } => {
            let store = open(&project, &namespace.binding)?;
            wait(|reply| store.delete(vec![key], reply))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(project: &Project, binding: &str) -> Result<KvNamespace> {
    let known = &project.config.bindings.kv_namespaces;
    let Some(found) = known.iter().find(|kv| kv.binding == binding) else {
        let names: Vec<&str> = known.iter().map(|kv| kv.binding.as_str()).collect();
        return Err(unknown("namespace", binding, &names, "kv_namespaces"));
    };
    told(KvNamespace::open(&project.data()?, &found.id))
}

fn keys(store: &KvNamespace, prefix: &str) -> Result<Vec<Value>> {
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        let options = ListOptions { prefix: prefix.to_owned(), limit: None, after };
        let list = wait(|reply| store.list(options, reply))?;
        after = list.keys.last().map(|key| key.key.clone());
        for key in list.keys {
            let mut shown = json!({ "name": key.key });
            if let (Some(object), Some(at)) = (shown.as_object_mut(), key.expires_at) {
                object.insert("expiration".to_owned(), at.into());
            }
            if let (Some(object), Some(metadata)) = (shown.as_object_mut(), key.metadata) {
                object.insert("metadata".to_owned(), serde_json::from_str(&metadata)?);
            }
            keys.push(shown);
        }
        if list.is_complete {
            return Ok(keys);
        }
    }
}

//! The secrets of deployed Workers. They come by themselves, never with a version, and no answer has their values.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use taipan_config::Secret;

use super::folder::Folder;
use super::refusal::Refusal;

const FILE: &str = "secrets.json";

/// The largest secret, in bytes, and how many a Worker has at the most.
pub(super) const LARGEST: usize = 64 << 10;
const MOST: usize = 256;

/// The longest name.
const LONGEST_NAME: usize = 255;

pub(super) type Secrets = BTreeMap<String, Secret>;

pub(super) fn read(folder: &Folder, worker: &str) -> io::Result<Secrets> {
    let Some(bytes) = folder.read_of(worker, FILE)? else { return Ok(Secrets::new()) };
    // The error of the parser could show a part of them.
    let broken =
        |_| io::Error::new(ErrorKind::InvalidData, format!("{FILE} of the Worker {worker} is damaged"));
    let texts: BTreeMap<String, String> = serde_json::from_slice(&bytes).map_err(broken)?;
    Ok(texts.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
}

pub(super) fn write(folder: &Folder, worker: &str, secrets: &Secrets) -> io::Result<()> {
    let texts: BTreeMap<&str, &str> =
        secrets.iter().map(|(name, secret)| (name.as_str(), secret.expose())).collect();
    folder.write_private(worker, FILE, &serde_json::to_vec(&texts)?)
}

pub(super) fn put(secrets: &mut Secrets, name: &str, value: String) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Refusal::wrong(format!("not a name of a secret: {name:.80?}")));
    }
    if value.len() > LARGEST {
        return Err(Refusal::wrong(format!("the secret is larger than {} KiB: {name}", LARGEST >> 10)));
    }
    if secrets.len() >= MOST && !secrets.contains_key(name) {
        return Err(Refusal::wrong(format!("the Worker has {MOST} secrets, which is all it can have")));
    }
    secrets.insert(name.to_owned(), Secret::new(value));
    Ok(())
}

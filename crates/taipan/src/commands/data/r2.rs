//! `taipan r2 …`.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use fs_err as fs;
use serde_json::{Map, Value, json};
use taipan_server::percent_encoded;
use taipan_storage::r2::{Conditions, Found, ListOptions, Metadata, Object, R2Bucket};
use ureq::SendBody;
use ureq::http::Method;

use super::remote::Remote;
use super::{Place, Project, told, unknown, wait};
use crate::cli::data::{R2Args, R2BucketCommand, R2Command, R2ObjectCommand};
use crate::object_stores::places;
use crate::report::hint;

/// So much is in memory at a time.
const PIECE: usize = 1 << 20;

pub(crate) fn run(args: R2Args) -> Result<ExitCode> {
    let project = Project::load(args.data)?;
    match args.command {
        R2Command::Bucket(R2BucketCommand::List) => {
            for bucket in &project.config.bindings.r2_buckets {
                anstream::println!("{}", bucket.name);
            }
        }
        R2Command::Object(command) => object(&project, command)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn object(project: &Project, command: R2ObjectCommand) -> Result<()> {
    match command {
        R2ObjectCommand::Get { object, file, pipe } => {
            let (bucket, key) = split(project, &object)?;
            let mut out: Box<dyn Write> = match (pipe, file) {
                (true, _) => Box::new(std::io::stdout()),
                (false, file) => Box::new(New::begin(file.unwrap_or_else(|| name_of(key)))?),
            };
            if !bucket.get(key, &mut *out)? {
                bail!("there is no such object: {key}");
            }
            out.flush()?;
        }
        R2ObjectCommand::Put { object, file, pipe, metadata } => {
            let (bucket, key) = split(project, &object)?;
            let mut input: Box<dyn Read> = match (file, pipe) {
                (Some(file), _) => Box::new(fs::File::open(file)?),
                (None, true) => Box::new(std::io::stdin()),
                (None, false) => {
                    return Err(hint(
                        anyhow!("what to put is missing"),
                        "name a file with --file, or use --pipe",
                    ));
                }
            };
            bucket.put(key, &mut *input, &metadata.headers())?;
        }
        R2ObjectCommand::Delete { object } => {
            let (bucket, key) = split(project, &object)?;
            bucket.delete(key)?;
        }
        R2ObjectCommand::List { bucket, prefix } => {
            let objects = open(project, &bucket)?.list(&prefix)?;
            anstream::println!("{}", serde_json::to_string_pretty(&objects)?);
        }
    }
    Ok(())
}

/// The file that an object becomes, which is there only once it is whole.
struct New {
    file: fs::File,
    part: PathBuf,
    path: PathBuf,
}

impl New {
    fn begin(path: PathBuf) -> Result<Self> {
        let mut part = path.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        Ok(Self { file: fs::File::create(&part)?, part, path })
    }
}

impl Write for New {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()?;
        fs::rename(&self.part, &self.path)
    }
}

impl Drop for New {
    fn drop(&mut self) {
        // It is the object's name by now, or nothing.
        drop(fs::remove_file(&self.part));
    }
}

fn name_of(key: &str) -> PathBuf {
    let name = key.rsplit('/').find(|part| !matches!(*part, "" | "." | "..")).unwrap_or("object");
    PathBuf::from(name)
}

/// A bucket and a key in it, as `BUCKET/KEY`.
fn split<'a>(project: &Project, object: &'a str) -> Result<(Bucket, &'a str)> {
    match object.split_once('/') {
        Some((bucket, key)) if !key.is_empty() => Ok((open(project, bucket)?, key)),
        _ => bail!("an object is named BUCKET/KEY: {object}"),
    }
}

fn open(project: &Project, name: &str) -> Result<Bucket> {
    let known = &project.config.bindings.r2_buckets;
    let Some(found) = known.iter().find(|r2| r2.name == name || r2.binding == name) else {
        let names: Vec<&str> = known.iter().map(|r2| r2.name.as_str()).collect();
        return Err(unknown("bucket", name, &names, "r2_buckets"));
    };
    Ok(match project.data()? {
        Place::Here(folder) => {
            let places = places(&project.config.taipan.object_stores, &project.config.bindings)?;
            let place = places.into_iter().find(|(bucket, _)| *bucket == found.name);
            Bucket::Here(told(R2Bucket::open(&folder, &found.name, place.map(|(_, place)| place)))?)
        }
        Place::There(remote) => Bucket::There(remote, format!("r2/{}", percent_encoded(&found.name))),
    })
}

enum Bucket {
    Here(R2Bucket),
    There(Remote, String),
}

impl Bucket {
    /// False when there is none.
    fn get(&self, key: &str, out: &mut dyn Write) -> Result<bool> {
        match self {
            Self::Here(store) => {
                let found = wait(|reply| store.get(key.to_owned(), Conditions::default(), None, reply))?;
                let Some(Found::Object(_, _, _, mut body)) = found else { return Ok(false) };
                while let Some(piece) = told(body.read(PIECE))? {
                    out.write_all(&piece)?;
                }
                Ok(true)
            }
            Self::There(remote, path) => {
                let query = [("key", key)];
                let answer =
                    remote.ask(Method::GET, &format!("{path}/object"), &query, &[], SendBody::none())?;
                let Some(answer) = answer else { return Ok(false) };
                std::io::copy(&mut answer.into_reader(), out)?;
                Ok(true)
            }
        }
    }

    /// Metadata is headers.
    fn put(&self, key: &str, input: &mut dyn Read, headers: &[(&'static str, String)]) -> Result<()> {
        match self {
            Self::Here(store) => {
                let mut upload = told(store.upload())?;
                let mut piece = vec![0; PIECE];
                loop {
                    let read = input.read(&mut piece)?;
                    match piece.get(..read) {
                        Some(piece) if read > 0 => told(upload.write(piece.to_vec()))?,
                        _ => break,
                    }
                }
                let stored = told(upload.finish(None))?;
                let http: Map<String, Value> =
                    headers.iter().map(|(name, value)| (member(name), value.clone().into())).collect();
                let metadata = Metadata { http: Value::Object(http).to_string(), custom: "{}".to_owned() };
                wait(|reply| store.put(key.to_owned(), stored, metadata, Conditions::default(), reply))?;
            }
            Self::There(remote, path) => {
                let headers: Vec<(&str, &str)> =
                    headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let query = [("key", key)];
                let body = SendBody::from_reader(input);
                remote.ask(Method::PUT, &format!("{path}/object"), &query, &headers, body)?;
            }
        }
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<()> {
        match self {
            Self::Here(store) => wait(|reply| store.delete(vec![key.to_owned()], reply)),
            Self::There(remote, path) => {
                let query = [("key", key)];
                remote.json(Method::DELETE, &format!("{path}/object"), &query, SendBody::none()).map(|_| ())
            }
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Value>> {
        let mut objects = Vec::new();
        let mut from: Option<String> = None;
        loop {
            let next = match self {
                Self::Here(store) => {
                    let options = ListOptions {
                        prefix: prefix.to_owned(),
                        from: from.take(),
                        ..ListOptions::default()
                    };
                    let list = wait(|reply| store.list(options, reply))?;
                    objects.extend(list.objects.iter().map(shown));
                    list.next
                }
                Self::There(remote, path) => {
                    let query = [("prefix", prefix), ("cursor", from.as_deref().unwrap_or_default())];
                    let mut list =
                        remote.json(Method::GET, &format!("{path}/objects"), &query, SendBody::none())?;
                    if let Some(Value::Array(found)) = list.get_mut("objects").map(Value::take) {
                        objects.extend(found);
                    }
                    list.get("cursor").and_then(Value::as_str).map(str::to_owned)
                }
            };
            match next {
                Some(next) => from = Some(next),
                None => return Ok(objects),
            }
        }
    }
}

fn shown(object: &Object) -> Value {
    let part = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    json!({
        "key": object.key, "size": object.size, "etag": object.etag, "uploaded": object.uploaded_ms,
        "httpMetadata": part(&object.http_metadata), "customMetadata": part(&object.custom_metadata),
    })
}

/// The member of `httpMetadata` that a header is.
fn member(header: &str) -> String {
    let mut words = header.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at_checked(1).unwrap_or_default();
        name + &initial.to_ascii_uppercase() + rest
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn headers_are_members_of_metadata() {
        assert_eq!(member("content-type"), "contentType");
        assert_eq!(member("cache-control"), "cacheControl");
        assert_eq!(name_of("a/b.txt"), Path::new("b.txt"));
        assert_eq!(name_of("../"), Path::new("object"));
    }
}

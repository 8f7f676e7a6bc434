//! An index of Python packages on loopback, for what a real one does on a bad day only.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Result;
use flate2::{Compression, Crc, write::DeflateEncoder};
use sha2::{Digest as _, Sha256};

/// A wheel to publish.
#[derive(Clone, Debug, Default)]
pub struct Wheel {
    /// The name of the package.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The tags at the end of the file's name; empty for those of a pure wheel.
    pub tags: &'static str,
    /// Requirements.
    pub requires: &'static [&'static str],
    /// Files of the archive by name; of a pure wheel, a module named as the package is added.
    pub files: Vec<Entry>,
    /// How often `files` are there once more, in folders `0`, `1`, …
    pub copies: u32,
    /// Why it was taken back.
    pub yanked: Option<&'static str>,
    /// What goes wrong when it is downloaded.
    pub fault: Option<Fault>,
}

/// A file in a wheel.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its path, as it is in the archive.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
    /// Its permissions and kind, as Unix has them.
    pub mode: u32,
}

/// What goes wrong when a wheel is downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The content is not what the index has announced.
    OtherContent,
    /// The connection ends in the middle.
    CutOff,
    /// Nothing comes any more from the middle on.
    Silence,
}

/// The index; it answers until the process ends.
#[derive(Debug)]
pub struct Index {
    address: SocketAddr,
    published: Arc<Mutex<BTreeMap<String, Published>>>,
}

#[derive(Clone, Debug)]
struct Published {
    package: &'static str,
    archive: Vec<u8>,
    metadata: String,
    yanked: Option<&'static str>,
    fault: Option<Fault>,
}

impl Index {
    /// An index without packages.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let index = Self { address: listener.local_addr()?, published: Arc::default() };
        let published = index.published.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let published = published.clone();
                thread::spawn(move || {
                    // A client that has gone wants no answer.
                    drop(answer(stream, &published));
                });
            }
        });
        Ok(index)
    }

    /// Its address, for a package client.
    pub fn url(&self) -> String {
        format!("http://{}/simple", self.address)
    }

    /// Publishes a wheel, in place of one of the same name, and returns the name of its file.
    pub fn publish(&self, wheel: Wheel) -> String {
        let file = wheel.file_name();
        let published = Published {
            package: wheel.name,
            archive: wheel.archive(),
            metadata: wheel.metadata(),
            yanked: wheel.yanked,
            fault: wheel.fault,
        };
        self.published.lock().unwrap_or_else(PoisonError::into_inner).insert(file.clone(), published);
        file
    }
}

impl Index {
    /// Publishes the source of a package, of which there is no wheel.
    pub fn publish_source(&self, package: &'static str, name: &str, archive: Vec<u8>) {
        let file = Published { package, archive, metadata: String::new(), yanked: None, fault: None };
        self.published.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), file);
    }

    /// Publishes a file that is no wheel, below the index's address.
    pub fn publish_file(&self, name: &str, archive: Vec<u8>) {
        let file = Published { package: "", archive, metadata: String::new(), yanked: None, fault: None };
        self.published.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), file);
    }
}

impl Entry {
    /// A usual file.
    pub fn new(path: &str, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.to_owned(), content: content.into(), mode: 0o100_644 }
    }

    /// A symbolic link.
    pub fn link(path: &str, to: &str) -> Self {
        Self { path: path.to_owned(), content: to.into(), mode: 0o120_777 }
    }
}

impl Wheel {
    /// A pure wheel.
    pub fn pure(name: &'static str, version: &'static str) -> Self {
        Self { name, version, ..Self::default() }
    }

    /// The name of its file.
    pub fn file_name(&self) -> String {
        let tags = if self.tags.is_empty() { "py3-none-any" } else { self.tags };
        format!("{}-{}-{tags}.whl", self.name, self.version)
    }

    fn metadata(&self) -> String {
        let requires = self.requires.iter().map(|one| format!("Requires-Dist: {one}\n")).collect::<String>();
        format!("Metadata-Version: 2.1\nName: {}\nVersion: {}\n{requires}", self.name, self.version)
    }

    /// The archive.
    pub fn archive(&self) -> Vec<u8> {
        let info = format!("{}-{}.dist-info", self.name, self.version);
        let mut entries = self.files.clone();
        if self.tags.is_empty() {
            entries
                .push(Entry::new(&format!("{}.py", self.name), format!("VERSION = \"{}\"\n", self.version)));
        }
        let tag = self.file_name().split('-').skip(2).collect::<Vec<_>>().join("-");
        let wheel = format!(
            "Wheel-Version: 1.0\nGenerator: taipan\nRoot-Is-Purelib: true\nTag: {}\n",
            tag.trim_end_matches(".whl")
        );
        entries.push(Entry::new(&format!("{info}/WHEEL"), wheel));
        entries.push(Entry::new(&format!("{info}/METADATA"), self.metadata()));
        let mut record = String::new();
        for (at, Entry { path, content, .. }) in entries.iter().enumerate() {
            let digest = base64(&Sha256::digest(content));
            for path in self.paths(at, path) {
                record.push_str(&format!("{path},sha256={digest},{}\n", content.len()));
            }
        }
        record.push_str(&format!("{info}/RECORD,,\n"));
        entries.push(Entry::new(&format!("{info}/RECORD"), record));
        let places = entries.iter().enumerate().map(|(at, entry)| (self.paths(at, &entry.path), entry));
        zip(&places.collect::<Vec<_>>())
    }

    /// Where an entry is in the archive.
    fn paths(&self, at: usize, path: &str) -> Vec<String> {
        let copies = if at < self.files.len() { self.copies } else { 0 };
        let copies = (0..copies).map(|copy| format!("{copy}/{path}"));
        [path.to_owned()].into_iter().chain(copies).collect()
    }
}

fn answer(stream: TcpStream, published: &Mutex<BTreeMap<String, Published>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut line, mut range) = (String::new(), None);
    while reader.read_line(&mut line)? > 2 {
        let lower = line.to_ascii_lowercase();
        range = range.or_else(|| lower.trim().strip_prefix("range: bytes=").map(str::to_owned));
        line.clear();
    }
    let mut stream = reader.into_inner();
    let path = first.split(' ').nth(1).unwrap_or_default();
    let published = published.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (status, kind, body, fault) = match path.trim_matches('/').split_once('/') {
        Some(("simple", package)) => match page(&published, package) {
            Some(page) => ("200 OK", "text/html", page.into_bytes(), None),
            None if published.get(package).is_some_and(|file| file.package.is_empty()) => {
                let content = published.get(package).map(|file| file.archive.clone());
                ("200 OK", "application/octet-stream", content.unwrap_or_default(), None)
            }
            None => ("404 Not Found", "text/plain", vec![], None),
        },
        Some(("files", name)) => match (published.get(name), name.strip_suffix(".metadata")) {
            (Some(file), _) => ("200 OK", "application/octet-stream", file.archive.clone(), file.fault),
            (None, Some(name)) => {
                let metadata = published.get(name).map(|file| file.metadata.clone()).unwrap_or_default();
                ("200 OK", "text/plain", metadata.into_bytes(), None)
            }
            (None, None) => ("404 Not Found", "text/plain", vec![], None),
        },
        _ => ("404 Not Found", "text/plain", vec![], None),
    };
    let (status, more, body) = match range.and_then(|range| part(&range, &body)).filter(|_| fault.is_none()) {
        Some((part, content)) => ("206 Partial Content", format!("Content-Range: {part}\r\n"), content),
        None => (status, String::new(), body),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let is_whole = !matches!(fault, Some(Fault::CutOff | Fault::Silence));
    stream.write_all(if is_whole { &body } else { body.get(..length / 2).unwrap_or_default() })?;
    if fault == Some(Fault::Silence) {
        // Until the client has gone.
        drop(stream.read_to_end(&mut vec![]));
    }
    Ok(())
}

/// The part of a file that a client asks for, and how it is announced.
fn part(range: &str, file: &[u8]) -> Option<(String, Vec<u8>)> {
    let (first, last) = range.split_once('-')?;
    let (first, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, last.saturating_add(1).min(file.len())),
        (Err(_), Ok(most)) => (file.len().saturating_sub(most), file.len()),
        _ => return None,
    };
    let content = file.get(first..end).filter(|content| !content.is_empty())?;
    Some((format!("bytes {first}-{}/{}", end - 1, file.len()), content.to_vec()))
}

/// What the index says of a package.
fn page(published: &BTreeMap<String, Published>, package: &str) -> Option<String> {
    let mut links = String::new();
    for (name, file) in published.iter().filter(|(_, file)| file.package == package) {
        let mut digest = Sha256::new();
        digest.update(&file.archive);
        if file.fault == Some(Fault::OtherContent) {
            digest.update("and more");
        }
        let yanked = file.yanked.map(|why| format!(" data-yanked=\"{why}\"")).unwrap_or_default();
        links.push_str(&format!(
            "<a href=\"/files/{name}#sha256={:x}\" data-core-metadata=\"{}\"{yanked}>{name}</a>\n",
            digest.finalize(),
            !file.metadata.is_empty()
        ));
    }
    (!links.is_empty()).then(|| format!("<!DOCTYPE html>\n<html><body>\n{links}</body></html>\n"))
}

/// As a list of files in a wheel has digests.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let digit =
        |six: &[u8]| (0..6).fold(0, |sum, at| sum << 1 | usize::from(six.get(at).copied().unwrap_or(0)));
    bits.chunks(6).filter_map(|six| DIGITS.get(digit(six)).copied()).map(char::from).collect()
}

/// A zip archive with compressed entries.
fn zip(entries: &[(Vec<String>, &Entry)]) -> Vec<u8> {
    let small = |number: usize| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes();
    let large = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = vec![];
    let mut directory = vec![];
    for (paths, Entry { content, mode, .. }) in entries {
        let mut encoder = DeflateEncoder::new(vec![], Compression::best());
        // Nothing can go wrong in memory.
        drop(encoder.write_all(content));
        let packed = encoder.finish().unwrap_or_default();
        let mut crc = Crc::new();
        crc.update(content);
        for path in paths {
            let offset = out.len();
            // Version 2.0, no flags, deflated, the first day of 1980.
            let mut common = [20_u16, 0, 8, 0, 0x21].map(u16::to_le_bytes).concat();
            common.extend([crc.sum().to_le_bytes(), large(packed.len()), large(content.len())].concat());
            common.extend([small(path.len()), small(0)].concat());
            out.extend([b"PK\x03\x04", &*common, path.as_bytes(), &packed].concat());
            // Made on Unix, which is why permissions are there.
            directory.extend([b"PK\x01\x02\x14\x03", &*common, &[0; 6]].concat());
            directory.extend([&(mode << 16).to_le_bytes(), &large(offset)[..], path.as_bytes()].concat());
        }
    }
    let count = small(entries.iter().map(|(paths, _)| paths.len()).sum());
    let end =
        [b"PK\x05\x06\0\0\0\0", &count[..], &count, &large(directory.len()), &large(out.len()), &[0; 2]];
    out.extend([directory, end.concat()].concat());
    out
}

//! Downloading from a mirror, so that a connection that breaks costs only what was under way.

use std::error::Error;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{RootCerts, TlsConfig};
use url::Url;

use super::progress::{Progress, Step};
use super::{Artifact, ObtainError};

/// How long a mirror may be silent before the connection counts as broken.
const SILENCE: Duration = Duration::from_secs(30);

/// The address of an artifact at a mirror: `base` itself where it names an archive, else the file's name below it.
pub(super) fn address(base: &str, artifact: &Artifact) -> Result<Url, ObtainError> {
    let mut url = Url::parse(base).map_err(|_| ObtainError::InvalidUrl { url: base.to_owned() })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ObtainError::InvalidUrl { url: shown(&url) });
    }
    if !url.path().ends_with(".tgz")
        && let Ok(mut segments) = url.path_segments_mut()
    {
        segments.pop_if_empty().push(artifact.name);
    }
    Ok(url)
}

/// An address as it may be shown: without credentials and query, which can be one.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    // These fail for addresses that cannot have credentials, which is as good.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

fn agent() -> ureq::Agent {
    // The system's certificates: a mirror often stands behind a private authority.
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    ureq::Agent::config_builder()
        .timeout_connect(Some(SILENCE))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .http_status_as_error(false)
        .user_agent(concat!("taipan/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build()
        .new_agent()
}

/// The file at an address, which may have `most` bytes.
pub(crate) fn read(url: &Url, most: u64) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    let mut response = agent().get(url.as_str()).call()?;
    if response.status().as_u16() != 200 {
        return Err(format!("the server answered with status {}", response.status().as_u16()).into());
    }
    let expected =
        response.headers().get("content-length").and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
    let mut content = vec![];
    response.body_mut().as_reader().take(most + 1).read_to_end(&mut content)?;
    let size = content.len() as u64;
    if size > most {
        return Err(format!("it is larger than {} MiB", most >> 20).into());
    }
    if expected.is_some_and(|expected| size < expected) {
        return Err("the connection ended before the file did".into());
    }
    Ok(content)
}

/// Parts of a file at an address, for servers that give some.
pub(crate) struct Ranges {
    agent: ureq::Agent,
    url: Url,
}

impl Ranges {
    pub(crate) fn new(url: Url) -> Option<Self> {
        matches!(url.scheme(), "http" | "https").then(|| Self { agent: agent(), url })
    }

    /// The length of the file, and its last bytes, at most so many.
    pub(crate) fn end(&self, most: usize) -> Option<(u64, Vec<u8>)> {
        let (start, length, bytes) = self.ask(&format!("bytes=-{most}"), most)?;
        (start.checked_add(bytes.len() as u64) == Some(length)).then_some((length, bytes))
    }

    /// So many bytes from a place on.
    pub(crate) fn read(&self, at: u64, size: usize) -> Option<Vec<u8>> {
        let last = at.checked_add(u64::try_from(size).ok()?)?.checked_sub(1)?;
        let (start, _, bytes) = self.ask(&format!("bytes={at}-{last}"), size)?;
        (start == at && bytes.len() == size).then_some(bytes)
    }

    /// Where what the server gives begins, how long the whole is, and the bytes.
    fn ask(&self, range: &str, most: usize) -> Option<(u64, u64, Vec<u8>)> {
        // Of what is compressed, positions would mean something else.
        let request = self.agent.get(self.url.as_str()).header("range", range);
        let mut response = request.header("accept-encoding", "identity").call().ok()?;
        if response.status().as_u16() != 206 {
            return None;
        }
        let given =
            response.headers().get("content-range")?.to_str().ok()?.strip_prefix("bytes ")?.to_owned();
        let (given, length) = given.split_once('/')?;
        let start = given.split_once('-')?.0.parse().ok()?;
        let mut bytes = vec![];
        response.body_mut().as_reader().take(most as u64).read_to_end(&mut bytes).ok()?;
        Some((start, length.parse().ok()?, bytes))
    }
}

/// Downloads `artifact` into `part`, going on where an earlier attempt, of this or another process, ended.
///
/// Tries again by itself as long as every attempt gets further than all before it.
pub(super) fn download(
    url: &Url,
    artifact: &Artifact,
    part: &Path,
    progress: &dyn Progress,
) -> Result<(), ObtainError> {
    let agent = agent();
    let mut furthest = 0;
    loop {
        let attempt = attempt(&agent, url, artifact, part, progress);
        let Err(error) = attempt else { return Ok(()) };
        let arrived = length(part);
        if !error.is_worth_another_attempt() || arrived <= furthest {
            return Err(error.into_obtain_error(url));
        }
        furthest = arrived;
    }
}

/// Why one attempt ended early.
enum Broken {
    /// The connection, or what the server said.
    Connection(Box<dyn Error + Send + Sync>),
    /// The file system.
    Cache(ObtainError),
}

impl Broken {
    fn is_worth_another_attempt(&self) -> bool {
        matches!(self, Self::Connection(_))
    }

    fn into_obtain_error(self, url: &Url) -> ObtainError {
        match self {
            Self::Connection(source) => ObtainError::Download { url: shown(url), source },
            Self::Cache(error) => error,
        }
    }
}

fn attempt(
    agent: &ureq::Agent,
    url: &Url,
    artifact: &Artifact,
    part: &Path,
    progress: &dyn Progress,
) -> Result<(), Broken> {
    let connection = |error: ureq::Error| Broken::Connection(error.into());
    let cache = |source: io::Error| Broken::Cache(ObtainError::Cache { path: part.to_owned(), source });
    let mut have = length(part);
    if have >= artifact.size {
        // Whole, or not a beginning of this file at all: the digest decides.
        return Ok(());
    }
    let mut request = agent.get(url.as_str());
    if have > 0 {
        request = request.header("range", format!("bytes={have}-"));
    }
    let mut response = request.call().map_err(connection)?;
    let mut file = match response.status().as_u16() {
        206 if continues_at(&response, have) => fs_err::OpenOptions::new().append(true).open(part),
        // The server does not know ranges and begins at the beginning.
        200 => {
            have = 0;
            fs_err::OpenOptions::new().write(true).create(true).truncate(true).open(part)
        }
        // The server's file does not go on there, so what was kept is no beginning of it.
        206 | 416 if have > 0 => {
            fs_err::remove_file(part).map_err(cache)?;
            return attempt(agent, url, artifact, part, progress);
        }
        status => return Err(Broken::Connection(format!("the server answered with status {status}").into())),
    }
    .map_err(cache)?;

    let step = Step::start(progress, artifact.name, Some(artifact.size));
    step.advance(have);
    // One byte more than expected is enough to know that it is another file.
    let mut body = response.body_mut().as_reader().take(artifact.size - have + 1);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = body.read(&mut buffer).map_err(|error| Broken::Connection(error.into()))?;
        if read == 0 {
            break;
        }
        file.write_all(buffer.get(..read).unwrap_or_default()).map_err(cache)?;
        step.advance(read as u64);
    }
    if length(part) < artifact.size {
        return Err(Broken::Connection("the connection ended before the file did".into()));
    }
    Ok(())
}

/// Whether the server's answer begins at the byte that was asked for.
fn continues_at(response: &ureq::http::Response<ureq::Body>, offset: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {offset}-")))
}

fn length(file: &Path) -> u64 {
    fs_err::metadata(file).map_or(0, |metadata| metadata.len())
}

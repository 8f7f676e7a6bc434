//! Runs the folders of `tests/behaviour` as tests.

use std::io::Write;
use std::iter;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use libtest_mimic::{Arguments, Trial};

use crate::case::{
    Between, CacheSearch, Case, EditStep, Logs, RawStep, RequestStep, RestartStep, SocketStep, StartFailure,
    Step, Upload,
};
use crate::check;
use crate::databases::Databases;
use crate::http::{Client, Request, Response, read_answer, read_until};
use crate::mirror;
use crate::releases;
use crate::server::{Server, ServerOptions, Stream, run_to_end};
use crate::upstream::Upstream;
use crate::web_socket::converse;

/// A request that takes longer hangs.
const REQUEST: Duration = Duration::from_secs(60);
/// Printing follows its cause after at most this long.
const PRINT: Duration = Duration::from_secs(60);
/// A Worker is running again within this time after an edit.
const RELOAD: Duration = Duration::from_secs(60);

/// How much of what it printed a failure shows.
const SHOWN_LINES: usize = 60;

/// Folders that all tests share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The cache folder.
    pub cache: PathBuf,
    /// For what is obtained once and used by several tests.
    pub tools: PathBuf,
}

/// Runs every test folder in `folder` against `binary`, as the command line asks.
pub fn main(binary: &Path, folder: &Path, shared: &Shared) -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let mut folders: Vec<PathBuf> =
        fs_err::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    folders.retain(|path| path.is_dir());
    folders.sort();
    let mut trials = Vec::new();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = folder.join("test.jsonc");
        let case = Case::parse(&fs_err::read_to_string(&file)?)
            .with_context(|| format!("cannot read test: {}", file.display()))?;
        let case = Arc::new(case);
        let releases = case.also_on.iter().map(|python| (format!("{name}@{python}"), Some(python.clone())));
        for (name, python) in iter::once((name.clone(), None)).chain(releases) {
            let (binary, shared, folder, case) =
                (binary.to_owned(), shared.clone(), folder.clone(), case.clone());
            trials.push(Trial::test(name, move || {
                run(&binary, &folder, &case, python.as_deref(), &shared)
                    .map_err(|error| format!("{error:#}").into())
            }));
        }
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// Runs one test folder, on the release that its Worker selects or on an older one.
fn run(binary: &Path, folder: &Path, case: &Case, python: Option<&str>, shared: &Shared) -> Result<()> {
    let worker = tempfile::tempdir()?;
    copy(&case.worker.as_ref().map_or(folder.to_owned(), |path| folder.join(path)), worker.path())?;
    for name in &case.shared {
        fs_err::copy(folder.join("../../shared").join(name), worker.path().join(name))?;
    }
    if let Some(python) = python {
        releases::select(worker.path(), python)?;
    }
    let own_cache = tempfile::tempdir()?;
    let cache = if case.fresh_cache { own_cache.path() } else { &shared.cache };
    let occupant = case.occupied_port.then(|| TcpListener::bind(("127.0.0.1", 0))).transpose()?;
    let mut options = ServerOptions::new(binary, worker.path(), cache);
    options.port = occupant.as_ref().map_or(Ok(0), |listener| listener.local_addr().map(|a| a.port()))?;
    options.args = case.args.clone();
    if case.native_wheels {
        let wheels = mirror::wheels(&shared.tools)?;
        options.env.push(("TAIPAN_PACKAGE_INDEX".into(), wheels.to_string_lossy().into_owned()));
    }
    options.env.extend(case.env.clone());
    let upstream = case.upstream.then(Upstream::start).transpose()?;
    if let Some(upstream) = &upstream {
        let vars = upstream.vars().map(|(name, value)| format!("{name}={value}"));
        options.args.extend(vars.into_iter().flat_map(|var| ["--var".to_owned(), var]));
        options.env.push(upstream.env());
    }
    let databases = case.databases.then(Databases::start).transpose()?;
    for (name, value) in databases.iter().flat_map(Databases::vars) {
        options.args.extend(["--var".to_owned(), format!("{name}={value}")]);
    }
    if let Some(failure) = &case.fails_to_start {
        return fail_to_start(&options, failure);
    }
    let mut server = start(&options, case.fresh_cache)?;
    let mut interrupted = false;
    for (index, step) in case.steps.iter().enumerate() {
        let done = match step {
            Step::Request(step) => {
                interrupted |= step.interrupt_when_logged.is_some();
                request(&mut server, step, worker.path())
            }
            Step::Raw(step) => raw(server.port(), step),
            Step::Socket(step) => socket(&server, step),
            Step::Edit(step) => edit(worker.path(), step),
            Step::Restart(step) => restart(&mut server, step, &options, own_cache.path()),
            Step::Cache(step) => search(cache, &step.cache),
            Step::Printed(step) => logs(&server, &step.printed, 0),
        };
        done.with_context(|| format!("step {}", index + 1)).map_err(|error| with_log(error, &server))?;
    }
    let ended = if interrupted { server.expect_clean_end() } else { end(&mut server) };
    ended.map_err(|error| with_log(error, &server))
}

fn end(server: &mut Server) -> Result<()> {
    if !server.is_running()? {
        bail!("taipan ended by itself");
    }
    server.interrupt()?;
    server.expect_clean_end()
}

fn with_log(error: anyhow::Error, server: &Server) -> anyhow::Error {
    let from = server.log.len().saturating_sub(SHOWN_LINES);
    let lines: Vec<String> =
        server.log.since(from).iter().map(|(stream, line)| format!("  {stream:?}: {line}")).collect();
    anyhow!("{error:#}\n── the last that it printed\n{}", lines.join("\n"))
}

/// The first process fills the cache that all share; the others wait for it instead of doing the same work.
fn start(options: &ServerOptions, own_cache: bool) -> Result<Server> {
    static SHARED_CACHE_IS_FULL: Mutex<bool> = Mutex::new(false);
    if own_cache {
        return Server::start(options);
    }
    let mut full = SHARED_CACHE_IS_FULL.lock().unwrap_or_else(PoisonError::into_inner);
    if *full {
        drop(full);
        return Server::start(options);
    }
    let server = Server::start(options)?;
    *full = true;
    Ok(server)
}

fn fail_to_start(options: &ServerOptions, expected: &StartFailure) -> Result<()> {
    let ended = run_to_end(options)?;
    let stderr = ended.log.text(Stream::Stderr);
    if ended.status.code() != Some(expected.exit) {
        bail!("expected exit code {}, got {}\n{stderr}", expected.exit, ended.status);
    }
    check::text(stderr.as_bytes(), &expected.stderr, &[]).context("stderr")?;
    let stdout = ended.log.text(Stream::Stdout);
    if !stdout.is_empty() {
        bail!("expected nothing on standard output, got: {stdout}");
    }
    Ok(())
}

fn request(server: &mut Server, step: &RequestStep, worker: &Path) -> Result<()> {
    let request = to_request(step, worker)?;
    let port = server.port();
    let log_start = server.log.len();
    let memory_before = server.private_bytes()?;
    let meanwhile = step.meanwhile.as_ref();
    let begun = meanwhile
        .map(|other| Client::new(port, REQUEST).send_until(other.raw.as_bytes(), &other.until))
        .transpose()?;
    let start = Instant::now();
    if let Some(text) = &step.interrupt_when_logged {
        thread::scope(|scope| {
            let answer = scope.spawn(|| Client::new(port, REQUEST).send(&request));
            server
                .log
                .wait_for(text, None, log_start, REQUEST)
                .with_context(|| format!("never printed: {text}"))?;
            server.interrupt()?;
            let answer = answer.join().map_err(|_| anyhow!("the client panicked"))??;
            check::response(&answer, &step.expect, &request.body)
        })?;
    } else if step.eventually {
        let deadline = start + RELOAD;
        while let Err(error) = Client::new(port, REQUEST)
            .send(&request)
            .and_then(|answer| check::response(&answer, &step.expect, &request.body))
        {
            if Instant::now() > deadline {
                return Err(error.context("still not as expected"));
            }
            thread::sleep(Duration::from_millis(100));
        }
    } else {
        for answer in send_all(port, &request, step.parallel, step.repeat)? {
            check::response(&answer, &step.expect, &request.body)?;
        }
    }
    let took = start.elapsed();
    if let Some((mut connection, other)) = begun.zip(meanwhile) {
        read_until(&mut connection, &other.then)?;
    }
    if let Some(bound) = step.within_ms.map(Duration::from_millis)
        && took > bound
    {
        bail!("expected it within {bound:?}, took {took:?}");
    }
    if let Some(bound) = step.memory_growth_max_mib {
        let growth = server.private_bytes()?.saturating_sub(memory_before);
        if growth > bound << 20 {
            bail!("expected memory to grow by {bound} MiB at most, grew by {} MiB", growth >> 20);
        }
    }
    logs(server, &step.logs, log_start)
}

fn to_request(step: &RequestStep, worker: &Path) -> Result<Request> {
    let (method, path) = step.request.split_once(' ').context("a request is a method and a path")?;
    let mut headers: Vec<_> = step.headers.clone().into_iter().collect();
    let body = match (&step.body, &step.body_file, step.body_repeat, &step.body_upload) {
        (None, None, None, None) => Vec::new(),
        (Some(text), None, None, None) => text.clone().into_bytes(),
        (None, Some(file), None, None) => fs_err::read(worker.join(file))?,
        (None, None, Some(repeat), None) => repeat.bytes(),
        (None, None, None, Some(upload)) => {
            let boundary = Upload::BOUNDARY;
            headers.push(("content-type".into(), format!("multipart/form-data; boundary={boundary}")));
            upload.bytes()
        }
        _ => bail!("a request has only one of body, body_file, body_repeat and body_upload"),
    };
    Ok(Request { method: method.into(), path: path.into(), headers, body, chunked: step.chunked })
}

fn send_all(port: u16, request: &Request, parallel: usize, repeat: usize) -> Result<Vec<Response>> {
    let one_connection = || -> Result<Vec<Response>> {
        let mut client = Client::new(port, REQUEST);
        (0..repeat).map(|_| client.send(request)).collect()
    };
    thread::scope(|scope| {
        let connections: Vec<_> = (0..parallel).map(|_| scope.spawn(one_connection)).collect();
        let mut answers = Vec::new();
        for connection in connections {
            answers.extend(connection.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        Ok(answers)
    })
}

fn logs(server: &Server, expected: &Logs, from: usize) -> Result<()> {
    for (stream, lines) in [(Stream::Stdout, &expected.stdout), (Stream::Stderr, &expected.stderr)] {
        for line in lines {
            if server.log.wait_for(line, Some(stream), from, PRINT).is_none() {
                bail!("expected a line on {stream:?} with: {line}");
            }
        }
    }
    for line in &expected.lacks {
        if server.log.wait_for(line, None, from, Duration::ZERO).is_some() {
            bail!("expected no line with: {line}");
        }
    }
    Ok(())
}

fn raw(port: u16, step: &RawStep) -> Result<()> {
    let client = Client::new(port, REQUEST);
    if let Some(text) = &step.until {
        let mut connection = client.send_until(step.raw.as_bytes(), text)?;
        if let Some(rest) = &step.send {
            connection.get_mut().write_all(rest.as_bytes())?;
        }
        if let Some(text) = &step.then {
            read_until(&mut connection, text)?;
        }
        let Some(expect) = step.expect.as_ref().filter(|_| step.send.is_some()) else { return Ok(()) };
        return check::response(&read_answer(&mut connection)?, expect, &[]);
    }
    match &step.expect {
        Some(expect) => check::response(&client.send_raw(step.raw.as_bytes())?, expect, &[]),
        None => client.send_and_leave(step.raw.as_bytes()),
    }
}

fn socket(server: &Server, step: &SocketStep) -> Result<()> {
    let log_start = server.log.len();
    let port = server.port();
    let meanwhile = step.meanwhile.as_ref();
    let begun = meanwhile
        .map(|other| Client::new(port, REQUEST).send_until(other.raw.as_bytes(), &other.until))
        .transpose()?;
    thread::scope(|scope| {
        let talks: Vec<_> =
            (0..step.parallel).map(|_| scope.spawn(|| converse(&Client::new(port, REQUEST), step))).collect();
        talks.into_iter().try_for_each(|talk| talk.join().map_err(|_| anyhow!("a client panicked"))?)
    })?;
    if let Some((mut connection, other)) = begun.zip(meanwhile) {
        read_until(&mut connection, &other.then)?;
    }
    logs(server, &step.logs, log_start)
}

fn restart(server: &mut Server, step: &RestartStep, options: &ServerOptions, own_cache: &Path) -> Result<()> {
    end(server)?;
    if step.restart == Between::DamagedCache && damage(own_cache)? == 0 {
        bail!("there is nothing in the cache to damage: the test needs fresh_cache");
    }
    *server = Server::start(options)?;
    Ok(())
}

fn search(folder: &Path, search: &CacheSearch) -> Result<()> {
    for text in &search.has {
        if !is_in(folder, text)? {
            bail!("expected in some file of the cache: {text}");
        }
    }
    for text in &search.lacks {
        if is_in(folder, text)? {
            bail!("expected in no file of the cache: {text}");
        }
    }
    Ok(())
}

/// Whether some file has the text in it.
fn is_in(folder: &Path, text: &str) -> Result<bool> {
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let pattern = [text.as_bytes(), &wide].map(|bytes| {
        let bytes: String = bytes.iter().map(|b| format!("\\x{b:02x}")).collect();
        format!("(?-u:{bytes})")
    });
    let pattern = regex::bytes::Regex::new(&pattern.join("|"))?;
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            is_in(&path, text)?
        } else {
            // Other tests' processes may remove theirs.
            fs_err::read(&path).is_ok_and(|content| pattern.is_match(&content))
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Changes a byte in the middle of every file; returns how many files there are.
fn damage(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            count += damage(&path)?;
        } else {
            let mut content = fs_err::read(&path)?;
            let middle = content.len() / 2;
            if let Some(byte) = content.get_mut(middle) {
                *byte ^= 0xff;
            }
            fs_err::write(&path, content)?;
            count += 1;
        }
    }
    Ok(count)
}

fn edit(worker: &Path, step: &EditStep) -> Result<()> {
    let path = worker.join(&step.edit);
    let content = match (&step.replace, &step.content) {
        (Some((old, new)), None) => {
            let text = fs_err::read_to_string(&path)?;
            if !text.contains(old.as_str()) {
                bail!("nothing to replace in {}: {old}", step.edit);
            }
            text.replace(old.as_str(), new)
        }
        (None, Some(content)) => content.clone(),
        _ => bail!("an edit has one of replace and content"),
    };
    fs_err::write(path, content)?;
    Ok(())
}

/// Copies what a folder holds into another one.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs_err::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs_err::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

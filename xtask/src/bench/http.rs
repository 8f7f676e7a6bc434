//! The server under load: requests per second and how long they take, large bodies that pass through, idle WebSockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use taipan_testkit::process::Memory;
use taipan_testkit::stats::median;

use super::Options;
use super::density::MIB;
use super::load::{Load, wrk};
use super::program::{Served, taipan_dev};
use super::table::Table;

const CONNECTIONS: [usize; 3] = [1, 16, 64];
const SECONDS: usize = 3;
const BODY: usize = 1 << 30;
const SOCKETS: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two looks at how much memory the server has.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let table = Table::new(options, "http")?;
    let peers = root.join("bench/peer");
    let (ours, _) = serve(root, options)?;
    let (workerd, _) = Served::start(|port| of_workerd(options, &peers, port), "/", "Hello")?;
    let (pyodide, _) = Served::start(|port| of_pyodide(options, &peers, port), "/", "Hello")?;
    let sides = [&ours, &workerd, &pyodide];
    for connections in CONNECTIONS {
        let mut samples = [const { Vec::new() }; 3];
        for round in 0..=options.rounds(5) {
            for (served, samples) in sides.iter().zip(&mut samples) {
                let load = wrk(&format!("http://127.0.0.1:{}/", served.port()), connections, SECONDS)?;
                if round > 0 {
                    samples.push(load);
                }
            }
        }
        let middle =
            |samples: &[Load], figure: fn(&Load) -> f64| median(samples.iter().map(figure).collect());
        let [ours, workerd, pyodide] = &samples;
        for (peer, name) in [(workerd, "workerd, JavaScript"), (pyodide, "Pyodide on Node")] {
            for (what, figure, unit) in [
                ("requests", (|l: &Load| l.rate) as fn(&Load) -> f64, "per s"),
                ("median", |l| l.half, "ms"),
                ("99th percentile", |l| l.most, "ms"),
            ] {
                let case = format!("{connections} connections, {what} | {name}");
                table.row(&case, middle(ours, figure), Some(middle(peer, figure)), unit)?;
            }
        }
    }
    drop((ours, workerd, pyodide));
    bodies(root, options, &table)?;
    sockets(root, options, &table)
}

fn serve(root: &Path, options: &Options) -> Result<(Served, Duration)> {
    Served::start(|port| taipan_dev(options, &root.join("bench/http"), port), "/", "Hello")
}

fn of_pyodide(options: &Options, peers: &Path, port: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(peers.join("serve.mjs")).arg(&options.pyodide).arg(port);
    command
}

fn of_workerd(options: &Options, peers: &Path, port: &str) -> Command {
    let mut command = Command::new(options.folder.join("workerd/node_modules/.bin/workerd"));
    command.arg("serve").arg(peers.join("workerd.capnp")).arg(format!("--socket-addr=http=127.0.0.1:{port}"));
    command
}

/// One body in each direction, through us and through nginx to the same server.
fn bodies(root: &Path, options: &Options, table: &Table<'_>) -> Result<()> {
    let upstream = TcpListener::bind(("127.0.0.1", 0))?;
    let there = upstream.local_addr()?.port();
    thread::spawn(move || {
        for stream in upstream.incoming().flatten() {
            // Whoever breaks off is told by the other side.
            thread::spawn(move || answer(stream).unwrap_or_default());
        }
    });
    let folder = tempfile::tempdir_in(&options.folder)?;
    let template = fs_err::read_to_string(root.join("bench/peer/nginx.conf"))?;
    let nginx = |port: &str| {
        let text = template
            .replace("PORT", port)
            .replace("UPSTREAM", &there.to_string())
            .replace("FOLDER", &folder.path().display().to_string());
        let file = folder.path().join("nginx.conf");
        let mut command = Command::new("nginx");
        // A file that cannot be written shows as a server that does not start.
        fs_err::write(&file, text).unwrap_or_default();
        command.arg("-p").arg(folder.path()).arg("-c").arg(file).stderr(Stdio::null());
        command
    };
    let (ours, _) = serve(root, options)?;
    let (nginx, _) = Served::start(nginx, "/hello", "hello")?;
    for (what, upload) in [("1 GiB down", false), ("1 GiB up", true)] {
        let mut ways: [(Vec<f64>, f64); 2] = Default::default();
        let mut peer = vec![];
        for _ in 0..options.rounds(3) {
            for (kind, (seconds, growth)) in ["pass", "python"].iter().zip(&mut ways) {
                let path = format!("/{kind}/{there}");
                let (took, grown) = watched(ours.pid(), || transfer(ours.port(), &path, upload))?;
                seconds.push(took);
                *growth = growth.max(grown);
            }
            peer.push(transfer(nginx.port(), "/", upload)?);
        }
        let peer = median(peer);
        for (how, (seconds, growth)) in ["", ", read by Python"].iter().zip(ways) {
            table.row(&format!("{what}{how} | nginx"), median(seconds), Some(peer), "s")?;
            table.row(&format!("{what}{how}: memory grows by"), growth, None, "MiB")?;
        }
    }
    Ok(())
}

/// By how many MiB a process's own memory grows at most while something goes on.
fn watched<T>(pid: u32, work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let before = Memory::of(pid)?.private_dirty;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let most = scope.spawn(|| {
            let mut most = before;
            while !done.load(Ordering::Relaxed) {
                most = most.max(Memory::of(pid)?.private_dirty);
                thread::sleep(LOOK);
            }
            Ok::<_, anyhow::Error>(most)
        });
        let out = work();
        done.store(true, Ordering::Relaxed);
        let most = most.join().map_err(|_| anyhow!("the watch has panicked"))??;
        Ok((out?, (most as f64 - before as f64) / MIB))
    })
}

/// The server behind the proxies: gives the body to who asks, and takes it of who sends.
fn answer(mut stream: TcpStream) -> Result<()> {
    let (head, rest) = read_head(&mut stream)?;
    if head.starts_with("GET /hello") {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")?;
        return Ok(());
    }
    if head.starts_with("GET") {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\nConnection: close\r\n\r\n")?;
        return send(&mut stream);
    }
    let mut left = BODY.saturating_sub(rest);
    let mut buffer = vec![0; 256 << 10];
    while left > 0 {
        match stream.read(&mut buffer)? {
            0 => bail!("the body ended early"),
            n => left = left.saturating_sub(n),
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsunk")?;
    Ok(())
}

fn send(stream: &mut TcpStream) -> Result<()> {
    let piece = vec![7; 256 << 10];
    for _ in 0..BODY / piece.len() {
        stream.write_all(&piece)?;
    }
    Ok(())
}

/// The head of a message, and how many bytes of its body have come along.
fn read_head(stream: &mut TcpStream) -> Result<(String, usize)> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer)?;
        ensure!(n > 0, "the connection ended in the head");
        all.extend(buffer.iter().take(n));
        if let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = all.get(..end).unwrap_or_default();
            return Ok((String::from_utf8_lossy(head).into_owned(), all.len() - end - 4));
        }
    }
}

/// How long a body takes through a proxy, in seconds.
fn transfer(port: u16, path: &str, upload: bool) -> Result<f64> {
    let begun = Instant::now();
    let mut stream = connect(port)?;
    let method = if upload { "POST" } else { "GET" };
    let length = if upload { BODY } else { 0 };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    if upload {
        send(&mut stream)?;
    }
    let (head, mut got) = read_head(&mut stream)?;
    ensure!(head.starts_with("HTTP/1.1 200"), "not a response: {head}");
    let mut buffer = vec![0; 256 << 10];
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            n => got += n,
        }
    }
    ensure!(upload || got >= BODY, "the body has {got} bytes only");
    Ok(begun.elapsed().as_secs_f64())
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// What the server takes for WebSockets that nobody uses.
fn sockets(root: &Path, options: &Options, table: &Table<'_>) -> Result<()> {
    let (ours, _) = serve(root, options)?;
    let open = |count: usize| (0..count).map(|_| upgrade(ours.port())).collect::<Result<Vec<_>>>();
    // What the first ones cost is not theirs.
    let first = open(100)?;
    let before = Memory::of(ours.pid())?.private_dirty;
    let begun = Instant::now();
    let all = open(SOCKETS).context("see `ulimit -n`")?;
    let took = begun.elapsed().as_secs_f64();
    let after = Memory::of(ours.pid())?.private_dirty;
    let case = format!("{SOCKETS} idle WebSockets, private dirty");
    table.row(&case, (after as f64 - before as f64) / MIB, None, "MiB")?;
    table.row(&format!("{SOCKETS} idle WebSockets: opening one"), took * 1e3 / SOCKETS as f64, None, "ms")?;
    drop((first, all));
    Ok(())
}

fn upgrade(port: u16) -> Result<TcpStream> {
    let mut stream = connect(port)?;
    stream.write_all(
        b"GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    let (head, _) = read_head(&mut stream)?;
    ensure!(head.starts_with("HTTP/1.1 101"), "not a WebSocket: {head}");
    Ok(stream)
}

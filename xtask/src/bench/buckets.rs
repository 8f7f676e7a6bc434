//! 1 GiB into a bucket and out of it, by HTTP through a Worker, beside copies of a file.
//!
//! Up: until the Worker has answered, when all of it is on disk; the copy is synced as well. Down: until the client, which looks at
//! nothing, has read all of it; the copy is not synced.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use fs_err as fs;
use serde_json::json;
use taipan_testkit::server::Server;
use taipan_testkit::stats::median;

use super::Options;

const SIZE: u64 = 1 << 30;
const PIECE: usize = 1 << 20;

/// What a side goes on doing once it is done, such as giving back what a replaced file had, must not be at the other's expense.
const PAUSE: Duration = Duration::from_millis(300);

pub(super) fn run(server: &Server, options: &Options) -> Result<()> {
    let source = options.folder.join("object");
    let target = options.folder.join("object.copy");
    fill(&source)?;
    let (mut up, mut down, mut synced, mut copied) = (vec![], vec![], vec![], vec![]);
    let before = server.private_bytes()?;
    let mut most = before;
    for round in 0..=options.rounds(5) {
        let times = [
            timed(|| put(server.port(), &source))?,
            timed(|| copy(&source, &target, true))?,
            timed(|| get(server.port()))?,
            timed(|| copy(&source, &target, false))?,
        ];
        most = most.max(server.private_bytes()?);
        // The first round warms both up.
        if round > 0 {
            for (times, time) in [&mut up, &mut synced, &mut down, &mut copied].into_iter().zip(times) {
                times.push(time);
            }
        }
    }
    fs::remove_file(&source)?;
    fs::remove_file(&target)?;
    let mut out = std::io::stdout();
    if !options.json {
        writeln!(out, "{:<32} {:>12} {:>12} {:>8}", "ms per GiB", "taipan", "file copy", "ratio")?;
    }
    for (case, ours, peer) in [("r2 up", up, synced), ("r2 down", down, copied)] {
        let (ours, peer) = (median(ours), median(peer));
        let ratio = ours / peer;
        if options.json {
            let row = json!({ "bench": "bindings", "case": case, "ours": ours, "peer": peer, "unit": "ms", "ratio": ratio });
            writeln!(out, "{row}")?;
        } else {
            writeln!(out, "{case:<32} {ours:>12.0} {peer:>12.0} {ratio:>8.2}")?;
        }
    }
    let grown = most.saturating_sub(before) >> 20;
    if options.json {
        let row = json!({ "bench": "bindings", "case": "r2 memory", "ours": grown, "unit": "MiB" });
        writeln!(out, "{row}")?;
    } else {
        writeln!(out, "{:<32} {grown:>12}", "r2, memory more than before, MiB")?;
    }
    Ok(())
}

/// In milliseconds.
fn timed(run: impl FnOnce() -> Result<()>) -> Result<f64> {
    thread::sleep(PAUSE);
    let begun = Instant::now();
    run()?;
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}

fn fill(path: &Path) -> Result<()> {
    let mut file = fs::File::create(path)?;
    let mut state = 1u64;
    for _ in 0..SIZE / PIECE as u64 {
        let mut piece = Vec::with_capacity(PIECE);
        while piece.len() < PIECE {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            piece.extend_from_slice(&state.to_le_bytes());
        }
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    Ok(())
}

fn copy(from: &Path, to: &Path, is_synced: bool) -> Result<()> {
    let (mut from, mut to) = (fs::File::open(from)?, fs::File::create(to)?);
    move_all(&mut from, &mut to)?;
    if is_synced {
        to.sync_all()?;
    }
    Ok(())
}

fn put(port: u16, path: &Path) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(
        stream,
        "PUT /object HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {SIZE}\r\n\r\n"
    )?;
    move_all(&mut fs::File::open(path)?, &mut stream)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.ends_with(&format!("\r\n\r\n{SIZE}")) {
        true => Ok(()),
        false => bail!("the object was not put: {answer}"),
    }
}

fn get(port: u16) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "GET /object HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    // The head is in it.
    let read = move_all(&mut BufReader::with_capacity(PIECE, stream), &mut std::io::sink())?;
    match read > SIZE {
        true => Ok(()),
        false => bail!("the object did not come whole: {read} bytes"),
    }
}

fn move_all(from: &mut impl Read, to: &mut impl Write) -> Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut moved = 0;
    loop {
        let read = from.read(&mut piece)?;
        match piece.get(..read) {
            Some(bytes) if read > 0 => to.write_all(bytes)?,
            _ => return Ok(moved),
        }
        moved += read as u64;
    }
}

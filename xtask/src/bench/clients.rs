//! Clients that ask a server as fast as it answers, for a time or until they have had so many answers, and what that costs it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::program::nanos;
use super::table::Sample;

pub(crate) const RATE: &str = "requests/s";
pub(crate) const MEDIAN: &str = "p50";
pub(crate) const LATE: &str = "p99";
pub(crate) const CPU: &str = "CPU per request";

/// Bounds a hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// Of the times that `/proc` gives, on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// When clients stop.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// Each has asked for so long.
    Passed(Duration),
    /// Together they have had so many answers.
    Answered(usize),
}

/// A server, and what it is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) port: u16,
    pub(crate) pid: u32,
    pub(crate) path: &'a str,
    /// In every answer.
    pub(crate) text: &'a str,
}

/// As many clients as `concurrency` says, each on a connection that it keeps, ask again once they have their answer.
pub(crate) fn load(asked: Asked<'_>, concurrency: usize, until: Until) -> Result<Sample> {
    let before = cpu_seconds(asked.pid)?;
    let begun = Instant::now();
    let mut times = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..concurrency).map(|_| scope.spawn(move || client(asked, concurrency, until))).collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        anyhow::Ok(all)
    })?;
    let took = begun.elapsed().as_secs_f64();
    let cpu = cpu_seconds(asked.pid)? - before;
    times.sort_by(f64::total_cmp);
    let count = times.len();
    let at = |part: usize| times.get(count * part / 100).copied().context("no answer came in time");
    let answers = u32::try_from(count).map(f64::from)?;
    Ok(Sample::from([
        (RATE.to_owned(), answers / took),
        (MEDIAN.to_owned(), at(50)?),
        (LATE.to_owned(), at(99)?),
        (CPU.to_owned(), cpu / answers * 1e9),
    ]))
}

/// Gives how long each answer took, in nanoseconds.
fn client(asked: Asked<'_>, concurrency: usize, until: Until) -> Result<Vec<f64>> {
    let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", asked.path);
    let mut stream = TcpStream::connect(("127.0.0.1", asked.port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut received = Vec::new();
    let mut times = Vec::new();
    let first = Instant::now();
    loop {
        let is_over = match until {
            Until::Passed(duration) => first.elapsed() >= duration,
            Until::Answered(count) => times.len() >= count.div_ceil(concurrency),
        };
        if is_over {
            return Ok(times);
        }
        let begun = Instant::now();
        stream.write_all(request.as_bytes())?;
        read_answer(&mut stream, &mut received)?;
        times.push(nanos(begun.elapsed()));
        let answer = String::from_utf8_lossy(&received);
        if !answer.starts_with("HTTP/1.1 200") || !answer.contains(asked.text) {
            bail!("{} was answered with {answer}", asked.path);
        }
    }
}

/// Reads one answer, whose length its head says: with a number, or in chunks.
fn read_answer(stream: &mut TcpStream, received: &mut Vec<u8>) -> Result<()> {
    received.clear();
    let mut buffer = [0; 4096];
    let mut is_whole = None;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            bail!("the server closed the connection instead of answering");
        }
        received.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if is_whole.is_none() {
            is_whole = framing(received)?;
        }
        match is_whole {
            Some(Framing::Length(length)) if received.len() >= length => return Ok(()),
            Some(Framing::Chunks) if received.ends_with(b"\r\n0\r\n\r\n") => return Ok(()),
            _ => {}
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Head and body are so long.
    Length(usize),
    Chunks,
}

/// What the head says of the body; nothing while it is not whole.
fn framing(received: &[u8]) -> Result<Option<Framing>> {
    let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(received.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if let Some(length) = value("content-length:") {
        return Ok(Some(Framing::Length(end + 4 + length.parse::<usize>()?)));
    }
    if value("transfer-encoding:") == Some("chunked") {
        return Ok(Some(Framing::Chunks));
    }
    bail!("the answer does not say how long it is: {head}")
}

/// Processor time that a process has had, in seconds.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program may have spaces in it.
    let (_, fields) = stat.rsplit_once(')').context("not a process's state")?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let mut next = || anyhow::Ok(ticks.next().context("no processor time")??);
    Ok((next()? + next()?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_how_long_answers_are() {
        assert_eq!(framing(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n").unwrap(), None);
        assert_eq!(
            framing(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh").unwrap(),
            Some(Framing::Length(40))
        );
        let chunks = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(framing(chunks).unwrap(), Some(Framing::Chunks));
        assert!(framing(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn processor_time_of_this_process() {
        let before = cpu_seconds(std::process::id()).unwrap();
        let begun = Instant::now();
        while cpu_seconds(std::process::id()).unwrap() < before + 0.02 {
            assert!(begun.elapsed() < PATIENCE);
        }
    }
}

//! A mirror for tests: one file over HTTP/1.1 on the loopback interface, with connections that break where a test says.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Default)]
struct State {
    requests: Vec<String>,
    /// How many bytes of the body the next answers have before the connection ends; then they are whole.
    cuts: Vec<usize>,
    ignores_ranges: bool,
}

pub(super) struct Mirror {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

impl Mirror {
    /// Serves `content` under every path without `missing` in it, until the process ends.
    pub(super) fn start(content: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &content, &shared);
            }
        });
        Self { url, state }
    }

    pub(super) fn cut_after(&self, bytes: &[usize]) {
        self.state.lock().unwrap().cuts = bytes.to_vec();
    }

    pub(super) fn ignore_ranges(&self) {
        self.state.lock().unwrap().ignores_ranges = true;
    }

    /// The paths that were asked for since the last call, each with its range.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }
}

fn answer(mut stream: TcpStream, content: &[u8], state: &Mutex<State>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(path) = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)) else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let range = headers.iter().find_map(|header| {
        let (name, value) = header.split_once(": ")?;
        name.eq_ignore_ascii_case("range").then(|| value.to_owned())
    });
    let mut state = state.lock().unwrap();
    state.requests.push(range.as_ref().map_or(path.clone(), |range| format!("{path} {range}")));
    let offset = range
        .filter(|_| !state.ignores_ranges)
        .map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().unwrap());
    let whole = content.len();
    let (head, body) = match offset {
        _ if path.contains("missing") => ("404 Not Found".to_owned(), &content[..0]),
        Some(offset) if offset >= whole => ("416 Range Not Satisfiable".to_owned(), &content[..0]),
        Some(offset) => (
            format!("206 Partial Content\r\nContent-Range: bytes {offset}-{}/{whole}", whole - 1),
            &content[offset..],
        ),
        None => ("200 OK".to_owned(), content),
    };
    let sent = if state.cuts.is_empty() { body.len() } else { state.cuts.remove(0).min(body.len()) };
    let length = body.len();
    write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").unwrap();
    // A client that has read enough may hang up first.
    let _ = stream.write_all(&body[..sent]);
}

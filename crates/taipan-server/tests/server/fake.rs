//! An isolate without a guest: what a handler would do is decided by the path, in Rust.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use taipan_bindings::HostOps;
use taipan_engine::{BootError, Event, IsolateError, OpReply, Ops, Source, Turn};
use taipan_guest::ops;
use taipan_guest::protocol::{Field, Message, encode};
use taipan_server::{
    Boot, Console, Guest, Ingress, IngressOptions, IsolateCap, Level, Policy, PoolOptions, RequestLog,
    Scheduler, Slot, Worker,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What can be seen of the fake from outside.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) boots: AtomicU32,
    pub(crate) disconnected: AtomicU32,
    pub(crate) failed_writes: AtomicU32,
    pub(crate) written: AtomicUsize,
    pub(crate) read: AtomicUsize,
    pub(crate) lines: Mutex<Vec<String>>,
    /// Lets handlers go on that are held up.
    pub(crate) released: AtomicBool,
    /// Handlers that are held up.
    pub(crate) held: AtomicU32,
}

impl Console for Seen {
    fn guest(&self, level: Level, line: &str) {
        self.lines.lock().unwrap().push(format!("guest {level:?} {line}"));
    }
    fn request(&self, r: &RequestLog<'_>) {
        self.lines.lock().unwrap().push(format!("{} {} {} {}", r.method, r.target, r.status, r.reason));
    }
    fn failure(&self, text: &str) {
        self.lines.lock().unwrap().push(format!("failure {text}"));
    }
    fn warning(&self, text: &str) {
        self.lines.lock().unwrap().push(format!("warning {text}"));
    }
    fn isolate_stopped(&self, error: &IsolateError, requests: usize) {
        self.lines.lock().unwrap().push(format!("stopped {error} {requests}"));
    }
}

impl Seen {
    pub(crate) async fn wait(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !condition(self) {
            assert!(Instant::now() < deadline, "never happened: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

enum Pending {
    /// Collects the body, then answers with it.
    Echo(u32, Vec<u8>),
    /// Writes what it reads.
    PipeRead(u32),
    PipeWrite(u32),
    /// Writes without end.
    Flood(u32),
    /// Reads once and then never again.
    ReadOnce,
}

struct Fake {
    /// Which of the isolates it is, from 1.
    number: u32,
    ops: HostOps,
    seen: Arc<Seen>,
    next_id: u32,
    pending: HashMap<u32, Pending>,
    timers: Vec<(Instant, u32)>,
    /// Requests that wait for something outside which never comes.
    waiting: Vec<u32>,
}

pub(crate) const CHUNK: usize = 32 << 10;

impl Fake {
    fn op(&mut self, id: u32, name: &str, fields: &[Field]) -> OpReply {
        let bytes = encode(fields);
        self.ops.call(ops::number(name).unwrap(), id, &Message::decode(&bytes).unwrap())
    }

    fn sync(&mut self, name: &str, fields: &[Field]) {
        let reply = self.op(0, name, fields);
        assert!(matches!(reply, OpReply::Ready(_)), "{name}: {reply:?}");
    }

    fn start(&mut self, name: &str, fields: &[Field], then: Pending) {
        self.next_id += 1;
        let id = self.next_id;
        match self.op(id, name, fields) {
            OpReply::Later => drop(self.pending.insert(id, then)),
            OpReply::Ready(fields) => self.completed(then, Ok(fields)),
            OpReply::Failed { message, .. } => self.completed(then, Err(message)),
        }
    }

    fn respond(&mut self, request: u32, status: u32, body: Field, headers: &[(&str, &str)]) {
        let mut fields = vec![request.into(), status.into(), "".into(), body];
        fields.extend(headers.iter().flat_map(|(n, v)| [Field::from(*n), Field::from(*v)]));
        self.sync("http.respond", &fields);
    }

    fn finish(&mut self, request: u32, status: u32, body: &[u8], headers: &[(&str, &str)]) {
        self.respond(request, status, Field::Bytes(body.into()), headers);
        self.sync("http.done", &[request.into()]);
    }

    fn fetch(&mut self, request: u32, head: &[Field]) -> Result<(), IsolateError> {
        let Field::Str(url) = &head[1] else { panic!("{head:?}") };
        let path = url.splitn(4, '/').nth(3).unwrap().to_owned();
        match path.as_str() {
            "ok" => {
                self.finish(request, 200, b"hello", &[("x-a", "1"), ("x-a", "2"), ("connection", "close")])
            }
            "head" => {
                let text: Vec<String> = head.iter().map(|f| format!("{f:?}")).collect();
                self.finish(request, 200, text.join("\n").as_bytes(), &[]);
            }
            "empty" => self.finish(request, 204, b"never sent", &[]),
            "bad-header" => self.finish(request, 200, b"", &[("a\nb", "c")]),
            "bad-status" => self.finish(request, 101, b"", &[]),
            "fail" => {
                let report = r#"{"type":"ValueError","message":"<b>","text":"Traceback …\nValueError: <b>\n","hint":"try"}"#;
                self.sync("http.fail", &[request.into(), report.into()]);
                self.sync("http.done", &[request.into()]);
            }
            "nothing" => self.sync("http.done", &[request.into()]),
            "hang" => {}
            "wait" => {
                self.seen.held.fetch_add(1, SeqCst);
                self.waiting.push(request);
            }
            // As in `run_sync`, and as in a long computation.
            "block" | "spin" => {
                self.seen.held.fetch_add(1, SeqCst);
                while !self.seen.released.load(SeqCst) {
                    if path == "block" {
                        let soon = Instant::now() + Duration::from_millis(5);
                        assert!(self.ops.wait(Some(soon)).is_none());
                    }
                }
                self.finish(request, 200, path.as_bytes(), &[]);
            }
            "who" => {
                let name = self.number.to_string();
                self.finish(request, 200, name.as_bytes(), &[]);
            }
            "crash" => return Err(IsolateError::Trap { reason: "unreachable".into() }),
            "slow" => self.timers.push((Instant::now() + Duration::from_millis(200), request)),
            "echo" => self.start("http.read", &[request.into()], Pending::Echo(request, Vec::new())),
            "read-once" => {
                self.waiting.push(request);
                self.start("http.read", &[request.into()], Pending::ReadOnce);
            }
            "pipe" => {
                self.respond(request, 200, Field::Num(-1.0), &[]);
                self.start("http.read", &[request.into()], Pending::PipeRead(request));
            }
            "flood" => {
                self.respond(request, 200, Field::Num(-1.0), &[]);
                self.completed(Pending::Flood(request), Ok(Vec::new()));
            }
            "break-off" => {
                self.respond(request, 200, Field::Num(-1.0), &[]);
                self.start(
                    "http.write",
                    &[request.into(), Field::Bytes(b"part".to_vec())],
                    Pending::ReadOnce,
                );
                self.sync("http.abort", &[request.into(), "oops".into()]);
                self.sync("http.done", &[request.into()]);
            }
            other => panic!("no such path: {other}"),
        }
        Ok(())
    }

    fn completed(&mut self, pending: Pending, result: Result<Vec<Field>, String>) {
        let bytes = result.as_ref().ok().and_then(|fields| match fields.first() {
            Some(Field::Bytes(bytes)) => Some(bytes.clone()),
            _ => None,
        });
        self.seen.read.fetch_add(bytes.as_ref().map_or(0, Vec::len), SeqCst);
        match (pending, bytes) {
            (Pending::Echo(request, mut body), Some(bytes)) => {
                body.extend(bytes);
                self.start("http.read", &[request.into()], Pending::Echo(request, body));
            }
            (Pending::Echo(request, _), None) if result.is_err() => {
                self.sync("http.fail", &[request.into(), r#"{"type":"OSError"}"#.into()]);
                self.sync("http.done", &[request.into()]);
            }
            (Pending::Echo(request, body), None) => self.finish(request, 200, &body, &[]),
            (Pending::PipeRead(request), Some(bytes)) => {
                self.start("http.write", &[request.into(), Field::Bytes(bytes)], Pending::PipeWrite(request));
            }
            (Pending::PipeRead(request), None) => {
                self.sync("http.close", &[request.into()]);
                self.sync("http.done", &[request.into()]);
            }
            (Pending::PipeWrite(request), _) => {
                self.start("http.read", &[request.into()], Pending::PipeRead(request));
            }
            (Pending::Flood(request), _) => match result {
                Ok(_) => {
                    self.seen.written.fetch_add(CHUNK, SeqCst);
                    let chunk = Field::Bytes(vec![b'x'; CHUNK]);
                    self.start("http.write", &[request.into(), chunk], Pending::Flood(request));
                }
                Err(_) => {
                    self.seen.failed_writes.fetch_add(1, SeqCst);
                    self.sync("http.done", &[request.into()]);
                }
            },
            (Pending::ReadOnce, _) => {}
        }
    }
}

impl Guest for Fake {
    fn turn(&mut self, events: Vec<Event>) -> Result<Turn, IsolateError> {
        for event in events {
            match event {
                Event::Fetch { request, head } => self.fetch(request, &head)?,
                Event::Disconnected { request } => {
                    self.seen.disconnected.fetch_add(1, SeqCst);
                    self.waiting.retain(|r| *r != request);
                    self.sync("http.done", &[request.into()]);
                }
                // This guest cannot say where it waits: the actor gives up in its stead.
                Event::Hung { .. } => {}
                Event::Complete { id, fields } => {
                    let pending = self.pending.remove(&id).unwrap();
                    self.completed(pending, Ok(fields));
                }
                Event::Failed { id, message, .. } => {
                    let pending = self.pending.remove(&id).unwrap();
                    self.completed(pending, Err(message));
                }
            }
        }
        let now = Instant::now();
        let due: Vec<u32> = self.timers.iter().filter(|t| t.0 <= now).map(|t| t.1).collect();
        self.timers.retain(|t| t.0 > now);
        for request in due {
            self.finish(request, 200, b"slow", &[]);
        }
        let pending_ops = u32::try_from(self.pending.len() + self.waiting.len()).unwrap();
        Ok(Turn { next_timer: self.timers.iter().map(|t| t.0).min(), pending_ops })
    }
}

pub(crate) fn boot(seen: &Arc<Seen>) -> Boot {
    let seen = seen.clone();
    Box::new(move |ops| {
        let ops = ops();
        let number = seen.boots.fetch_add(1, SeqCst) + 1;
        Ok(Box::new(Fake {
            number,
            ops,
            seen: seen.clone(),
            next_id: 0,
            pending: HashMap::new(),
            timers: Vec::new(),
            waiting: Vec::new(),
        }))
    })
}

pub(crate) fn boot_fails(report_json: &str) -> Boot {
    let report_json = report_json.to_owned();
    Box::new(move |_| Err(BootError::Worker { report_json: report_json.clone() }))
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    pub(crate) slot: Arc<Slot>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<bool>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let seen = Arc::new(Seen::default());
        let boot = boot(&seen);
        Self::with(seen, boot).await
    }

    pub(crate) async fn with(seen: Arc<Seen>, boot: Boot) -> Self {
        let worker = worker(&seen, boot);
        Self::serve(seen, worker).await
    }

    /// With a pool of its own.
    pub(crate) async fn pooled(scheduler: &Arc<Scheduler>, options: PoolOptions) -> Self {
        let seen = Arc::new(Seen::default());
        let worker = Worker::spawn(scheduler, boot(&seen), options, Arc::new([]), seen.clone());
        Self::serve(seen, worker).await
    }

    pub(crate) async fn serve(seen: Arc<Seen>, worker: Arc<Worker>) -> Self {
        Self::serve_with(seen, worker, IngressOptions::default()).await
    }

    /// With an ingress of its own.
    pub(crate) async fn guarded(options: IngressOptions) -> Self {
        let seen = Arc::new(Seen::default());
        let worker = worker(&seen, boot(&seen));
        Self::serve_with(seen, worker, options).await
    }

    async fn serve_with(seen: Arc<Seen>, worker: Arc<Worker>, options: IngressOptions) -> Self {
        let ingress = Ingress::bind(([127, 0, 0, 1], 0).into(), options).await.unwrap();
        let address = ingress.address();
        let slot = Slot::new(worker);
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let task =
            tokio::spawn(ingress.serve(slot.clone(), seen.clone(), stopped, Duration::from_millis(600)));
        Self { address, seen, slot, stop: Some(stop), task }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str, headers: &str) -> String {
        get(self.address, path, headers).await
    }

    pub(crate) async fn raw(&self, request: &str) -> String {
        raw(self.address, request).await
    }
}

/// Sends one request on a connection of its own and returns everything that comes back.
pub(crate) async fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    raw(address, &format!("GET {path} HTTP/1.1\r\nHost: t.test\r\nConnection: close\r\n{headers}\r\n")).await
}

async fn raw(address: SocketAddr, request: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(60), connection.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

pub(crate) fn worker(seen: &Arc<Seen>, boot: Boot) -> Arc<Worker> {
    let sources: Arc<[Source]> = Arc::new([]);
    let scheduler = Scheduler::new(IsolateCap::chosen(100), Policy::Open).unwrap();
    // One isolate, however slow the machine is: the tests' requests have to meet in it.
    let options = PoolOptions { min: 1, max: 1, ..PoolOptions::default() };
    Worker::spawn(&scheduler, boot, options, sources, seen.clone())
}

//! How many isolates there are, and which of them a request gets, with a fake in place of the isolate.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use taipan_engine::{BootError, Event, IsolateError, Turn};
use taipan_server::{Boot, Guest, IsolateCap, Policy, PoolOptions, Scheduler, Started, Worker};
use tokio::time::{sleep, timeout};

use crate::fake::{self, Seen, Server, boot};

fn scheduler(cap: usize) -> Arc<Scheduler> {
    Scheduler::new(IsolateCap::chosen(cap), Policy::Open).unwrap()
}

fn pool(min: usize, max: usize, idle_ms: u64) -> PoolOptions {
    PoolOptions { min, max, idle: Duration::from_millis(idle_ms) }
}

/// Waits for a number of isolates.
async fn isolates(scheduler: &Scheduler, count: usize) {
    for _ in 0..2000 {
        if scheduler.isolates() == count {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("never {count} isolates, but {}", scheduler.isolates());
}

async fn held(server: &Server, count: u32) {
    server.seen.wait("the handlers are held up", |s| s.held.load(SeqCst) == count).await;
}

#[tokio::test]
async fn a_request_behind_a_blocked_isolate_gets_another_one() {
    for path in ["/block", "/spin"] {
        let server = Server::pooled(&scheduler(100), pool(1, 64, 60_000)).await;
        let checks = async {
            held(&server, 1).await;
            // The one that is busy would answer it only after it was released.
            assert!(server.get("/ok", "").await.ends_with("hello"), "{path}");
            let who = server.get("/who", "").await;
            assert!(who.ends_with('2'), "{path}: {who}");
            server.seen.released.store(true, SeqCst);
        };
        let (answer, ()) = tokio::join!(server.get(path, ""), checks);
        assert!(answer.ends_with(&path[1..]), "{answer}");
    }
}

#[tokio::test]
async fn as_many_requests_can_block_as_there_may_be_isolates() {
    let scheduler = scheduler(100);
    let server = Arc::new(Server::pooled(&scheduler, pool(1, 20, 60_000)).await);
    let mut requests = vec![];
    for _ in 0..25 {
        let server = server.clone();
        requests.push(tokio::spawn(async move { server.get("/block", "").await }));
    }
    held(&server, 20).await;
    assert_eq!(scheduler.isolates(), 20);
    // Nothing tells that an isolate does not come: others had the time to.
    sleep(Duration::from_millis(100)).await;
    assert_eq!((scheduler.isolates(), server.seen.held.load(SeqCst)), (20, 20));
    server.seen.released.store(true, SeqCst);
    for request in requests {
        assert!(request.await.unwrap().ends_with("block"));
    }
    assert_eq!(server.seen.held.load(SeqCst), 25);
}

#[tokio::test]
async fn handlers_that_await_share_an_isolate() {
    let scheduler = scheduler(100);
    let server = Server::pooled(&scheduler, pool(1, 64, 60_000)).await;
    server.slot.current().started().await;
    let waiting = futures_of(&server, "/slow", 30).await;
    assert!(waiting.iter().all(|answer| answer.ends_with("slow")));
    assert!(scheduler.isolates() < 10, "{}", scheduler.isolates());
}

async fn futures_of(server: &Server, path: &str, count: usize) -> Vec<String> {
    let mut set = tokio::task::JoinSet::new();
    let address = server.address;
    for _ in 0..count {
        let path = path.to_owned();
        set.spawn(async move { fake::get(address, &path, "").await });
    }
    set.join_all().await
}

#[tokio::test]
async fn isolates_are_started_beforehand_and_dropped_when_idle() {
    let scheduler = scheduler(100);
    let server = Server::pooled(&scheduler, pool(2, 64, 50)).await;
    isolates(&scheduler, 2).await;
    let hold = async {
        held(&server, 5).await;
        assert_eq!(scheduler.isolates(), 5);
        server.seen.released.store(true, SeqCst);
    };
    tokio::join!(futures_of(&server, "/block", 5), hold);
    isolates(&scheduler, 2).await;
}

#[tokio::test]
async fn a_worker_without_requests_needs_no_isolate() {
    let scheduler = scheduler(100);
    let server = Server::pooled(&scheduler, pool(0, 64, 20)).await;
    server.slot.current().started().await;
    isolates(&scheduler, 0).await;
    assert!(server.get("/who", "").await.ends_with('2'));
    isolates(&scheduler, 0).await;
    assert!(matches!(server.slot.current().started().await, Started::Ready { .. }));
}

#[tokio::test]
async fn idle_isolates_make_room_for_others() {
    let scheduler = scheduler(1);
    let first = Server::pooled(&scheduler, pool(1, 64, 60_000)).await;
    assert!(first.get("/ok", "").await.ends_with("hello"));
    let second = Server::pooled(&scheduler, pool(1, 64, 60_000)).await;
    assert!(second.get("/ok", "").await.ends_with("hello"));
    assert!(first.get("/ok", "").await.ends_with("hello"));
    assert_eq!(scheduler.isolates(), 1);
    let lines = second.seen.lines.lock().unwrap().clone();
    assert!(
        lines.iter().any(|line| line.starts_with("warning") && line.contains("--max-isolates")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_busy_isolate_is_not_taken_from_its_worker() {
    let scheduler = scheduler(1);
    let first = Server::pooled(&scheduler, pool(1, 64, 60_000)).await;
    let second = async {
        held(&first, 1).await;
        let second = Server::pooled(&scheduler, pool(1, 64, 60_000)).await;
        assert!(timeout(Duration::from_millis(200), second.get("/ok", "")).await.is_err());
        first.seen.released.store(true, SeqCst);
        second.get("/ok", "").await
    };
    let (blocked, answer) = tokio::join!(first.get("/block", ""), second);
    assert!(blocked.ends_with("block") && answer.ends_with("hello"));
}

#[tokio::test]
async fn a_crash_leaves_the_other_isolates_alone() {
    let server = Server::pooled(&scheduler(100), pool(1, 64, 60_000)).await;
    let crash = async {
        held(&server, 1).await;
        assert!(server.get("/crash", "").await.contains("trap: unreachable"));
        assert!(server.get("/ok", "").await.ends_with("hello"));
        server.seen.released.store(true, SeqCst);
    };
    let (answer, ()) = tokio::join!(server.get("/block", ""), crash);
    assert!(answer.ends_with("block"), "{answer}");
    let lines = server.seen.lines.lock().unwrap().clone();
    assert!(lines.contains(&"stopped trap: unreachable 1".to_owned()), "{lines:?}");
}

/// Dies in its first turn, whatever that is.
struct Stillborn;

impl Guest for Stillborn {
    fn turn(&mut self, _: Vec<Event>) -> Result<Turn, IsolateError> {
        Err(IsolateError::Trap { reason: "stillborn".into() })
    }
}

#[tokio::test]
async fn an_isolate_that_dies_at_once_is_tried_once_for_each_request() {
    let seen = Arc::new(Seen::default());
    let counted = seen.clone();
    let boot: Boot = Box::new(move |ops| {
        drop(ops());
        counted.boots.fetch_add(1, SeqCst);
        Ok(Box::new(Stillborn))
    });
    let worker = Worker::spawn(&scheduler(100), boot, pool(1, 64, 60_000), Arc::new([]), seen.clone());
    let server = Server::serve(seen, worker).await;
    for _ in 0..3 {
        assert!(server.get("/ok", "").await.contains("stillborn"));
    }
    // The last one that was started without a request dies by then; no other must follow.
    sleep(Duration::from_millis(100)).await;
    let boots = server.seen.boots.load(SeqCst);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(server.seen.boots.load(SeqCst), boots, "it goes on without requests");
    // For each request one, and one beforehand.
    assert!((3..=7).contains(&boots), "{boots}");
}

#[tokio::test]
async fn a_second_isolate_that_does_not_start_leaves_the_requests_to_the_first() {
    let seen = Arc::new(Seen::default());
    let (first, count) = (boot(&seen), seen.clone());
    let boot: Boot = Box::new(move |ops| match count.boots.load(SeqCst) {
        0 => first(ops),
        _ => {
            count.failed_writes.fetch_add(1, SeqCst);
            Err(BootError::Isolate(IsolateError::Internal { reason: "no memory".into() }))
        }
    });
    let worker = Worker::spawn(&scheduler(100), boot, pool(1, 64, 60_000), Arc::new([]), seen.clone());
    let server = Server::serve(seen, worker).await;
    let release = async {
        held(&server, 1).await;
        server.seen.wait("another one is tried", |s| s.failed_writes.load(SeqCst) > 0).await;
        server.seen.released.store(true, SeqCst);
    };
    let next = async {
        held(&server, 1).await;
        server.get("/ok", "").await
    };
    let (blocked, ok, ()) = tokio::join!(server.get("/block", ""), next, release);
    assert!(blocked.ends_with("block") && ok.ends_with("hello"), "{blocked} {ok}");
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Thousands of Workers and isolates share a few threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_workers_with_five_isolates_each() {
    let scheduler = scheduler(5000);
    let seen = Arc::new(Seen::default());
    let workers: Vec<_> = (0..1000)
        .map(|_| Worker::spawn(&scheduler, boot(&seen), pool(5, 5, 60_000), Arc::new([]), seen.clone()))
        .collect();
    isolates(&scheduler, 5000).await;
    let server = Server::serve(seen.clone(), workers[0].clone()).await;
    for worker in &workers {
        server.slot.replace(worker.clone());
        assert!(server.get("/ok", "").await.ends_with("hello"));
    }
    // Other tests of this process have theirs.
    assert!(threads() < 300, "{}", threads());
    drop((server, workers));
    isolates(&scheduler, 0).await;
}

#[tokio::test]
async fn a_retired_worker_answers_nothing_more() {
    let server = Server::pooled(&scheduler(100), pool(1, 64, 60_000)).await;
    server.slot.current().retire(Duration::from_secs(5)).await;
    assert!(server.get("/ok", "").await.starts_with("HTTP/1.1 503 "));
}

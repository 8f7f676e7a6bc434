//! A process is killed at a random moment of a load of writes. What it was told is written must be there, and nothing may be torn:
//! neither when the operating system goes on, nor when the power fails at the same moment (`power.rs`).

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use taipan_storage::analytics::{Analytics, Blob, Cell, Point};
use taipan_storage::d1::{D1Database, Statement, Value};
use taipan_storage::kv::{KvNamespace, Put};
use taipan_storage::queues::{Outcome, Outgoing, Queues, Terms};
use taipan_storage::r2::{ListOptions, R2Bucket};

use crate::elsewhere::Elsewhere;
use crate::power::Disk;
use crate::{elsewhere, folder, r2, wait};

/// Of each kind of store. In CI they take some three minutes; who has less patience, or more, says so in `TAIPAN_CRASH_ROUNDS`.
fn rounds() -> usize {
    let usual = if std::env::var_os("CI").is_some() { 200 } else { 50 };
    std::env::var("TAIPAN_CRASH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// The power fails less often: it takes longer.
fn failures() -> usize {
    rounds().div_ceil(5)
}

/// Where stores are kept.
enum Place {
    /// In a folder that outlives processes.
    Folder(tempfile::TempDir),
    /// On a disk that keeps what was synced.
    Disk(Disk),
}

impl Place {
    fn folder() -> Self {
        Self::Folder(tempfile::tempdir().unwrap())
    }

    /// Starts the test `child` in a process and kills it. Gives what it acknowledged, and the folder to look at.
    fn kill_one(&mut self, child: &str, first: usize) -> (Vec<String>, PathBuf) {
        match self {
            Self::Folder(folder) => (kill_one(folder.path(), child, first, &[]), folder.path().to_owned()),
            Self::Disk(disk) => disk.fail_under(|dir, variables| kill_one(dir, child, first, variables)),
        }
    }
}

/// Where the process writes that is killed; in it, `child` goes on until then.
fn child_folder() -> Option<PathBuf> {
    std::env::var_os("TAIPAN_TEST_FOLDER").map(PathBuf::from)
}

/// Says what is on disk now. One call: a line is there whole or not at all, as far as this matters.
fn acknowledge(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("ack {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Starts the test `child` in a process and kills it. Gives what it acknowledged.
fn kill_one(dir: &Path, child: &str, first: usize, variables: &[(&str, &Path)]) -> Vec<String> {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", child])
        .env("TAIPAN_TEST_FOLDER", dir)
        .env("TAIPAN_TEST_FIRST", first.to_string())
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ack = |line: String| line.strip_prefix("ack ").map(str::to_owned);
    let mut acks: Vec<String> = lines.by_ref().find_map(ack).into_iter().collect();
    // No matter how: it is the moment that has to differ.
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    std::thread::sleep(Duration::from_micros(u64::from(nanos % 60_000)));
    process.kill().unwrap();
    process.wait().unwrap();
    acks.extend(lines.filter_map(ack));
    acks
}

/// What processes acknowledged, one after the other.
#[derive(Default)]
struct Acknowledged {
    all: Vec<usize>,
    /// How many there were before the last process, and before the one ahead of it.
    before: [usize; 2],
}

impl Acknowledged {
    fn add(&mut self, acks: &[String]) {
        assert!(!acks.is_empty());
        self.before = [self.all.len(), self.before[0]];
        self.all.extend(acks.iter().map(|line| line.parse::<usize>().unwrap()));
    }

    /// What to look for: what is new, then all of it in the last round. All of it each time would take ever longer.
    fn expected(&self, is_last: bool) -> &[usize] {
        if is_last { &self.all } else { &self.all[self.before[1]..] }
    }
}

fn first() -> usize {
    std::env::var("TAIPAN_TEST_FIRST").unwrap().parse().unwrap()
}

/// A value that shows when it is torn.
fn value(i: usize) -> Vec<u8> {
    let size = 10 + (i * 7919) % 9000;
    let mut bytes = i.to_string().into_bytes();
    bytes.resize(size, u8::try_from(i % 251).unwrap());
    bytes
}

#[test]
fn no_acknowledged_put_is_lost() {
    lose_no_put(Place::folder(), rounds());
}

#[test]
fn no_acknowledged_put_is_lost_when_the_power_fails() {
    lose_no_put(Place::Disk(Disk::new()), failures());
}

fn lose_no_put(mut place: Place, rounds: usize) {
    let mut acknowledged = Acknowledged::default();
    for round in 0..rounds {
        let (acks, dir) = place.kill_one("crash::puts", round * 1_000_000);
        acknowledged.add(&acks);
        let kv = KvNamespace::open(&folder(&dir), "n").unwrap();
        for i in acknowledged.expected(round + 1 == rounds) {
            let entry = wait(|reply| kv.get(format!("k{i}"), reply)).unwrap();
            assert!(entry.is_some_and(|entry| entry.value == value(*i)), "lost in round {round}: k{i}");
        }
        // What was not acknowledged may be there, but whole.
        for key in wait(|reply| kv.list(Default::default(), reply)).unwrap().keys {
            let i = key.key[1..].parse().unwrap();
            let entry = wait(|reply| kv.get(key.key, reply)).unwrap().unwrap();
            assert!(entry.value == value(i), "torn in round {round}: k{i}");
        }
    }
}

#[test]
#[ignore = "run by no_acknowledged_put_is_lost"]
fn puts() {
    let Some(dir) = child_folder() else { return };
    let kv = KvNamespace::open(&folder(&dir), "n").unwrap();
    let (sender, done) = mpsc::channel();
    let put = |i: usize| {
        let sender = sender.clone();
        let put = Put { key: format!("k{i}"), value: value(i).into(), ..Put::default() };
        kv.put(put, move |answer| {
            answer.unwrap();
            sender.send(i).unwrap();
        });
    };
    let first = first();
    (first..first + 16).for_each(put);
    for next in first + 16.. {
        acknowledge(&done.recv().unwrap().to_string());
        put(next);
    }
}

#[test]
fn no_acknowledged_transaction_is_lost_or_torn() {
    lose_no_transaction(Place::folder(), rounds());
}

#[test]
fn no_acknowledged_transaction_is_lost_or_torn_when_the_power_fails() {
    lose_no_transaction(Place::Disk(Disk::new()), failures());
}

fn lose_no_transaction(mut place: Place, rounds: usize) {
    let mut last = 0;
    for round in 0..rounds {
        let (acks, dir) = place.kill_one("crash::transfers", last);
        last = acks.iter().map(|line| line.parse::<usize>().unwrap()).max().unwrap();
        let db = D1Database::open(&folder(&dir), "db").unwrap();
        // Each transaction moves money and notes its number: the sum stays, and no number is missing.
        let text = "SELECT (SELECT sum(money) FROM accounts), (SELECT count(*) = max(id) FROM log), \
            (SELECT max(id) >= ?1 FROM log)";
        let params = vec![Value::Integer(i64::try_from(last).unwrap())];
        let done = wait(|reply| db.run(vec![Statement { sql: text.into(), params }], reply)).unwrap();
        assert_eq!(done[0].rows.json, "[[1000,1,1]]", "round {round}, after {last}");
    }
}

#[test]
#[ignore = "run by no_acknowledged_transaction_is_lost_or_torn"]
fn transfers() {
    let Some(dir) = child_folder() else { return };
    let db = D1Database::open(&folder(&dir), "db").unwrap();
    let made = "CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, money);
        CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, text);
        INSERT OR IGNORE INTO accounts VALUES (1, 500), (2, 500)";
    wait(|reply| db.script(made.into(), reply)).unwrap();
    loop {
        let statement = |sql: &str| Statement { sql: sql.into(), params: vec![] };
        let moved = vec![
            statement("UPDATE accounts SET money = money - 1 WHERE id = 1"),
            statement("INSERT INTO log (text) VALUES (hex(randomblob(2000))) RETURNING id"),
            statement("UPDATE accounts SET money = money + 1 WHERE id = 2"),
        ];
        let done = wait(|reply| db.run(moved, reply)).unwrap();
        acknowledge(done[1].rows.json.trim_matches(['[', ']']));
    }
}

#[test]
fn no_acknowledged_object_is_lost() {
    lose_no_object(Place::folder(), rounds(), "crash::objects", here);
}

#[test]
fn no_acknowledged_object_is_lost_whose_bytes_are_elsewhere() {
    let place = Place::folder();
    let Place::Folder(dir) = &place else { panic!() };
    let elsewhere = Elsewhere::within(dir.path());
    lose_no_object(place, rounds(), "crash::objects_elsewhere", move |dir| {
        let bucket = elsewhere::open(dir);
        // What the process left behind that nobody has is gone, and nothing else is.
        let known = wait(|reply| bucket.list(ListOptions::default(), reply)).unwrap();
        if known.next.is_none() {
            let after = (String::new(), String::new());
            let pending = wait(|reply| bucket.uploads(String::new(), after, 1000, reply)).unwrap();
            let parts = pending.into_iter().map(|pending| {
                wait(|reply| bucket.parts(pending.key, pending.upload, 0, 1000, reply)).unwrap().len()
            });
            elsewhere.comes_to(known.objects.len() + parts.sum::<usize>());
        }
        bucket
    });
}

fn here(dir: &Path) -> R2Bucket {
    R2Bucket::open(&folder(dir), "b", None).unwrap()
}

#[test]
fn no_acknowledged_object_is_lost_when_the_power_fails() {
    lose_no_object(Place::Disk(Disk::new()), failures(), "crash::objects", here);
}

fn lose_no_object(mut place: Place, rounds: usize, child: &str, open: impl Fn(&Path) -> R2Bucket) {
    let mut acknowledged = Acknowledged::default();
    for round in 0..rounds {
        let (acks, dir) = place.kill_one(child, round * 1_000_000);
        acknowledged.add(&acks);
        let bucket = open(&dir);
        for i in acknowledged.expected(round + 1 == rounds) {
            assert!(r2::get(&bucket, &format!("k{i}")) == Some(value(*i)), "lost in round {round}: k{i}");
        }
        if let Some(found) = r2::get(&bucket, "large") {
            let number = found.first_chunk().map(|bytes| usize::from_le_bytes(*bytes));
            assert!(found == large(number.unwrap()), "torn in round {round}: large");
        }
        // One that is written again and again: one of them, whole.
        let again = r2::get(&bucket, "again").unwrap();
        let digits = again.iter().take_while(|byte| byte.is_ascii_digit()).copied().collect();
        let number: usize = String::from_utf8(digits).unwrap().parse().unwrap();
        assert!(again.len() > 9 && number >= *acknowledged.all.last().unwrap(), "torn in round {round}");
    }
}

#[test]
#[ignore = "run by no_acknowledged_object_is_lost"]
fn objects() {
    if let Some(dir) = child_folder() {
        put_objects(&here(&dir));
    }
}

#[test]
#[ignore = "run by no_acknowledged_object_is_lost_whose_bytes_are_elsewhere"]
fn objects_elsewhere() {
    if let Some(dir) = child_folder() {
        put_objects(&elsewhere::open(&dir));
    }
}

fn large(i: usize) -> Vec<u8> {
    i.to_le_bytes().repeat((9 << 20) / 8 + 1000)
}

fn put_objects(bucket: &R2Bucket) {
    for i in first().. {
        // Large enough for ways of its own to the disk; the process is killed in the middle of it.
        if i % 5_000_000 == 1 {
            r2::put(bucket, "large", &large(i));
        }
        let again = format!("{i}{}", "x".repeat(10 + i % 9000));
        r2::put(bucket, "again", again.as_bytes());
        let key = format!("k{i}");
        match i % 3 {
            0 => r2::put_in_parts(bucket, &key, &value(i)),
            _ => drop(r2::put(bucket, &key, &value(i))),
        }
        acknowledge(&i.to_string());
    }
}

#[test]
fn no_acknowledged_message_is_lost() {
    lose_no_message(Place::folder(), rounds());
}

#[test]
fn no_acknowledged_message_is_lost_when_the_power_fails() {
    lose_no_message(Place::Disk(Disk::new()), failures());
}

fn lose_no_message(mut place: Place, rounds: usize) {
    let (mut sent, mut taken, mut settled) = (HashSet::new(), HashSet::new(), HashSet::new());
    for round in 0..rounds {
        let (acks, dir) = place.kill_one("crash::messages", round * 1_000_000);
        for ack in acks {
            let (what, i) = ack.split_once(' ').unwrap();
            let of = match what {
                "sent" => &mut sent,
                "taken" => &mut taken,
                _ => &mut settled,
            };
            of.insert(i.to_owned());
        }
        let queues = Queues::open(&folder(&dir)).unwrap();
        let mut there = HashSet::new();
        for queue in ["q", "dead"] {
            for message in wait(|reply| queues.peek(queue, usize::MAX, reply)).unwrap() {
                let i = message.kind.parse().unwrap();
                assert!(message.body == value(i), "torn in round {round}: {i}");
                assert!(there.insert(message.kind), "twice in round {round}: {i}");
            }
        }
        assert!(!sent.is_empty());
        for i in &sent {
            // Between being taken and settled it may be either.
            assert!(there.contains(i) || taken.contains(i), "lost in round {round}: {i}");
        }
        for i in &settled {
            assert!(!there.contains(i), "back in round {round}: {i}");
        }
    }
}

#[test]
#[ignore = "run by no_acknowledged_message_is_lost"]
fn messages() {
    let Some(dir) = child_folder() else { return };
    let queues = Queues::open(&folder(&dir)).unwrap();
    for i in first().. {
        let message = Outgoing { kind: i.to_string(), body: value(i).into(), delay: None };
        wait(|reply| queues.send("q", vec![message], reply)).unwrap();
        acknowledge(&format!("sent {i}"));
        if i % 3 != 0 {
            continue;
        }
        let messages = wait(|reply| queues.take("q", 1, 3, reply)).unwrap().messages;
        // Half of them are acknowledged, the others are dead letters, which are not lost.
        let (done, failed): (Vec<_>, Vec<_>) = messages.iter().partition(|message| message.id % 2 == 0);
        done.iter().for_each(|message| acknowledge(&format!("taken {}", message.kind)));
        let outcomes = done.iter().map(|message| (message.id, Outcome::Acknowledged));
        let outcomes = outcomes.chain(failed.iter().map(|message| (message.id, Outcome::Retry(0)))).collect();
        let terms = Terms { max_retries: 0, dead_letter_queue: Some("dead".into()) };
        wait(|reply| queues.settle("q", outcomes, terms, reply)).unwrap();
        done.iter().for_each(|message| acknowledge(&format!("settled {}", message.kind)));
    }
}

#[test]
fn no_acknowledged_point_is_lost() {
    lose_no_point(Place::folder(), rounds());
}

#[test]
fn no_acknowledged_point_is_lost_when_the_power_fails() {
    lose_no_point(Place::Disk(Disk::new()), failures());
}

fn lose_no_point(mut place: Place, rounds: usize) {
    let mut acknowledged = Acknowledged::default();
    for round in 0..rounds {
        let (acks, dir) = place.kill_one("crash::points", round * 1_000_000);
        acknowledged.add(&acks);
        let analytics = Analytics::open(&folder(&dir)).unwrap();
        let rows = |sql: &str| analytics.query(&["d".into()], sql).unwrap().rows;
        let number = |cell: &Cell| match cell {
            Cell::Real(i) => Some(*i as usize),
            _ => None,
        };
        let new = format!("SELECT double1, blob1 FROM d WHERE double1 >= {}", round * 1_000_000);
        for row in rows(&new) {
            let i = number(&row[0]).unwrap();
            assert!(row[1] == Cell::Blob(value(i)), "torn in round {round}: {i}");
        }
        let found = rows("SELECT double1 FROM d");
        let found: HashSet<usize> = found.iter().map(|row| number(&row[0]).unwrap()).collect();
        for i in acknowledged.expected(round + 1 == rounds) {
            assert!(found.contains(i), "lost in round {round}: {i}");
        }
    }
}

#[test]
#[ignore = "run by no_acknowledged_point_is_lost"]
fn points() {
    let Some(dir) = child_folder() else { return };
    let analytics = Analytics::open(&folder(&dir)).unwrap();
    for i in first().. {
        let blobs = vec![Some(Blob::Bytes(value(i)))];
        let point = Point { index: None, blobs, doubles: vec![Some(i as f64)] };
        wait(|reply| analytics.note("d", point, reply)).unwrap();
        acknowledge(&i.to_string());
    }
}

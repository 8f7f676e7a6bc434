//! Key-value namespaces: what was put is found until it ends, in the order of its keys.

use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use taipan_storage::StateFolder;
use taipan_storage::kv::{End, Entry, KvNamespace, List, ListOptions, Put};

use crate::{SetClock, folder, wait};

fn put(kv: &KvNamespace, put: Put) -> Result<(), String> {
    wait(|reply| kv.put(put, reply)).map_err(|e| e.to_string())
}

fn get(kv: &KvNamespace, key: &str) -> Option<Entry> {
    wait(|reply| kv.get(key.into(), reply)).unwrap()
}

fn list(kv: &KvNamespace, prefix: &str, limit: u32, after: Option<&str>) -> List {
    let options = ListOptions { prefix: prefix.into(), limit: Some(limit), after: after.map(str::to_owned) };
    wait(|reply| kv.list(options, reply)).unwrap()
}

fn text(key: &str, value: &str) -> Put {
    Put { key: key.into(), value: value.to_owned().into(), ..Put::default() }
}

#[test]
fn what_is_put_is_there_in_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    {
        let kv = KvNamespace::open(&folder(dir.path()), "space/1").unwrap();
        put(&kv, Put { metadata: Some("{\"a\":1}".into()), ..text("k", "v") }).unwrap();
        put(&kv, text("gone", "v")).unwrap();
        wait(|reply| kv.delete(vec!["gone".into(), "never".into()], reply)).unwrap();
    }
    let kv = KvNamespace::open(&folder(dir.path()), "space/1").unwrap();
    let entry = Entry { value: b"v".to_vec(), metadata: Some("{\"a\":1}".into()) };
    assert_eq!(get(&kv, "k"), Some(entry.clone()));
    assert_eq!(get(&kv, "gone"), None);
    let many = wait(|reply| kv.get_many(vec!["gone".into(), "k".into()], reply)).unwrap();
    assert_eq!(many, [None, Some(entry)]);
    let other = KvNamespace::open(&folder(&dir.path().join("other")), "space/1").unwrap();
    assert_eq!(get(&other, "k"), None);
}

#[test]
fn entries_end_when_their_time_has_come_however_the_clock_moves() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SetClock::at(1_000_000);
    let folder = StateFolder::take(dir.path(), "", clock.clone()).unwrap();
    let kv = KvNamespace::open(&folder, "n").unwrap();
    put(&kv, Put { end: Some(End::After(60)), ..text("ttl", "1") }).unwrap();
    put(&kv, Put { end: Some(End::At(1_000_100)), ..text("at", "2") }).unwrap();
    assert_eq!(list(&kv, "", 10, None).keys[0].expires_at, Some(1_000_100));
    clock.set(1_000_060);
    assert_eq!((get(&kv, "ttl"), get(&kv, "at").is_some()), (None, true));
    // Back in time: what had ended is there again until a write has removed it.
    clock.set(999_000);
    assert!(get(&kv, "ttl").is_some());
    clock.set(2_000_000);
    put(&kv, text("new", "3")).unwrap();
    clock.set(999_000);
    assert_eq!((get(&kv, "ttl"), get(&kv, "at")), (None, None));
    let refused = put(&kv, Put { end: Some(End::After(59)), ..text("k", "v") }).unwrap_err();
    assert_eq!(refused, "expirationTtl is at least 60 seconds, not 59");
    assert!(put(&kv, Put { end: Some(End::At(999_001)), ..text("k", "v") }).is_err());
}

#[test]
fn lists_are_in_the_order_of_bytes_and_go_on_where_they_ended() {
    let dir = tempfile::tempdir().unwrap();
    let kv = KvNamespace::open(&folder(dir.path()), "n").unwrap();
    let keys = ["a", "a/1", "a/2", "a/é", "a/\u{10ffff}", "b", "é", "\u{10ffff}\u{10ffff}x"];
    for key in keys {
        put(&kv, text(key, "")).unwrap();
    }
    let names = |list: &List| list.keys.iter().map(|k| k.key.clone()).collect::<Vec<_>>();
    let all = list(&kv, "", 1000, None);
    assert_eq!((names(&all), all.is_complete), (keys.map(str::to_owned).to_vec(), true));
    let first = list(&kv, "a/", 2, None);
    assert_eq!((names(&first), first.is_complete), (vec!["a/1".into(), "a/2".into()], false));
    let rest = list(&kv, "a/", 2, Some("a/2"));
    assert_eq!((names(&rest), rest.is_complete), (vec!["a/é".into(), "a/\u{10ffff}".into()], true));
    assert_eq!(names(&list(&kv, "a/\u{10ffff}", 9, None)), ["a/\u{10ffff}"]);
    assert_eq!(names(&list(&kv, "\u{10ffff}\u{10ffff}", 9, None)), ["\u{10ffff}\u{10ffff}x"]);
    assert_eq!(names(&list(&kv, "%", 9, None)), [""; 0]);
    let refused = wait(|reply| kv.list(ListOptions { limit: Some(1001), ..ListOptions::default() }, reply));
    assert_eq!(refused.unwrap_err().to_string(), "the limit of a list is from 1 to 1000, not 1001");
}

#[test]
fn limits_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let kv = KvNamespace::open(&folder(dir.path()), "n").unwrap();
    let refused = |p: Put| put(&kv, p).unwrap_err();
    assert_eq!(refused(text("", "")), "a key is not empty");
    assert_eq!(refused(text("..", "")), "a key cannot be \"..\"");
    assert_eq!(refused(text(&"é".repeat(257), "")), "the key is too long: 514 > 512 bytes of UTF-8");
    let large = vec![7; (25 << 20) + 1];
    assert!(
        refused(Put { value: large.clone().into(), ..text("k", "") }).starts_with("the value is too large")
    );
    let long = Put { metadata: Some("x".repeat(1025)), ..text("k", "") };
    assert_eq!(refused(long), "the metadata is too long: 1025 > 1024 bytes of JSON");
    // What is just within them is kept.
    let value = large[1..].to_vec();
    let key = "k".repeat(512);
    put(&kv, Put { value: value.clone().into(), metadata: Some("x".repeat(1024)), ..text(&key, "") })
        .unwrap();
    assert!(get(&kv, &key).unwrap().value == value);
    let many = wait(|reply| kv.get_many(vec![key.clone(), key.clone()], reply));
    assert!(many.unwrap_err().to_string().starts_with("the values are too large together"));
    assert!(wait(|reply| kv.get_many(vec!["k".into(); 101], reply)).is_err());
}

#[test]
fn many_writers_share_syncs_and_each_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let kv = KvNamespace::open(&folder(dir.path()), "n").unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    for i in 0..2000 {
        let sender = sender.clone();
        kv.put(text(&format!("k{i}"), &i.to_string()), move |done| sender.send(done.is_ok()).unwrap());
    }
    drop(sender);
    assert_eq!(receiver.iter().filter(|done| *done).count(), 2000);
    assert_eq!(get(&kv, "k1999").unwrap().value, b"1999");
}

/// What is found on the spot, once there is a connection for that.
fn now(kv: &KvNamespace, key: &str) -> Option<Entry> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = kv.get_now(key) {
            return found;
        }
        assert!(Instant::now() < deadline, "{key:?} is never found on the spot");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_was_acknowledged_is_found_on_the_spot() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SetClock::at(1_000);
    let kv = KvNamespace::open(&StateFolder::take(dir.path(), "tests", clock.clone()).unwrap(), "n").unwrap();
    assert_eq!(now(&kv, "k"), None);
    for round in 0..100 {
        let value = Bytes::from(format!("value {round}"));
        let given = Put {
            key: "k".into(),
            value: value.clone(),
            metadata: Some("1".into()),
            end: Some(End::After(60)),
        };
        wait(|reply| kv.put(given, reply)).unwrap();
        assert_eq!(now(&kv, "k"), Some(Entry { value: value.to_vec(), metadata: Some("1".into()) }));
    }
    clock.set(1_060);
    assert_eq!(now(&kv, "k"), None);
    // What is large, or wrong, has to be asked otherwise.
    for (key, size) in [("small", 64 << 10), ("large", (64 << 10) + 1)] {
        let given = Put { key: key.into(), value: vec![7; size].into(), ..Put::default() };
        wait(|reply| kv.put(given, reply)).unwrap();
    }
    assert_eq!(now(&kv, "small").unwrap().value.len(), 64 << 10);
    assert_eq!(kv.get_now("large"), None);
    assert_eq!(kv.get_now(""), None);
    wait(|reply| kv.delete(vec!["small".into()], reply)).unwrap();
    assert_eq!(now(&kv, "small"), None);
}

//! Queues: who is given which message when, and until when it is kept.

use std::sync::Arc;
use std::sync::mpsc;

use taipan_storage::StateFolder;
use taipan_storage::queues::{Change, Outcome, Outgoing, Queues, RETENTION, Settings, Taken, Terms};

use crate::{SetClock, folder, wait};

fn message(body: &str) -> Outgoing {
    Outgoing { kind: "text".into(), body: body.to_owned().into(), delay: None }
}

fn take(queues: &Queues, queue: &str, least: usize, most: usize) -> Taken {
    wait(|reply| queues.take(queue, least, most, reply)).unwrap()
}

fn bodies(taken: &Taken) -> Vec<&str> {
    taken.messages.iter().map(|message| str::from_utf8(&message.body).unwrap()).collect()
}

fn terms(max_retries: u32, dead: Option<&str>) -> Terms {
    Terms { max_retries, dead_letter_queue: dead.map(str::to_owned) }
}

#[test]
fn a_message_is_had_by_one_until_it_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let queues = Queues::open(&folder(dir.path())).unwrap();
    let (sender, told) = mpsc::channel();
    queues.watch(Box::new(move |queue| sender.send(queue.to_owned()).is_ok()));
    wait(|reply| queues.send("q", ["a", "b", "c"].map(message).to_vec(), reply)).unwrap();
    assert_eq!(told.recv().unwrap(), "q");
    assert_eq!(take(&queues, "other", 1, 9), Taken::default());
    // Fewer than there should be are left for later.
    let few = take(&queues, "q", 4, 10);
    assert_eq!((bodies(&few).len(), few.ready), (0, 3));
    let first = take(&queues, "q", 1, 2);
    assert_eq!((bodies(&first), first.ready), (vec!["a", "b"], 3));
    assert_eq!(bodies(&take(&queues, "q", 1, 9)), ["c"]);
    assert_eq!(take(&queues, "q", 1, 9), Taken::default());
    let [a, b] = [first.messages[0].id, first.messages[1].id];
    let outcomes = vec![(a, Outcome::Acknowledged), (b, Outcome::Retry(0))];
    wait(|reply| queues.settle("q", outcomes, terms(3, None), reply)).unwrap();
    let again = take(&queues, "q", 1, 9);
    assert_eq!((bodies(&again), again.messages[0].attempts), (vec!["b"], 2));
    drop(queues);
    // What nobody settled comes back.
    let queues = Queues::open(&folder(dir.path())).unwrap();
    assert_eq!(bodies(&take(&queues, "q", 1, 9)), ["c", "b"]);
}

#[test]
fn delays_and_the_end_of_retries() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SetClock::at(1000);
    let folder = StateFolder::take(dir.path(), "tests", clock.clone() as Arc<_>).unwrap();
    let queues = Queues::open(&folder).unwrap();
    let late = Outgoing { delay: Some(10), ..message("late") };
    wait(|reply| queues.send("q", vec![late, message("now")], reply)).unwrap();
    let now = take(&queues, "q", 1, 9);
    assert_eq!((bodies(&now), now.next_due), (vec!["now"], Some(1_010_000)));
    let retry = |id, dead| {
        wait(|reply| queues.settle("q", vec![(id, Outcome::Retry(5))], terms(1, dead), reply)).unwrap();
    };
    retry(now.messages[0].id, Some("dead"));
    assert_eq!(take(&queues, "q", 1, 9).next_due, Some(1_005_000));
    clock.set(1006);
    let again = take(&queues, "q", 1, 9);
    assert_eq!((bodies(&again), again.messages[0].attempts), (vec!["now"], 2));
    retry(again.messages[0].id, Some("dead"));
    let dead = take(&queues, "dead", 1, 9);
    assert_eq!(
        (bodies(&dead), dead.messages[0].attempts, dead.messages[0].sent_at),
        (vec!["now"], 1, 1_000_000)
    );
    clock.set(1010);
    for attempt in [1, 2] {
        let late = take(&queues, "q", 1, 9);
        assert_eq!((bodies(&late), late.messages[0].attempts), (vec!["late"], attempt));
        retry(late.messages[0].id, None);
        clock.set(1020);
    }
    assert_eq!(take(&queues, "q", 1, 9), Taken::default());
    assert_eq!(wait(|reply| queues.count("q", reply)).unwrap().messages, 0);
}

#[test]
fn a_clock_that_is_set_holds_no_message_back() {
    let dir = tempfile::tempdir().unwrap();
    let year = 365 * 24 * 3600;
    let clock = SetClock::at(2 * year);
    let folder = StateFolder::take(dir.path(), "tests", clock.clone() as Arc<_>).unwrap();
    let queues = Queues::open(&folder).unwrap();
    let send = |message| wait(|reply| queues.send("q", vec![message], reply)).unwrap();
    send(message("sent in the future"));
    send(Outgoing { delay: Some(43_200), ..message("delayed in the future") });
    // Back by a year: nothing waits for that to pass again.
    clock.set(year);
    send(Outgoing { delay: Some(10), ..message("delayed") });
    let taken = take(&queues, "q", 1, 9);
    assert_eq!(bodies(&taken), ["sent in the future", "delayed in the future"]);
    assert_eq!((taken.ready, taken.next_due), (2, Some((year + 10) * 1000)));
    let retried = taken.messages.iter().map(|message| (message.id, Outcome::Retry(5))).collect();
    wait(|reply| queues.settle("q", retried, terms(9, None), reply)).unwrap();
    assert_eq!(take(&queues, "q", 1, 9).messages, []);
    // Forward by a day: what waits is due, and back again nothing of it is lost.
    clock.set(year + 24 * 3600);
    assert_eq!(take(&queues, "q", 3, 9).messages.len(), 3);
    clock.set(year);
    assert_eq!(wait(|reply| queues.count("q", reply)).unwrap().messages, 3);
}

#[test]
fn messages_that_nobody_works_on_are_given_up_after_days() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SetClock::at(1_000_000);
    let folder = || StateFolder::take(dir.path(), "tests", clock.clone() as Arc<_>).unwrap();
    let left = |queues: &Queues| wait(|reply| queues.count("q", reply)).unwrap().messages;
    let queues = Queues::open(&folder()).unwrap();
    wait(|reply| queues.send("q", vec![message("old")], reply)).unwrap();
    let days = i64::from(RETENTION);
    clock.set(1_000_000 + days);
    wait(|reply| queues.send("q", vec![message("young")], reply)).unwrap();
    assert_eq!(left(&queues), 2);
    clock.set(1_003_601 + days);
    wait(|reply| queues.send("q", vec![message("new")], reply)).unwrap();
    assert_eq!((left(&queues), bodies(&take(&queues, "q", 1, 9))), (2, vec!["young", "new"]));
    drop(queues);
    clock.set(1_000_001 + 2 * days);
    assert_eq!(left(&Queues::open(&folder()).unwrap()), 1);
}

#[test]
fn what_holds_for_a_queue_is_kept_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SetClock::at(1_000_000);
    let folder = || StateFolder::take(dir.path(), "tests", clock.clone() as Arc<_>).unwrap();
    let queues = Queues::open(&folder()).unwrap();
    let send = |queues: &Queues, name: &str, body: &str| {
        wait(|reply| queues.send(name, vec![message(body)], reply)).unwrap();
    };
    let change = |queues: &Queues, change, is_new| wait(|reply| queues.change("q", change, is_new, reply));
    let count = |queues: &Queues| wait(|reply| queues.count("q", reply)).unwrap();
    assert!(!count(&queues).is_set);
    let set = Change { retention: Some(60), delay: Some(5), is_paused: None };
    let settings = Settings { retention: 60, delay: 5, is_paused: false };
    assert_eq!(change(&queues, set, true).unwrap(), settings);
    let again = change(&queues, set, true).unwrap_err().to_string();
    assert_eq!(again, "there is such a queue already: q");
    for (retention, delay) in [(Some(59), None), (Some(1_209_601), None), (None, Some(43_201))] {
        let refused = change(&queues, Change { retention, delay, is_paused: None }, false).unwrap_err();
        assert!(matches!(refused, taipan_storage::StorageError::Refused { .. }), "{refused}");
    }
    // The queue's delay holds for messages that have none, and its retention for all of them.
    let now = Outgoing { delay: Some(0), ..message("now") };
    wait(|reply| queues.send("q", vec![message("in five seconds"), now], reply)).unwrap();
    send(&queues, "other", "kept for longer");
    let taken = take(&queues, "q", 1, 9);
    assert_eq!((bodies(&taken), taken.next_due), (vec!["now"], Some(1_000_005_000)));
    let dead = vec![(taken.messages[0].id, Outcome::Retry(0))];
    clock.set(1_000_050);
    // It counts from when a message has come into its queue.
    wait(|reply| queues.settle("other", dead, terms(0, Some("q")), reply)).unwrap();
    clock.set(1_000_061);
    assert_eq!(wait(|reply| queues.peek("q", 9, reply)).unwrap().len(), 1);
    assert_eq!((count(&queues).messages, count(&queues).expired), (1, 1));
    assert_eq!(bodies(&take(&queues, "q", 1, 9)), ["now"]);
    // The one that was come across is removed by now, and counted once.
    send(&queues, "other", "a write that comes after it");
    assert_eq!((count(&queues).messages, count(&queues).expired), (1, 1));
    drop(queues);

    let queues = Queues::open(&folder()).unwrap();
    assert_eq!((count(&queues).settings, count(&queues).is_set), (settings, true));
    let (sender, told) = mpsc::channel();
    queues.watch(Box::new(move |queue| sender.send(queue.to_owned()).is_ok()));
    let pause = |is_paused| Change { is_paused: Some(is_paused), ..Change::default() };
    assert!(change(&queues, pause(true), false).unwrap().is_paused);
    assert_eq!(told.recv().unwrap(), "q");
    assert_eq!(take(&queues, "q", 1, 9), Taken::default());
    assert_eq!(wait(|reply| queues.peek("q", 9, reply)).unwrap().len(), 1);
    change(&queues, pause(false), false).unwrap();
    assert_eq!(told.recv().unwrap(), "q", "who waits is told that there may be something");
    assert_eq!(bodies(&take(&queues, "q", 1, 9)), ["now"]);
    // What has expired before a start is counted, too.
    clock.set(1_000_200);
    drop(queues);
    let queues = Queues::open(&folder()).unwrap();
    assert_eq!((count(&queues).messages, count(&queues).expired), (0, 2));
    assert_eq!(wait(|reply| queues.remove("q", reply)).unwrap(), 0);
    assert_eq!((count(&queues).settings, count(&queues).is_set), (Settings::default(), false));
    assert_eq!(wait(|reply| queues.count("other", reply)).unwrap().messages, 2);
}

#[test]
fn what_is_too_much_is_refused_and_nothing_of_it_sent() {
    let dir = tempfile::tempdir().unwrap();
    let queues = Queues::open(&folder(dir.path())).unwrap();
    let refused = |messages| wait(|reply| queues.send("q", messages, reply)).unwrap_err().to_string();
    let large = Outgoing { body: vec![0; 128 << 10].into(), ..message("") };
    let larger = Outgoing { body: vec![0; (128 << 10) + 1].into(), ..message("") };
    assert_eq!(refused(vec![message("a"), larger]), "the message is too large: 131073 > 131072 bytes");
    assert!(refused(vec![large.clone(), large, message("a")]).contains("too large together"));
    assert_eq!(refused(vec![message(""); 101]), "too many messages at once: 101 > 100");
    assert!(
        refused(vec![Outgoing { delay: Some(43_201), ..message("") }]).contains("from 0 to 43200 seconds")
    );
    let count = wait(|reply| queues.count("q", reply)).unwrap();
    assert_eq!(count.messages, 0);
    wait(|reply| queues.send("q", vec![message("a"), Outgoing { delay: Some(9), ..message("b") }], reply))
        .unwrap();
    let count = wait(|reply| queues.count("q", reply)).unwrap();
    assert_eq!((count.messages, count.delayed), (2, 1));
    assert_eq!(wait(|reply| queues.peek("q", 9, reply)).unwrap().len(), 2);
    assert_eq!(wait(|reply| queues.purge("q", reply)).unwrap(), 2);
}

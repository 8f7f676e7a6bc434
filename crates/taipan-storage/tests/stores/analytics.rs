//! Data points: what is noted is found by queries, for as long as it is kept.

use std::sync::Arc;

use taipan_storage::StateFolder;
use taipan_storage::analytics::{Analytics, Blob, Point};

use crate::{SetClock, wait};

#[test]
fn points_are_noted_and_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let folder = StateFolder::take(dir.path(), "tests", SetClock::at(1_767_225_600) as Arc<_>).unwrap();
    let analytics = Analytics::open(&folder).unwrap();
    for (index, number) in [("a", 1.5), ("a", 2.0), ("b", 10.0)] {
        let point = Point {
            index: Some(index.to_owned()),
            blobs: vec![None, Some(Blob::Text("x".into())), Some(Blob::Bytes(vec![1]))],
            doubles: vec![Some(number)],
        };
        wait(|reply| analytics.note("it's", point, reply)).unwrap();
    }
    wait(|reply| analytics.note("other", Point::default(), reply)).unwrap();
    let datasets = ["it's".to_owned(), "other".to_owned()];
    let sql =
        "SELECT index1, sum(double1 * _sample_interval) AS total, min(timestamp), max(blob2), max(blob1)
        FROM \"it's\" GROUP BY 1 ORDER BY 1";
    let answer = analytics.query(&datasets, sql).unwrap();
    assert_eq!(answer.columns[..2], ["index1", "total"]);
    let row = |index: &str, total: f64| {
        vec![
            index.to_owned().into(),
            total.into(),
            "2026-01-01 00:00:00".to_owned().into(),
            "x".to_owned().into(),
            rusqlite::types::Value::Null,
        ]
    };
    assert_eq!(answer.rows, [row("a", 3.5), row("b", 10.0)]);
    let wrong = |sql: &str| analytics.query(&datasets, sql).unwrap_err().to_string();
    let error = wrong("SELECT * FROM absent");
    assert!(error.contains("no such table: absent"), "{error}");
    for sql in ["DELETE FROM points", "DROP TABLE points", "INSERT INTO other VALUES (1)", "ATTACH 'x' AS y"]
    {
        assert!(!wrong(sql).is_empty(), "{sql}");
    }
    assert_eq!(analytics.query(&datasets, "SELECT count(*) FROM other").unwrap().rows, [[1.into()]]);
    let refused = |point| wait(|reply| analytics.note("d", point, reply)).unwrap_err().to_string();
    assert!(refused(Point { doubles: vec![None; 21], ..Point::default() }).contains("at most 20 doubles"));
    assert!(refused(Point { index: Some("x".repeat(97)), ..Point::default() }).contains("97 > 96"));
    let large = vec![Some(Blob::Bytes(vec![0; (16 << 10) + 1]))];
    assert!(refused(Point { blobs: large, ..Point::default() }).contains("16385 > 16384"));
}

#[test]
fn points_nobody_waits_for_are_on_disk_once_they_have_settled() {
    let dir = tempfile::tempdir().unwrap();
    let folder = StateFolder::take(dir.path(), "tests", SetClock::at(1_767_225_600) as Arc<_>).unwrap();
    let analytics = Analytics::open(&folder).unwrap();
    (0..3000).for_each(|_| analytics.note_unheard("d", Point::default()));
    analytics.settle();
    let rows = analytics.query(&["d".to_owned()], "SELECT count(*) FROM d").unwrap().rows;
    assert_eq!(rows, [[3000.into()]]);
}

#[test]
fn points_have_the_time_that_the_clock_had() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SetClock::at(1_767_225_600);
    let folder = StateFolder::take(dir.path(), "tests", clock.clone() as Arc<_>).unwrap();
    let analytics = Analytics::open(&folder).unwrap();
    let note = |name: &str| {
        let point = Point { index: Some(name.into()), ..Point::default() };
        wait(|reply| analytics.note("d", point, reply)).unwrap();
    };
    note("first");
    clock.set(1_767_225_600 - 86_400);
    note("second");
    clock.set(1_767_225_600 + 86_400);
    note("third");
    let rows =
        analytics.query(&["d".into()], "SELECT index1, timestamp FROM d ORDER BY timestamp").unwrap().rows;
    let row = |name: &str, day: &str| [name.to_owned().into(), format!("{day} 00:00:00").into()];
    assert_eq!(rows, [row("second", "2025-12-31"), row("first", "2026-01-01"), row("third", "2026-01-02")]);
}

#[test]
fn an_answer_that_is_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = StateFolder::take(dir.path(), "tests", SetClock::at(0) as Arc<_>).unwrap();
    let analytics = Analytics::open(&folder).unwrap();
    let many =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT zeroblob(1 << 20) FROM n";
    let error = analytics.query(&[], many).unwrap_err().to_string();
    assert!(error.contains("the answer is too large"), "{error}");
}

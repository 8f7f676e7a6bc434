//! Databases: values, statements done whole or not at all, and what SQL of a Worker may not do.

use std::thread;
use std::time::{Duration, Instant};

use taipan_storage::StorageError;
use taipan_storage::d1::{D1Database, Done, DumpOptions, Now, Rows, Statement, Table, Value};

use crate::{folder, wait};

fn open(dir: &tempfile::TempDir) -> D1Database {
    D1Database::open(&folder(dir.path()), "db").unwrap()
}

fn sql(sql: &str, params: &[Value]) -> Statement {
    Statement { sql: sql.into(), params: params.to_vec() }
}

fn run(db: &D1Database, statements: &[Statement]) -> Result<Vec<Done>, StorageError> {
    wait(|reply| db.run(statements.to_vec(), reply))
}

fn one(db: &D1Database, text: &str) -> Result<Done, String> {
    run(db, &[sql(text, &[])]).map(|mut done| done.remove(0)).map_err(|e| e.to_string())
}

fn script(db: &D1Database, text: &str) -> Result<u64, String> {
    wait(|reply| db.script(text.into(), reply)).map(|done| done.count).map_err(|e| e.to_string())
}

#[test]
fn values_of_all_types_come_back_as_they_went() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir);
    script(&db, "CREATE TABLE t (i INTEGER, r REAL, s TEXT, b BLOB, n)").unwrap();
    let values = [
        Value::Integer(i64::MIN),
        Value::Real(1e300),
        Value::Text("é\"\\\n\0x".into()),
        Value::Blob(vec![0, 255]),
        Value::Null,
    ];
    let done = run(&db, &[sql("INSERT INTO t VALUES (?, ?, ?, ?, ?)", &values)]).unwrap().remove(0);
    assert_eq!((done.changes, done.rows_written, done.last_row_id, done.changed_db), (1, 1, 1, true));
    let done = one(&db, "SELECT *, 1.0 AS one, 9e999 AS inf FROM t").unwrap();
    let text = r#"[[-9223372036854775808,1e300,"é\"\\\n\u0000x",{"b":"AP8="},null,1.0,1e999]]"#;
    assert_eq!((done.rows.json.as_str(), done.rows.has_blobs), (text, true));
    assert_eq!(done.rows.columns, ["i", "r", "s", "b", "n", "one", "inf"]);
    assert_eq!((done.rows_read, done.changes, done.changed_db), (1, 0, false));
    assert!(done.size_after >= 4096);
}

#[test]
fn a_batch_is_done_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir);
    let made = [
        sql("CREATE TABLE t (id INTEGER PRIMARY KEY, x UNIQUE)", &[]),
        sql("INSERT INTO t (x) VALUES (?), (?)", &[Value::Integer(1), Value::Integer(2)]),
        sql("SELECT count(*) FROM t", &[]),
    ];
    assert_eq!(run(&db, &made).unwrap()[2].rows.json, "[[2]]");
    let torn = [sql("DELETE FROM t", &[]), sql("INSERT INTO t (x) VALUES (1), (1)", &[])];
    let error = run(&db, &torn).unwrap_err();
    assert_eq!(error.to_string(), "UNIQUE constraint failed: t.x");
    assert!(matches!(error, StorageError::Statement { code: "SQLITE_CONSTRAINT", .. }));
    assert_eq!(one(&db, "SELECT count(*) FROM t").unwrap().rows.json, "[[2]]");
    assert!(script(&db, "DELETE FROM t; SELECT nonsense").is_err());
    assert_eq!(one(&db, "SELECT count(*) FROM t").unwrap().rows.json, "[[2]]");
    assert!(one(&db, "SELECT 1; SELECT 2").unwrap_err().contains("more than one statement"));
    let error = run(&db, &[sql("SELECT ?", &[])]).unwrap_err().to_string();
    assert_eq!(error, "wrong number of parameters: the statement has 1, and 0 were bound");
}

#[test]
fn foreign_keys_hold_and_can_wait_for_the_end_of_a_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir);
    script(&db, "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (a REFERENCES a (id))").unwrap();
    assert_eq!(one(&db, "INSERT INTO b VALUES (1)").unwrap_err(), "FOREIGN KEY constraint failed");
    let late = "PRAGMA defer_foreign_keys = on; INSERT INTO b VALUES (1); INSERT INTO a VALUES (1)";
    assert_eq!(script(&db, late), Ok(3));
    let never = "PRAGMA defer_foreign_keys = on; INSERT INTO b VALUES (2)";
    assert_eq!(script(&db, never).unwrap_err(), "FOREIGN KEY constraint failed");
    script(&db, "PRAGMA foreign_keys = off; PRAGMA foreign_keys = 0").unwrap();
    assert!(one(&db, "INSERT INTO b VALUES (3)").is_err());
    assert_eq!(one(&db, "SELECT count(*) FROM b").unwrap().rows.json, "[[1]]");
}

#[test]
fn sql_stays_in_its_file_and_leaves_connections_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir);
    script(&db, "CREATE TABLE t (x)").unwrap();
    let outside = dir.path().join("outside.sqlite");
    for text in [
        &format!("ATTACH '{}' AS o", outside.display()),
        &format!("VACUUM INTO '{}'", outside.display()),
        "DETACH main",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT s",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA synchronous = OFF",
        "PRAGMA writable_schema = ON",
        "PRAGMA query_only = ON",
        "PRAGMA max_page_count = 3",
        "PRAGMA user_version = 9",
        "PRAGMA temp_store_directory = '/'",
        "SELECT load_extension('x')",
        "CREATE VIRTUAL TABLE v USING fts3(x)",
        "CREATE VIRTUAL TABLE v USING dbstat",
        "UPDATE sqlite_schema SET sql = ''",
    ] {
        assert!(one(&db, text).is_err(), "single: {text}");
        assert!(run(&db, &[sql("INSERT INTO t VALUES (1)", &[]), sql(text, &[])]).is_err(), "batch: {text}");
        assert!(script(&db, text).is_err(), "script: {text}");
    }
    assert!(!outside.exists());
    assert_eq!(one(&db, "SELECT count(*) FROM t").unwrap().rows.json, "[[0]]");
    one(&db, "INSERT INTO t VALUES (1)").unwrap();
    script(&db, "CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('hello')").unwrap();
    assert_eq!(one(&db, "SELECT x FROM f('hello')").unwrap().rows.json, "[[\"hello\"]]");
    assert_eq!(one(&db, "PRAGMA table_info(t)").unwrap().rows_read, 1);
}

#[test]
fn results_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir);
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT hex(zeroblob(1000)) FROM n";
    assert!(one(&db, endless).unwrap_err().contains("larger than 32 MiB"));
    assert!(one(&db, "SELECT zeroblob(3000000)").unwrap_err().contains("too big"));
    assert!(one(&db, &format!("SELECT {}1", "1+".repeat(200))).unwrap_err().contains("depth"));
    assert_eq!(one(&db, "SELECT 1").unwrap().rows.json, "[[1]]");
}

#[test]
#[ignore = "takes half a minute"]
fn a_statement_without_an_end_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir);
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    assert_eq!(one(&db, endless).unwrap_err(), "the statement took longer than 30 s");
    script(&db, "CREATE TABLE t (x)").unwrap();
    let writes = endless.replace("SELECT count", "INSERT INTO t SELECT count");
    assert_eq!(one(&db, &writes).unwrap_err(), "the statement took longer than 30 s");
    assert_eq!(one(&db, "SELECT count(*) FROM t").unwrap().rows.json, "[[0]]");
}

/// Half a minute if it took time for the square of its length.
#[test]
fn a_long_script_takes_time_for_its_length() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir);
    let rows = "INSERT INTO t VALUES ('some text that makes it longer');\n".repeat(50_000);
    assert_eq!(script(&db, &format!("CREATE TABLE t (x); {rows}")), Ok(50_001));
}

#[test]
fn a_dump_makes_the_same_database_again() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir);
    let made = "CREATE TABLE \"a b\" (id INTEGER PRIMARY KEY, x, y AS (id * 2));
        CREATE TABLE z (a REFERENCES \"a b\" (id));
        CREATE INDEX i ON \"a b\" (x);
        CREATE VIEW v AS SELECT x FROM \"a b\";
        CREATE TRIGGER g AFTER INSERT ON z BEGIN UPDATE \"a b\" SET x = 'seen' WHERE id = 99; END;
        INSERT INTO \"a b\" (x) VALUES ('it''s'), (x'00ff'), (1.5), (NULL), (char(65, 0, 66));
        INSERT INTO z VALUES (3)";
    script(&db, made).unwrap();
    let dump = wait(|reply| db.dump(DumpOptions::default(), reply)).unwrap();
    let copy = D1Database::open(&folder(&dir.path().join("other")), "copy").unwrap();
    script(&copy, &dump).unwrap();
    for text in [
        "SELECT * FROM \"a b\"",
        "SELECT * FROM z",
        "SELECT * FROM v",
        "SELECT name FROM sqlite_schema ORDER BY 1",
    ] {
        assert_eq!(one(&db, text).unwrap().rows, one(&copy, text).unwrap().rows, "{text}");
    }
    let done = wait(|reply| {
        copy.execute("SELECT 1 AS a; INSERT INTO z VALUES (1); SELECT count(*) FROM z".into(), reply)
    });
    let done: Vec<_> = done.unwrap().into_iter().map(|done| (done.rows.json, done.changes)).collect();
    assert_eq!(done, [("[[1]]".into(), 0), ("[]".into(), 1), ("[[2]]".into(), 0)]);
    let bookmark = db.bookmark();
    script(&db, "DELETE FROM z").unwrap();
    assert!(db.bookmark() > bookmark);
}

/// What is answered on the spot, once there is a connection for that.
fn now<T>(mut ask: impl FnMut() -> Now<T>) -> Now<T> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match ask() {
            Now::Later if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
            answer => return answer,
        }
    }
}

fn rows(db: &D1Database, text: &str, params: &[Value]) -> (Vec<String>, Vec<Value>) {
    let statement = sql(text, params);
    let Now::Done(table) = now(|| db.rows_now::<Table>(&statement)) else {
        unreachable!("no answer on the spot: {text}")
    };
    (table.columns, table.values)
}

#[test]
fn short_reads_are_answered_on_the_spot_and_see_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir);
    script(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, x)").unwrap();
    for i in 1..=50 {
        run(&db, &[sql("INSERT INTO t (x) VALUES (?)", &[Value::Integer(-i)])]).unwrap();
        let found = rows(&db, "SELECT x, 1.0 AS r FROM t WHERE id = ?", &[Value::Integer(i)]);
        assert_eq!(found, (vec!["x".into(), "r".into()], vec![Value::Integer(-i), Value::Real(1.0)]));
    }
    let both = [sql("SELECT count(*) FROM t", &[]), sql("SELECT x FROM t WHERE id = 2", &[])];
    let Now::Done(done) = now(|| db.run_now::<Rows>(&both)) else { panic!("two reads are not answered") };
    assert_eq!((done[0].rows.json.as_str(), done[1].rows.json.as_str()), ("[[50]]", "[[-2]]"));
    assert!(done[0].size_after >= 8192 && !done[1].changed_db);
    // A table that has changed is another one.
    let all = "SELECT * FROM t WHERE id = 1";
    assert_eq!(rows(&db, all, &[]).0.len(), 2);
    script(&db, "ALTER TABLE t ADD COLUMN more DEFAULT 'new'").unwrap();
    let (columns, values) = rows(&db, all, &[]);
    assert_eq!((columns.len(), &values[2]), (3, &Value::Text("new".into())));
    script(&db, "ALTER TABLE t DROP COLUMN x").unwrap();
    assert_eq!(rows(&db, all, &[]).0, ["id", "more"]);
    assert_eq!(one(&db, all).unwrap().rows.columns, ["id", "more"]);
}

#[test]
fn what_writes_takes_long_or_is_wrong_is_not_answered_on_the_spot() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir);
    script(&db, "CREATE TABLE t (x)").unwrap();
    rows(&db, "SELECT 1", &[]);
    let ask = |text: &str| db.rows_now::<Table>(&sql(text, &[]));
    for text in ["INSERT INTO t VALUES (1)", "DELETE FROM t", "PRAGMA foreign_keys = 0"] {
        assert_eq!(now(|| ask(text)), Now::Writes, "{text}");
    }
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    for text in [endless, "SELECT absent", "SELECT ?", "BEGIN"] {
        let begun = Instant::now();
        assert_eq!(ask(text), Now::Later, "{text}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{text}");
        let both = [sql("SELECT 1", &[]), sql(text, &[])];
        assert!(!matches!(db.run_now::<Table>(&both), Now::Done(_)), "{text}");
    }
    // Nor are values that are large.
    let text = "SELECT length(?)";
    let with = |length| sql(text, &[Value::Text("x".repeat(length))]);
    assert!(matches!(now(|| db.rows_now::<Table>(&with(60_000))), Now::Done(_)));
    assert_eq!(db.rows_now::<Table>(&with(70_000)), Now::Later);
    // The connection is as good as before, and keeps nothing of what it saw.
    script(&db, "INSERT INTO t VALUES (1), (2)").unwrap();
    assert_eq!(rows(&db, "SELECT count(*) FROM t", &[]).1, [Value::Integer(2)]);
    assert_eq!(one(&db, "SELECT count(*) FROM t").unwrap().rows.json, "[[2]]");
}

//! `taipan d1`, `taipan kv` and `taipan r2`, and the example that they prepare.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy does not see that helpers of tests are tests"
)]

use std::path::Path;
use std::process::{Command, Output};

use fs_err as fs;
use taipan_testkit::server::{Server, ServerOptions};
use tempfile::TempDir;

/// A copy of the example, without the data of whoever has tried it.
fn example() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/notes");
    for name in ["wrangler.jsonc", "src/entry.py", "migrations/0001_notes.sql"] {
        let to = folder.path().join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from.join(name), to).unwrap();
    }
    // The example has no bucket.
    let config = folder.path().join("wrangler.jsonc");
    let text = fs::read_to_string(&config).unwrap();
    let bucket = r#"{ "r2_buckets": [{ "binding": "PICTURES", "bucket_name": "pictures" }],"#;
    fs::write(&config, text.replacen('{', bucket, 1)).unwrap();
    folder
}

fn taipan(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_taipan")).args(args).current_dir(folder).output().unwrap()
}

/// What a command prints, which must succeed.
fn says(folder: &Path, args: &[&str]) -> String {
    let output = taipan(folder, args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command that fails says.
fn fails(folder: &Path, args: &[&str]) -> String {
    let output = taipan(folder, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn migrations_are_applied_once_each_and_whole() {
    let folder = example();
    let dir = folder.path();
    assert_eq!(says(dir, &["d1", "migrations", "list", "notes"]), "0001_notes.sql\n");
    assert_eq!(says(dir, &["d1", "migrations", "apply", "notes", "--local"]), "0001_notes.sql\n");
    assert_eq!(says(dir, &["d1", "migrations", "apply", "DB"]), "");
    let created = says(dir, &["d1", "migrations", "create", "notes", "add a colour"]);
    assert!(created.ends_with("migrations/0002_add_a_colour.sql\n"), "{created}");
    let file = dir.join("migrations/0002_add_a_colour.sql");
    fs::write(&file, "ALTER TABLE notes ADD colour; INSERT INTO absent VALUES (1)").unwrap();
    let error = fails(dir, &["d1", "migrations", "apply", "notes"]);
    assert!(error.contains("0002_add_a_colour.sql: no such table: absent"), "{error}");
    fs::write(&file, "ALTER TABLE notes ADD colour; -- of the paper").unwrap();
    assert_eq!(says(dir, &["d1", "migrations", "apply", "notes"]), "0002_add_a_colour.sql\n");
    let sql = "INSERT INTO notes (text, colour) VALUES ('it''s', NULL), ('two', 'red'); SELECT id, text, colour FROM notes";
    assert_eq!(
        says(dir, &["d1", "execute", "notes", "--command", sql]),
        "id  text  colour\n1   it's  NULL\n2   two   red\n"
    );
    let json =
        says(dir, &["d1", "execute", "notes", "--json", "--command", "SELECT count(*) AS n FROM notes"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["results"], serde_json::json!([{ "n": 2 }]));

    says(dir, &["d1", "export", "notes", "--output", "dump.sql"]);
    says(dir, &["d1", "import", "notes", "dump.sql", "--persist-to", "copy"]);
    let rows = ["d1", "execute", "notes", "--command", "SELECT * FROM notes", "--persist-to"];
    let [here, there] = [".wrangler/state", "copy"].map(|state| says(dir, &[&rows[..], &[state]].concat()));
    assert_eq!(here, there);
    assert!(!says(dir, &["d1", "export", "notes", "--no-data", "--table", "notes"]).contains("INSERT"));
    assert_eq!(says(dir, &["d1", "list"]), "name   binding  uuid\nnotes  DB       DB\n");
    let info: serde_json::Value =
        serde_json::from_str(&says(dir, &["d1", "info", "notes", "--json"])).unwrap();
    // The notes, and which migrations have been applied.
    assert!(info[0]["num_tables"] == 2 && info[0]["database_size"].as_u64().unwrap() >= 4096, "{info}");
    let error = fails(dir, &["d1", "execute", "nots", "--command", "SELECT 1"]);
    assert!(error.contains("unknown database: nots") && error.contains("notes"), "{error}");
}

#[test]
fn keys_are_put_listed_and_deleted() {
    let folder = example();
    let dir = folder.path();
    let kv = |args: &[&str]| says(dir, &[&["kv", "key"], args, &["--binding", "VISITS"]].concat());
    kv(&["put", "a/1", "one", "--metadata", "{\"n\": 1}"]);
    fs::write(dir.join("value"), [0, 255]).unwrap();
    kv(&["put", "a/2", "--path", "value", "--ttl", "60"]);
    kv(&["put", "b", "three"]);
    assert_eq!(kv(&["get", "a/1"]), "one");
    let listed: serde_json::Value = serde_json::from_str(&kv(&["list", "--prefix", "a/"])).unwrap();
    assert_eq!(listed[0], serde_json::json!({ "name": "a/1", "metadata": { "n": 1 } }));
    assert!(listed[1]["expiration"].is_u64() && listed.as_array().unwrap().len() == 2, "{listed}");
    kv(&["delete", "b"]);
    assert!(
        fails(dir, &["kv", "key", "get", "b", "--binding", "VISITS"]).contains("there is no such key: b")
    );
    let error = fails(dir, &["kv", "key", "get", "b", "--binding", "NO"]);
    assert!(error.contains("unknown namespace: NO") && error.contains("VISITS"), "{error}");
    many_keys_are_put_got_and_deleted(dir);
    objects_are_put_got_listed_and_deleted(dir);
}

fn many_keys_are_put_got_and_deleted(dir: &Path) {
    let bulk = |what: &'static str| {
        [&["kv", "bulk", what, "many.json"][..], &["--namespace-id", "VISITS", "--preview"]].concat()
    };
    let json = |args: &[&str]| -> serde_json::Value { serde_json::from_str(&says(dir, args)).unwrap() };
    let many = serde_json::json!([
        { "key": "m/1", "value": "one", "metadata": { "n": 1 }, "expiration_ttl": 600 },
        { "key": "m/2", "value": "dHdv", "base64": true },
    ]);
    fs::write(dir.join("many.json"), many.to_string()).unwrap();
    says(dir, &bulk("put"));
    // What a list gives is what is got and removed.
    let listed = says(dir, &["kv", "key", "list", "--prefix", "m/", "--namespace-id", "VISITS"]);
    fs::write(dir.join("many.json"), &listed).unwrap();
    let got = serde_json::json!({ "m/1": { "value": "one" }, "m/2": { "value": "two" } });
    assert_eq!(json(&bulk("get")), got);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert!(listed[0]["metadata"]["n"] == 1 && listed[0]["expiration"].is_u64(), "{listed}");
    says(dir, &bulk("delete"));
    fs::write(dir.join("many.json"), r#"["m/1"]"#).unwrap();
    assert_eq!(json(&bulk("get")), serde_json::json!({ "m/1": { "value": null } }));
    for (wrong, said) in [
        (r#"[{ "key": "a", "value": "b", "expirationTtl": 60 }]"#, "unknown field `expirationTtl`"),
        (r#"[{ "key": "a", "value": "-", "base64": true }]"#, "the value of a is not Base64"),
        (r#"[{ "key": "", "value": "b" }]"#, "a key is not empty"),
        (r#"{ "a": "b" }"#, "many.json: not the list that is expected"),
    ] {
        fs::write(dir.join("many.json"), wrong).unwrap();
        let error = fails(dir, &bulk("put"));
        assert!(error.contains(said), "{error}");
    }
    fs::write(dir.join("many.json"), "[1]").unwrap();
    let error = fails(dir, &bulk("get"));
    assert!(error.contains("a key is a text, or an object with `name`"), "{error}");
    let spaces = json(&["kv", "namespace", "list"]);
    assert_eq!(spaces, serde_json::json!([{ "id": "VISITS", "title": "VISITS", "binding": "VISITS" }]));
    let error = fails(dir, &["kv", "key", "get", "b", "--namespace-id", "NO"]);
    assert!(error.contains("unknown namespace: NO") && error.contains("VISITS"), "{error}");
    let error = fails(dir, &["kv", "key", "put", "b", "c", "--metadata", "{", "--binding", "VISITS"]);
    assert!(error.contains("the metadata is not JSON"), "{error}");
}

#[test]
fn a_folder_in_use_names_its_holder() {
    let folder = example();
    let dir = folder.path();
    says(dir, &["kv", "key", "put", "a", "1", "--binding", "VISITS"]);
    let lock = fs::File::open(dir.join(".wrangler/state/taipan-v1/lock")).unwrap();
    lock.file().lock().unwrap();
    let error = fails(dir, &["kv", "key", "get", "a", "--binding", "VISITS"]);
    assert!(
        error.contains("is in use by another process") && error.contains("taipan kv key put a 1"),
        "{error}"
    );
    assert!(error.contains("--persist-to"), "{error}");
}

/// All of them, while `taipan dev` runs.
fn commands_ask_the_process_that_has_the_folder(dir: &Path) {
    let notes = "id  text\n1   milk\n";
    assert_eq!(says(dir, &["d1", "execute", "notes", "--command", "SELECT id, text FROM notes"]), notes);
    assert_eq!(says(dir, &["d1", "migrations", "list", "notes"]), "");
    assert!(says(dir, &["d1", "export", "notes"]).contains("milk"));
    let error = fails(dir, &["d1", "execute", "notes", "--command", "SELECT x"]);
    assert!(error.contains("no such column: x"), "{error}");
    let kv = |args: &[&str]| says(dir, &[&["kv", "key"], args, &["--binding", "VISITS"]].concat());
    kv(&["put", "a b/é&?", "one", "--metadata", "{\"n\": 1}", "--ttl", "60"]);
    assert_eq!(kv(&["get", "a b/é&?"]), "one");
    let listed: serde_json::Value = serde_json::from_str(&kv(&["list", "--prefix", "a b"])).unwrap();
    assert_eq!(listed[0]["metadata"], serde_json::json!({ "n": 1 }));
    assert!(listed[0]["expiration"].is_u64(), "{listed}");
    many_keys_are_put_got_and_deleted(dir);
    kv(&["delete", "a b/é&?"]);
    let gone = ["kv", "key", "get", "a b/é&?", "--binding", "VISITS"];
    assert!(fails(dir, &gone).contains("there is no such key: a b/é&?"));
    let error = fails(dir, &["kv", "key", "put", "", "x", "--binding", "VISITS"]);
    assert!(error.contains("a key is not empty"), "{error}");
    objects_are_put_got_listed_and_deleted(dir);
}

fn objects_are_put_got_listed_and_deleted(dir: &Path) {
    let r2 = |args: &[&str]| says(dir, &[&["r2", "object"], args].concat());
    assert_eq!(says(dir, &["r2", "bucket", "list"]), "pictures\n");
    let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    fs::write(dir.join("sent"), &bytes).unwrap();
    r2(&[
        "put",
        "pictures/a/b c.bin",
        "--file",
        "sent",
        "--content-type",
        "text/x",
        "--cache-control",
        "no-store",
    ]);
    r2(&["get", "pictures/a/b c.bin"]);
    assert!(fs::read(dir.join("b c.bin")).unwrap() == bytes);
    r2(&["get", "PICTURES/a/b c.bin", "--file", "got"]);
    assert!(fs::read(dir.join("got")).unwrap() == bytes);
    let listed: serde_json::Value =
        serde_json::from_str(&r2(&["list", "pictures", "--prefix", "a/"])).unwrap();
    assert_eq!((&listed[0]["key"], &listed[0]["size"]), (&"a/b c.bin".into(), &bytes.len().into()));
    let http = serde_json::json!({ "contentType": "text/x", "cacheControl": "no-store" });
    assert_eq!(listed[0]["httpMetadata"], http);
    r2(&["delete", "pictures/a/b c.bin"]);
    let error = fails(dir, &["r2", "object", "get", "pictures/a/b c.bin", "--file", "gone"]);
    assert!(error.contains("there is no such object: a/b c.bin"), "{error}");
    assert!(!dir.join("gone").exists() && !dir.join("gone.part").exists());
    let error = fails(dir, &["r2", "object", "get", "no/a"]);
    assert!(error.contains("unknown bucket: no") && error.contains("pictures"), "{error}");
}

#[test]
fn damage_is_said_once_and_nothing_is_emptied() {
    let folder = example();
    let dir = folder.path();
    let kv = ["kv", "key", "get", "a", "--binding", "VISITS"];
    says(dir, &["kv", "key", "put", "a", "1", "--binding", "VISITS"]);
    let file = dir.join(".wrangler/state/taipan-v1/kv/VISITS.sqlite");
    // All of it may still be in the log.
    fs::remove_file(file.with_extension("sqlite-wal")).unwrap();
    fs::write(&file, "not a database, but long enough to be read as one".repeat(100)).unwrap();
    let error = fails(dir, &kv);
    assert!(error.contains("VISITS.sqlite") && error.contains("set aside as"), "{error}");
    assert!(error.contains("hint: start again to begin with an empty one"), "{error}");
    assert!(fails(dir, &kv).contains("there is no such key"));
    let kept = fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(kept.map(|name| name.into_string().unwrap()).any(|name| name.starts_with("VISITS.damaged-")));
}

/// What curl gets.
fn curl(server: &Server, args: &[&str]) -> serde_json::Value {
    let url = format!("http://localhost:{}/", server.port());
    let command =
        Command::new("curl").args(["--silent", "--max-time", "60"]).args(args).arg(url).output().unwrap();
    serde_json::from_slice(&command.stdout).unwrap()
}

#[test]
fn the_example_runs_and_its_data_outlives_a_killed_process() {
    let folder = example();
    let dir = folder.path();
    says(dir, &["d1", "migrations", "apply", "notes"]);
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let options = ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), dir, &cache);
    let server = Server::start(&options).unwrap();
    assert_eq!(curl(&server, &["--data", "milk"]), serde_json::json!({ "id": 1, "text": "milk" }));
    let notes = serde_json::json!([{ "id": 1, "text": "milk" }]);
    assert_eq!(curl(&server, &[]), serde_json::json!({ "visits": 1, "notes": notes }));
    commands_ask_the_process_that_has_the_folder(dir);
    // Dropping it kills the process.
    drop(server);
    let mut server = Server::start(&options).unwrap();
    assert_eq!(curl(&server, &[]), serde_json::json!({ "visits": 2, "notes": notes }));
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
    assert_eq!(says(dir, &["kv", "key", "get", "count", "--binding", "VISITS"]), "2");
}

#[test]
fn data_is_kept_where_persist_to_says() {
    let (folder, elsewhere) = (example(), tempfile::tempdir().unwrap());
    let (dir, state) = (folder.path(), elsewhere.path().join("state"));
    let there = ["--persist-to", &state.to_string_lossy()];
    says(dir, &[&["d1", "migrations", "apply", "notes"], &there[..]].concat());
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let mut options = ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), dir, &cache);
    options.args = there.map(str::to_owned).to_vec();
    let count = ["kv", "key", "get", "count", "--binding", "VISITS"];
    for visits in ["1", "2"] {
        let mut server = Server::start(&options).unwrap();
        assert_eq!(curl(&server, &[])["visits"], serde_json::Value::from(visits.parse::<u64>().unwrap()));
        // Beside the process, which is found by that folder, and when it has ended.
        assert_eq!(says(dir, &[&count[..], &there].concat()), visits);
        server.interrupt().unwrap();
        server.expect_clean_end().unwrap();
        assert_eq!(says(dir, &[&count[..], &there].concat()), visits);
    }
    assert!(!dir.join(".wrangler").exists());
    assert!(fails(dir, &count).contains("there is no such key: count"));
}

/// A Worker's folder with a copy of a behaviour test's files.
fn behaviour(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/behaviour").join(name);
    for file in ["wrangler.jsonc", "entry.py"] {
        fs::copy(from.join(file), folder.path().join(file)).unwrap();
    }
    folder
}

#[test]
fn messages_are_sent_seen_and_removed_from_outside() {
    let folder = behaviour("queues");
    let dir = folder.path();
    messages(dir);
    // Now by asking the process that has them. Its consumer would take them.
    let config = dir.join("wrangler.jsonc");
    let text = fs::read_to_string(&config).unwrap();
    let consumer =
        r#"{ "queue": "jobs", "max_batch_size": 5, "max_batch_timeout": 1, "max_concurrency": 1 },"#;
    assert!(text.contains(consumer));
    fs::write(&config, text.replace(consumer, "")).unwrap();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let mut server = Server::start(&ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), dir, &cache)).unwrap();
    messages(dir);
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
}

fn messages(dir: &Path) {
    says(dir, &["queues", "send", "jobs", r#"{ "a": 1 }"#]);
    says(dir, &["queues", "send", "jobs", "text", "--content-type", "text", "--delay", "60"]);
    let peeked: serde_json::Value = serde_json::from_str(&says(dir, &["queues", "peek", "jobs"])).unwrap();
    assert_eq!((&peeked[0]["body"], &peeked[1]["body"]), (&serde_json::json!({ "a": 1 }), &"text".into()));
    let listed: serde_json::Value = serde_json::from_str(&says(dir, &["queues", "list"])).unwrap();
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().filter_map(|queue| queue["queue"].as_str()).collect();
    assert_eq!(names, ["dead", "flaky", "jobs", "slow"]);
    assert_eq!((&listed[2]["messages"], &listed[2]["delayed"]), (&2.into(), &1.into()));
    assert_eq!(says(dir, &["queues", "purge", "jobs"]), "2 messages were removed from jobs\n");
    let json = |args: &[&str]| -> serde_json::Value { serde_json::from_str(&says(dir, args)).unwrap() };
    let set = ["--message-retention-period-secs", "600", "--delivery-delay-secs", "7"];
    let created = json(&[&["queues", "create", "jobs"][..], &set[..]].concat());
    let settings = |retention: u32, delay: u32, paused: bool| serde_json::json!({ "retention_seconds": retention, "delivery_delay_seconds": delay, "is_paused": paused });
    assert_eq!(created, settings(600, 7, false));
    assert!(fails(dir, &["queues", "create", "jobs"]).contains("there is such a queue already: jobs"));
    let updated = json(&["queues", "update", "jobs", "--message-retention-period-secs", "60"]);
    assert_eq!(updated, settings(60, 7, false));
    let too_long = ["queues", "update", "jobs", "--message-retention-period-secs", "9999999"];
    assert!(fails(dir, &too_long).contains("messages are kept for 60 to 1209600 seconds, not 9999999"));
    says(dir, &["queues", "pause-delivery", "jobs"]);
    says(dir, &["queues", "send", "jobs", "1"]);
    let info = json(&["queues", "info", "jobs"]);
    assert_eq!(
        (&info["is_paused"], &info["delayed"], &info["expired"]),
        (&true.into(), &1.into(), &0.into())
    );
    says(dir, &["queues", "resume-delivery", "jobs"]);
    assert_eq!(json(&["queues", "info", "jobs"])["is_paused"], false);
    json(&["queues", "create", "new_one"]);
    assert_eq!(json(&["queues", "info", "new_one"])["retention_seconds"], 345_600);
    assert_eq!(says(dir, &["queues", "delete", "new_one"]), "new_one was removed with 0 messages\n");
    assert!(fails(dir, &["queues", "info", "new_one"]).contains("unknown queue: new_one"));
    assert!(fails(dir, &["queues", "create", "no name"]).contains("a queue's name is"));
    assert_eq!(says(dir, &["queues", "delete", "jobs"]), "jobs was removed with 1 messages\n");
    assert!(fails(dir, &["queues", "peek", "job"]).contains("unknown queue: job"));
    assert!(fails(dir, &["queues", "send", "jobs", "{"]).contains("the body is not JSON"));
}

#[test]
fn data_points_are_asked_about_while_the_worker_runs_and_afterwards() {
    let folder = behaviour("measures");
    let dir = folder.path();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let options = ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), dir, &cache);
    let mut server = Server::start(&options).unwrap();
    let url = format!("http://127.0.0.1:{}/points", server.port());
    let answer = Command::new("curl").args(["-s", &url]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "ok");
    let sql = "SELECT index1, blob1, sum(double1) AS total, hex(blob2) AS bytes FROM clicks GROUP BY 1, 2 ORDER BY total";
    // Beside the process, and when it has ended. The Worker has not waited for its points.
    let count = "SELECT count(*) AS n FROM clicks";
    while !says(dir, &["analytics", "query", count]).contains("\"n\": 3") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let beside = says(dir, &["analytics", "query", sql]);
    assert!(
        fails(dir, &["analytics", "query", "SELECT absent FROM clicks"]).contains("no such column: absent")
    );
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
    assert_eq!(says(dir, &["analytics", "query", sql]), beside);
    let rows: serde_json::Value = serde_json::from_str(&beside).unwrap();
    let row = |index, blob, total, bytes| serde_json::json!({ "index1": index, "blob1": blob, "total": total, "bytes": bytes });
    let null = serde_json::Value::Null;
    assert_eq!(
        rows,
        serde_json::json!([
            row(null.clone(), null.clone(), null.clone(), ""),
            row("i".into(), "a".into(), 1.5.into(), "01"),
            row(null, "b".into(), 10.0.into(), ""),
        ])
    );
    assert!(fails(dir, &["analytics", "query", "DELETE FROM clicks"]).contains("clicks"));
}

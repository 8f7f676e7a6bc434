//! Whole configurations: what they mean, and the exact words for what is wrong with them.
#![expect(clippy::unwrap_used, reason = "clippy does not see that helpers of tests are tests")]

use std::path::Path;

use serde_json::json;
use taipan_config::{
    Dev, HtmlHandling, Isolates, Limits, ModuleType, NotFoundHandling, ObjectStore, RunWorkerFirst,
    SecretsAtImport, Taipan, WorkerConfig,
};
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let file = folder.path().join(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, text).unwrap();
    }
    folder
}

/// A folder with this `wrangler.jsonc` and a main module `entry.py`.
fn worker(config: &str) -> TempDir {
    folder(&[("wrangler.jsonc", config), ("entry.py", "")])
}

fn load(folder: &TempDir, env: Option<&str>) -> WorkerConfig {
    WorkerConfig::load(folder.path(), env).unwrap()
}

/// The error and, in a second line, its hint, with the folder left out.
fn refused(folder: &TempDir, env: Option<&str>) -> String {
    let error = WorkerConfig::load(folder.path(), env).unwrap_err();
    let text = format!("{error}\n{}", error.hint().unwrap_or_default());
    shorten(folder.path(), &text)
}

fn shorten(folder: &Path, text: &str) -> String {
    let folder = folder.display().to_string();
    text.replace(&format!("{folder}/"), "").replace(&folder, "FOLDER")
}

/// Variables and, over them, secrets.
fn env_of(config: &WorkerConfig) -> serde_json::Value {
    let secrets = config.secrets.iter().map(|(key, secret)| (key.clone(), secret.expose().into()));
    config.vars.clone().into_iter().chain(secrets).collect()
}

#[test]
fn jsonc_with_comments_and_trailing_commas() {
    let folder = folder(&[
        (
            "wrangler.jsonc",
            r#"// A Worker.
            {
              "$schema": "node_modules/wrangler/config-schema.json",
              "name": "hello", /* its name */
              "main": "./src/entry.py",
              "compatibility_date": "2026-09-08",
              "compatibility_flags": ["python_workers", "python_no_global_handlers",],
              "vars": { "GREETING": "hello // world", "COUNT": 3, "BIG": 1e3, "NESTED": { "list": [1, null, true] } },
              "limits": { "cpu_ms": 50 },
              "dev": { "ip": "localhost", "port": 9000 },
              "rules": [{ "type": "Text", "globs": ["**/*.html"], "fallthrough": true }],
            }"#,
        ),
        ("src/entry.py", ""),
        (".dev.vars", "TOKEN=\"s3cr#t\"\nGREETING=from .dev.vars\n"),
    ]);
    let config = load(&folder, None);
    assert_eq!(config.name, "hello");
    assert_eq!(config.root, folder.path());
    assert_eq!(config.path, folder.path().join("wrangler.jsonc"));
    assert_eq!(config.main, Path::new("src/entry.py"));
    assert_eq!(config.main_dir, folder.path().join("src"));
    assert_eq!(config.compatibility_date.to_string(), "2026-09-08");
    assert_eq!(config.release.version, "314.0.7");
    assert!(!config.global_handlers);
    assert_eq!(config.limits, Limits { cpu_ms: Some(50) });
    assert_eq!(config.dev, Dev { ip: Some("127.0.0.1".parse().unwrap()), port: Some(9000) });
    assert_eq!(config.rules[0].module_type, ModuleType::Text);
    assert_eq!(config.rules[0].globs, ["**/*.html"]);
    assert!(config.rules[0].fallthrough);
    assert_eq!(
        env_of(&config),
        json!({
            "GREETING": "from .dev.vars", "COUNT": 3, "BIG": 1e3,
            "NESTED": { "list": [1, null, true] }, "TOKEN": "s3cr#t",
        })
    );
    assert_eq!((config.unused_keys, config.warnings), (vec![], vec![]));
}

#[test]
fn toml_means_the_same() {
    let toml = r#"
        name = "hello"
        main = "entry.py"
        compatibility_date = "2026-09-08"
        compatibility_flags = [
          "python_workers", # on
        ]
        vectorize = [{ binding = "V", index_name = "x" }]

        [vars]
        GREETING = "hello"
        SINCE = 2026-01-01
        RATIO = 0.5
        MASK = 0xff
        NESTED.list = [1, true]

        [limits]
        cpu_ms = 50
    "#;
    let folder = folder(&[("wrangler.toml", toml), ("entry.py", "")]);
    let config = load(&folder, None);
    assert_eq!(
        env_of(&config),
        json!({ "GREETING": "hello", "SINCE": "2026-01-01", "RATIO": 0.5, "MASK": 255, "NESTED": { "list": [1, true] } })
    );
    assert_eq!(config.limits.cpu_ms, Some(50));
    assert_eq!(config.main_dir, folder.path());
    assert_eq!(config.unused_keys, ["vectorize"]);
    assert!(config.global_handlers);
    // A file can be named too.
    assert_eq!(WorkerConfig::load(&folder.path().join("wrangler.toml"), None).unwrap().name, "hello");
}

#[test]
fn wranglers_order_decides_between_several_files() {
    let folder = folder(&[
        ("wrangler.toml", "name = 'toml'\nmain = 'entry.py'\ncompatibility_date = '2026-09-08'"),
        ("wrangler.jsonc", r#"{ "name": "jsonc", "main": "entry.py", "compatibility_date": "2026-09-08" }"#),
        ("entry.py", ""),
    ]);
    let config = load(&folder, None);
    assert_eq!(config.name, "jsonc");
    let warnings = shorten(folder.path(), &config.warnings.join("\n"));
    insta::assert_snapshot!(warnings, @"wrangler.toml: not read, because wrangler.jsonc comes first");
}

#[test]
fn an_environment_takes_over_what_wrangler_lets_it() {
    let folder = folder(&[
        (
            "wrangler.jsonc",
            r#"{
              "name": "hello", "main": "entry.py", "compatibility_date": "2026-09-08", "limits": { "cpu_ms": 50 },
              "vars": { "STAGE": "none" }, "assets": { "directory": "public" }, "vectorize": [],
              "env": {
                "staging": { "vars": { "STAGE": "staging" }, "limits": { "cpu_ms": 10 }, "vectorize": [] },
                "production": { "name": "prod", "main": "other.py" }
              }
            }"#,
        ),
        ("entry.py", ""),
        ("other.py", ""),
        ("public/index.html", ""),
        (".dev.vars", "KEY=common\nONLY_COMMON=1"),
        (".dev.vars.staging", "KEY=staging"),
    ]);
    let config = load(&folder, Some("staging"));
    assert_eq!(config.name, "hello-staging");
    assert_eq!(config.main, Path::new("entry.py"));
    assert_eq!(config.limits.cpu_ms, Some(10));
    assert_eq!(env_of(&config), json!({ "STAGE": "staging", "KEY": "staging" }));
    assert_eq!(config.unused_keys, ["env.staging.vectorize"]);

    let config = load(&folder, Some("production"));
    assert_eq!((config.name.as_str(), config.limits.cpu_ms), ("prod", Some(50)));
    assert_eq!(config.main, Path::new("other.py"));
    assert_eq!(env_of(&config), json!({ "KEY": "common", "ONLY_COMMON": "1" }));
    insta::assert_snapshot!(shorten(folder.path(), &config.warnings.join("\n")), @"wrangler.jsonc:3:15: `vars` is not taken over by environments; write `env.production.vars` too");

    insta::assert_snapshot!(refused(&folder, Some("stagin")), @r"
    wrangler.jsonc: unknown environment: `stagin`; did you mean `staging`?
    the configuration has these environments: staging, production
    ");
}

#[test]
fn files_of_secrets_that_are_named_take_the_place_of_the_usual_ones() {
    let folder = folder(&[
        ("wrangler.jsonc", r#"{ "main": "entry.py", "compatibility_date": "2026-09-08" }"#),
        ("entry.py", ""),
        (".dev.vars", "USUAL=1"),
        (".env", "USUAL=1"),
        ("a.env", "A=1\nBOTH=a"),
        ("b.env", "BOTH=b\nSAME=$BOTH"),
    ]);
    let load = |files: &[&str]| {
        let files: Vec<_> = files.iter().map(std::path::PathBuf::from).collect();
        WorkerConfig::load_with(folder.path(), None, &files)
    };
    let config = load(&["a.env", "b.env"]).unwrap();
    assert_eq!(env_of(&config), json!({ "A": "1", "BOTH": "b", "SAME": "b" }));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let error = load(&["a.env", "none.env"]).unwrap_err();
    assert!(error.to_string().ends_with("none.env: there is no such file"), "{error}");
}

#[test]
fn no_date_means_the_newest_release_and_a_warning() {
    let folder = worker(r#"{ "main": "entry.py" }"#);
    let config = load(&folder, None);
    assert_eq!((config.name.as_str(), config.release.python), ("worker", "3.14"));
    insta::assert_snapshot!(shorten(folder.path(), &config.warnings.join("\n")), @"wrangler.jsonc: missing key: `compatibility_date`; using 2026-09-08, write it down so that updates do not change the Worker");
}

#[test]
fn secrets_do_not_show_themselves() {
    let folder = folder(&[
        ("wrangler.jsonc", r#"{ "main": "entry.py" }"#),
        ("entry.py", ""),
        (".dev.vars", "TOKEN=hunter2"),
    ]);
    let config = load(&folder, None);
    let shown = format!("{config:?} {}", config.secrets["TOKEN"]);
    assert!(!shown.contains("hunter2") && shown.contains("[redacted]"), "{shown}");
    assert_eq!(config.secrets["TOKEN"].expose(), "hunter2");
}

#[test]
fn a_missing_configuration() {
    insta::assert_snapshot!(refused(&folder(&[("entry.py", "")]), None), @r#"
    FOLDER: there is no wrangler.jsonc, wrangler.json or wrangler.toml in this folder
    name a Worker's folder, or write a wrangler.jsonc with at least `{ "main": "src/entry.py" }`
    "#);
    let error = WorkerConfig::load(Path::new("not/there"), None).unwrap_err();
    insta::assert_snapshot!(error, @"not/there: there is no such file or folder");
    let folder = folder(&[("entry.py", "")]);
    let error = WorkerConfig::load(&folder.path().join("entry.py"), None).unwrap_err();
    insta::assert_snapshot!(shorten(folder.path(), &error.to_string()), @"entry.py: this is not a configuration file");
}

#[test]
fn syntax_that_is_wrong() {
    insta::assert_snapshot!(refused(&worker("{\n  \"name\": \"x\",\n  \"main\": \"entry.py\" \"limits\": {}\n}"), None), @r"
    wrangler.jsonc:3:21: this is not JSON: expected comma
    correct the syntax at this place
    ");
    insta::assert_snapshot!(refused(&worker("{ main: 'entry.py' }"), None), @r"
    wrangler.jsonc:1:3: this is not JSON: expected string for object property
    correct the syntax at this place
    ");
    insta::assert_snapshot!(refused(&worker("{ \"main\": \"entry.py\""), None), @r"
    wrangler.jsonc:1:1: this is not JSON: unterminated object
    correct the syntax at this place
    ");
    insta::assert_snapshot!(refused(&worker(""), None), @r#"
    wrangler.jsonc:1:1: the file is empty
    write at least `{ "main": "src/entry.py" }`
    "#);
    insta::assert_snapshot!(refused(&worker("[]"), None), @r"
    wrangler.jsonc:1:1: expected an object, found a list
    put the keys between `{` and `}`
    ");
    insta::assert_snapshot!(refused(&worker("{ \"main\": \"a.py\",\n  \"main\": \"b.py\" }"), None), @r"
    wrangler.jsonc:2:3: the key is there twice: `main`
    remove one of them
    ");
    insta::assert_snapshot!(refused(&folder(&[("wrangler.toml", "name = \"x\"\nmain = entry.py\n")]), None), @r#"
    wrangler.toml:2:8: this is not TOML: string values must be quoted, expected literal string
    correct the syntax at this place
    "#);
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known_one() {
    insta::assert_snapshot!(refused(&worker("{\n  \"main\": \"entry.py\",\n  \"compatiblity_date\": \"2026-09-08\"\n}"), None), @r"
    wrangler.jsonc:3:3: unknown key: `compatiblity_date`; did you mean `compatibility_date`?
    correct the key or remove it
    ");
    insta::assert_snapshot!(refused(&worker(r#"{ "main": "entry.py", "quux": 1 }"#), None), @r"
    wrangler.jsonc:1:23: unknown key: `quux`
    correct the key or remove it
    ");
    insta::assert_snapshot!(refused(&worker(r#"{ "main": "entry.py", "limits": { "cpums": 1 } }"#), None), @r"
    wrangler.jsonc:1:35: unknown key: `limits.cpums`; did you mean `limits.cpu_ms`?
    correct the key or remove it
    ");
    // In every environment, not only in the chosen one.
    insta::assert_snapshot!(refused(&worker(r#"{ "main": "entry.py", "env": { "a": { "var": {} } } }"#), None), @r"
    wrangler.jsonc:1:39: unknown key: `env.a.var`; did you mean `env.a.vars`?
    correct the key or remove it
    ");
    insta::assert_snapshot!(refused(&worker(r#"{ "main": "entry.py", "env": { "a": { "dev": {} } } }"#), None), @r"
    wrangler.jsonc:1:39: an environment cannot have this key: `env.a.dev`
    move `dev` to the top level
    ");
    let toml = "main = \"entry.py\"\n\n[dev]\nprot = 1\n";
    insta::assert_snapshot!(refused(&folder(&[("wrangler.toml", toml), ("entry.py", "")]), None), @r"
    wrangler.toml:4:1: unknown key: `dev.prot`; did you mean `dev.port`?
    correct the key or remove it
    ");
}

#[test]
fn a_main_module_that_cannot_be_used() {
    insta::assert_snapshot!(refused(&worker(r#"{ "name": "x" }"#), None), @r#"
    wrangler.jsonc: missing key: `main`
    name the Python file with the handlers in `main`, for example src/entry.py, or a folder of files in `assets.directory`
    "#);
    insta::assert_snapshot!(refused(&worker(r#"{ "main": "src/entry.py" }"#), None), @r"
    wrangler.jsonc:1:11: the file that `main` names is not there: src/entry.py
    create the file or correct the key
    ");
    insta::assert_snapshot!(refused(&worker(r#"{ "main": "index.js" }"#), None), @r"
    wrangler.jsonc:1:11: wrong value of `main`: `index.js` is not a Python file
    name the Python file with the handlers; its name ends in `.py`
    ");
    insta::assert_snapshot!(refused(&worker(r#"{ "main": "/entry.py" }"#), None), @r"
    wrangler.jsonc:1:11: wrong value of `main`: `/entry.py` is an absolute path
    write the path relative to the configuration file
    ");
    insta::assert_snapshot!(refused(&worker(r#"{ "main": 1 }"#), None), @"wrangler.jsonc:1:11: wrong type of `main`: expected a string, found a number");
}

#[test]
fn values_that_are_wrong() {
    let with = |member: &str| refused(&worker(&format!("{{ \"main\": \"entry.py\", {member} }}")), None);
    insta::assert_snapshot!(with(r#""compatibility_date": "2026-02-30""#), @r"
    wrangler.jsonc:1:45: wrong value of `compatibility_date`: expected a date, found `2026-02-30`
    write a date of the calendar as YYYY-MM-DD, for example 2026-09-08
    ");
    insta::assert_snapshot!(with(r#""compatibility_flags": ["python_3.12", "python_3.13"]"#), @r"
    wrangler.jsonc:1:62: contradictory compatibility flags: `python_3.12` and `python_3.13`
    remove one of the two
    ");
    insta::assert_snapshot!(with(r#""compatibility_flags": ["python_workers", "python_workflow"]"#), @r"
    wrangler.jsonc:1:65: unknown compatibility flag: `python_workflow`; did you mean `python_workflows`?
    correct the flag or remove it
    ");
    insta::assert_snapshot!(with(r#""compatibility_flags": "python_workers""#), @"wrangler.jsonc:1:46: wrong type of `compatibility_flags`: expected a list of strings, found a string");
    insta::assert_snapshot!(with(r#""compatibility_flags": ["rpc", 1]"#), @"wrangler.jsonc:1:54: wrong type of `compatibility_flags[1]`: expected a string, found a number");
    insta::assert_snapshot!(with(r#""limits": { "cpu_ms": 0 }"#), @"wrangler.jsonc:1:45: wrong value of `limits.cpu_ms`: expected a whole number of at least 1, found 0");
    insta::assert_snapshot!(with(r#""limits": []"#), @"wrangler.jsonc:1:33: wrong type of `limits`: expected an object, found a list");
    insta::assert_snapshot!(with(r#""dev": { "port": 99999 }"#), @"wrangler.jsonc:1:40: wrong value of `dev.port`: expected a whole number from 0 to 65535, found 99999");
    insta::assert_snapshot!(with(r#""dev": { "ip": "here" }"#), @r"
    wrangler.jsonc:1:38: wrong value of `dev.ip`: expected an IP address, found `here`
    write an address such as `127.0.0.1`, `localhost`, or `*` for all addresses
    ");
    insta::assert_snapshot!(with(r#""name": "My Worker""#), @r"
    wrangler.jsonc:1:31: wrong value of `name`: `My Worker`
    use lower-case letters, digits, `-` and `_`, and do not begin with `-`
    ");
    insta::assert_snapshot!(with(r#""vars": ["A"]"#), @"wrangler.jsonc:1:31: wrong type of `vars`: expected an object, found a list");
    insta::assert_snapshot!(with(r#""rules": [{ "type": "text", "globs": [] }]"#), @r"
    wrangler.jsonc:1:43: unknown module type: `text`; did you mean `Text`?
    use one of: ESModule, CommonJS, CompiledWasm, Text, Data, PythonModule, PythonRequirement
    ");
    insta::assert_snapshot!(with(r#""rules": [{ "type": "Text" }]"#), @"wrangler.jsonc:1:35: missing key: `rules[0].globs`");
    let toml = "main = \"entry.py\"\ncompatibility_date = 2026-09-08\n";
    insta::assert_snapshot!(refused(&folder(&[("wrangler.toml", toml), ("entry.py", "")]), None), @r#"
    wrangler.toml:2:22: wrong type of `compatibility_date`: expected a string, found a date
    put it between quotation marks: "2026-09-08"
    "#);
}

#[test]
fn places_count_characters_and_a_byte_order_mark_is_no_character() {
    let folder = worker("\u{feff}{ \"main\": \"entry.py\", \"vars\": { \"ä\": \"日本\" }, \"x\": 1 }");
    insta::assert_snapshot!(refused(&folder, None), @r"
    wrangler.jsonc:1:46: unknown key: `x`
    correct the key or remove it
    ");
}

/// Every beginning of a good configuration, and the whole with any one byte replaced: an error about a place in the file, or a
/// configuration, and never a panic.
#[test]
fn spoiled_files() {
    let jsonc = r#"{ "main": "entry.py", // é
        "vars": { "A": [1.5, null, "\u00e9"] }, "limits": { "cpu_ms": 5 }, "env": { "a": { "vars": {} } }, }"#;
    let toml =
        "main = 'entry.py' # é\n[vars]\nA = [1.5, 0x1F, \"\\u00e9\"]\nD = 2026-01-01\n[limits]\ncpu_ms = 5\n";
    let dev_vars = "export A=\"x\\ny\" # é\nB='two\nlines'\nC=d#e\n";
    for (name, text) in [("wrangler.jsonc", jsonc), ("wrangler.toml", toml), (".dev.vars", dev_vars)] {
        let folder = match name {
            ".dev.vars" => worker(r#"{ "main": "entry.py" }"#),
            _ => folder(&[("entry.py", "")]),
        };
        let file = folder.path().join(name);
        let mut refusals = 0;
        let mut check = |bytes: &[u8]| {
            // Not written over: file systems wait for the disk then.
            let _ = fs_err::remove_file(&file);
            fs_err::write(&file, bytes).unwrap();
            if let Err(error) = WorkerConfig::load(folder.path(), None) {
                refusals += 1;
                let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
                assert!(error.place().is_none_or(|place| (1..=lines).contains(&place.line)), "{error}");
            }
        };
        for length in 0..text.len() {
            check(&text.as_bytes()[..length]);
        }
        for index in 0..text.len() {
            for byte in *b"\"'{[,=#\n\\\xff" {
                let mut bytes = text.as_bytes().to_vec();
                bytes[index] = byte;
                check(&bytes);
            }
        }
        assert!(refusals > 50, "{name}: {refusals}");
    }
}

#[test]
fn text_that_is_not_utf8() {
    let folder = worker("");
    fs_err::write(folder.path().join("wrangler.jsonc"), b"{\n \"main\": \"\xff\" }").unwrap();
    insta::assert_snapshot!(refused(&folder, None), @r"
    wrangler.jsonc:2:11: the text is not UTF-8
    save the file as UTF-8
    ");
}

#[test]
fn settings_of_our_own() {
    let isolates = r#""isolates": { "min": 2, "max": 8, "idle_seconds": 30 }"#;
    let json = format!(
        r#"{{ "main": "entry.py", "compatibility_date": "2026-09-08", "taipan": {{
            "secrets_at_import": ["KEY"], {isolates}, "memory_mib": 256, "request_body_mib": 5, "startup_cpu_ms": 900,
            "object_stores": [{{ "r2_bucket": "a", "endpoint": "http://s3.test", "bucket": "b" }}] }} }}"#
    );
    let folder = folder(&[("wrangler.jsonc", &json), ("entry.py", ""), (".dev.vars", "KEY=1")]);
    let config = load(&folder, None);
    let isolates = Isolates { min: Some(2), max: Some(8), idle_seconds: Some(30) };
    let secrets_at_import = SecretsAtImport::Named(vec!["KEY".into()]);
    let object_store = ObjectStore {
        r2_bucket: "a".into(),
        endpoint: "http://s3.test".into(),
        bucket: "b".into(),
        region: "auto".into(),
        ..ObjectStore::default()
    };
    let expected = Taipan {
        object_stores: vec![object_store],
        secrets_at_import,
        isolates,
        memory_mib: Some(256),
        request_body_mib: Some(5),
        startup_cpu_ms: Some(900),
    };
    assert_eq!((config.taipan, config.warnings), (expected, vec![]));

    let with = |taipan: &str| {
        let json =
            format!(r#"{{ "main": "entry.py", "compatibility_date": "2026-09-08", "taipan": {taipan} }}"#);
        worker(&json)
    };
    let all = load(&with(r#"{ "secrets_at_import": true }"#), None);
    assert_eq!(all.taipan.secrets_at_import, SecretsAtImport::All);
    let folder = with(r#"{ "secrets_at_import": ["KYE"] }"#);
    let warned = load(&folder, None);
    insta::assert_snapshot!(shorten(folder.path(), &warned.warnings.join("\n")), @"wrangler.jsonc:1:93: `taipan.secrets_at_import` names a secret that has no value: `KYE`");
    for taipan in [
        r#"{ "isolates": { "min": 4, "max": 3 } }"#,
        r#"{ "isolates": { "mx": 3 } }"#,
        r#"{ "memory_mib": 32 }"#,
        r#"{ "secrets_at_import": "KEY" }"#,
        r#"{ "object_stores": [{ "r2_bucket": "a", "bucket": "b" }] }"#,
        r#"{ "object_stores": [{ "r2_bucket": "a", "bucket": "b", "endpoint": "s3.test" }] }"#,
        r#"{ "object_stores": [{ "r2_bucket": "", "bucket": "b", "endpoint": "http://s3.test" }] }"#,
        r#"{ "object_stores": [{ "r2_bucket": "a", "bucket": "b", "endpoint": "http://s3.test" }, { "r2_bucket": "a", "bucket": "c", "endpoint": "http://s3.test" }] }"#,
    ] {
        let refused = refused(&with(taipan), None);
        assert!(refused.starts_with("wrangler.jsonc:1:"), "{taipan}: {refused}");
    }
}

#[test]
fn bindings_and_their_defaults() {
    let folder = worker(
        r#"{
          "main": "entry.py", "compatibility_date": "2026-09-08",
          "kv_namespaces": [{ "binding": "CACHE", "id": "abc" }, { "binding": "OTHER" }],
          "d1_databases": [
            { "binding": "DB", "database_name": "shop", "database_id": "1", "preview_database_id": "2", "migrations_dir": "db" },
            { "binding": "LOGS" }
          ],
          "env": { "staging": {}, "live": { "kv_namespaces": [{ "binding": "CACHE", "id": "live" }] } }
        }"#,
    );
    let config = load(&folder, None);
    assert!(config.warnings.is_empty() && config.unused_keys.is_empty(), "{config:?}");
    let kv: Vec<_> =
        config.bindings.kv_namespaces.iter().map(|kv| (kv.binding.as_str(), kv.id.as_str())).collect();
    assert_eq!(kv, [("CACHE", "abc"), ("OTHER", "OTHER")]);
    let [db, logs] = config.bindings.d1_databases.as_slice() else { panic!() };
    assert_eq!(
        (db.id.as_str(), db.name.as_deref(), db.migrations_dir.as_path()),
        ("2", Some("shop"), Path::new("db"))
    );
    assert_eq!((logs.id.as_str(), logs.migrations_table.as_str()), ("LOGS", "d1_migrations"));
    let staging = load(&folder, Some("staging"));
    assert!(staging.bindings.are_without_data());
    let said = "`kv_namespaces` is not taken over by environments; write `env.staging.kv_namespaces` too";
    assert!(staging.warnings.iter().any(|w| w.contains(said)), "{:?}", staging.warnings);
    assert_eq!(load(&folder, Some("live")).bindings.kv_namespaces[0].id, "live");
}

#[test]
fn wrong_bindings() {
    let wrong = |keys: &str| {
        let config = format!(r#"{{ "main": "entry.py", "compatibility_date": "2026-09-08", {keys} }}"#);
        refused(&worker(&config), None).replace("wrangler.jsonc:1:", "")
    };
    assert!(wrong(r#""kv_namespaces": {}"#).contains("expected a list of objects"));
    assert!(wrong(r#""kv_namespaces": [{ "id": "x" }]"#).contains("missing key: `kv_namespaces[0].binding`"));
    assert!(
        wrong(r#""kv_namespaces": [{ "binding": "A", "idd": "x" }]"#)
            .contains("did you mean `kv_namespaces[0].id`?")
    );
    assert!(wrong(r#""kv_namespaces": [{ "binding": "a-b" }]"#).contains("`a-b` is not a name"));
    assert!(
        wrong(r#""vars": { "A": 1 }, "kv_namespaces": [{ "binding": "A" }]"#)
            .contains("`env.A` is there twice")
    );
    let twice = r#""d1_databases": [{ "binding": "A" }], "kv_namespaces": [{ "binding": "A" }]"#;
    assert!(wrong(twice).contains("`env.A` is there twice: `d1_databases[0].binding`"));
    assert!(wrong(r#""d1_databases": [{ "binding": "A", "database_id": "" }]"#).contains("it is empty"));
}

#[test]
fn crons_are_taken_over_and_checked() {
    let config = |crons: &str| {
        worker(&format!(
            r#"{{ "main": "entry.py", "compatibility_date": "2026-09-08", "triggers": {{ "crons": {crons} }}, "env": {{ "a": {{}} }} }}"#
        ))
    };
    let crons = load(&config(r#"["*/5 * * * *", "0 0 L * *"]"#), Some("a")).crons;
    assert_eq!(crons.iter().map(ToString::to_string).collect::<Vec<_>>(), ["*/5 * * * *", "0 0 L * *"]);
    let wrong = refused(&config(r#"["* * * * *", "61 * * * *"]"#), None);
    assert!(
        wrong.contains("`triggers.crons[1]`: `61 * * * *`: the minute is from 0 to 59, not `61`"),
        "{wrong}"
    );
}

#[test]
fn rules_decide_which_files_go_with_the_worker() {
    let takes = |config: &str, path: &str| load(&worker(config), None).files.takes(path);
    // Without them, whatever is there.
    let bare = r#"{ "main": "entry.py", "compatibility_date": "2026-09-08" }"#;
    assert!(takes(bare, "entry.py") && takes(bare, "data/a.csv"));
    let with =
        |keys: &str| format!(r#"{{ "main": "entry.py", "compatibility_date": "2026-09-08", {keys} }}"#);
    let csv = with(r#""rules": [{ "type": "Text", "globs": ["data/*.csv"] }]"#);
    for (path, is_taken) in [
        ("data/a.csv", true),
        ("data/deep/a.csv", false),
        ("a.csv", false),
        ("lib/b.py", true),
        ("model.bin", true),
        // The rules of this type are those of the configuration now.
        ("page.html", false),
        ("logo.png", false),
    ] {
        assert_eq!(takes(&csv, path), is_taken, "{path}");
    }
    let through = with(r#""rules": [{ "type": "Text", "globs": ["**/*.csv"], "fallthrough": true }]"#);
    assert!(takes(&through, "data/deep/a.csv") && takes(&through, "page.html"));
    let alone = with(r#""find_additional_modules": false"#);
    assert!(takes(&alone, "entry.py") && !takes(&alone, "lib.py"));
    let twice = with(
        r#""rules": [{ "type": "Text", "globs": ["a/*"] }, { "type": "Text", "globs": ["b/*"] }, { "type": "Data", "globs": ["c/**"] }]"#,
    );
    let config = load(&worker(&twice), None);
    assert!(config.files.takes("a/x") && !config.files.takes("b/x") && config.files.takes("c/d/x"));
    assert!(
        config.warnings.iter().any(|warning| warning.contains("without effect")),
        "{:?}",
        config.warnings
    );
}

#[test]
fn the_base_folder_is_around_the_main_module() {
    let config = |keys: &str| {
        let text = format!(r#"{{ "main": "src/app/entry.py", "compatibility_date": "2026-09-08"{keys} }}"#);
        folder(&[("wrangler.jsonc", &text), ("src/app/entry.py", "")])
    };
    let plain = config("");
    let files = load(&plain, None).files;
    assert_eq!((files.base, &*files.main), (plain.path().join("src/app"), "entry.py"));
    let based = config(r#", "base_dir": "./src""#);
    let files = load(&based, None).files;
    assert_eq!((files.base, &*files.main), (based.path().join("src"), "app/entry.py"));
    insta::assert_snapshot!(refused(&config(r#", "base_dir": "lib""#), None), @"
    wrangler.jsonc:1:79: wrong value of `base_dir`: the main module is not in it: lib
    name a folder around the main module, relative to the configuration file
    ");
    insta::assert_snapshot!(refused(&config(r#", "rules": [{ "type": "Data", "globs": ["a[b"] }]"#), None), @r"
    wrangler.jsonc:1:105: wrong pattern in `rules[0].globs`: a[b: unclosed character class; missing ']'
    write a pattern such as **/*.csv, relative to the main module's folder
    ");
}

#[test]
fn packages_beside_the_worker_go_without_what_is_excluded() {
    let files = |keys: &str| {
        let text = format!(r#"{{ "main": "entry.py", "compatibility_date": "2026-09-08"{keys} }}"#);
        load(&worker(&text), None).files
    };
    let usual = files("");
    assert!(usual.excludes("a/b.pyc") && !usual.excludes("a/tests/b.py"));
    let own = files(r#", "python_modules": { "exclude": ["**/tests/**"] }"#);
    assert!(own.excludes("a/tests/deep/b.py") && !own.excludes("a/b.pyc") && !own.excludes("a/tests.py"));
}

#[test]
fn names_of_bindings_are_known_with_where_they_come_from() {
    let folder = worker(
        r#"{ "main": "entry.py", "compatibility_date": "2026-09-08",
            "kv_namespaces": [{ "binding": "KV", "id": "1" }],
            "vectorize": [{ "index_name": "no name" }, 5],
            "durable_objects": { "bindings": [
                { "name": "ROOMS", "class_name": "Room" }, { "name": "OTHER", "class_name": "X", "script_name": "y" }] },
            "queues": { "producers": [{ "binding": "JOBS", "queue": "jobs" }] },
            "ai": { "binding": "AI" },
            "env": { "test": { "r2_buckets": [{ "binding": "FILES" }] } } }"#,
    );
    let declared = |env| {
        let config = load(&folder, env);
        let show = |d: taipan_config::Declared| {
            format!("{} {} {}", d.key, d.name, d.class_name.unwrap_or_default()).trim_end().to_owned()
        };
        config.declared.into_iter().map(show).collect::<Vec<_>>()
    };
    assert_eq!(
        declared(None),
        [
            "ai AI",
            "durable_objects.bindings ROOMS Room",
            "durable_objects.bindings OTHER",
            "kv_namespaces KV",
            "queues.producers JOBS"
        ]
    );
    assert_eq!(declared(Some("test")), ["r2_buckets FILES"]);
}

#[test]
fn env_files_count_together_where_there_are_no_dev_vars() {
    let files = [
        (
            "wrangler.jsonc",
            r#"{ "main": "entry.py", "compatibility_date": "2026-09-08", "env": { "live": {} } }"#,
        ),
        ("entry.py", ""),
        (".env", "A=1\nB=1\nC=1"),
        (".env.local", "B=2"),
        (".env.live", "B=3\nC=3"),
        (".env.live.local", "C=4"),
    ];
    let there = folder(&files);
    assert_eq!(env_of(&load(&there, None)), json!({ "A": "1", "B": "2", "C": "1" }));
    assert_eq!(env_of(&load(&there, Some("live"))), json!({ "A": "1", "B": "3", "C": "4" }));
    // Names stand for values that came before, in any of the files; not in `.dev.vars`.
    let named = [
        (".env", "USER=me\nHOST=here\nURL=http://$USER@${HOST}/'${NO}'\nPRICE=\\$5"),
        (".env.local", "HOST=there"),
    ];
    let config = load(&folder(&[&files[..2], &named[..]].concat()), None);
    let expected = json!({ "USER": "me", "HOST": "there", "URL": "http://me@there/''", "PRICE": "$5" });
    assert_eq!(env_of(&config), expected);
    assert!(
        config.warnings[0].contains(".env: `$NO` in the value of `URL` stands for nothing"),
        "{:?}",
        config.warnings
    );
    insta::assert_snapshot!(
        refused(&folder(&[&files[..2], &[(".env", &format!("A={}\nB=$A$A", "x".repeat(40_000)))]].concat()), None),
        @r"
    .env: the value of `B` becomes too long, or stands for itself
    write \$ where a dollar sign is meant
    "
    );
    let config = load(&folder(&[&files[..], &[(".dev.vars", "D=1\nE=$D")]].concat()), None);
    assert_eq!(env_of(&config), json!({ "D": "1", "E": "$D" }));
    assert!(config.warnings[0].contains(".env: not read, because there is "), "{:?}", config.warnings);
    insta::assert_snapshot!(
        refused(&folder(&[&files[..2], &[(".env", "A")]].concat()), None),
        @r"
    .env:1:1: expected `KEY=VALUE`, found no `=`
    write `KEY=VALUE`, or begin the line with `#` for a comment
    "
    );
}

/// Each key that is read: what an environment without it has, and one that has it. The lists of what is taken over are wrangler's.
#[test]
fn each_key_is_taken_over_or_not() {
    // The key, values for the top level and for the environment, and what shows which of them holds.
    type Shown = fn(&WorkerConfig) -> String;
    let inherited: &[(&str, &str, &str, Shown)] = &[
        ("main", r#""entry.py""#, r#""other.py""#, |c| c.main.display().to_string()),
        ("compatibility_date", r#""2026-09-08""#, r#""2025-01-01""#, |c| c.compatibility_date.to_string()),
        ("compatibility_flags", r#"["python_workers"]"#, r#"["python_workers_314"]"#, |c| {
            format!("{:?}", c.flags)
        }),
        ("limits", r#"{ "cpu_ms": 1 }"#, r#"{ "cpu_ms": 2 }"#, |c| format!("{:?}", c.limits)),
        (
            "rules",
            r#"[{ "type": "Data", "globs": ["*.a"] }]"#,
            r#"[{ "type": "Data", "globs": ["*.b"] }]"#,
            |c| format!("{:?}", c.rules),
        ),
        ("triggers", r#"{ "crons": ["1 * * * *"] }"#, r#"{ "crons": ["2 * * * *"] }"#, |c| {
            format!("{:?}", c.crons)
        }),
        ("base_dir", r#"".""#, r#""./""#, |_| String::new()),
        ("find_additional_modules", "true", "false", |c| c.files.finds_more().to_string()),
        ("python_modules", r#"{ "exclude": ["a"] }"#, r#"{ "exclude": ["b"] }"#, |c| {
            format!("{:?}", c.files.excluded())
        }),
        ("taipan", r#"{ "memory_mib": 64 }"#, r#"{ "memory_mib": 65 }"#, |c| format!("{:?}", c.taipan)),
        ("assets", r#"{ "directory": "one" }"#, r#"{ "directory": "two" }"#, |c| format!("{:?}", c.assets)),
    ];
    let own: &[(&str, &str, &str, Shown)] = &[
        ("vars", r#"{ "A": 1 }"#, r#"{ "A": 2 }"#, |c| format!("{:?}", c.vars)),
        ("kv_namespaces", r#"[{ "binding": "A" }]"#, r#"[{ "binding": "B" }]"#, |c| {
            format!("{:?}", c.bindings)
        }),
        ("d1_databases", r#"[{ "binding": "A" }]"#, r#"[{ "binding": "B" }]"#, |c| {
            format!("{:?}", c.bindings)
        }),
        ("r2_buckets", r#"[{ "binding": "A" }]"#, r#"[{ "binding": "B" }]"#, |c| format!("{:?}", c.bindings)),
        (
            "queues",
            r#"{ "producers": [{ "binding": "A", "queue": "a" }] }"#,
            r#"{ "producers": [{ "binding": "B", "queue": "b" }] }"#,
            |c| format!("{:?}", c.bindings),
        ),
        (
            "services",
            r#"[{ "binding": "A", "service": "a" }]"#,
            r#"[{ "binding": "B", "service": "b" }]"#,
            |c| format!("{:?}", c.bindings),
        ),
        ("analytics_engine_datasets", r#"[{ "binding": "A" }]"#, r#"[{ "binding": "B" }]"#, |c| {
            format!("{:?}", c.bindings)
        }),
        (
            "ratelimits",
            r#"[{ "name": "A", "namespace_id": "1", "simple": { "limit": 1, "period": 10 } }]"#,
            r#"[{ "name": "B", "namespace_id": "1", "simple": { "limit": 1, "period": 10 } }]"#,
            |c| format!("{:?}", c.bindings),
        ),
        ("version_metadata", r#"{ "binding": "A" }"#, r#"{ "binding": "B" }"#, |c| {
            format!("{:?}", c.bindings)
        }),
    ];
    for (is_inherited, (key, top, below, shown)) in
        inherited.iter().map(|entry| (true, entry)).chain(own.iter().map(|entry| (false, entry)))
    {
        let mut common = vec![("main", r#""entry.py""#), ("compatibility_date", r#""2026-09-08""#)];
        common.retain(|(name, _)| name != key);
        let common: String = common.iter().map(|(name, value)| format!("\"{name}\": {value}, ")).collect();
        let there = folder(&[
            (
                "wrangler.jsonc",
                &format!(
                    "{{ {common} \"{key}\": {top}, \"env\": {{ \"without\": {{}}, \"with\": {{ \"{key}\": {below} }} }} }}"
                ),
            ),
            ("entry.py", ""),
            ("other.py", ""),
            ("one/a", ""),
            ("two/a", ""),
        ]);
        let of = |env| shown(&load(&there, env));
        let none =
            shown(&load(&worker(r#"{ "main": "entry.py", "compatibility_date": "2026-09-08" }"#), None));
        assert_eq!(of(Some("without")), if is_inherited { of(None) } else { none }, "{key}");
        assert!(of(Some("with")) != of(None) || *key == "base_dir", "{key}");
        let warned = load(&there, Some("without")).warnings.iter().any(|w| w.contains("is not taken over"));
        assert_eq!(warned, !is_inherited, "{key}");
    }
    // What belongs to the whole configuration.
    let top = r#"{ "main": "entry.py", "compatibility_date": "2026-09-08", "env": { "live": { "dev": { "port": 1 } } } }"#;
    assert!(refused(&worker(top), None).contains("an environment cannot have this key: `env.live.dev`"));
}

#[test]
fn a_worker_may_consist_of_assets() {
    let with = |assets: &str| {
        let config = format!(r#"{{ "compatibility_date": "2026-09-08", "assets": {assets} }}"#);
        folder(&[("wrangler.jsonc", &config), ("public/index.html", "")])
    };
    let config = load(&with(r#"{ "directory": "public" }"#), None);
    assert!(!config.has_code && config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.assets.unwrap().run_worker_first, RunWorkerFirst::NoWorker);
    insta::assert_snapshot!(refused(&with(r#"{ "directory": "public", "binding": "FILES" }"#), None), @r"
    wrangler.jsonc:1:74: there is no `main` that could use this key: `assets.binding`
    remove it, or name the Python file with the handlers in `main`
    ");
}

#[test]
fn assets_are_inherited_and_checked() {
    let with = |assets: &str| {
        let config = format!(
            r#"{{ "main": "entry.py", "compatibility_date": "2026-09-08", "assets": {assets}, "env": {{ "live": {{}} }} }}"#
        );
        folder(&[("wrangler.jsonc", &config), ("entry.py", ""), ("public/a", "")])
    };
    let there = with(
        r#"{ "directory": "./public/", "binding": "FILES", "html_handling": "none", "not_found_handling": "404-page",
             "run_worker_first": ["/api/*", "!/api/docs/*"] }"#,
    );
    for env in [None, Some("live")] {
        let config = load(&there, env);
        assert_eq!(config.bindings.assets.as_deref(), Some("FILES"));
        let assets = config.assets.unwrap();
        assert_eq!(assets.directory, there.path().join("public"));
        assert_eq!(
            (assets.html_handling, assets.not_found_handling),
            (HtmlHandling::None, NotFoundHandling::NotFoundPage)
        );
        let patterns = RunWorkerFirst::Matching(vec!["/api/*".into()], vec!["/api/docs/*".into()]);
        assert_eq!(assets.run_worker_first, patterns);
        assert!(assets.navigation_prefers_assets);
        // They are no modules.
        assert!(!config.files.takes("public/a") && config.files.takes("other/a"));
    }
    let wrong = |assets: &str| refused(&with(assets), None);
    insta::assert_snapshot!(wrong(r#"{ "directory": "pubic" }"#), @r"
    wrangler.jsonc:1:84: the folder that `assets.directory` names is not there: pubic
    create the folder or correct the key
    ");
    insta::assert_snapshot!(wrong(r#"{ "directory": "public", "html_handling": "auto" }"#), @r"
    wrangler.jsonc:1:111: wrong value of `assets.html_handling`: `auto`
    use one of: auto-trailing-slash, force-trailing-slash, drop-trailing-slash, none
    ");
    insta::assert_snapshot!(wrong(r#"{ "directory": "public", "run_worker_first": ["!/a"] }"#), @r"
    wrangler.jsonc:1:115: `assets.run_worker_first` has no pattern for the Worker
    add one that does not begin with `!`, such as `/api/*`, or remove the key
    ");
    insta::assert_snapshot!(wrong(r#"{ "directory": "public", "run_worker_first": ["api"] }"#), @r"
    wrangler.jsonc:1:115: wrong value of `assets.run_worker_first[0]`: `api` does not begin with `/` or `!/`
    write a path, such as `/api/*`
    ");
    assert!(wrong("{}").contains("missing key: `assets.directory`"));
    assert!(wrong(r#"{ "directory": "public", "bindng": "A" }"#).contains("did you mean `assets.binding`?"));
}

#[test]
fn queues_are_read_per_environment_and_checked() {
    let with = |queues: &str| {
        worker(&format!(
            r#"{{ "main": "entry.py", "compatibility_date": "2026-09-08", "queues": {queues}, "env": {{ "live": {{}} }} }}"#
        ))
    };
    let there = with(
        r#"{ "producers": [{ "binding": "JOBS", "queue": "jobs", "delivery_delay": 5 }],
             "consumers": [{ "queue": "jobs", "max_batch_size": 100, "max_concurrency": null, "dead_letter_queue": "dead" }] }"#,
    );
    let bindings = load(&there, None).bindings;
    assert_eq!(bindings.queue_producers[0].delivery_delay, Some(5));
    let consumer = &bindings.queue_consumers[0];
    assert_eq!((consumer.max_batch_size, consumer.max_batch_timeout, consumer.max_retries), (100, 5, 3));
    assert!(!bindings.are_without_data());
    let live = load(&there, Some("live"));
    assert!(live.bindings.are_without_data() && live.warnings[0].contains("`queues` is not taken over"));
    // Elsewhere a program fetches them.
    let pulled = load(&with(r#"{ "consumers": [{ "queue": "a", "type": "http_pull" }] }"#), None);
    assert!(pulled.bindings.queue_consumers.is_empty());
    assert!(pulled.warnings[0].contains("nobody pulls messages by HTTP here"), "{:?}", pulled.warnings);
    let wrong = |queues: &str| refused(&with(queues), None);
    for (queues, said) in [
        (r#"{ "producers": [{ "binding": "A" }] }"#, "missing key: `queues.producers[0].queue`"),
        (
            r#"{ "producers": [{ "binding": "A", "queue": "a b" }] }"#,
            "wrong value of `queues.producers[0].queue`: `a b`",
        ),
        (r#"{ "consumers": [{ "queue": "a", "max_batch_size": 101 }] }"#, "from 1 to 100, found 101"),
        (
            r#"{ "consumers": [{ "queue": "a" }, { "queue": "a" }] }"#,
            "the queue has a consumer already: `queues.consumers[1].queue`",
        ),
        (r#"{ "consumers": [{ "queue": "a", "dead_letter_queue": "a" }] }"#, "it is the queue itself"),
        (
            r#"{ "consumers": [{ "queue": "a", "type": "pull" }] }"#,
            "wrong value of `queues.consumers[0].type`",
        ),
        (r#"{ "consumer": [] }"#, "did you mean `queues.consumers`?"),
    ] {
        let found = wrong(queues);
        assert!(found.starts_with("wrangler.jsonc:1:") && found.contains(said), "{queues}: {found}");
    }
}

#[test]
fn limits_datasets_and_versions_are_checked() {
    let with = |keys: &str| {
        worker(&format!(r#"{{ "main": "entry.py", "compatibility_date": "2026-09-08", {keys} }}"#))
    };
    let there = with(
        r#""ratelimits": [{ "name": "LIMIT", "namespace_id": "1", "simple": { "limit": 5, "period": 10 } }],
           "analytics_engine_datasets": [{ "binding": "DATA", "dataset": "clicks" }, { "binding": "OTHER" }],
           "version_metadata": { "binding": "VERSION" }"#,
    );
    let bindings = load(&there, None).bindings;
    let limit = &bindings.rate_limits[0];
    assert_eq!((limit.namespace.as_str(), limit.limit, limit.period), ("1", 5, 10));
    assert_eq!(bindings.datasets[0], ("DATA".to_owned(), "clicks".to_owned()));
    assert_eq!(bindings.datasets[1].1, "OTHER");
    assert_eq!(bindings.version.as_deref(), Some("VERSION"));
    for (keys, said) in [
        (
            r#""ratelimits": [{ "name": "L", "simple": { "limit": 5, "period": 11 } }]"#,
            "expected 10 or 60, found 11",
        ),
        (r#""ratelimits": [{ "name": "L" }]"#, "missing key: `ratelimits[0].simple`"),
        (r#""version_metadata": { "binding": "A" }, "vars": { "A": 1 }"#, "`env.A` is there twice"),
        (r#""analytics_engine_datasets": [{ "bindng": "A" }]"#, "did you mean"),
    ] {
        let found = refused(&with(keys), None);
        assert!(found.contains(said), "{keys}: {found}");
    }
}

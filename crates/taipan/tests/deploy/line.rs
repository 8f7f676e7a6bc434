//! From a folder to a Worker that answers, and what keeps one from it.

use taipan_testkit::server::Stream;

use crate::scene::{Scene, WAIT, get, text};

const DATE: &str = "\"compatibility_date\": \"2026-11-01\"";

/// A Worker that says a text, and its Python.
fn says(what: &str) -> String {
    format!(
        "import sys\n\n\nclass Default(WorkerEntrypoint):\n    def fetch(self, request):\n        \
         return Response(f\"{what} {{sys.version_info[1]}}\")\n"
    )
}

#[test]
fn a_worker_is_deployed_and_replaced_and_what_fails_leaves_it_alone() {
    let scene = Scene::new();
    let mut server = scene.serve();
    scene.worker("one", DATE, &says("first"));
    let hidden = scene.path("one/.venv/lib/secret.py");
    fs_err::create_dir_all(hidden.parent().unwrap()).unwrap();
    fs_err::write(&hidden, "").unwrap();
    fs_err::write(scene.path("one/.dev.vars"), "API_KEY=do-not-send\n").unwrap();
    for folder in ["one/__pycache__", "one/tests"] {
        fs_err::create_dir(scene.path(folder)).unwrap();
        fs_err::write(scene.path(folder).join("test_it.py"), "").unwrap();
    }
    let said = scene.succeed(&["deploy", "one", "--dry-run"]);
    assert!(said.contains("Total Upload: 0.") && said.contains("a dry run"), "{said}");
    assert_eq!(get(&server, "one.localhost", "/").status, 404);

    let said = scene.succeed(&["deploy", "one"]);
    assert!(said.contains("Total Upload: 0.") && said.contains(" KiB / gzip: 0."), "{said}");
    assert!(said.contains("Worker Startup Time: ") && said.contains("Current Version ID: "), "{said}");
    // By its name, and by any other while it is alone.
    assert_eq!(text(&server, "one"), "first 14");
    assert_eq!(get(&server, "example.com", "/").text(), "first 14");
    let version = said.rsplit("Current Version ID: ").next().unwrap().trim();
    let manifest =
        fs_err::read_to_string(scene.deployed("workers/one/versions").join(version).join("manifest.json"))
            .unwrap();
    for absent in ["secret.py", "do-not-send", "API_KEY", "test_it", "wrangler.jsonc"] {
        assert!(!manifest.contains(absent), "{absent}: {manifest}");
    }

    // A second version: only what is new is sent.
    scene.worker("one", DATE, &says("second"));
    let said = scene.succeed(&["deploy", "one"]);
    assert!(said.contains("Uploaded one: 1 contents"), "{said}");
    assert_eq!(text(&server, "one"), "second 14");

    // Module scope that fails is shown to whoever deploys, not to clients.
    scene.worker("one", DATE, "1 / 0\n");
    let said = scene.fail(&["deploy", "one"]);
    assert!(said.contains("line 3, in <module>") && said.contains("ZeroDivisionError"), "{said}");
    assert!(said.contains("error: not deployed: the Worker does not start\nhint: "), "{said}");
    // So is what no snapshot can keep.
    let timer = format!("import asyncio\nasyncio.get_event_loop().call_later(60, print)\n{}", says("third"));
    scene.worker("one", DATE, &timer);
    let said = scene.fail(&["deploy", "one"]);
    assert!(said.contains("cannot be kept as a snapshot"), "{said}");
    // And what the server would not do.
    scene.worker("one", &format!("{DATE}, \"ai\": {{ \"binding\": \"AI\" }}"), &says("fourth"));
    let said = scene.fail(&["deploy", "one"]);
    assert!(said.contains("`taipan serve` does not do this yet: `ai`"), "{said}");
    let elsewhere = "{ \"r2_bucket\": \"b\", \"endpoint\": \"http://localhost:1\", \"bucket\": \"c\" }";
    let keys = format!("{DATE}, \"taipan\": {{ \"object_stores\": [{elsewhere}] }}");
    scene.worker("one", &keys, &says("fourth"));
    let said = scene.fail(&["deploy", "one"]);
    assert!(said.contains("`taipan serve` does not do this yet: `taipan.object_stores`"), "{said}");
    assert_eq!(text(&server, "one"), "second 14");

    // An error of a handler says nothing to a client, and all in the log.
    let code = "class Default(WorkerEntrypoint):\n    def fetch(self, request):\n        raise ValueError('inner')\n";
    scene.worker("one", DATE, code);
    scene.succeed(&["deploy", "one"]);
    let answer = get(&server, "one.localhost", "/");
    assert_eq!((answer.status, &*answer.text()), (500, "the Worker failed\n"));
    server.log.wait_for("ValueError: inner", Some(Stream::Stderr), 0, WAIT).unwrap();

    // Two versions back.
    let listed = scene.succeed(&["deployments", "list", "-C", "one"]);
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 3, "{listed}");
    assert!(lines[0].ends_with("Pyodide 314.0.7  current"), "{listed}");
    scene.succeed(&["rollback", "-C", "one"]);
    assert_eq!(text(&server, "one"), "second 14");
    scene.succeed(&["rollback", version, "--name", "one"]);
    assert_eq!(text(&server, "one"), "first 14");
    let said = scene.fail(&["rollback", "-C", "one"]);
    assert!(said.contains("no version before"), "{said}");

    scene.succeed(&["delete", "--name", "one"]);
    assert_eq!(get(&server, "one.localhost", "/").status, 404);
    assert!(scene.fail(&["delete", "--name", "one"]).contains("no such Worker is deployed: one"));
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
}

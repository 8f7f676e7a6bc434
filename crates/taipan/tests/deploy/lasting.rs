//! What a version is lasts: through restarts and crashes, without a network, whatever dates select by then.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use taipan_testkit::server::{Stream, run_to_end};

use crate::scene::{Scene, ended, eventually, get, text};

const PYTHON: &str = "import sys\n\n\nclass Default(WorkerEntrypoint):\n    def fetch(self, request):\n        \
                      return Response(f\"{sys.version_info[1]}\")\n";

#[test]
fn a_version_keeps_its_python_and_needs_nothing_but_the_folder() {
    let scene = Scene::new();
    let mut server = scene.serve();
    scene.worker("old", "\"compatibility_date\": \"2025-01-01\"", PYTHON);
    scene.worker("new", "\"compatibility_date\": \"2026-11-01\"", PYTHON);
    scene.succeed(&["deploy", "old"]);
    scene.succeed(&["deploy", "new"]);
    assert_eq!((text(&server, "old"), text(&server, "new")), ("12".to_owned(), "14".to_owned()));

    // One folder has one server, which is named.
    let refused = run_to_end(&scene.options(&[])).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = refused.log.text(Stream::Stderr);
    assert!(said.contains(&format!("process {}", server.id())) && said.contains("--state"), "{said}");
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();

    // As it will be when dates select another release: the date of the version selects 3.14 now.
    let id = fs_err::read_to_string(scene.deployed("workers/old/current")).unwrap();
    let path = scene.deployed("workers/old/versions").join(id.trim()).join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    manifest["manifest"]["compatibility_date"] = "2026-11-01".into();
    fs_err::write(&path, manifest.to_string()).unwrap();

    // Nothing can be reached, and nothing is left of what the deployer had: not even a cache.
    let fresh = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut options = scene.options(&[]);
    let nowhere = "http://127.0.0.1:9";
    for (name, value) in [
        ("TAIPAN_CACHE_DIR", fresh.path().to_str().unwrap()),
        ("PATH", "/nonexistent"),
        ("HTTP_PROXY", nowhere),
        ("HTTPS_PROXY", nowhere),
        ("ALL_PROXY", nowhere),
    ] {
        options.env.push((name.to_owned(), value.to_owned()));
    }
    let server = taipan_testkit::server::Server::start(&options).unwrap();
    assert_eq!((text(&server, "old"), text(&server, "new")), ("12".to_owned(), "14".to_owned()));
}

#[test]
fn a_crash_in_the_middle_of_a_deployment_leaves_the_version_before() {
    let scene = Scene::new();
    let mut server = scene.serve();
    let date =
        "\"compatibility_date\": \"2026-11-01\", \"kv_namespaces\": [{ \"binding\": \"KV\", \"id\": \"a\" }]";
    let code = |module: &str, text: &str| {
        format!(
            "import time\n{module}\n\n\nclass Default(WorkerEntrypoint):\n    async def fetch(self, request):\n        \
             await self.env.KV.put('k', '{text}')\n        return Response('{text}')\n"
        )
    };
    scene.worker("w", date, &code("", "before"));
    scene.succeed(&["deploy", "w"]);
    assert_eq!(text(&server, "w"), "before");

    // Its module scope runs when the server is killed.
    scene.worker("w", date, &code("print('begun', flush=True)\ntime.sleep(60)", "never"));
    let deploying = scene.start(&["deploy", "w"]);
    server.log.wait_for("begun", None, 0, crate::scene::WAIT).unwrap();

    // Another one of the same name is told so. What goes on there takes longer than this.
    scene.worker("w", date, &code("", "after"));
    let said = scene.fail(&["deploy", "w"]);
    assert!(said.contains("somebody else changes the Worker now: w"), "{said}");
    // The one before answers all the while.
    assert_eq!(text(&server, "w"), "before");
    server.kill().unwrap();
    let said = ended(deploying);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("cannot ask the server"), "{}", said.stderr);
    // An upload that did not end, too.
    let partial = scene.deployed("partial/left");
    fs_err::write(&partial, "half").unwrap();
    let lost = scene.deployed("contents/ab").join(format!("ab{}", "0".repeat(62)));
    fs_err::create_dir_all(lost.parent().unwrap()).unwrap();
    fs_err::write(&lost, "torn").unwrap();

    let server = scene.serve();
    assert_eq!(text(&server, "w"), "before");
    assert!(!partial.exists() && !lost.exists());
    assert_eq!(fs_err::read_dir(scene.deployed("workers/w/versions")).unwrap().count(), 1);
    scene.succeed(&["deploy", "w"]);
    assert_eq!(text(&server, "w"), "after");
}

#[test]
fn at_whatever_moment_the_server_is_killed_a_whole_version_is_served() {
    let scene = Scene::new();
    let mut server = scene.serve();
    let date = "\"compatibility_date\": \"2026-11-01\", \"assets\": { \"directory\": \"./public\" }";
    fs_err::create_dir_all(scene.path("w/public")).unwrap();
    // The Worker and its asset have one number.
    let write = |round: u32| {
        let code = format!(
            "class Default(WorkerEntrypoint):\n    def fetch(self, request):\n        return Response('{round}')\n"
        );
        scene.worker("w", date, &code);
        fs_err::write(scene.path("w/public/number.txt"), round.to_string()).unwrap();
    };
    write(0);
    let begun = std::time::Instant::now();
    scene.succeed(&["deploy", "w"]);
    let (mut before, mut kept) = (0, 0);
    // From before it is asked until after it has answered.
    let (rounds, longest) = (16, begun.elapsed().min(Duration::from_secs(2)));
    for round in 1..=rounds {
        write(round);
        let deploying = scene.start(&["deploy", "w"]);
        std::thread::sleep(longest * round / rounds);
        server.kill().unwrap();
        let is_answered = ended(deploying).code == Some(0);
        server = scene.serve();
        let served: u32 = text(&server, "w").parse().unwrap();
        assert!(served == round || served == before && !is_answered, "{served} {before} {round}");
        assert_eq!(get(&server, "w.localhost", "/number.txt").text(), served.to_string());
        kept += u32::from(served == round);
        before = served;
    }
    // Nothing that was left stands in the way.
    write(rounds + 1);
    scene.succeed(&["deploy", "w"]);
    assert_eq!(text(&server, "w"), (rounds + 1).to_string());
    assert_eq!(fs_err::read_dir(scene.deployed("partial")).unwrap().count(), 0);
    println!("{kept} of {rounds} deployments were done before the server was killed");
}

#[test]
fn requests_in_flight_end_with_the_version_that_began_them() {
    let scene = Scene::new();
    let server = scene.serve();
    let code = |wait: &str, text: &str| {
        format!(
            "import asyncio\n\n\nclass Default(WorkerEntrypoint):\n    async def fetch(self, request):\n        \
             print('asked {text}', flush=True)\n        await asyncio.sleep({wait})\n        return Response('{text}')\n"
        )
    };
    scene.worker("w", "\"compatibility_date\": \"2026-11-01\"", &code("5", "slow"));
    scene.succeed(&["deploy", "w"]);
    scene.worker("w", "\"compatibility_date\": \"2026-11-01\"", &code("0", "fast"));
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| text(&server, "w"));
        server.log.wait_for("asked slow", None, 0, crate::scene::WAIT).unwrap();
        scene.succeed(&["deploy", "w"]);
        assert_eq!(text(&server, "w"), "fast");
        assert_eq!(slow.join().unwrap(), "slow");
    });

    // A secret comes by itself, and never with the Worker.
    let code = "class Default(WorkerEntrypoint):\n    def fetch(self, request):\n        \
                return Response(getattr(self.env, 'KEY', 'none'))\n";
    scene.worker("w", "\"compatibility_date\": \"2026-11-01\"", code);
    scene.succeed(&["deploy", "w"]);
    assert_eq!(text(&server, "w"), "none");
    let said = scene.tell(&["secret", "put", "KEY", "--name", "w"], "vErY-sEcReT\n");
    assert_eq!((said.code, &*said.stdout), (Some(0), "Set the secret KEY of w\n"), "{}", said.stderr);
    assert_eq!(text(&server, "w"), "vErY-sEcReT");
    assert_eq!(scene.succeed(&["secret", "list", "--name", "w"]), "KEY\n");
    scene.succeed(&["deploy", "w"]);
    drop(server);
    let server = scene.serve();
    assert_eq!(text(&server, "w"), "vErY-sEcReT");
    #[cfg(unix)]
    for private in ["deployed/workers/w/secrets.json", "admin-token"] {
        use std::os::unix::fs::PermissionsExt as _;
        let data = fs_err::metadata(scene.path("state/taipan-v1").join(private)).unwrap();
        assert_eq!(data.permissions().mode() & 0o777, 0o600, "{private}");
    }
    scene.succeed(&["secret", "delete", "KEY", "--name", "w"]);
    assert_eq!(text(&server, "w"), "none");
    assert!(scene.fail(&["secret", "delete", "KEY", "--name", "w"]).contains("no such secret"));
}

#[test]
fn workers_call_each_other_have_routes_assets_queues_and_no_way_to_private_networks() {
    let scene = Scene::new();
    let server = scene.serve();
    let date = "\"compatibility_date\": \"2026-11-01\"";
    let back = "class Default(WorkerEntrypoint):\n    def fetch(self, request):\n        \
                return Response('back')\n\n    async def queue(self, batch):\n        \
                print('batch', [message.body for message in batch.messages], flush=True)\n\n    \
                async def scheduled(self, controller):\n        print('called', flush=True)\n";
    let consumer = "\"queues\": { \"consumers\": [{ \"queue\": \"jobs\", \"max_batch_timeout\": 0 }] }";
    scene.worker(
        "back",
        &format!("{date}, {consumer}, \"triggers\": {{ \"crons\": [\"* * * * *\"] }}"),
        back,
    );
    let front = format!(
        "from js import fetch\n\n\nclass Default(WorkerEntrypoint):\n    async def fetch(self, request):\n        \
         await self.env.JOBS.send('work')\n        answer = await self.env.BACK.fetch('http://x/')\n        try:\n            \
         await fetch('http://127.0.0.1:{}/')\n            way = 'open'\n        except Exception:\n            way = 'closed'\n        \
         return Response(f'{{await answer.text()}} {{way}} {{len(self.env.VERSION.id)}}')\n",
        server.port()
    );
    let keys = format!(
        "{date}, \"routes\": [\"example.com/shop/*\"], \"assets\": {{ \"directory\": \"./public\" }}, \
         \"services\": [{{ \"binding\": \"BACK\", \"service\": \"back\" }}], \"version_metadata\": {{ \"binding\": \"VERSION\" }}, \
         \"queues\": {{ \"producers\": [{{ \"binding\": \"JOBS\", \"queue\": \"jobs\" }}] }}"
    );
    scene.worker("front", &keys, &front);
    fs_err::create_dir_all(scene.path("front/public/shop")).unwrap();
    fs_err::write(scene.path("front/public/shop/page.txt"), "page").unwrap();
    fs_err::write(scene.path("front/public/.assetsignore"), "*.map\n").unwrap();
    fs_err::write(scene.path("front/public/a.map"), "hidden").unwrap();
    scene.succeed(&["deploy", "back"]);
    let said = scene.succeed(&["deploy", "front"]);
    assert!(said.contains("env.BACK (back)") && said.contains("  example.com/shop/*"), "{said}");

    assert_eq!(text(&server, "front"), "back closed 36");
    assert_eq!(get(&server, "example.com", "/shop/x").text(), "back closed 36");
    assert_eq!(get(&server, "example.com", "/shop/page.txt").text(), "page");
    assert_eq!(get(&server, "front.localhost", "/a.map").text(), "back closed 36");
    // There are two, so an address has to say which.
    assert_eq!(get(&server, "example.com", "/").status, 404);
    server.log.wait_for("[back] batch ['work'", None, 0, crate::scene::WAIT).unwrap();
    server.log.wait_for("[back] called", None, 0, Duration::from_secs(150)).unwrap();

    // One queue has one consumer, one route one Worker.
    scene.worker("third", &format!("{date}, {consumer}"), back);
    assert!(
        scene.fail(&["deploy", "third"]).contains("the Worker back is a consumer of the same queue: jobs")
    );
    scene.worker("third", &format!("{date}, \"route\": \"example.com/shop/*\""), back);
    assert!(scene.fail(&["deploy", "third"]).contains("the Worker front has the same route"));

    // Who is not there any more cannot be called.
    scene.succeed(&["delete", "--name", "back"]);
    eventually(|| (get(&server, "front.localhost", "/").status == 500).then_some(()));
}

#[test]
fn packages_go_with_a_version() {
    let scene = Scene::new();
    let mut server = scene.serve();
    let code = "from fastapi import FastAPI\nfrom pydantic import BaseModel\n\napp = FastAPI()\n\n\nclass Item(BaseModel):\n    \
                name: str\n\n\n@app.get('/')\nasync def root():\n    return Item(name='shop')\n\n\n\
                class Default(WorkerEntrypoint):\n    async def fetch(self, request):\n        import asgi\n        \
                return await asgi.fetch(app, request, self.env)\n";
    scene.worker("api", "\"compatibility_date\": \"2026-11-01\"", code);
    fs_err::write(scene.path("api/requirements.txt"), "fastapi\n").unwrap();
    // The largest first, and all of it.
    let said = scene.succeed(&["deploy", "api"]);
    let sizes: Vec<&str> = said.lines().filter(|line| line.contains(" / gzip: ")).collect();
    assert!(sizes.len() > 5 && sizes[0].trim_start().starts_with("pydantic"), "{said}");
    assert!(sizes.last().unwrap().starts_with("Total Upload: "), "{said}");
    assert_eq!(text(&server, "api"), "{\"name\":\"shop\"}");
    // All contents are there already.
    let said = scene.succeed(&["deploy", "api"]);
    assert!(!said.contains("Uploaded"), "{said}");
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();

    // Of the cache, only compiled code is left: neither packages nor snapshots that have read them.
    let bare = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    link(&crate::scene::cache(), bare.path());
    let mut options = scene.options(&[]);
    options.env.push(("TAIPAN_CACHE_DIR".to_owned(), bare.path().to_str().unwrap().to_owned()));
    options.env.push(("PATH".to_owned(), "/nonexistent".to_owned()));
    let server = taipan_testkit::server::Server::start(&options).unwrap();
    assert_eq!(text(&server, "api"), "{\"name\":\"shop\"}");
}

/// Another cache with the same compiled code. What is in a cache is replaced, never changed.
fn link(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if ["packages", "workers", "pyodide"].contains(&name.as_str()) || name.ends_with(".checked") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            link(&entry.path(), &to.join(&name));
        } else {
            // One that another process has just made may be renamed now.
            drop(fs_err::hard_link(entry.path(), to.join(&name)));
        }
    }
}

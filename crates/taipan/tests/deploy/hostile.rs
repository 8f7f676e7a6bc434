//! Those who have no token, and those who have one and mean ill.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use taipan_testkit::http::{Client, Request, Response};

use crate::scene::{Scene, WAIT, text};

const HELLO: &str =
    "class Default(WorkerEntrypoint):\n    def fetch(self, request):\n        return Response('hi')\n";

fn refused(response: &Response, status: u16, error: &str) {
    let said = response.text();
    assert!(response.status == status && said.contains(error), "{} {said}", response.status);
}

#[test]
fn no_request_without_the_token_and_no_upload_does_harm() {
    let scene = Scene::new();
    let server = scene.serve();
    scene.worker("w", "\"compatibility_date\": \"2026-11-01\"", HELLO);
    let said = scene.succeed(&["deploy", "w"]);
    let id = said.rsplit("Current Version ID: ").next().unwrap().trim().to_owned();
    let (port, token) = scene.admin();

    // Without the token, and with another.
    for header in [None, Some("Bearer x".to_owned()), Some(token.clone()), Some(format!("Bearer {token}0"))] {
        for (method, path) in
            [("GET", "/v1/workers"), ("DELETE", "/v1/workers/w"), ("PUT", "/v1/contents/x"), ("GET", "/")]
        {
            let headers = header.iter().map(|value| ("authorization".to_owned(), value.clone())).collect();
            let request = Request { method: method.into(), path: path.into(), headers, ..Request::default() };
            let response = Client::new(port, WAIT).send(&request).unwrap();
            refused(&response, 401, "the token is missing or wrong");
            assert!(!response.text().contains(&token));
        }
    }
    let ended =
        scene.command(&["deploy", "w", "--server", &format!("http://127.0.0.1:{port}"), "--token", "no"]);
    let ended = crate::scene::ended({ ended }.spawn().unwrap());
    assert!(
        ended.code == Some(1) && ended.stderr.contains("the token is missing or wrong"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);

    // Contents that are not what they are called.
    let digest = |bytes: &[u8]| format!("{:x}", Sha256::digest(bytes));
    refused(&scene.ask("PUT", &format!("contents/{}", digest(b"a")), b"b"), 422, "another SHA-256 digest");
    for name in ["..%2f..%2fx", "x", &digest(b"a").to_uppercase(), &format!("{}0", digest(b"a"))] {
        refused(&scene.ask("PUT", &format!("contents/{name}"), b"a"), 422, "not a SHA-256 digest");
    }
    let large = vec![0; (64 << 20) + 1];
    refused(&scene.ask("PUT", &format!("contents/{}", digest(&large)), &large), 413, "larger than 64 MiB");
    assert_eq!(fs_err::read_dir(scene.deployed("partial")).unwrap().count(), 0);

    // Manifests that no deployer of ours writes.
    let path = scene.deployed("workers/w/versions").join(&id).join("manifest.json");
    let version: Value = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
    let deploy = |change: &dyn Fn(&mut Value)| {
        let mut manifest = version["manifest"].clone();
        change(&mut manifest);
        let body = json!({ "manifest": manifest, "replaces": id }).to_string();
        scene.ask("POST", "workers/w/versions", body.as_bytes())
    };
    for path in ["../entry.py", "/etc/x", "a/../../x", "a\\b", "nul\0"] {
        let add = |m: &mut Value| {
            let mut file = m["sources"][0].clone();
            file["path"] = path.into();
            m["sources"].as_array_mut().unwrap().push(file);
        };
        refused(&deploy(&add), 422, "cannot be part of a Worker");
    }
    let absent = digest(b"absent");
    refused(&deploy(&|m| m["sources"][0]["sha256"] = absent.as_str().into()), 409, "1 contents are missing");
    refused(&deploy(&|m| m["sources"][0]["size"] = 1.into()), 409, "1 contents are missing");
    refused(&deploy(&|m| m["sources"][0]["size"] = (-1).into()), 422, "not what this server knows");
    refused(
        &deploy(&|m| m["release"]["files"][0]["sha256"] = absent.as_str().into()),
        422,
        "another Pyodide",
    );
    refused(&deploy(&|m| m["durable"] = 1.into()), 422, "unknown field");
    refused(&deploy(&|m| m["bindings"]["durable"] = 1.into()), 422, "unknown field");
    refused(&deploy(&|m| m["name"] = "x".into()), 422, "another Worker's");
    refused(&deploy(&|m| m["memory_mib"] = u64::MAX.into()), 422, "out of range");
    let name = |name: &str| {
        let mut manifest = version["manifest"].clone();
        manifest["name"] = name.into();
        let path = format!("workers/{}/missing", name.replace('/', "%2f"));
        scene.ask("POST", &path, manifest.to_string().as_bytes())
    };
    refused(&name("../w"), 422, "not a name of a Worker");
    refused(&scene.ask("POST", "workers/w/rollback", b"{\"version\":\"../../x\"}"), 404, "not the ID");
    refused(&scene.ask("PUT", "workers/..%2fw/secrets/K", b"v"), 422, "not a name of a Worker");
    refused(&scene.ask("PUT", "workers/w/secrets/K", &vec![b'x'; 70 << 10]), 413, "larger than 64 KiB");
    refused(
        &scene.ask("POST", "workers/w/versions", &vec![b'['; 200_000]),
        422,
        "not what this server knows",
    );
    // Somebody else was first.
    let body = json!({ "manifest": version["manifest"], "replaces": "other" }).to_string();
    refused(
        &scene.ask("POST", "workers/w/versions", body.as_bytes()),
        409,
        "has deployed the Worker meanwhile",
    );

    assert_eq!(fs_err::read_dir(scene.deployed("workers")).unwrap().count(), 1);
    assert_eq!(fs_err::read_dir(scene.deployed("workers/w/versions")).unwrap().count(), 1);
    assert_eq!(text(&server, "w"), "hi");
}

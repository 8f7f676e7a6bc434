//! What a Worker sees of packages, and what of them goes with it.

use std::time::Duration;

use taipan_testkit::http::{Client, Request};
use taipan_testkit::index::{Entry, Wheel};
use taipan_testkit::server::{Server, ServerOptions};

use crate::scene::Scene;

const ENTRY: &str = r#"
import importlib.metadata
import importlib.resources
import sys
from pathlib import Path

import alpha
import alpha_data
import hidden
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        folder = Path(alpha_data.__file__).parent
        plugins = importlib.metadata.entry_points(group="shop.plugins")
        return Response.json({
            "version": [alpha.VERSION, importlib.metadata.version("alpha")],
            "beside": (folder / "prices.csv").read_text(),
            "resource": importlib.resources.files("alpha_data").joinpath("prices.csv").read_text(),
            "plugins": {plugin.name: plugin.load()() for plugin in plugins},
            "pth": [hidden.X, sys.alpha_was_here],
            "left out": sorted(path.name for path in folder.rglob("*") if path.is_file()),
        })
"#;

#[test]
fn packages_are_as_installers_leave_them() {
    let scene = Scene::new("alpha\n");
    let files = vec![
        Entry::new("alpha_data/__init__.py", "def greet():\n    return 'hello'\n"),
        Entry::new("alpha_data/prices.csv", "pen,1.5"),
        Entry::new("alpha_data/tests/test_prices.py", "import nothing_of_this_name\n"),
        Entry::new("alpha_data/__pycache__/prices.cpython-314.pyc", vec![0; 4000]),
        Entry::new("alpha_inner/hidden.py", "X = 'found'\n"),
        Entry::new("alpha.pth", "alpha_inner\nimport sys; sys.alpha_was_here = True\n"),
        Entry::new("alpha-1.0.dist-info/entry_points.txt", "[shop.plugins]\ngreet = alpha_data:greet\n"),
    ];
    scene.index.publish(Wheel { files, ..Wheel::pure("alpha", "1.0") });
    fs_err::write(scene.project.path("entry.py"), ENTRY).unwrap();
    fs_err::create_dir_all(scene.project.path(".venv/lib")).unwrap();
    fs_err::write(scene.project.path(".venv/lib/large.py"), "X = 1\n".repeat(10_000)).unwrap();
    // Nothing was locked or synced before.
    let mut options =
        ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), scene.project.path(""), scene.cache.path());
    options.env.push(("UV_DEFAULT_INDEX".into(), scene.index.url()));
    options.env.push(("UV_CACHE_DIR".into(), scene.own.path().join("uv").to_string_lossy().into_owned()));
    options.env.push(("TAIPAN_PACKAGE_INDEX".into(), scene.own.path().to_string_lossy().into_owned()));
    let mut server = Server::start(&options).unwrap();
    let response = Client::new(server.port(), Duration::from_secs(60)).send(&Request::get("/")).unwrap();
    let expected = serde_json::json!({
        "version": ["1.0", "1.0"],
        "beside": "pen,1.5",
        "resource": "pen,1.5",
        "plugins": { "greet": "hello" },
        "pth": ["found", true],
        "left out": ["__init__.py", "prices.csv"],
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&response.text()).unwrap(), expected);
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();

    // What goes with the Worker, and what does not, is said by `sync`.
    let synced = scene.succeed(&["sync"]);
    assert!(
        synced.stdout.contains("1 packages, ") && synced.stdout.contains("left out: 3 KiB of "),
        "{}",
        synced.stdout
    );
    assert!(synced.stdout.contains("alpha 1.0\n"), "{}", synced.stdout);
    assert!(synced.stdout.contains("the Worker's own: 1 file, "), "{}", synced.stdout);
}

//! The process in which `taipan dev` has snapshots made, when it does not live.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows only functions marked as tests, not those that they share"
)]

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use taipan_testkit::http::{Client, Request, Response};
use taipan_testkit::server::{Server, ServerOptions};

const WAIT: Duration = Duration::from_secs(60);

fn worker(folder: &Path, module_scope: &str) {
    // The folder's name is another one each time, so no run meets the snapshots of an earlier one.
    let code = format!(
        "# {}\nfrom workers import Response, WorkerEntrypoint\n{module_scope}\n\n\
         class Default(WorkerEntrypoint):\n    async def fetch(self, request):\n        return Response(NAME)\n",
        folder.display()
    );
    fs_err::write(folder.join("entry.py"), code).unwrap();
}

/// Starts `taipan dev` without waiting until the Worker has started.
fn start(folder: &Path) -> Server {
    fs_err::write(folder.join("wrangler.toml"), "name = \"w\"\nmain = \"entry.py\"\n").unwrap();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    Server::start(&ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), folder, &cache)).unwrap()
}

fn get(server: &Server) -> Response {
    Client::new(server.port(), WAIT).send(&Request::get("/")).unwrap()
}

/// Asks until the answer is as wanted.
fn eventually(server: &Server, wanted: impl Fn(&Response) -> bool) {
    let begun = Instant::now();
    loop {
        let response = get(server);
        if wanted(&response) {
            return;
        }
        assert!(begun.elapsed() < WAIT, "{} {}", response.status, response.text());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The builder of a server, once there is one.
fn builder(server: &Server) -> Pid {
    let begun = Instant::now();
    loop {
        for process in fs_err::read_dir("/proc").unwrap().flatten() {
            let Ok(id) = process.file_name().to_string_lossy().parse() else { continue };
            // A process may end while it is looked at.
            let Ok(stat) = fs_err::read_to_string(process.path().join("stat")) else { continue };
            let Ok(line) = fs_err::read_to_string(process.path().join("cmdline")) else { continue };
            let parent = stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap();
            if parent == server.id().to_string() && line.contains("build-snapshots") {
                return Pid::from_raw(id).unwrap();
            }
        }
        assert!(begun.elapsed() < WAIT, "there is no builder");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_builder_that_is_killed_at_work_is_reported_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    worker(folder.path(), "NAME = 'first'");
    let mut server = start(folder.path());
    assert_eq!(get(&server).text(), "first");

    // Long enough to be met at work; the time is not waited for.
    worker(folder.path(), "import time\nNAME = 'second'\nprint('begun', flush=True)\ntime.sleep(30)");
    server.log.wait_for("begun", None, 0, WAIT).unwrap();
    kill_process(builder(&server), Signal::KILL).unwrap();
    eventually(&server, |response| {
        response.status == 500
            && response.text().contains("the process that makes snapshots failed: it ended: signal: 9")
    });

    worker(folder.path(), "NAME = 'third'");
    eventually(&server, |response| response.text() == "third");
    // One that is killed while it waits is not missed.
    kill_process(builder(&server), Signal::KILL).unwrap();
    worker(folder.path(), "NAME = 'fourth'");
    eventually(&server, |response| response.text() == "fourth");

    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
}

/// A module of a package that is imported when the package is used is in the snapshot of the packages from the second start on.
#[test]
fn what_packages_import_when_they_are_used_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("python_modules/package");
    fs_err::create_dir_all(&package).unwrap();
    let unique = folder.path().display().to_string();
    fs_err::write(
        package.join("__init__.py"),
        format!("# {unique}\ndef use():\n    import package.late\n    return package.late.NAME\n"),
    )
    .unwrap();
    let late = "import time\ntime.sleep(0.1)\nNAME = 'late'\nprint('imported late', flush=True)\n";
    fs_err::write(package.join("late.py"), late).unwrap();
    let scope = |name: &str| {
        format!("import package\nNAME = package.use() + ' {name}'\nprint('loaded {name}', flush=True)")
    };
    worker(folder.path(), &scope("first"));
    let mut server = start(folder.path());
    assert_eq!(get(&server).text(), "late first");
    server.log.wait_for("imported late", None, 0, WAIT).unwrap();

    let before = server.log.len();
    worker(folder.path(), &scope("second"));
    eventually(&server, |response| response.text() == "late second");
    server.log.wait_for("loaded second", None, before, WAIT).unwrap();
    assert!(server.log.wait_for("imported late", None, before, Duration::ZERO).is_none());
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
}

/// What a package imports in the first request is imported no more, some versions later; what the Worker's own code imports then
/// is, for it may have waited until there are secrets.
#[test]
fn what_packages_import_in_a_request_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let modules = folder.path().join("python_modules");
    let unique = folder.path().display().to_string();
    let write = |name: &str, text: &str| {
        fs_err::create_dir_all(modules.join(name).parent().unwrap()).unwrap();
        fs_err::write(modules.join(name), format!("# {unique}\n{text}")).unwrap();
    };
    write("package/__init__.py", "def use():\n    import package.late\n");
    write("package/late.py", "import time\nimport package.later\nprint('imported late.', flush=True)\n");
    write("package/later.py", "import time\ntime.sleep(0.05)\nprint('imported later.', flush=True)\n");
    write("other.py", "import time\ntime.sleep(0.05)\nprint('imported other', flush=True)\n");
    let save = |name: &str| {
        let code = format!(
            "import package\nfrom workers import Response, WorkerEntrypoint\n\n\nclass Default(WorkerEntrypoint):\n    \
             async def fetch(self, request):\n        import other\n        package.use()\n        \
             print('answered {name}.', flush=True)\n        return Response('{name}')\n"
        );
        fs_err::write(folder.path().join("entry.py"), code).unwrap();
    };
    save("0");
    let mut server = start(folder.path());
    assert_eq!(get(&server).text(), "0");
    server.log.wait_for("answered 0.", None, 0, WAIT).unwrap();

    let begun = Instant::now();
    for version in 1.. {
        let before = server.log.len();
        save(&version.to_string());
        eventually(&server, |response| response.text() == version.to_string());
        server.log.wait_for(&format!("answered {version}."), None, before, WAIT).unwrap();
        assert!(server.log.wait_for("imported other", None, before, Duration::ZERO).is_some());
        let [late, later] = ["imported late.", "imported later."]
            .map(|text| server.log.wait_for(text, None, before, Duration::ZERO).is_some());
        assert_eq!(late, later);
        if !late {
            break;
        }
        assert!(begun.elapsed() < WAIT, "nothing was learned");
    }

    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
}

/// What is learned changes what snapshots are called. Whoever waits for one is told what it was called when it was made.
#[test]
fn a_snapshot_is_found_although_something_is_learned_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("python_modules/package");
    fs_err::create_dir_all(&package).unwrap();
    let unique = folder.path().display().to_string();
    fs_err::write(package.join("__init__.py"), format!("# {unique}\n")).unwrap();
    let names = ["abc", "bisect", "calendar", "colorsys", "dis", "fnmatch", "glob", "heapq"];
    worker(folder.path(), "import package\nNAME = '0'");
    // The other tests' cache without the snapshots of Workers, so that all of those are this test's.
    let cache = tempfile::tempdir().unwrap();
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    for entry in
        fs_err::read_dir(shared).into_iter().flatten().flatten().filter(|e| e.file_name() != "workers")
    {
        fs_err::os::unix::fs::symlink(entry.path(), cache.path().join(entry.file_name())).unwrap();
    }
    fs_err::write(folder.path().join("wrangler.toml"), "name = \"w\"\nmain = \"entry.py\"\n").unwrap();
    let options = ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), folder.path(), cache.path());
    let mut server = Server::start(&options).unwrap();
    assert_eq!(get(&server).text(), "0");
    let snapshots = cache.path().join("workers");
    let (ends_with_us, is_over) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        // Dropped at the end, whatever that is.
        let _ends_with_us = ends_with_us;
        // Others learn something all the time.
        let snapshots = &snapshots;
        scope.spawn(move || {
            let lists: Vec<_> = fs_err::read_dir(snapshots)
                .unwrap()
                .map(|file| file.unwrap().path())
                .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("packages-"))
                .map(|path| path.with_extension("imports"))
                .collect();
            for name in names.into_iter().cycle() {
                for list in &lists {
                    fs_err::write(list, format!("[{name:?}]")).unwrap();
                }
                if is_over.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Disconnected) {
                    break;
                }
            }
        });
        for version in 1..6 {
            worker(folder.path(), &format!("import package\nNAME = '{version}'"));
            eventually(&server, |response| response.text() == version.to_string());
        }
    });
    assert!(server.log.wait_for("is gone", None, 0, Duration::ZERO).is_none());
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
}

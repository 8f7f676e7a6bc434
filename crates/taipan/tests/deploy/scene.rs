//! A server with a state folder of its own, and folders of Workers.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use taipan_testkit::command::{self, Ended};
use taipan_testkit::http::{Client, Request, Response};
use taipan_testkit::server::{Server, ServerOptions};

/// Bounds a hang.
pub(crate) const WAIT: Duration = Duration::from_secs(120);

pub(crate) const ENTRY: &str = "from workers import Response, WorkerEntrypoint\n";

/// A state folder, and folders for Workers.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
}

pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the server keeps beside its stores.
    pub(crate) fn deployed(&self, name: &str) -> PathBuf {
        self.path("state/taipan-v1/deployed").join(name)
    }

    pub(crate) fn options(&self, args: &[&str]) -> ServerOptions {
        let mut options = ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), self.folder.path(), &cache());
        options.state = Some(self.path("state"));
        options.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        options
    }

    pub(crate) fn serve(&self) -> Server {
        Server::start(&self.options(&[])).unwrap()
    }

    /// Writes a Worker's configuration, with more keys, and its main module.
    pub(crate) fn worker(&self, name: &str, keys: &str, code: &str) {
        fs_err::create_dir_all(self.path(name)).unwrap();
        let config = format!("{{ \"name\": \"{name}\", \"main\": \"entry.py\", {keys} }}");
        fs_err::write(self.path(name).join("wrangler.jsonc"), config).unwrap();
        // Nobody else's snapshot has the folder's name in it.
        let code = format!("# {}\n{ENTRY}{code}", self.folder.path().display());
        fs_err::write(self.path(name).join("entry.py"), code).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taipan"));
        command
            .current_dir(self.folder.path())
            .env("TAIPAN_CACHE_DIR", cache())
            .env("NO_COLOR", "1")
            .env_remove("TAIPAN_TOKEN")
            .env_remove("TAIPAN_SERVER")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).args(["--state", "state"]).spawn().unwrap()
    }

    /// Runs a command about the server of this folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.start(arguments))
    }

    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout
    }

    /// Runs it in vain: what it says.
    pub(crate) fn fail(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(1), "{}", ended.stdout);
        ended.stderr
    }

    /// Runs a command with something to read.
    pub(crate) fn tell(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        let mut child = command.args(["--state", "state"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        ended(child)
    }

    /// The address of the API, and the token.
    pub(crate) fn admin(&self) -> (u16, String) {
        let read = |name: &str| {
            fs_err::read_to_string(self.path("state/taipan-v1").join(name)).unwrap().trim().to_owned()
        };
        (read("admin-address").rsplit(':').next().unwrap().parse().unwrap(), read("admin-token"))
    }

    /// Asks the API itself.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &[u8]) -> Response {
        let (port, token) = self.admin();
        let request = Request {
            method: method.to_owned(),
            path: format!("/v1/{path}"),
            headers: vec![("authorization".to_owned(), format!("Bearer {token}"))],
            body: body.to_vec(),
            chunked: false,
        };
        Client::new(port, WAIT).send(&request).unwrap()
    }
}

pub(crate) fn ended(child: Child) -> Ended {
    command::ended(child).unwrap()
}

pub(crate) fn get(server: &Server, host: &str, path: &str) -> Response {
    let mut request = Request::get(path);
    request.headers.push(("host".to_owned(), host.to_owned()));
    Client::new(server.port(), WAIT).send(&request).unwrap()
}

/// What a Worker answers at the host of its name.
pub(crate) fn text(server: &Server, name: &str) -> String {
    let response = get(server, &format!("{name}.localhost"), "/");
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}

/// Looks again and again until there is something.
pub(crate) fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < WAIT, "it does not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

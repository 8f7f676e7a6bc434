//! A real PostgreSQL and a real Redis for Workers to talk to.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a server may take until it accepts connections.
const START: Duration = Duration::from_secs(120);

const PASSWORD: &str = "a secret of the test's";

/// The servers, running.
pub struct Databases {
    postgres: Child,
    redis: Child,
    postgres_port: u16,
    redis_port: u16,
    _folder: TempDir,
}

impl Databases {
    /// Starts them on free ports, with their files in a temporary folder.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let postgres_port = free_port()?;
        let redis_port = free_port()?;
        let postgres = postgres(folder.path(), postgres_port)?;
        let redis = Command::new("redis-server")
            .args(["--port", &redis_port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--dir", &folder.path().to_string_lossy()])
            .stdout(Stdio::null())
            .spawn()
            .context("cannot run redis-server: ./x setup installs it")?;
        let databases = Self { postgres, redis, postgres_port, redis_port, _folder: folder };
        wait_for(postgres_port)?;
        wait_for(redis_port)?;
        Ok(databases)
    }

    /// Variables for the Worker.
    pub fn vars(&self) -> [(&'static str, String); 3] {
        [
            ("POSTGRES_PORT", self.postgres_port.to_string()),
            ("POSTGRES_PASSWORD", PASSWORD.to_owned()),
            ("REDIS_PORT", self.redis_port.to_string()),
        ]
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        for child in [&mut self.postgres, &mut self.redis] {
            // Both take it as the wish to end at once and in order.
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            if let Some(pid) = pid {
                kill_process(pid, Signal::INT).unwrap_or_default();
            }
            drop(child.wait());
        }
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn wait_for(port: u16) -> Result<()> {
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if begun.elapsed() > START {
            bail!("a database does not listen on its port: {port}");
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A program of PostgreSQL's: Debian has them in a folder for each version.
fn program(name: &str) -> PathBuf {
    let folders = fs_err::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = folders.map(|version| version.path().join("bin").join(name)).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop().unwrap_or_else(|| name.into())
}

/// It refuses to run as root.
fn as_nobody(program: &Path) -> Command {
    if !rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program);
    command
}

fn postgres(folder: &Path, port: u16) -> Result<Child> {
    let data = folder.join("postgres");
    let password = folder.join("password");
    fs_err::write(&password, PASSWORD)?;
    fs_err::create_dir(&data)?;
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    let pem = |label: &str, bytes: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(bytes))
    };
    if rustix::process::getuid().is_root() {
        let given = Command::new("chown").args(["-R", "nobody:nogroup"]).arg(folder).status()?;
        if !given.success() {
            bail!("cannot give a folder to the user nobody: {}", folder.display());
        }
    }
    let made = as_nobody(&program("initdb"))
        .args(["--username=taipan", "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C"])
        .arg(format!("--pwfile={}", password.display()))
        .arg(&data)
        .current_dir(folder)
        .stdout(Stdio::null())
        .status()
        .context("cannot run initdb: ./x setup installs it")?;
    if !made.success() {
        bail!("initdb failed: {made}");
    }
    fs_err::write(data.join("server.crt"), pem("CERTIFICATE", cert.der()))?;
    let key = data.join("server.key");
    fs_err::write(&key, pem("PRIVATE KEY", &signing_key.serialize_der()))?;
    for arguments in [&["600"][..], &["nobody:nogroup"]] {
        let program = if arguments == ["600"] { "chmod" } else { "chown" };
        if program == "chmod" || rustix::process::getuid().is_root() {
            Command::new(program).args(arguments).arg(&key).arg(data.join("server.crt")).status()?;
        }
    }
    as_nobody(&program("postgres"))
        .arg("-D")
        .arg(&data)
        .args([
            "-p",
            &port.to_string(),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "ssl=on",
            "-c",
            "fsync=off",
        ])
        .args(["-c", &format!("unix_socket_directories={}", folder.display())])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run postgres: ./x setup installs it")
}

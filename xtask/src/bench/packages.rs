//! Packages of FastAPI, then of numpy: from requirements to files, and from files to a Worker that is ready.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::program::{Lines, cache, nanos, python};
use super::table::{Case, Sample, Table, alternate, whole};
use super::{Options, numpy};

const REQUIREMENTS: &str = "requirements.txt";

pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let bench = Bench::new(root, options)?;
    let table = Table::new(options, "packages")?;
    let cases = vec![
        Case::new("lock and sync", || bench.lock_and_sync()),
        Case::new("uv pip install", || bench.uv_install()),
        Case::new("sync of a lock", || bench.sync_of_a_lock()),
        Case::new("sync, nothing new", || Ok(whole(nanos(bench.sync()?)))),
        Case::new("second start of dev, until ready", || bench.start()),
        Case::new("python3 imports the application", || bench.native_import()),
    ];
    let all = alternate(cases, options.rounds(10))?;
    table.times(&all, "lock and sync", &["uv pip install"])?;
    table.times(&all, "sync of a lock", &["uv pip install"])?;
    table.times(&all, "sync, nothing new", &[])?;
    table.times(&all, "second start of dev, until ready", &["python3 imports the application"])?;
    numpy::run(options, &table)
}

/// A project of its own, with a cache for it alone. uv's cache is that of this machine, and warm after the first round.
struct Bench<'a> {
    options: &'a Options,
    /// The requirements alone: what they come to is said by a lock.
    project: PathBuf,
    worker: PathBuf,
    cache: PathBuf,
    target: PathBuf,
}

impl<'a> Bench<'a> {
    fn new(root: &Path, options: &'a Options) -> Result<Self> {
        let folder = options.folder.join("packages");
        let bench = Self {
            options,
            project: folder.join("project"),
            worker: options.folder.join("fastapi"),
            cache: folder.join("cache"),
            target: folder.join("target"),
        };
        fs_err::create_dir_all(&bench.project)?;
        let requirements = root.join("bench/fastapi").join(REQUIREMENTS);
        fs_err::copy(requirements, bench.project.join(REQUIREMENTS))?;
        // Once per machine, not once per project.
        bench.finish(bench.taipan().args(["python", "-c", ""]))?;
        bench.sync()?;
        Ok(bench)
    }

    fn taipan(&self) -> Command {
        let mut command = Command::new(&self.options.taipan);
        command.env("TAIPAN_CACHE_DIR", &self.cache).current_dir(&self.project);
        command
    }

    /// How long a program runs, which must succeed.
    fn finish(&self, command: &mut Command) -> Result<Duration> {
        let begun = Instant::now();
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(begun.elapsed())
    }

    fn forget_store(&self) -> Result<()> {
        remove(&self.cache.join("packages"))
    }

    fn lock_and_sync(&self) -> Result<Sample> {
        self.forget_store()?;
        // It may not be there yet.
        drop(fs_err::remove_file(self.project.join("pylock.toml")));
        Ok(whole(nanos(self.sync()?)))
    }

    fn sync_of_a_lock(&self) -> Result<Sample> {
        self.forget_store()?;
        Ok(whole(nanos(self.sync()?)))
    }

    fn sync(&self) -> Result<Duration> {
        self.finish(self.taipan().arg("sync"))
    }

    fn uv_install(&self) -> Result<Sample> {
        remove(&self.target)?;
        let mut command = Command::new("uv");
        command.args([
            "pip",
            "install",
            "--quiet",
            "--python",
            "python3",
            "--requirements",
            REQUIREMENTS,
            "--target",
        ]);
        Ok(whole(nanos(self.finish(command.arg(&self.target).current_dir(&self.project))?)))
    }

    fn start(&self) -> Result<Sample> {
        let mut command = Command::new(&self.options.taipan);
        command.arg("dev").arg(&self.worker).args(["--port", "0", "--cache-dir"]);
        command.arg(cache(self.options)).stderr(Stdio::null());
        let begun = Instant::now();
        let mut program = Lines::start(&mut command)?;
        while !program.line()?.starts_with("Ready on") {}
        Ok(whole(nanos(begun.elapsed())))
    }

    fn native_import(&self) -> Result<Sample> {
        let mut command = python(self.options, &self.worker);
        Ok(whole(nanos(self.finish(command.args(["-c", "import app"]))?)))
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs_err::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("cannot start anew"),
        _ => Ok(()),
    }
}

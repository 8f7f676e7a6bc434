//! The program uv.

use std::env;
use std::ffi::OsStr;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::watch::{self, LARGEST_FILE, Watched};
use super::{PackageError, pip};

/// What uv may write at a time, in bytes, unless it is bounded more closely: it unpacks, and copies what it has unpacked.
const MOST_WRITTEN: u64 = 4 << 30;

/// uv looks a name up for each of its many connections, all at once, and of such a burst some datagrams get lost. The C library waits for
/// five seconds until it asks again; with this it is one.
const RESOLVER: (&str, &str) = ("RES_OPTIONS", "timeout:1 attempts:5");

/// For an index that may well be out of reach.
const IMPATIENCE: &[(&str, &str)] = &[("UV_HTTP_RETRIES", "1"), ("UV_HTTP_CONNECT_TIMEOUT", "5")];

/// What uv answers.
pub(super) struct Answer {
    pub(super) text: String,
    /// What it said beside.
    pub(super) warnings: Vec<String>,
}

/// The program uv, which resolves and downloads.
#[derive(Clone, Debug)]
pub struct Uv {
    program: PathBuf,
    /// Variables for it, unless the user has set them.
    variables: Vec<(&'static str, &'static str)>,
    most_written: u64,
}

impl Uv {
    /// The one at `given`, or else the one that is found on `PATH`.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(given: Option<PathBuf>) -> Result<Self, PackageError> {
        let name = format!("uv{}", env::consts::EXE_SUFFIX);
        let on_path = || {
            let folders = env::var_os("PATH").unwrap_or_default();
            env::split_paths(&folders).map(|folder| folder.join(&name)).find(|file| file.is_file())
        };
        let program = given.or_else(on_path).ok_or(PackageError::UvMissing)?;
        Ok(Self { program, variables: vec![RESOLVER], most_written: MOST_WRITTEN })
    }

    /// The same, but it soon gives up on what cannot be reached.
    pub(super) fn impatient(&self) -> Self {
        let mut other = self.clone();
        other.variables.extend(IMPATIENCE);
        other
    }

    /// The same, but it may write so many bytes only.
    pub(super) fn bounded(&self, most_written: u64) -> Self {
        Self { most_written, ..self.clone() }
    }

    /// A command of its in `folder`; `input` goes to its standard input. What it complains about is the inner error.
    pub(super) fn run<A: AsRef<OsStr>>(
        &self,
        folder: &Path,
        arguments: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Result<Result<Answer, String>, PackageError> {
        self.run_with(folder, arguments, input, &[])
    }

    /// A command that may build wheels of sources, with a Python of this machine, and without any compiler: what comes of it has no
    /// native code. `cache` is for such builds alone, because uv would use one with native code again.
    pub(super) fn build<A: AsRef<OsStr>>(
        &self,
        folder: &Path,
        arguments: impl IntoIterator<Item = A>,
        input: &str,
        cache: &Path,
    ) -> Result<Result<Answer, String>, PackageError> {
        let no = |name| (name, OsStr::new("false"));
        let mut variables: Vec<_> = ["CC", "CXX", "LD", "CARGO", "RUSTC"].map(no).into();
        variables.push(("UV_CACHE_DIR", cache.as_os_str()));
        self.run_with(folder, arguments, input, &variables)
    }

    fn run_with<A: AsRef<OsStr>>(
        &self,
        folder: &Path,
        arguments: impl IntoIterator<Item = A>,
        input: &str,
        variables: &[(&str, &OsStr)],
    ) -> Result<Result<Answer, String>, PackageError> {
        let unusable = |source| PackageError::UvUnusable { program: self.program.clone(), source };
        let child = Command::new(&self.program)
            .args(arguments)
            .args(["--color=never", "--no-progress"])
            .current_dir(folder)
            // Of an environment that has nothing to do with Workers.
            .env_remove("VIRTUAL_ENV")
            .env("UV_PYTHON_DOWNLOADS", "never")
            .envs(self.variables.iter().copied().filter(|(name, _)| env::var_os(name).is_none()))
            .envs(pip::variables())
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match child {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(PackageError::UvMissing),
            child => child.map_err(unusable)?,
        };
        if let Some(mut stdin) = child.stdin.take() {
            // It says itself what it thinks of requirements that it did not read to the end.
            drop(stdin.write_all(input.as_bytes()));
        }
        let Watched { status, stdout, stderr, has_exceeded } =
            watch::wait(child, self.most_written).map_err(unusable)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&stderr);
        if status.success() {
            let warnings = said.lines().filter_map(|line| line.strip_prefix("warning: "));
            let warnings = warnings.map(str::to_owned).collect();
            return Ok(Ok(Answer { text: text(&stdout), warnings }));
        }
        if has_exceeded {
            return Err(PackageError::Expands {
                most: self.most_written,
                is_file: false,
                said: complaint(&said),
            });
        }
        if watch::was_stopped(status) || said.contains(TOO_LARGE) {
            return Err(PackageError::Expands { most: LARGEST_FILE, is_file: true, said: complaint(&said) });
        }
        Ok(Err(complaint(&said)))
    }
}

/// What the C library calls a file that is to become larger than it may.
const TOO_LARGE: &str = "(os error 27)";

/// What uv says went wrong, without what it says before.
fn complaint(stderr: &str) -> String {
    let from = stderr.rfind("error: ").map_or(0, |at| at + "error: ".len());
    let text = stderr.get(from..).unwrap_or_default().trim();
    if text.is_empty() { "uv ended without a word".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In place of uv: writes files of 8 MiB, a thousand at most, and removes them when it cannot.
    const WRITER: &str = "#!/bin/sh\nn=0\nwhile [ $n -lt 1000 ]; do\n  \
        head -c 8388608 /dev/zero > \"$1/$n\" || { rm -r \"$1\"; echo 'error: cannot write' >&2; exit 2; }\n  \
        n=$((n + 1))\ndone\n";

    #[test]
    fn what_writes_too_much_in_all_is_stopped() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("writer");
        fs_err::write(&program, WRITER).unwrap();
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let place = folder.path().join("place");
        fs_err::create_dir(&place).unwrap();
        let uv = Uv::find(Some(program)).unwrap().bounded(64 << 20);
        let error = uv.run(folder.path(), [&place], "").map(|_| ()).unwrap_err();
        assert!(matches!(error, PackageError::Expands { most: 0x400_0000, is_file: false, .. }), "{error}");
        assert!(!place.exists());
    }
}

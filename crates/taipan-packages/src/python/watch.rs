//! How much a program that unpacks may write: in one file, and in all.
//!
//! An archive of some megabytes can be one of many gigabytes, and what its list of files says need not be true. The kernel bounds single files;
//! for their sum it is asked every few milliseconds what the process has written, and a process that has written too much may from then
//! on write nothing more. Both are errors of writing for it, so that it removes what it has begun.

use std::io::Read;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// The largest file, in bytes.
pub(super) const LARGEST_FILE: u64 = 512 << 20;

/// How often is asked.
const INTERVAL: Duration = Duration::from_millis(20);

/// How a program ended.
pub(super) struct Watched {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// It has written more than it may.
    pub(super) has_exceeded: bool,
}

/// Waits for a program that may write `most` bytes in all.
pub(super) fn wait(mut child: Child, most: u64) -> std::io::Result<Watched> {
    limit_files(&child, LARGEST_FILE);
    let (done, ended) = mpsc::channel();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut has_exceeded = false;
    let (stdout, stderr) = thread::scope(|scope| {
        let both = (done.clone(), done);
        let stdout = scope.spawn(|| read(stdout, both.0));
        let stderr = scope.spawn(|| read(stderr, both.1));
        // Until both are at their ends; nobody else waits for the process, so its number is its own.
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(INTERVAL) {
            if !has_exceeded && written(&child).is_some_and(|bytes| bytes > most) {
                limit_files(&child, 0);
                has_exceeded = true;
            }
        }
        (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default())
    });
    Ok(Watched { status: child.wait()?, stdout, stderr, has_exceeded })
}

fn read(stream: Option<impl Read>, done: Sender<()>) -> Vec<u8> {
    let mut bytes = vec![];
    if let Some(mut stream) = stream {
        // What has come by then is all that there is.
        drop(stream.read_to_end(&mut bytes));
    }
    drop(done);
    bytes
}

/// What a process, and those that it has waited for, have written so far.
fn written(child: &Child) -> Option<u64> {
    let text = fs_err::read_to_string(format!("/proc/{}/io", child.id())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("wchar: "))?.parse().ok()
}

fn limit_files(child: &Child, bytes: u64) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        // A process that has ended already has no limits.
        let _ = prlimit(Pid::from_raw(child.id().cast_signed()), Resource::Fsize, limit);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (child, bytes);
}

/// Whether a program that may not have expected it has met the bound of a file.
pub(super) fn was_stopped(status: ExitStatus) -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::ExitStatusExt as _;
        status.signal() == Some(rustix::process::Signal::XFSZ.as_raw())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = status;
        false
    }
}

//! What happens at a limit on the size of files.

/// Has writing beyond the process's limit on the size of files fail, rather than end the process. That goes for the programs that it starts,
/// too, unless they choose otherwise: they can clean up.
pub fn survive_file_size_limit() {
    // SAFETY: ignoring a signal installs no code. Nobody else in this process has a use for this one.
    let _ = unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

//! How a process that serves Workers begins and ends: `dev` and `serve` do it alike.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::console::Terminal;
use crate::interrupts::Interrupts;
use crate::report::hint;

/// How long requests in flight may take when the process is to end.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// What a process ends with that was interrupted: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

/// Has the server run on threads whose stacks are large enough for guests.
pub(crate) fn run(server: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let executor = taipan_server::connections()?;
    let code = executor.block_on(server);
    // Whatever still runs now was given its time.
    executor.shutdown_background();
    code
}

/// Waits until all is done that was told to end, or for a second interruption. `ending` says whether requests in flight were finished.
pub(crate) async fn finish(
    ending: impl Future<Output = bool>,
    interrupts: &mut Interrupts,
    terminal: &Terminal,
) -> ExitCode {
    tokio::select! {
        all = ending => {
            if !all {
                terminal.warn(&format!("requests in flight were broken off after {} s", GRACE.as_secs()));
            }
            ExitCode::SUCCESS
        }
        () = interrupts.next() => ExitCode::from(INTERRUPTED),
    }
}

/// Where clients on this machine find what listens on the address.
pub(crate) fn shown(scheme: &str, address: SocketAddr) -> String {
    let ip = address.ip();
    match ip.is_loopback() && ip.is_ipv4() || ip.is_unspecified() {
        true => format!("{scheme}://localhost:{}", address.port()),
        false => format!("{scheme}://{address}"),
    }
}

/// Why nothing can listen on the address, which the options `port` and `ip` change.
pub(crate) fn unusable(error: &io::Error, address: SocketAddr, port: &str, ip: &str) -> anyhow::Error {
    match error.kind() {
        ErrorKind::AddrInUse => hint(
            anyhow!("the port is in use: {}", address.port()),
            format!("end the program that listens there, or choose another port with {port}"),
        ),
        ErrorKind::PermissionDenied => hint(
            anyhow!("this user may not listen on the port: {}", address.port()),
            format!("choose a port above 1023 with {port}"),
        ),
        _ => hint(
            anyhow!("cannot listen on the address: {address}: {error}"),
            format!("choose an address of this machine with {ip}"),
        ),
    }
}

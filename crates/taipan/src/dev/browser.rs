//! Opening a page in whatever browser there is.

use std::env;
use std::process::{Command, Stdio};
use std::thread;

/// Has a browser show `url`: the one that `BROWSER` names, or the desktop's. Without a desktop nothing happens.
pub(crate) fn open(url: &str) {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let has_desktop = || variable("DISPLAY").or_else(|| variable("WAYLAND_DISPLAY")).is_some();
    let program = match variable("BROWSER") {
        Some(program) => program,
        None if cfg!(target_os = "macos") => "open".to_owned(),
        None if cfg!(windows) => "explorer".to_owned(),
        None if has_desktop() => "xdg-open".to_owned(),
        None => return,
    };
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It may be one that stays.
    thread::spawn(move || drop(command.status()));
}

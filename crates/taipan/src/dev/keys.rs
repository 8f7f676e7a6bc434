//! The keys that somebody at the terminal presses while `taipan dev` runs.
//!
//! There are some only while standard input is a terminal and this process is the one in its foreground: what runs behind a shell must
//! neither read what is meant for that nor change how it is read. The terminal gives each key at once and does not show it; how it was
//! before is put back when the handle is dropped, and the process ends by itself on every signal that a key can send.

#[cfg(unix)]
pub(crate) use unix::Keys;

#[cfg(not(unix))]
pub(crate) use none::Keys;

/// What a key means. The letters are wrangler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// `b`: open the Worker in a browser.
    Browser,
    /// `e`: open the explorer of its data.
    Explorer,
    /// `c`: clear the terminal.
    Clear,
    /// `x`, `q`, and Ctrl-D: end.
    Exit,
}

impl Key {
    /// What is said of them.
    pub(crate) const HELP: &str = "[b] open in a browser  [e] explorer of its data  [c] clear  [x] exit";

    #[cfg(unix)]
    fn of(byte: u8) -> Option<Self> {
        Some(match byte.to_ascii_lowercase() {
            b'b' => Self::Browser,
            b'e' => Self::Explorer,
            b'c' => Self::Clear,
            b'x' | b'q' | 4 => Self::Exit,
            _ => return None,
        })
    }
}

#[cfg(unix)]
mod unix {
    use std::io::{self, Stdin};
    use std::os::fd::AsFd;
    use std::time::Duration;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::signal::Signal;
    use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
    use nix::unistd::{getpgrp, read, tcgetpgrp};
    use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::Key;

    /// So often a process behind a shell looks whether it is in the foreground again.
    const BEHIND: Duration = Duration::from_millis(300);

    /// The terminal's keys; dropped, it is as it was.
    pub(crate) struct Keys {
        before: Termios,
        pressed: UnboundedReceiver<Key>,
        /// Ctrl-\, after which nothing could put the terminal back.
        quit: Signals,
        /// A shell that had stopped the process has set the terminal to its own liking.
        resumed: Signals,
    }

    impl Keys {
        /// None when nobody is there to press any.
        pub(crate) fn listen() -> Option<Self> {
            let stdin = io::stdin();
            if !is_ours(&stdin) {
                return None;
            }
            let before = tcgetattr(&stdin).ok()?;
            let kind = |kind| signal(kind).ok();
            let quit = kind(SignalKind::quit())?;
            let resumed = kind(SignalKind::from_raw(Signal::SIGCONT as i32))?;
            let (sender, pressed) = unbounded_channel();
            let thread = std::thread::Builder::new().name("keys".to_owned());
            thread.spawn(move || watch(&stdin, &sender)).ok()?;
            let keys = Self { before, pressed, quit, resumed };
            keys.one_by_one();
            Some(keys)
        }

        /// The next one.
        pub(crate) async fn next(&mut self) -> Key {
            loop {
                tokio::select! {
                    key = self.pressed.recv() => match key {
                        Some(key) => return key,
                        // The terminal is gone. What comes next is a signal, if anything.
                        None => std::future::pending().await,
                    },
                    _ = self.quit.recv() => return Key::Exit,
                    _ = self.resumed.recv() => self.one_by_one(),
                }
            }
        }

        fn one_by_one(&self) {
            let stdin = io::stdin();
            if !is_ours(&stdin) {
                return;
            }
            let mut wanted = self.before.clone();
            wanted.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
            for (index, value) in [(SpecialCharacterIndices::VMIN, 1), (SpecialCharacterIndices::VTIME, 0)] {
                if let Some(place) = wanted.control_chars.get_mut(index as usize) {
                    *place = value;
                }
            }
            tcsetattr(&stdin, SetArg::TCSANOW, &wanted).ok();
        }
    }

    impl Drop for Keys {
        fn drop(&mut self) {
            let stdin = io::stdin();
            if is_ours(&stdin) {
                tcsetattr(&stdin, SetArg::TCSANOW, &self.before).ok();
            }
        }
    }

    /// Whether it is a terminal, and this process in its foreground.
    fn is_ours(stdin: &Stdin) -> bool {
        tcgetpgrp(stdin).is_ok_and(|foreground| foreground == getpgrp())
    }

    /// Reads until the terminal or the listener is gone.
    fn watch(stdin: &Stdin, pressed: &UnboundedSender<Key>) {
        loop {
            let mut ready = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, PollTimeout::NONE) {
                Ok(_) => {}
                Err(nix::Error::EINTR) => continue,
                Err(_) => return,
            }
            if tcgetpgrp(stdin).is_err() {
                return;
            }
            if !is_ours(stdin) {
                // It would be stopped for reading.
                std::thread::sleep(BEHIND);
                continue;
            }
            let mut byte = [0];
            match read(stdin, &mut byte) {
                Ok(0) => return,
                Ok(_) => {
                    let [byte] = byte;
                    if let Some(key) = Key::of(byte)
                        && pressed.send(key).is_err()
                    {
                        return;
                    }
                }
                Err(nix::Error::EINTR | nix::Error::EAGAIN) => {}
                Err(_) => return,
            }
        }
    }
}

#[cfg(not(unix))]
mod none {
    use super::Key;

    /// There are none.
    pub(crate) struct Keys;

    impl Keys {
        pub(crate) fn listen() -> Option<Self> {
            None
        }

        pub(crate) async fn next(&mut self) -> Key {
            std::future::pending().await
        }
    }
}

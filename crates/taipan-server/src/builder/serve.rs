//! The builder's side.

use std::io::{self, BufReader, Write};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use parking_lot::Mutex;
use taipan_bindings::{Embedder, EventSender, HostOps, Requests};
use taipan_engine::{Event, IsolateError, STACK_SIZE, Spares};

use super::wire::{self, Job, Outcome, Said};
use crate::boot::Image;
use crate::{Console, Level, RequestLog};

/// Makes snapshots, as a [`super::Builder`] in another process asks for, until standard input ends. Standard output belongs to
/// it.
///
/// # Errors
/// When standard input or output fails.
pub fn serve(spares: Arc<Spares>) -> io::Result<()> {
    // Turns need more stack than a main thread has.
    let thread = thread::Builder::new().stack_size(STACK_SIZE).spawn(move || work(&spares))?;
    thread.join().map_err(|_| io::Error::other("making a snapshot failed"))?
}

fn work(spares: &Arc<Spares>) -> io::Result<()> {
    // Nothing is known yet but that it continues from here.
    if let Ok(base) = spares.runtime().base() {
        spares.expect(&base);
    }
    let mut input = BufReader::new(io::stdin().lock());
    while let Some(job) = wire::read::<Job>(&mut input)? {
        let spec = job.into_spec()?;
        let image = Image::new(spares.clone(), spec, Arc::new(Teller), None);
        let (made, lesson) = match image.make_files(&|| host(false)) {
            Ok((made, lesson)) => (Ok(made), lesson),
            Err(error) => (Err(error), None),
        };
        say(&Said::Done(Outcome::of(made)))?;
        if let Some(lesson) = lesson {
            image.learn(lesson, &silent_host);
        }
    }
    Ok(())
}

fn say(said: &Said) -> io::Result<()> {
    let mut output = io::stdout().lock();
    wire::write(&mut output, said)?;
    output.flush()
}

/// Forwards what is said.
struct Teller;

impl Teller {
    fn say(&self, said: &Said) {
        // When nobody listens any more, the job is nobody's either.
        drop(say(said));
    }
}

impl Console for Teller {
    fn guest(&self, level: Level, line: &str) {
        self.say(&Said::Guest { level: level as u8, line: line.to_owned() });
    }

    fn warning(&self, text: &str) {
        self.say(&Said::Warning(text.to_owned()));
    }

    // There are no requests.
    fn request(&self, _request: &RequestLog<'_>) {}
    fn failure(&self, _text: &str) {}
    fn isolate_stopped(&self, _error: &IsolateError, _requests: usize) {}
}

/// The outside of an isolate that nobody sends requests to.
struct Alone {
    events: Arc<Mutex<mpsc::Receiver<Event>>>,
    /// What it prints has been printed before.
    is_silent: bool,
}

/// The outside of an isolate that nobody sends requests to and nobody listens to.
pub(crate) fn silent_host() -> HostOps {
    host(true)
}

fn host(is_silent: bool) -> HostOps {
    let (sender, receiver) = mpsc::channel();
    // The isolate may end before the operation.
    let completed = EventSender::new(move |event| drop(sender.send(event)));
    let events = Arc::new(Mutex::new(receiver));
    HostOps::new(Requests::default(), completed, Box::new(Alone { events, is_silent }))
}

impl Embedder for Alone {
    fn log(&mut self, level: u8, line: &str) {
        if !self.is_silent {
            Teller.guest(Level::from(level), line);
        }
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<Event> {
        let events = self.events.lock();
        match deadline {
            Some(deadline) => events.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok(),
            None => events.recv().ok(),
        }
    }
}

//! `program.*`: what a program has that is no Worker: standard streams, modules that come when they are imported, and an end.

use std::io;

use taipan_engine::OpReply;
use taipan_guest::protocol::{Field, Message};

use super::OpError;

/// The streams of a program, and what else it asks for.
pub trait Process: Send {
    /// Up to `most` bytes of standard input, none at its end. May wait: a program has its isolate to itself.
    ///
    /// # Errors
    /// When it cannot be read.
    fn input(&mut self, most: usize) -> io::Result<Vec<u8>>;

    /// A line that a person types after the prompt; `None` at the end of input. Interrupted, it fails with
    /// [`io::ErrorKind::Interrupted`].
    ///
    /// # Errors
    /// When it cannot be read.
    fn line(&mut self, prompt: &str) -> io::Result<Option<String>>;

    /// Writes to standard output, or to standard error.
    ///
    /// # Errors
    /// When nobody reads it any more.
    fn output(&mut self, is_error: bool, bytes: &[u8]) -> io::Result<()>;

    /// Has a module of the standard library that the release lacks come to the packages.
    ///
    /// # Errors
    /// When it is nowhere to be had.
    fn obtain(&mut self, module: &str) -> io::Result<()> {
        Err(io::Error::other(format!("no such module: {module}")))
    }

    /// The program has ended.
    fn exit(&mut self, status: u8);
}

const STDERR: u32 = 2;

/// In place of a line.
const INTERRUPTED: u32 = 0;

/// Of one read: a guest may ask for more.
const MOST: u32 = 1 << 20;

pub(super) fn call(verb: &str, args: &Message<'_>, process: &mut dyn Process) -> Result<OpReply, OpError> {
    let answer: io::Result<Vec<Field>> = match verb {
        "input" => process.input(args.u32(0)?.min(MOST) as usize).map(|bytes| vec![bytes.into()]),
        "line" => match process.line(args.str(0)?) {
            Ok(line) => Ok(vec![line.map_or(Field::Null, Field::from)]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(vec![INTERRUPTED.into()]),
            Err(error) => Err(error),
        },
        "output" => process.output(args.u32(0)? == STDERR, args.bytes(1)?).map(|()| vec![]),
        "obtain" => process.obtain(args.str(0)?).map(|()| vec![]),
        "exit" => {
            process.exit(u8::try_from(args.u32(0)?).unwrap_or(1));
            Ok(vec![])
        }
        _ => return Err(OpError::unknown(verb)),
    };
    Ok(OpReply::Ready(answer.map_err(|e| OpError::type_error(e.to_string()))?))
}

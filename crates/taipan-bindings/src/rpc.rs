//! Calls between isolates: methods of other Workers, and functions that were passed by reference.
//!
//! A function stays in the isolate that has it, and is known elsewhere by a token: 128 random bits, which only those have who were
//! given it. Each of them may hold it several times, and it is released when nobody holds it any more. The isolate asks for calls one after the other (`rpc.next`), as it would read from a connection; when it is gone, so are its
//! functions, and whoever waits for an answer is told.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use taipan_engine::{Event, OpReply};
use taipan_guest::protocol::Field;

use crate::EventSender;

/// Largest arguments or result, in bytes.
pub(crate) const LARGEST_VALUE: usize = 32 << 20;

/// How deep calls may be in one another: a Worker that calls one that calls the first ends there.
pub const DEEPEST_CALL: u32 = 16;

/// How many functions an isolate may have with others, and how many calls of them may wait.
const MOST_FUNCTIONS: usize = 10_000;
const MOST_CALLS: usize = 10_000;

/// How often a function may be held.
const MOST_HOLDS: u32 = 1_000_000;

const GONE: &str = "the function or object is not there any more: its Worker is gone, it has been disposed of, or it came as an \
    argument of a call that has returned, which only its dup() outlives";

/// The call of a method. Dropped without an answer, it fails.
pub struct RpcCall {
    /// Its name.
    pub method: String,
    /// Its arguments, as the guest has written them.
    pub arguments: Bytes,
    /// How many calls this one is in.
    pub depth: u32,
    id: u32,
    events: Option<EventSender>,
}

impl RpcCall {
    pub(crate) fn new(method: String, arguments: Bytes, depth: u32, id: u32, events: EventSender) -> Self {
        Self { method, arguments, depth, id, events: Some(events) }
    }

    /// Gives what the other guest has written.
    pub fn answer(mut self, answer: Bytes) {
        if answer.len() > LARGEST_VALUE {
            let message = format!("the result is too large: {} > {LARGEST_VALUE} bytes", answer.len());
            return self.end(Err(message));
        }
        self.end(Ok(answer));
    }

    /// Says why there is no answer.
    pub fn fail(mut self, message: String) {
        self.end(Err(message));
    }

    fn end(&mut self, result: Result<Bytes, String>) {
        let Some(events) = self.events.take() else { return };
        events.send(match result {
            Ok(bytes) => Event::Complete { id: self.id, fields: vec![Field::Bytes(bytes.into())] },
            Err(message) => Event::Failed { id: self.id, name: "Error", message },
        });
    }
}

impl Drop for RpcCall {
    fn drop(&mut self) {
        self.end(Err("the call was given up".to_owned()));
    }
}

impl fmt::Debug for RpcCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RpcCall({})", self.method)
    }
}

/// The functions of all isolates of a process. A cheap handle; clones are the same table.
#[derive(Clone, Default)]
pub struct Functions(Arc<Mutex<Table>>);

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Functions")
    }
}

#[derive(Default)]
struct Table {
    last: u64,
    owners: HashMap<u64, Owner>,
    functions: HashMap<String, Function>,
    calls: HashMap<u64, Waiting>,
}

/// A function with others.
struct Function {
    owner: u64,
    /// How often it is held.
    holds: u32,
}

/// An isolate that has functions.
#[derive(Default)]
struct Owner {
    /// It waits for something to do.
    next: Option<(u32, EventSender)>,
    queue: VecDeque<Vec<Field>>,
    functions: HashSet<String>,
}

/// Somebody waits for what a function returns.
struct Waiting {
    owner: u64,
    id: u32,
    events: EventSender,
}

impl Owner {
    fn tell(&mut self, fields: Vec<Field>) {
        match self.next.take() {
            Some((id, events)) => events.send(Event::Complete { id, fields }),
            None => self.queue.push_back(fields),
        }
    }
}

/// One isolate's place among the others.
pub(crate) struct Seat {
    functions: Functions,
    owner: u64,
}

impl Functions {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn seat(&self) -> Seat {
        let mut table = self.lock();
        table.last += 1;
        Seat { functions: self.clone(), owner: table.last }
    }
}

impl Seat {
    /// Gives a function of this isolate a token.
    pub(crate) fn export(&self) -> Result<String, String> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| format!("the system has no random bytes: {error}"))?;
        let token = format!("{:032x}", u128::from_le_bytes(random));
        let table = &mut *self.functions.lock();
        let owner = table.owners.entry(self.owner).or_default();
        if owner.functions.len() >= MOST_FUNCTIONS {
            return Err(format!("too many functions and objects are with other Workers: {MOST_FUNCTIONS}"));
        }
        owner.functions.insert(token.clone());
        table.functions.insert(token.clone(), Function { owner: self.owner, holds: 1 });
        Ok(token)
    }

    /// Waits for a call, or for a function that nobody needs any more.
    pub(crate) fn next(&self, id: u32, events: EventSender) -> OpReply {
        let mut table = self.functions.lock();
        let owner = table.owners.entry(self.owner).or_default();
        match owner.queue.pop_front() {
            Some(fields) => OpReply::Ready(fields),
            None => {
                owner.next = Some((id, events));
                OpReply::Later
            }
        }
    }

    /// Calls a function.
    pub(crate) fn invoke(
        &self,
        token: &str,
        arguments: Bytes,
        id: u32,
        events: EventSender,
    ) -> Result<(), String> {
        if arguments.len() > LARGEST_VALUE {
            return Err(format!("the arguments are too large: {} > {LARGEST_VALUE} bytes", arguments.len()));
        }
        let table = &mut *self.functions.lock();
        let owner = table.functions.get(token).map(|function| function.owner).ok_or(GONE)?;
        let found = table.owners.get_mut(&owner).ok_or(GONE)?;
        if found.queue.len() >= MOST_CALLS {
            return Err(format!("too many calls wait for the Worker that has the function: {MOST_CALLS}"));
        }
        table.last += 1;
        let call = table.last;
        table.calls.insert(call, Waiting { owner, id, events });
        // Exact up to 2⁵³ calls.
        found.tell(vec![
            "call".into(),
            Field::Num(call as f64),
            token.into(),
            Field::Bytes(arguments.into()),
        ]);
        Ok(())
    }

    /// Answers a call of one of this isolate's functions.
    pub(crate) fn reply(&self, call: f64, answer: Bytes) {
        let table = &mut *self.functions.lock();
        let number = call as u64;
        // Nobody answers for another.
        if table.calls.get(&number).is_none_or(|waiting| waiting.owner != self.owner) {
            return;
        }
        let Some(Waiting { id, events, .. }) = table.calls.remove(&number) else { return };
        events.send(if answer.len() > LARGEST_VALUE {
            let message = format!("the result is too large: {} > {LARGEST_VALUE} bytes", answer.len());
            Event::Failed { id, name: "Error", message }
        } else {
            Event::Complete { id, fields: vec![Field::Bytes(answer.into())] }
        });
    }

    /// Somebody holds the function once more.
    pub(crate) fn retain(&self, token: &str) -> Result<(), String> {
        let table = &mut *self.functions.lock();
        let function = table.functions.get_mut(token).ok_or(GONE)?;
        if function.holds >= MOST_HOLDS {
            return Err(format!("the function or object is held too often: {MOST_HOLDS}"));
        }
        function.holds += 1;
        Ok(())
    }

    /// Somebody does not need the function any more.
    pub(crate) fn release(&self, token: &str) {
        let table = &mut *self.functions.lock();
        let Some(function) = table.functions.get_mut(token) else { return };
        function.holds -= 1;
        if function.holds > 0 {
            return;
        }
        let owner = function.owner;
        table.functions.remove(token);
        if let Some(owner) = table.owners.get_mut(&owner) {
            owner.functions.remove(token);
            owner.tell(vec!["release".into(), token.into()]);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let table = &mut *self.functions.lock();
        let Some(gone) = table.owners.remove(&self.owner) else { return };
        for token in &gone.functions {
            table.functions.remove(token);
        }
        table.calls.retain(|_, waiting| {
            let is_ours = waiting.owner == self.owner;
            if is_ours {
                waiting.events.send(Event::Failed {
                    id: waiting.id,
                    name: "Error",
                    message: GONE.to_owned(),
                });
            }
            !is_ours
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn events() -> (EventSender, mpsc::Receiver<Event>) {
        let (sender, events) = mpsc::channel();
        (EventSender::new(move |event| drop(sender.send(event))), events)
    }

    #[test]
    fn a_function_is_called_by_whoever_has_its_token_until_its_isolate_is_gone() {
        let all = Functions::default();
        let (here, there) = (all.seat(), all.seat());
        let (to_here, heard_here) = events();
        let (to_there, heard_there) = events();
        let token = here.export().unwrap();
        assert_eq!(here.next(1, to_here.clone()), OpReply::Later);
        there.invoke(&token, Bytes::from_static(b"in"), 2, to_there.clone()).unwrap();
        let Event::Complete { id: 1, fields } = heard_here.recv().unwrap() else { panic!() };
        let [_, Field::Num(call), Field::Str(called), Field::Bytes(arguments)] = &fields[..] else {
            panic!()
        };
        assert_eq!((called, &arguments[..]), (&token, &b"in"[..]));
        // Only its owner answers.
        there.reply(*call, Bytes::from_static(b"forged"));
        here.reply(*call, Bytes::from_static(b"out"));
        here.reply(*call, Bytes::from_static(b"twice"));
        let answer = vec![Field::Bytes(b"out".to_vec())];
        assert!(matches!(heard_there.recv().unwrap(), Event::Complete { id: 2, fields } if fields == answer));
        assert!(heard_there.try_recv().is_err());

        let second = here.export().unwrap();
        // Held twice, it is released with the second time.
        there.retain(&token).unwrap();
        there.release(&token);
        there.invoke(&token, Bytes::new(), 6, to_there.clone()).unwrap();
        let OpReply::Ready(called) = here.next(7, to_here.clone()) else { panic!() };
        assert_eq!(called[0], "call".into());
        there.release(&token);
        assert_eq!(there.retain(&token).unwrap_err(), GONE);
        assert_eq!(there.invoke(&token, Bytes::new(), 3, to_there.clone()).unwrap_err(), GONE);
        let OpReply::Ready(told) = here.next(4, to_here) else { panic!() };
        assert_eq!(told, ["release".into(), Field::from(token)]);
        there.invoke(&second, Bytes::new(), 5, to_there).unwrap();
        drop(here);
        let mut failed =
            [heard_there.recv().unwrap(), heard_there.recv().unwrap()].map(|event| match event {
                Event::Failed { id, .. } => id,
                other => panic!("{other:?}"),
            });
        failed.sort_unstable();
        assert_eq!(failed, [5, 6]);
        assert!(there.functions.lock().functions.is_empty());
    }

    #[test]
    fn functions_calls_and_values_have_bounds() {
        let all = Functions::default();
        let (here, there) = (all.seat(), all.seat());
        let (to_there, heard_there) = events();
        let token = here.export().unwrap();
        for _ in 1..10_000 {
            here.export().unwrap();
        }
        assert_eq!(
            here.export().unwrap_err(),
            "too many functions and objects are with other Workers: 10000"
        );
        there.export().unwrap();
        let large = Bytes::from(vec![0; (32 << 20) + 1]);
        let refused = there.invoke(&token, large.clone(), 1, to_there.clone()).unwrap_err();
        assert_eq!(refused, "the arguments are too large: 33554433 > 33554432 bytes");
        for id in 0..10_000 {
            there.invoke(&token, Bytes::new(), id, to_there.clone()).unwrap();
        }
        let refused = there.invoke(&token, Bytes::new(), 1, to_there.clone()).unwrap_err();
        assert_eq!(refused, "too many calls wait for the Worker that has the function: 10000");
        let OpReply::Ready(called) = here.next(1, to_there.clone()) else { panic!() };
        let Field::Num(call) = called[1] else { panic!() };
        here.reply(call, large.clone());
        let Event::Failed { message, .. } = heard_there.recv().unwrap() else { panic!() };
        assert_eq!(message, "the result is too large: 33554433 > 33554432 bytes");

        RpcCall::new("method".into(), Bytes::new(), 1, 3, to_there).answer(large);
        let Event::Failed { id: 3, message, .. } = heard_there.recv().unwrap() else { panic!() };
        assert_eq!(message, "the result is too large: 33554433 > 33554432 bytes");
    }
}

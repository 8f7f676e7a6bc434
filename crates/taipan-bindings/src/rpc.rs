//! Calls between isolates: methods of other Workers, and functions that were passed by reference.
//!
//! A function stays in the isolate that has it, and is known elsewhere by a token: 128 random bits, which only those have who were
//! given it. Each of them may hold it several times, and it is released when nobody holds it any more. The isolate asks for calls one after the other (`rpc.next`), as it would read from a connection; when it is gone, so are its
//! functions, and whoever waits for an answer is told. So are those who asked to be (`rpc.watch`), and what it held of others' is released.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use taipan_engine::{Event, OpReply};
use taipan_guest::protocol::Field;

use crate::EventSender;

mod results;

pub use results::ResultKey;
use results::{Asked, Progress};

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

/// Its isolate always claims a result before it answers, unless the Worker has changed our code in the sandbox.
const UNCLAIMED: &str = "nothing can be asked of the result: the Worker does not keep it";

/// The call of a method. Dropped without an answer, it fails.
pub struct RpcCall {
    /// Its name.
    pub method: String,
    /// Its arguments, as the guest has written them.
    arguments: Bytes,
    /// How many calls this one is in.
    pub depth: u32,
    /// By what its result is known before it is there.
    pub result: ResultKey,
    functions: Functions,
    id: u32,
    events: Option<EventSender>,
}

impl RpcCall {
    /// A call that is made by the isolate of the seat, as one of this number.
    pub(crate) fn new(
        method: String,
        arguments: Bytes,
        depth: u32,
        (seat, number): (&Seat, u64),
        (id, events): (u32, EventSender),
    ) -> Self {
        let result = seat.result(number);
        let functions = seat.functions.clone();
        functions.lock().begin(Some(result));
        Self { method, arguments, depth, result, functions, id, events: Some(events) }
    }

    /// Takes the arguments, which are nobody else's then: they are passed on without a copy.
    pub fn take_arguments(&mut self) -> Bytes {
        std::mem::take(&mut self.arguments)
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
        let failure = result.as_ref().err().map_or(UNCLAIMED, String::as_str);
        self.functions.lock().end(Some(self.result), failure);
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
    results: HashMap<ResultKey, Progress>,
    watches: HashMap<(u64, u64), Watch>,
}

/// An isolate, by its seat, wants to be told when the owner of a function is gone.
struct Watch {
    owner: u64,
    id: u32,
    events: EventSender,
}

impl Watch {
    fn end(self, is_gone: bool) {
        let fields = if is_gone { vec![Field::Num(1.0)] } else { vec![] };
        self.events.send(Event::Complete { id: self.id, fields });
    }
}

/// A function with others.
struct Function {
    owner: u64,
    /// How often it is held.
    holds: u32,
}

/// An isolate that has functions, or uses those of others.
#[derive(Default)]
struct Owner {
    /// It waits for something to do.
    next: Option<(u32, EventSender)>,
    queue: VecDeque<Vec<Field>>,
    functions: HashSet<String>,
    /// Those of others that it holds, and how often.
    held: HashMap<String, u32>,
    /// How many results it has reserved.
    wanted: usize,
    watches: usize,
}

/// Somebody waits for what a function returns.
struct Waiting {
    owner: u64,
    id: u32,
    events: EventSender,
    key: Option<ResultKey>,
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
        let owner = table.last;
        table.owners.insert(owner, Owner::default());
        Seat { functions: self.clone(), owner }
    }
}

impl Table {
    fn release(&mut self, token: &str, holds: u32) {
        let Some(function) = self.functions.get_mut(token) else { return };
        function.holds = function.holds.saturating_sub(holds);
        if function.holds > 0 {
            return;
        }
        let owner = function.owner;
        self.functions.remove(token);
        if let Some(owner) = self.owners.get_mut(&owner) {
            owner.functions.remove(token);
            owner.tell(vec!["release".into(), token.into()]);
        }
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

    fn result(&self, number: u64) -> ResultKey {
        ResultKey { seat: self.owner, number }
    }

    /// More will be asked of the result of this isolate's call before it is there. False when it is on its way.
    pub(crate) fn reserve(&self, number: u64) -> bool {
        self.functions.lock().reserve(self.result(number))
    }

    /// This isolate has the result of a call that was made of it. Gives the number under which it keeps it, if it is to.
    pub(crate) fn claim(&self, key: ResultKey) -> Option<u64> {
        self.functions.lock().claim(self.owner, key)
    }

    /// This isolate has the answer to its call, and asks nothing more of the result elsewhere.
    pub(crate) fn settled(&self, number: u64) {
        self.functions.lock().settled(self.result(number));
    }

    /// Calls a member of the result of this isolate's call `of`, which it has reserved.
    pub(crate) fn ask(
        &self,
        of: u64,
        arguments: Bytes,
        number: u64,
        id: u32,
        events: EventSender,
    ) -> Result<(), String> {
        check_arguments(&arguments)?;
        let key = Some(self.result(number));
        self.functions.lock().ask(self.result(of), Asked { arguments, id, events, key })
    }

    /// Calls a function. Its result is known by the number, if there is one, before it is there.
    pub(crate) fn invoke(
        &self,
        token: &str,
        arguments: Bytes,
        number: Option<u64>,
        id: u32,
        events: EventSender,
    ) -> Result<(), String> {
        check_arguments(&arguments)?;
        let table = &mut *self.functions.lock();
        let owner = table.functions.get(token).map(|function| function.owner).ok_or(GONE)?;
        let found = table.owners.get_mut(&owner).ok_or(GONE)?;
        if found.queue.len() >= MOST_CALLS {
            return Err(format!("too many calls wait for the Worker that has the function: {MOST_CALLS}"));
        }
        table.last += 1;
        let call = table.last;
        let key = number.map(|number| self.result(number));
        table.calls.insert(call, Waiting { owner, id, events, key });
        // Exact up to 2⁵³ calls.
        found.tell(vec![
            "call".into(),
            Field::Num(call as f64),
            token.into(),
            Field::Bytes(arguments.into()),
        ]);
        table.begin(key);
        Ok(())
    }

    /// Answers a call of one of this isolate's functions. Gives the number under which it keeps the result, if it is to.
    pub(crate) fn reply(&self, call: u64, answer: Bytes) -> Option<u64> {
        let table = &mut *self.functions.lock();
        // Nobody answers for another.
        if table.calls.get(&call).is_none_or(|waiting| waiting.owner != self.owner) {
            return None;
        }
        let Waiting { id, events, key, .. } = table.calls.remove(&call)?;
        let kept = key.and_then(|key| table.claim(self.owner, key));
        events.send(if answer.len() > LARGEST_VALUE {
            let message = format!("the result is too large: {} > {LARGEST_VALUE} bytes", answer.len());
            Event::Failed { id, name: "Error", message }
        } else {
            Event::Complete { id, fields: vec![Field::Bytes(answer.into())] }
        });
        kept
    }

    /// This isolate was given the function by a result, and holds it.
    pub(crate) fn hold(&self, token: &str) {
        let table = &mut *self.functions.lock();
        if table.functions.contains_key(token)
            && let Some(holder) = table.owners.get_mut(&self.owner)
        {
            *holder.held.entry(token.to_owned()).or_default() += 1;
        }
    }

    /// Waits for the function's isolate to be gone, or for the watch of this number to be given up.
    pub(crate) fn watch(
        &self,
        token: &str,
        number: u64,
        id: u32,
        events: EventSender,
    ) -> Result<OpReply, String> {
        let table = &mut *self.functions.lock();
        let Some(function) = table.functions.get(token) else {
            return Ok(OpReply::Ready(vec![Field::Num(1.0)]));
        };
        let owner = function.owner;
        let Some(watcher) = table.owners.get_mut(&self.owner) else { return Ok(OpReply::Ready(vec![])) };
        if watcher.watches >= MOST_FUNCTIONS {
            return Err(format!("too many functions and objects are watched: {MOST_FUNCTIONS}"));
        }
        watcher.watches += 1;
        if let Some(before) = table.watches.insert((self.owner, number), Watch { owner, id, events }) {
            before.end(false);
        }
        Ok(OpReply::Later)
    }

    /// Gives up a watch.
    pub(crate) fn unwatch(&self, number: u64) {
        let table = &mut *self.functions.lock();
        if let Some(watch) = table.watches.remove(&(self.owner, number)) {
            if let Some(watcher) = table.owners.get_mut(&self.owner) {
                watcher.watches = watcher.watches.saturating_sub(1);
            }
            watch.end(false);
        }
    }

    /// Somebody holds the function once more.
    pub(crate) fn retain(&self, token: &str) -> Result<(), String> {
        let table = &mut *self.functions.lock();
        let function = table.functions.get_mut(token).ok_or(GONE)?;
        if function.holds >= MOST_HOLDS {
            return Err(format!("the function or object is held too often: {MOST_HOLDS}"));
        }
        function.holds += 1;
        if let Some(holder) = table.owners.get_mut(&self.owner) {
            *holder.held.entry(token.to_owned()).or_default() += 1;
        }
        Ok(())
    }

    /// Somebody does not need the function any more.
    pub(crate) fn release(&self, token: &str) {
        let table = &mut *self.functions.lock();
        if let Some(holder) = table.owners.get_mut(&self.owner)
            && let Some(holds) = holder.held.get_mut(token)
        {
            *holds -= 1;
            if *holds == 0 {
                holder.held.remove(token);
            }
        }
        table.release(token, 1);
    }
}

fn check_arguments(arguments: &Bytes) -> Result<(), String> {
    if arguments.len() > LARGEST_VALUE {
        return Err(format!("the arguments are too large: {} > {LARGEST_VALUE} bytes", arguments.len()));
    }
    Ok(())
}

impl Drop for Seat {
    fn drop(&mut self) {
        let table = &mut *self.functions.lock();
        table.abandon(self.owner);
        let Some(gone) = table.owners.remove(&self.owner) else { return };
        for token in &gone.functions {
            table.functions.remove(token);
        }
        for (token, holds) in &gone.held {
            table.release(token, *holds);
        }
        for (_, Waiting { id, events, key, .. }) in
            table.calls.extract_if(|_, waiting| waiting.owner == self.owner).collect::<Vec<_>>()
        {
            events.send(Event::Failed { id, name: "Error", message: GONE.to_owned() });
            table.end(key, GONE);
        }
        let watches =
            table.watches.extract_if(|(seat, _), watch| *seat == self.owner || watch.owner == self.owner);
        for ((seat, _), watch) in watches.collect::<Vec<_>>() {
            if let Some(watcher) = table.owners.get_mut(&seat) {
                watcher.watches = watcher.watches.saturating_sub(1);
                watch.end(true);
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Results of which more is asked before they are there.
//!
//! ```text
//!  caller                     host                          callee
//!  call 7             ──▶  7 is under way         ──▶  the method runs
//!  reserve 7          ──▶  7 is wanted
//!  8, asked of 7      ──▶  8 waits for 7
//!                          7 is kept there as 1   ◀──  claim: the method has returned
//!                          8                      ──▶  called of what is kept as 1
//!                     ◀──  7's answer             ◀──
//!  7 is settled       ──▶                         ──▶  1 need not be kept
//! ```
//! So a chain of calls crosses once, in its order, however long the first of them takes. Of a result that nobody reserved, nothing is
//! kept: what is asked of it once it is on its way, its caller asks of the answer.

use bytes::Bytes;
use taipan_engine::Event;
use taipan_guest::protocol::Field;

use super::{GONE, MOST_CALLS, MOST_FUNCTIONS, Table, Waiting};
use crate::EventSender;

/// A result, by the isolate that waits for it and the number that it has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResultKey {
    pub(super) seat: u64,
    pub(super) number: u64,
}

/// How far a result is.
pub(super) enum Progress {
    /// There is none yet. What is asked of it waits, if it is wanted.
    UnderWay { is_wanted: bool, waiting: Vec<Asked> },
    /// The isolate that has it keeps it under this number.
    Kept { owner: u64, number: u64 },
}

/// A call of a result's member.
pub(super) struct Asked {
    pub(super) arguments: Bytes,
    pub(super) id: u32,
    pub(super) events: EventSender,
    pub(super) key: Option<ResultKey>,
}

impl Asked {
    fn fail(self, message: &str) -> Option<ResultKey> {
        self.events.send(Event::Failed { id: self.id, name: "Error", message: message.to_owned() });
        self.key
    }
}

impl Table {
    /// A call is made, by whose number others may name its result.
    pub(super) fn begin(&mut self, key: Option<ResultKey>) {
        if let Some(key) = key {
            self.results.insert(key, Progress::UnderWay { is_wanted: false, waiting: Vec::new() });
        }
    }

    /// The answer is on its way to the caller. What is asked of the result and was not delivered never will be.
    pub(super) fn end(&mut self, key: Option<ResultKey>, message: &str) {
        let mut keys: Vec<ResultKey> = key.into_iter().collect();
        while let Some(key) = keys.pop() {
            if !matches!(self.results.get(&key), Some(Progress::UnderWay { .. })) {
                continue;
            }
            if let Some(Progress::UnderWay { waiting, .. }) = self.forget(key) {
                keys.extend(waiting.into_iter().filter_map(|asked| asked.fail(message)));
            }
        }
    }

    fn forget(&mut self, key: ResultKey) -> Option<Progress> {
        let progress = self.results.remove(&key)?;
        if !matches!(progress, Progress::UnderWay { is_wanted: false, .. })
            && let Some(caller) = self.owners.get_mut(&key.seat)
        {
            caller.wanted = caller.wanted.saturating_sub(1);
        }
        Some(progress)
    }

    /// More will be asked of the result before it is there. Not if it is on its way.
    pub(super) fn reserve(&mut self, key: ResultKey) -> bool {
        let Some(Progress::UnderWay { is_wanted, .. }) = self.results.get_mut(&key) else { return false };
        let Some(caller) = self.owners.get_mut(&key.seat) else { return false };
        if *is_wanted || caller.wanted >= MOST_FUNCTIONS {
            return *is_wanted;
        }
        caller.wanted += 1;
        *is_wanted = true;
        true
    }

    /// The isolate has the result. Gives the number under which it is to be kept, if it is.
    pub(super) fn claim(&mut self, owner: u64, key: ResultKey) -> Option<u64> {
        match self.results.get(&key)? {
            Progress::Kept { .. } => return None,
            Progress::UnderWay { is_wanted: false, .. } => {
                self.forget(key);
                return None;
            }
            Progress::UnderWay { .. } => {}
        }
        self.last += 1;
        let number = self.last;
        if let Some(Progress::UnderWay { waiting, .. }) =
            self.results.insert(key, Progress::Kept { owner, number })
        {
            for asked in waiting {
                self.deliver(owner, number, asked);
            }
        }
        Some(number)
    }

    /// Calls a member of a result that was reserved.
    pub(super) fn ask(&mut self, of: ResultKey, asked: Asked) -> Result<(), String> {
        match self.results.get_mut(&of) {
            Some(Progress::UnderWay { is_wanted: true, waiting }) => {
                if waiting.len() >= MOST_CALLS {
                    return Err(format!("too many calls wait for one result: {MOST_CALLS}"));
                }
                let key = asked.key;
                waiting.push(asked);
                self.begin(key);
            }
            Some(&mut Progress::Kept { owner, number }) => {
                self.begin(asked.key);
                self.deliver(owner, number, asked);
            }
            _ => return Err("nothing can be asked of the result: its call has failed".to_owned()),
        }
        Ok(())
    }

    fn deliver(&mut self, owner: u64, kept: u64, asked: Asked) {
        let found = self.owners.get_mut(&owner).filter(|found| found.queue.len() < MOST_CALLS);
        let Some(found) = found else {
            let key = asked.fail(GONE);
            return self.end(key, GONE);
        };
        let Asked { arguments, id, events, key } = asked;
        self.last += 1;
        let call = self.last;
        self.calls.insert(call, Waiting { owner, id, events, key });
        // Exact up to 2⁵³ calls.
        found.tell(vec![
            "piped".into(),
            Field::Num(call as f64),
            Field::Num(kept as f64),
            Field::Bytes(arguments.into()),
        ]);
    }

    /// Its caller has the answer, and asks nothing more of the result elsewhere.
    pub(super) fn settled(&mut self, key: ResultKey) {
        // Before the answer there is nobody to tell.
        if let Some(Progress::Kept { .. }) = self.results.get(&key)
            && let Some(Progress::Kept { owner, number }) = self.forget(key)
            && let Some(owner) = self.owners.get_mut(&owner)
        {
            owner.tell(vec!["settled".into(), Field::Num(number as f64)]);
        }
    }

    /// The isolate is gone, and asks for nothing any more.
    pub(super) fn abandon(&mut self, seat: u64) {
        let keys: Vec<ResultKey> = self.results.keys().filter(|key| key.seat == seat).copied().collect();
        for key in keys {
            self.settled(key);
            self.results.remove(&key);
        }
    }
}

//! The functions that guest JavaScript knows, by number.
//!
//! A number means a function for the isolate's whole life, snapshots included, so each has an *origin*: a description by
//! which a restored isolate finds the same function again. Thousands of functions are known and a few dozen are called
//! between two restores; therefore origins are shared by all isolates of a snapshot and functions are found when they
//! are first asked for.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wasmtime::Func;

use crate::layered::Layered;
use crate::signature::Signature;

/// How to find a function in a new store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// An export of an instance, with its signature if that has references.
    Export { instance: u32, name: String, signature: Option<String> },
    /// What the instances' own element segments put into the function table.
    Table(u32),
    /// A function that calls the JavaScript function in a slot.
    Trampoline { slot: u32, signature: String },
    /// It came out of WebAssembly code and is neither exported nor in the table.
    Unknown,
}

/// A function that guest JavaScript knows.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) func: Func,
    /// `None` for a type that JavaScript cannot call; it can still be stored in tables and imported.
    pub(crate) signature: Option<Arc<Signature>>,
}

const PAGE: usize = 64;

/// Functions by number.
#[derive(Default)]
pub(crate) struct Functions {
    /// What the snapshot knew: the first numbers.
    frozen: Arc<Layered<Origin>>,
    /// What became known since: the numbers after those.
    origins: Vec<Origin>,
    /// Found functions, in pages: a restored isolate finds few of them.
    found: Vec<Option<Box<[Option<Function>; PAGE]>>>,
    by_address: HashMap<usize, u32>,
    /// Whether every frozen function was looked up, which is needed once a function of unknown number turns up.
    all_found: bool,
}

impl Functions {
    /// Takes over the numbers of a snapshot, which begin with those of the layer below it.
    pub(crate) fn restore(&mut self, frozen: Arc<Layered<Origin>>) {
        self.all_found = false;
        self.frozen = frozen;
    }

    pub(crate) fn len(&self) -> usize {
        self.frozen.len() + self.origins.len()
    }

    pub(crate) fn origin(&self, number: u32) -> Option<&Origin> {
        let i = number as usize;
        self.frozen.get(i).or_else(|| self.origins.get(i.checked_sub(self.frozen.len())?))
    }

    /// The function, if it was found already.
    pub(crate) fn get(&self, number: u32) -> Option<&Function> {
        let i = number as usize;
        self.found.get(i / PAGE)?.as_ref()?.get(i % PAGE)?.as_ref()
    }

    /// Whether a function of unknown address may be one of the frozen ones.
    pub(crate) fn may_be_frozen(&self) -> bool {
        !self.all_found && self.frozen.len() > 0
    }

    pub(crate) fn frozen_numbers(&mut self) -> std::ops::Range<u32> {
        self.all_found = true;
        0..crate::state::count(self.frozen.len())
    }

    pub(crate) fn number(&self, address: usize) -> Option<u32> {
        self.by_address.get(&address).copied()
    }

    /// Remembers what was found for a number. The first number that leads to an address stays the function's.
    pub(crate) fn found(&mut self, number: u32, address: usize, function: Function) {
        let i = number as usize;
        if self.found.len() <= i / PAGE {
            self.found.resize_with(i / PAGE + 1, || None);
        }
        let page = self.found.get_mut(i / PAGE);
        let place =
            page.and_then(|p| p.get_or_insert_with(|| Box::new([const { None }; PAGE])).get_mut(i % PAGE));
        if let Some(place) = place {
            *place = Some(function);
        }
        self.by_address.entry(address).or_insert(number);
    }

    /// A number for a function that has none.
    pub(crate) fn add(&mut self, address: usize, origin: Origin, function: Function) -> u32 {
        let number = crate::state::count(self.len());
        self.origins.push(origin);
        self.found(number, address, function);
        number
    }

    /// All origins, in the order of their numbers, upon those of the snapshot or as a list of its own.
    pub(crate) fn freeze(&self, whole: bool) -> Layered<Origin> {
        Layered::extended(&self.frozen, &self.origins, whole)
    }
}

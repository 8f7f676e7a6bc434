//! The function table, which is larger than anybody inside is told.
//!
//! Wasmtime fills the table when its entries are first asked for, so that an isolate has private copies of few of its pages;
//! but to enlarge it is to copy it, and each indirect call must look up where it is and how long. Each isolate puts the JavaScript
//! engine and the packages' modules behind the main module's functions. The main module therefore defines its table with room for them
//! and of a fixed size, and the length that counts is kept here.

use wasmtime::{AsContextMut, Result, Table};

use crate::state::State;

/// Length of the table of a main module that was just instantiated.
pub(crate) fn initial_length(size: u64) -> u64 {
    size.saturating_sub(taipan_wasm::MAIN_TABLE_RESERVE.into())
}

/// Enlarges the function table. Gives its old length.
pub(crate) fn grow(mut store: impl AsContextMut<Data = State>, table: Table, by: u64) -> Result<u64> {
    let mut store = store.as_context_mut();
    let old = store.data().table_length;
    let new = old.saturating_add(by);
    if new > table.size(&store) {
        return Err(wasmtime::Error::msg(format!("the function table has no room for so many more: {by}")));
    }
    store.data_mut().table_length = new;
    Ok(old)
}

//! The parts of `taipan dev` that no other command has.

pub(crate) mod browser;
pub(crate) mod data;
pub(crate) mod keys;
pub(crate) mod watch;

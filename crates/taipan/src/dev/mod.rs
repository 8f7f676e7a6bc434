//! The parts of `taipan dev`.

pub(crate) mod browser;
pub(crate) mod bundle;
pub(crate) mod console;
pub(crate) mod data;
pub(crate) mod keys;
pub(crate) mod project;
pub(crate) mod sources;
mod version;
pub(crate) mod watch;

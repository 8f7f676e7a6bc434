//! The parts of `taipan deploy`.

pub(crate) mod bundle;
pub(crate) mod client;
pub(crate) mod report;

//! `taipan add` and its like, with uv.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows only functions marked as tests, not those that they share"
)]

mod commands;
mod data;
mod failures;
mod langchain;
mod libraries;
mod locks;
mod project;
mod scene;
mod worker;

//! `taipan serve`, and Workers that are deployed to it.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows only functions marked as tests, not those that they share"
)]

mod hostile;
mod lasting;
mod line;
mod scene;

//! The way out, as operations see it.

use tokio::sync::mpsc::UnboundedReceiver;

use crate::fetches::{BodySource, FetchAnswer, FetchRequest};
use crate::streams::Pull;

/// Makes connections for isolates. No method may block.
pub trait Egress: Send + Sync {
    /// Performs a request.
    fn fetch(&self, request: FetchRequest, answer: FetchAnswer);

    /// Runs [`pump`](crate::pump).
    fn pump(&self, source: Box<dyn BodySource>, pulls: UnboundedReceiver<Pull>);
}

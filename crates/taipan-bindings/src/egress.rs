//! The way out, as operations see it.

use std::fmt::Debug;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::connections::{Lookup, Target, TlsSession, TlsTerms, Wire};
use crate::fetches::{BodySource, FetchAnswer, FetchRequest};
use crate::rpc::RpcCall;
use crate::streams::Pull;
use crate::web_sockets::Dial;

/// Answers requests in the network's place: `env.NAME` of assets or of another Worker. May not block.
pub trait Fetcher: Send + Sync + Debug {
    /// Performs a request.
    fn fetch(&self, request: FetchRequest, answer: FetchAnswer);

    /// Calls a method.
    fn call(&self, call: RpcCall) {
        call.fail("it has no methods but fetch".to_owned());
    }

    /// Opens a WebSocket to `url`, with these headers; so many calls are in one another.
    fn connect(&self, url: String, headers: Vec<(String, String)>, depth: u32, dial: Dial) {
        let _ = (headers, depth);
        dial.fail(format!("it opens no WebSockets: {url}"));
    }
}

/// Makes connections for isolates. No method may block.
pub trait Egress: Send + Sync {
    /// Performs a request.
    fn fetch(&self, request: FetchRequest, answer: FetchAnswer);

    /// Runs [`pump`](crate::pump).
    fn pump(&self, source: Box<dyn BodySource>, pulls: UnboundedReceiver<Pull>);

    /// Opens a connection and serves it until both sides are done.
    fn connect(&self, target: Target, wire: Wire);

    /// Looks up the addresses of a name.
    fn resolve(&self, host: String, lookup: Lookup);

    /// Begins TLS on a connection that the guest carries. What cannot be done is said.
    fn tls(&self, terms: &TlsTerms) -> Result<Box<dyn TlsSession>, String>;
}

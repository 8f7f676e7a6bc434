//! The way out: requests that Workers make, and the connections below them.
//!
//! All isolates of a process share one pool of connections, with HTTP/2 where the server agrees to it. Every connection goes
//! through [`connect`], which asks the [`Policy`] about the address that is dialled rather than the name that was given:
//! what a name resolves to is the server's choice.

mod body;
mod connect;
mod error;
mod fetch;
mod headers;
mod policy;
mod tls;

use std::sync::Arc;

use taipan_bindings::{BodySource, FetchAnswer, FetchRequest, Pull};
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;

pub(crate) use connect::{Dialed, dial};
pub(crate) use error::EgressError;
pub use policy::Policy;
pub(crate) use tls::TlsClient;

use fetch::Fetcher;

/// Makes connections for isolates, on the executor that it was made on.
pub(crate) struct Egress {
    executor: Handle,
    fetcher: Arc<Fetcher>,
}

impl Egress {
    /// Connections are served by the current executor. None outside of one.
    pub(crate) fn new(policy: Policy, tls: Arc<TlsClient>) -> Option<Arc<Self>> {
        let executor = Handle::try_current().ok()?;
        Some(Arc::new(Self { executor, fetcher: Arc::new(Fetcher::new(policy, tls)) }))
    }
}

impl taipan_bindings::Egress for Egress {
    fn fetch(&self, request: FetchRequest, answer: FetchAnswer) {
        let fetcher = self.fetcher.clone();
        self.executor.spawn(async move { fetcher.fetch(request, answer).await });
    }

    fn pump(&self, source: Box<dyn BodySource>, pulls: UnboundedReceiver<Pull>) {
        self.executor.spawn(taipan_bindings::pump(source, pulls));
    }
}

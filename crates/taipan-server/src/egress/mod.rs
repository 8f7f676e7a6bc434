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
mod proxy;
mod session;
mod socket;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use taipan_bindings::{
    BodySource, FetchAnswer, FetchRequest, Lookup, Pull, Target, TlsSession, TlsTerms, Wire,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;

pub(crate) use connect::{Connector, Dialed, dial};
pub(crate) use error::EgressError;
pub use policy::Policy;
pub(crate) use tls::TlsClient;

use fetch::Fetcher;
use proxy::Proxies;

/// How long others may take. What it is by default is promised; tests have less time.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// For everything up to an open connection.
    connect: Duration,
    /// For a response's head, which a streamed body may take most of.
    head: Duration,
    /// While a response's body is waited for.
    silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            head: Duration::from_secs(300),
            silence: Duration::from_secs(300),
        }
    }
}

/// A client for requests of the host's own, to wherever its user says. It is made within the executor that serves its connections.
pub(crate) fn client<B>(patience: Duration) -> Client<Connector, B>
where
    B: hyper::body::Body + Send,
    B::Data: Send,
{
    let tls = Arc::new(TlsClient::default());
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .build(Connector { policy: Policy::Open, tls, proxies: Proxies::from_env(), patience })
}

/// Makes connections for isolates, on the executor that it was made on.
pub(crate) struct Egress {
    executor: Handle,
    policy: Policy,
    tls: Arc<TlsClient>,
    fetcher: Arc<Fetcher>,
}

impl Egress {
    /// Connections are served by the current executor. None outside of one.
    pub(crate) fn new(policy: Policy, tls: Arc<TlsClient>) -> Option<Arc<Self>> {
        let executor = Handle::try_current().ok()?;
        let fetcher = Arc::new(Fetcher::new(policy, tls.clone(), Patience::default()));
        Some(Arc::new(Self { executor, policy, tls, fetcher }))
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

    fn connect(&self, target: Target, wire: Wire) {
        self.executor.spawn(socket::serve(target, wire, self.policy, self.tls.clone()));
    }

    fn resolve(&self, host: String, lookup: Lookup) {
        let policy = self.policy;
        self.executor.spawn(async move {
            let found = connect::resolve(&host, 0, policy).await;
            let addresses = found.map(|found| found.iter().map(|a| a.ip().to_string()).collect());
            lookup.found(addresses.map_err(|error| socket::refusal(&error)));
        });
    }

    fn tls(&self, terms: &TlsTerms) -> Result<Box<dyn TlsSession>, String> {
        session::begin(terms)
    }
}

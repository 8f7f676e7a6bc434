//! Workers that call each other in one process.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::StatusCode;
use taipan_bindings::{
    BodySource, Chunk, Dial, FetchAnswer, FetchBody, FetchRequest, FetchedBody, Fetcher, RequestBody,
    Response, ResponseBody, ResponseStream, RpcCall,
};
use taipan_guest::protocol::Field;
use tokio::runtime::Handle;

use crate::assets::AnswerBody;
use crate::service::header_text;
use crate::web_socket::relay;
use crate::within::{self, Call, Reply, Whole};
use crate::worker::{Fault, Presence};
use crate::{Console, Problem, Slot};

/// The Workers of a process, by their names.
#[derive(Default)]
pub struct Services(Mutex<HashMap<String, Arc<Slot>>>);

impl Services {
    /// Makes a Worker known to the others.
    pub fn add(&self, name: &str, slot: Arc<Slot>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), slot);
    }

    /// They cannot call it any more.
    pub(crate) fn remove(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    fn find(&self, name: &str) -> Result<Arc<Slot>, String> {
        let services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        services.get(name).cloned().ok_or_else(|| {
            let mut known: Vec<&str> = services.keys().map(String::as_str).collect();
            known.sort_unstable();
            format!(
                "no Worker of this name runs here: {name}; there are: {}; start others with further --config, or deploy them",
                known.join(", ")
            )
        })
    }
}

/// `env.NAME` of another Worker.
#[derive(Clone)]
pub struct ServiceBinding {
    /// Where it is looked for, when it is called.
    pub services: Arc<Services>,
    /// Its name.
    pub service: String,
    /// The class that is called; without one, the default.
    pub entrypoint: Option<String>,
    /// What it is told about its caller, as JSON.
    pub props: Option<String>,
    /// Is told of failures.
    pub console: Arc<dyn Console>,
    /// What requests are carried by.
    pub executor: Handle,
}

impl fmt::Debug for ServiceBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceBinding({})", self.service)
    }
}

impl ServiceBinding {
    /// In the place of the connection: what the handler is told about its caller.
    fn caller(&self) -> Field {
        self.props.clone().unwrap_or_else(|| "{}".to_owned()).into()
    }

    fn failed(&self, fault: &Fault) -> String {
        let problem = Problem::from(fault);
        if !problem.starting {
            self.console.failure(&problem.text());
        }
        format!("the Worker {} failed: {}", self.service, problem.line())
    }

    async fn send(&self, call: Call, depth: u32) -> Result<Reply, String> {
        let slot = self.services.find(&self.service)?;
        if self.entrypoint.is_none()
            && let Some(assets) = slot.assets()
            && let Some(answer) = assets.front(&call.method, &call.url, &call.headers).await
        {
            let body: Option<Box<dyn BodySource>> = match answer.body {
                AnswerBody::Empty(_) => None,
                AnswerBody::Full(bytes) => Some(Box::new(Whole::new(bytes))),
                AnswerBody::File(file) => Some(Box::new(file)),
            };
            return Ok(Reply::new(answer.status, &answer.headers, body));
        }
        let (length, source): (Field, Option<Box<dyn BodySource>>) = match call.body {
            FetchBody::Empty => (Field::Null, None),
            FetchBody::Full(bytes) => (Field::Num(bytes.len() as f64), Some(Box::new(Whole::new(bytes)))),
            FetchBody::Stream(stream) => (Field::Num(-1.0), Some(Box::new(Passing::written(stream, None)))),
            FetchBody::Passed(body) => (
                Field::Num(body.length().map_or(-1.0, |length| length as f64)),
                Some(Box::new(Passing::fetched(body, None))),
            ),
        };
        let body = source.map(|source| {
            let length = source.length();
            let (body, pulls) = RequestBody::channel();
            let body = body.with_length(length);
            self.executor.spawn(taipan_bindings::pump(source, pulls));
            body
        });
        // No client can send such a method.
        let method = format!("{}@{}", call.method, self.entrypoint.as_deref().unwrap_or_default());
        let mut head = vec![method.into(), call.url.as_str().into(), length, Field::Null, self.caller()];
        for (name, value) in &call.headers {
            head.extend([name.as_str().into(), header_text(value).into()]);
        }
        let (response, presence) = slot.current().fetch_within(head, body, depth, None).await;
        match response {
            Ok(response) => reply(response, presence),
            Err(fault) => {
                presence.served();
                Err(self.failed(&fault))
            }
        }
    }
}

fn reply(response: Response, presence: Presence) -> Result<Reply, String> {
    let status = u16::try_from(response.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.ok_or_else(|| format!("not a status code: {}", response.status))?;
    let body: Option<Box<dyn BodySource>> = match response.body {
        ResponseBody::Empty => {
            presence.served();
            None
        }
        ResponseBody::Full(bytes) => {
            presence.served();
            Some(Box::new(Whole::new(bytes)))
        }
        ResponseBody::Stream(stream) => Some(Box::new(Passing::written(stream, Some(presence)))),
        ResponseBody::Fetched(body) => Some(Box::new(Passing::fetched(body, Some(presence)))),
        ResponseBody::WebSocket(_) => {
            return Err("it answered with a WebSocket, but the request does not ask for one".to_owned());
        }
    };
    Ok(Reply { status: status.as_u16(), status_text: response.status_text, headers: response.headers, body })
}

enum Chunks {
    Written(ResponseStream),
    Fetched(FetchedBody),
}

/// A body on its way from one Worker to another. Dropped early, it tells the one that the other is gone.
struct Passing {
    chunks: Chunks,
    presence: Option<Presence>,
}

impl Passing {
    fn written(stream: ResponseStream, presence: Option<Presence>) -> Self {
        Self { chunks: Chunks::Written(stream), presence }
    }

    fn fetched(body: FetchedBody, presence: Option<Presence>) -> Self {
        Self { chunks: Chunks::Fetched(body), presence }
    }
}

impl BodySource for Passing {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        let chunk = match &mut self.chunks {
            Chunks::Written(stream) => loop {
                match ready!(stream.poll_chunk(cx)) {
                    Some(Ok(Chunk::Data(bytes))) => break Some(Ok(bytes)),
                    // The fetch standard has none.
                    Some(Ok(Chunk::Trailers(_))) => {}
                    Some(Err(aborted)) => break Some(Err(aborted.message)),
                    None => break None,
                }
            },
            Chunks::Fetched(body) => {
                ready!(body.poll_chunk(cx)).map(|chunk| chunk.map_err(|aborted| aborted.message))
            }
        };
        if chunk.is_none()
            && let Some(presence) = self.presence.take()
        {
            presence.served();
        }
        Poll::Ready(chunk)
    }

    fn length(&self) -> Option<u64> {
        match &self.chunks {
            Chunks::Written(_) => None,
            Chunks::Fetched(body) => body.length(),
        }
    }
}

impl Fetcher for ServiceBinding {
    fn fetch(&self, request: FetchRequest, answer: FetchAnswer) {
        let this = self.clone();
        let depth = request.depth;
        self.executor.spawn(within::perform(request, answer, move |call| {
            let this = this.clone();
            async move { this.send(call, depth).await }
        }));
    }

    fn connect(&self, url: String, headers: Vec<(String, String)>, depth: u32, dial: Dial) {
        let this = self.clone();
        self.executor.spawn(async move {
            let slot = match this.services.find(&this.service) {
                Ok(slot) => slot,
                Err(message) => return dial.fail(message),
            };
            // No client can send such a method.
            let method = format!("GET@{}", this.entrypoint.as_deref().unwrap_or_default());
            let mut head = vec![method.into(), url.into(), Field::Null, Field::Null, this.caller()];
            head.extend(headers.into_iter().flat_map(|(name, value)| [name.into(), value.into()]));
            let (response, presence) = slot.current().fetch_within(head, None, depth, None).await;
            presence.served();
            match response {
                Ok(Response { body: ResponseBody::WebSocket(socket), headers, .. }) => {
                    if let Some(connection) = dial.connected(headers) {
                        relay(connection, socket).await;
                    }
                }
                Ok(response) => dial.fail(format!(
                    "the Worker {} answered with status {} instead of a WebSocket",
                    this.service, response.status
                )),
                Err(fault) => dial.fail(this.failed(&fault)),
            }
        });
    }

    fn call(&self, mut call: RpcCall) {
        let this = self.clone();
        self.executor.spawn(async move {
            let (arguments, depth, result) = (call.take_arguments(), call.depth, call.result);
            let slot = match this.services.find(&this.service) {
                Ok(slot) => slot,
                Err(message) => return call.fail(message),
            };
            let entrypoint = this.entrypoint.as_deref().unwrap_or("Default");
            let target = format!("{entrypoint}.{}", call.method);
            match slot.current().call(target, this.caller(), arguments, depth, result).await {
                Ok(answer) => call.answer(answer),
                Err(fault) => call.fail(this.failed(&fault)),
            }
        });
    }
}

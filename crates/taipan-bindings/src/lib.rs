//! The host's side of every operation that a guest can ask for.
//!
//! [`HostOps`] answers the operations of [`taipan_guest::ops::OPS`] for one isolate. What belongs to a request (who
//! waits for its response, where its body comes from) is in the table [`Requests`], which the isolate's owner
//! shares with it. This crate must never know HTTP's wire format, sockets or hyper: bodies are chunks that are
//! pulled ([`Pull`]) and polled ([`ResponseStream`]), heads are plain strings.

#![forbid(unsafe_code)]

mod background;
mod blobs;
mod blocks;
mod caches;
mod connections;
mod data;
mod egress;
mod events;
mod fetches;
mod folder;
mod ops;
mod rate;
mod requests;
mod rpc;
mod streams;
mod web_sockets;

pub use caches::Caches;
pub use connections::{Lookup, Refusal, Target, TlsFacts, TlsSession, TlsStep, TlsTerms, Wire};
pub use data::{BindingTable, Known, RateCounts, Stores};
pub use egress::{Egress, Fetcher};
pub use events::EventSender;
pub use fetches::{BodySource, FetchAnswer, FetchBody, FetchHead, FetchRequest, FetchedBody, Redirect, pump};
pub use folder::Folder;
pub use ops::{Embedder, FileStat, HostOps, Process, Volume, object_body, read_at};
pub use requests::{Failure, Requests, Response, ResponseBody};
pub use rpc::{DEEPEST_CALL, Functions, ResultKey, RpcCall};
pub use streams::{Aborted, Chunk, HIGH_WATER, Pull, RequestBody, ResponseStream, Trailers};
pub use web_sockets::{Closed, Connection, Dial, Outgoing, SocketMessage, WebSocketDialer};

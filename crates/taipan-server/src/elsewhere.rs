//! Objects' bytes in a store that speaks S3, instead of files: what `taipan.object_stores` says.
//!
//! The protocol is the library's (`object_store`), the connections are ours, so that certificates and proxies are the same for all that
//! goes out. Whoever waits here is a thread for files; a runtime of its own serves the connections, in whatever process this is.

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind, Read};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::client::legacy::Client;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpService,
};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, MultipartUpload, ObjectStoreExt as _, PutPayload, PutPayloadMut,
    RetryConfig,
};
use taipan_config::{ObjectStore, Secret};
use taipan_storage::r2::{Place, Receiving, Sending};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::timeout;

use crate::egress::{Connector, client};

/// What is sent at once: a part of an upload. There may be 10,000 of them, all but the last one of the same size.
const PART: usize = 16 << 20;
/// What is asked for at once.
const PIECE: u64 = 8 << 20;
/// A piece of a part that is not worth a buffer of its own.
const SMALL: usize = 64 << 10;
/// No answer is larger: a piece, or an explanation.
const LARGEST_ANSWER: usize = 2 * PIECE as usize;
/// How often something is tried again that may succeed then.
const RETRIES: usize = 2;
/// How long a store may take for an answer, unless the configuration says it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who asks.
#[derive(Clone, Debug)]
pub struct StoreKeys {
    /// `AWS_ACCESS_KEY_ID`.
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: Secret,
    /// `AWS_SESSION_TOKEN`.
    pub token: Option<Secret>,
}

/// A store that has the bytes of a bucket.
#[derive(Debug)]
pub struct ObjectPlace {
    store: AmazonS3,
    name: String,
    prefix: String,
    executor: Handle,
}

impl ObjectPlace {
    /// The store that a configuration says.
    ///
    /// # Errors
    /// When it cannot be one; it is not asked anything yet.
    pub fn at(said: &ObjectStore, keys: &StoreKeys) -> Result<Arc<dyn Place>, String> {
        let executor = executor()?;
        let endpoint = said.endpoint.trim_end_matches('/');
        let prefix = said.prefix.trim_matches('/').to_owned();
        let mut name = format!("{endpoint}/{}", said.bucket);
        if !prefix.is_empty() {
            name = format!("{name}/{prefix}");
        }
        let patience = said.timeout_seconds.map_or(PATIENCE, Duration::from_secs);
        let backoff = BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_endpoint(endpoint)
            .with_bucket_name(&said.bucket)
            .with_region(&said.region)
            .with_access_key_id(&keys.id)
            .with_secret_access_key(keys.secret.expose())
            .with_allow_http(true)
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig { backoff, max_retries: RETRIES, retry_timeout: patience })
            .with_http_connector(Connection { patience, executor: executor.clone() });
        if let Some(token) = &keys.token {
            builder = builder.with_token(token.expose());
        }
        let store =
            builder.build().map_err(|error| format!("cannot use the object store: {name}: {error}"))?;
        Ok(Arc::new(Self { store, name, prefix, executor }))
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.prefix))
    }
}

/// Threads for the connections, which all stores share.
fn executor() -> Result<Handle, String> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("object-store").enable_all();
        builder.build().map_err(|error| format!("cannot start a thread: {error}"))
    });
    runtime.as_ref().map(|runtime| runtime.handle().clone()).map_err(Clone::clone)
}

fn failed(error: object_store::Error) -> io::Error {
    let kind = match error {
        object_store::Error::NotFound { .. } => ErrorKind::NotFound,
        _ => ErrorKind::Other,
    };
    // The text has those of its causes in it.
    io::Error::new(kind, error.to_string())
}

impl Place for ObjectPlace {
    fn name(&self) -> &str {
        &self.name
    }

    fn begin(&self, name: &str) -> io::Result<Box<dyn Sending>> {
        Ok(Box::new(Outgoing {
            store: self.store.clone(),
            executor: self.executor.clone(),
            path: self.path(name),
            next: PutPayloadMut::new(),
            parts: None,
        }))
    }

    fn read(&self, name: &str, offset: u64, length: u64) -> io::Result<Box<dyn Receiving>> {
        let (store, executor) = (self.store.clone(), self.executor.clone());
        let end = offset.saturating_add(length);
        let mut incoming =
            Incoming { store, executor, path: self.path(name), next: Bytes::new(), offset, end };
        // Whether it is there is known before anything of it is promised.
        incoming.fill()?;
        Ok(Box::new(incoming))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        match self.executor.block_on(self.store.delete(&path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

/// An object on its way out: whole if it is small, or part by part.
struct Outgoing {
    store: AmazonS3,
    executor: Handle,
    path: Path,
    next: PutPayloadMut,
    parts: Option<Box<dyn MultipartUpload>>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({})", self.path)
    }
}

impl Outgoing {
    fn take(&mut self) -> PutPayload {
        std::mem::take(&mut self.next).freeze()
    }

    fn send_part(&mut self) -> io::Result<()> {
        let part = self.take();
        let Self { store, executor, path, parts, .. } = self;
        executor
            .block_on(async {
                let parts = match parts {
                    Some(parts) => parts,
                    None => parts.insert(store.put_multipart(path).await?),
                };
                parts.put_part(part).await
            })
            .map_err(failed)
    }
}

impl Sending for Outgoing {
    fn write(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PART - self.next.content_length()));
            match piece.len() < SMALL {
                true => self.next.extend_from_slice(&piece),
                false => self.next.push(piece),
            }
            if self.next.content_length() == PART {
                self.send_part()?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if self.parts.is_none() {
            let whole = self.take();
            return self.executor.block_on(self.store.put(&self.path, whole)).map(drop).map_err(failed);
        }
        if self.next.content_length() > 0 {
            self.send_part()?;
        }
        let Some(mut parts) = self.parts.take() else { return Ok(()) };
        let done = self.executor.block_on(parts.complete());
        if done.is_err() {
            self.parts = Some(parts);
        }
        done.map(drop).map_err(failed)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(mut parts) = self.parts.take() {
            let path = self.path.clone();
            self.executor.spawn(async move {
                if let Err(error) = parts.abort().await {
                    tracing::warn!("parts of an upload stay in the object store: {path}: {error}");
                }
            });
        }
    }
}

/// Bytes on their way in, a piece at a time.
struct Incoming {
    store: AmazonS3,
    executor: Handle,
    path: Path,
    next: Bytes,
    offset: u64,
    end: u64,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming({})", self.path)
    }
}

impl Incoming {
    fn fill(&mut self) -> io::Result<()> {
        let end = self.end.min(self.offset.saturating_add(PIECE));
        if self.offset < end {
            let range = self.store.get_range(&self.path, self.offset..end);
            self.next = self.executor.block_on(range).map_err(failed)?;
            self.offset += self.next.len() as u64;
        }
        Ok(())
    }
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.next.is_empty() {
            self.fill()?;
        }
        let length = into.len().min(self.next.len());
        if let Some(into) = into.get_mut(..length) {
            self.next.copy_to_slice(into);
        }
        Ok(length)
    }
}

/// How the library connects.
#[derive(Debug)]
struct Connection {
    patience: Duration,
    executor: Handle,
}

impl HttpConnector for Connection {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let _inside = self.executor.enter();
        Ok(HttpClient::new(Http { client: client(self.patience), patience: self.patience }))
    }
}

struct Http {
    client: Client<Connector, HttpRequestBody>,
    patience: Duration,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

impl Http {
    async fn perform(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = self.client.request(request).await.map_err(|error| {
            let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
            HttpError::new(kind, error)
        })?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await;
        let body =
            body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, Told(error.to_string())))?;
        Ok(HttpResponse::from_parts(parts, body.to_bytes().into()))
    }
}

type Performed<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;

impl HttpService for Http {
    fn call<'s, 'a>(&'s self, request: HttpRequest) -> Performed<'a>
    where
        's: 'a,
        Self: 'a,
    {
        Box::pin(async move {
            let late = |_| {
                let seconds = self.patience.as_secs();
                HttpError::new(HttpErrorKind::Timeout, Told(format!("no answer for {seconds} seconds")))
            };
            timeout(self.patience, self.perform(request)).await.map_err(late)?
        })
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

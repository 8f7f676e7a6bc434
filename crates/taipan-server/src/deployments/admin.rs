//! The API by which Workers are deployed. It has a listener of its own, and wants a token with each request.
//!
//! ```text
//! GET    /v1/workers                        names and current versions
//! POST   /v1/workers/NAME/missing           manifest ─▶ digests of contents that are not here, ID of the current version
//! PUT    /v1/contents/SHA256                a content
//! POST   /v1/workers/NAME/versions          manifest, and the ID of the version that it replaces ─▶ the new one's
//! GET    /v1/workers/NAME/versions          what there is, the newest first
//! POST   /v1/workers/NAME/rollback          the ID of a version, or none for the one before
//! DELETE /v1/workers/NAME
//! GET    /v1/workers/NAME/secrets           names
//! PUT    /v1/workers/NAME/secrets/SECRET    a value
//! DELETE /v1/workers/NAME/secrets/SECRET
//! ```
//! Bodies and answers are JSON, but for contents and values. What was not done is said as `error`, with `hint` and `report` where there are such.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

use super::manifest::{LARGEST_CONTENT, Manifest, is_digest};
use super::refusal::Refusal;
use super::running::{Deployed, Deployments};
use super::secrets;
use super::version::Version;

/// The largest manifest, in bytes.
const LARGEST_MANIFEST: usize = 32 << 20;

/// How long a client may stand still.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many connections are open at a time.
const CONNECTIONS: usize = 64;

/// The listener of the API.
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

/// What requests meet.
struct Office {
    deployments: Deployments,
    token: blake3::Hash,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deployment {
    manifest: Manifest,
    replaces: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    version: Option<String>,
}

impl Admin {
    /// The file of the state folder that has the token.
    pub const TOKEN_FILE: &str = "admin-token";

    /// The file of the state folder that says where the API is.
    pub const ADDRESS_FILE: &str = "admin-address";

    /// Takes the address; port 0 takes any free port.
    ///
    /// # Errors
    /// When it cannot be taken.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves those who have the token until `stop` is ready, then lets what goes on finish, for as long as `grace`.
    pub async fn serve(
        self,
        deployments: Deployments,
        token: &str,
        stop: impl Future<Output = ()>,
        grace: Duration,
    ) {
        let office = Arc::new(Office { deployments, token: blake3::hash(token.as_bytes()) });
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        let (end, stopping) = watch::channel(false);
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = async {
                    let permit = permits.clone().acquire_owned().await;
                    (self.listener.accept().await, permit)
                } => accepted,
            };
            let (Ok((stream, _)), Ok(permit)) = accepted else {
                // Out of file descriptors, or the client was gone before it was accepted.
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            drop(stream.set_nodelay(true));
            let (office, mut stopping) = (office.clone(), stopping.clone());
            tokio::spawn(async move {
                let _permit = permit;
                let service = service_fn(move |request| {
                    let office = office.clone();
                    async move { Ok::<_, Infallible>(office.answer(request).await) }
                });
                let mut http = http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
                let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
                tokio::select! {
                    _ = connection.as_mut() => return,
                    _ = stopping.changed() => connection.as_mut().graceful_shutdown(),
                }
                drop(connection.await);
            });
        }
        drop(self.listener);
        drop(stopping);
        end.send_replace(true);
        drop(timeout(grace, end.closed()).await);
    }
}

impl Office {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.knows(&request) {
            let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "the token is missing or wrong").with_hint(
                format!("give the one in the file {} of the server's state folder", Admin::TOKEN_FILE),
            );
            return said(refusal.status, &refused(&refusal));
        }
        match self.act(request).await {
            Ok(value) => said(StatusCode::OK, &value),
            Err(refusal) => said(refusal.status, &refused(&refusal)),
        }
    }

    fn knows(&self, request: &Request<Incoming>) -> bool {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        // Digests are compared in a time that says nothing.
        given
            .and_then(|value| value.strip_prefix("Bearer "))
            .is_some_and(|t| blake3::hash(t.as_bytes()) == self.token)
    }

    async fn act(self: &Arc<Self>, request: Request<Incoming>) -> Result<Value, Refusal> {
        let (parts, body) = request.into_parts();
        let unknown =
            || Refusal::absent(format!("there is no such thing: {} {}", parts.method, parts.uri.path()));
        let decode =
            |part: &str| percent_decoded(part).ok_or_else(|| Refusal::wrong("a part of the path is no text"));
        let path = parts.uri.path().strip_prefix("/v1/").ok_or_else(unknown)?;
        let segments = path.split('/').map(decode).collect::<Result<Vec<String>, Refusal>>()?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let deployments = &self.deployments;
        match (&parts.method, segments.as_slice()) {
            (&Method::GET, ["workers"]) => {
                let names = deployments.names();
                let listed: Vec<Value> = names
                    .iter()
                    .filter_map(|name| deployments.describe(name).ok())
                    .map(|version| described(&version, true))
                    .collect();
                Ok(json!({ "workers": listed }))
            }
            (&Method::PUT, ["contents", sha256]) => self.receive(sha256, body).await,
            (&Method::POST, ["workers", name, "missing"]) => {
                let manifest: Manifest = parsed(&whole(body, LARGEST_MANIFEST).await?)?;
                check_same(name, &manifest)?;
                let (missing, current) = block_in_place(|| deployments.missing(&manifest))?;
                Ok(json!({ "missing": missing, "current": current }))
            }
            (&Method::POST, ["workers", name, "versions"]) => {
                let Deployment { manifest, replaces } = parsed(&whole(body, LARGEST_MANIFEST).await?)?;
                check_same(name, &manifest)?;
                let deployments = deployments.clone();
                // It goes on when the client does not wait for it.
                self.to_the_end(
                    async move { deployments.deploy(manifest, replaces).await.map(|d| deployed(&d)) },
                )
                .await
            }
            (&Method::GET, ["workers", name, "versions"]) => {
                let versions = deployments.versions(name).await?;
                let current = deployments.current(name).map(|version| version.id.clone());
                let listed: Vec<Value> =
                    versions.iter().map(|v| described(v, current.as_ref() == Some(&v.id))).collect();
                Ok(json!({ "versions": listed }))
            }
            (&Method::POST, ["workers", name, "rollback"]) => {
                let body = whole(body, LARGEST_MANIFEST).await?;
                let Rollback { version } = if body.is_empty() { Rollback::default() } else { parsed(&body)? };
                let (deployments, name) = (deployments.clone(), (*name).to_owned());
                let work = async move {
                    deployments.roll_back(&name, version.as_deref()).await.map(|d| deployed(&d))
                };
                self.to_the_end(work).await
            }
            (&Method::DELETE, ["workers", name]) => {
                let (deployments, name) = (deployments.clone(), (*name).to_owned());
                self.to_the_end(async move { deployments.remove(&name).await.map(|()| json!({})) }).await
            }
            (&Method::GET, ["workers", name, "secrets"]) => {
                Ok(json!({ "secrets": block_in_place(|| deployments.secret_names(name))? }))
            }
            (&Method::PUT, ["workers", name, "secrets", secret]) => {
                let value = whole(body, secrets::LARGEST).await?;
                let value = String::from_utf8(value).map_err(|_| Refusal::wrong("the secret is no text"))?;
                let (deployments, name) = (deployments.clone(), (*name).to_owned());
                let secret = (*secret).to_owned();
                let work = async move {
                    let put = |all: &mut secrets::Secrets| secrets::put(all, &secret, value);
                    deployments.change_secrets(&name, put).await.map(|()| json!({}))
                };
                self.to_the_end(work).await
            }
            (&Method::DELETE, ["workers", name, "secrets", secret]) => {
                let (deployments, name) = (deployments.clone(), (*name).to_owned());
                let secret = (*secret).to_owned();
                let work = async move {
                    let remove = |all: &mut secrets::Secrets| match all.remove(&secret) {
                        Some(_) => Ok(()),
                        None => Err(Refusal::absent(format!("there is no such secret: {secret}"))),
                    };
                    deployments.change_secrets(&name, remove).await.map(|()| json!({}))
                };
                self.to_the_end(work).await
            }
            _ => Err(unknown()),
        }
    }

    /// Does something that is not to be left half done because a client goes.
    async fn to_the_end(
        &self,
        work: impl Future<Output = Result<Value, Refusal>> + Send + 'static,
    ) -> Result<Value, Refusal> {
        tokio::spawn(work).await.unwrap_or_else(|_| Err(Refusal::failed("the server is stopping")))
    }

    async fn receive(&self, sha256: &str, mut body: Incoming) -> Result<Value, Refusal> {
        if !is_digest(sha256) {
            return Err(Refusal::wrong(format!("not a SHA-256 digest: {sha256:.80?}")));
        }
        let too_large = || {
            let error = format!("the content is larger than {} MiB: {sha256}", LARGEST_CONTENT >> 20);
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error)
        };
        if body.size_hint().lower() > LARGEST_CONTENT {
            return Err(too_large());
        }
        let mut incoming = block_in_place(|| self.deployments.folder().receive())?;
        let mut size = 0_u64;
        while let Some(chunk) = next(&mut body).await? {
            size += chunk.len() as u64;
            if size > LARGEST_CONTENT {
                return Err(too_large());
            }
            block_in_place(|| incoming.write(&chunk))?;
        }
        match block_in_place(|| incoming.finish(sha256))? {
            true => Ok(json!({})),
            false => Err(Refusal::wrong(format!("the content has another SHA-256 digest than {sha256}"))),
        }
    }
}

/// The next piece of a body.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = timeout(PATIENCE, body.frame()).await;
        let frame = frame.map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body stands still"))?;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(Refusal::wrong("the body ended early")),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

async fn whole(mut body: Incoming, most: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    while let Some(chunk) = next(&mut body).await? {
        if bytes.len() + chunk.len() > most {
            let error = format!("the body is larger than {} KiB", most >> 10);
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn parsed<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| {
        Refusal::wrong(format!("the body is not what this server knows: {error}"))
            .with_hint("use the same version of taipan for both, or the newer one for the server")
    })
}

fn check_same(name: &str, manifest: &Manifest) -> Result<(), Refusal> {
    match manifest.name == name {
        true => Ok(()),
        false => Err(Refusal::wrong("the manifest is another Worker's")),
    }
}

fn described(version: &Version, is_current: bool) -> Value {
    let manifest = &version.manifest;
    json!({
        "name": manifest.name,
        "version": version.id,
        "created": version.created(),
        "current": is_current,
        "pyodide": manifest.release.version,
        "files": manifest.sources.len(),
        "packages": manifest.packages.len(),
        "routes": manifest.routes,
        "crons": manifest.crons,
    })
}

fn deployed(deployed: &Deployed) -> Value {
    let mut value = described(&deployed.version, true);
    if let Some(object) = value.as_object_mut() {
        let milliseconds = u64::try_from(deployed.took.as_millis()).unwrap_or(u64::MAX);
        object.insert("startup_ms".to_owned(), milliseconds.into());
    }
    value
}

fn refused(refusal: &Refusal) -> Value {
    json!({ "error": refusal.error, "hint": refusal.hint, "report": refusal.report })
}

fn said(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

//! A server for Workers to talk to: HTTP/1.1 and HTTP/2, plain and by TLS, well and badly behaved.
//!
//! Paths say what is wanted; see [`answer`] and [`misbehave`].

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{Context, Result};
use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::case::Repeat;

/// What is sent with each encoding, many times over.
const ENCODED: &str = "encoded by the server, decoded by nobody but the client\n";
const ENCODED_TIMES: usize = 2000;

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    /// Responses whose client left before their end.
    abandoned: AtomicUsize,
}

/// The server, running.
pub struct Upstream {
    // Ends what runs on it.
    _runtime: Runtime,
    _folder: TempDir,
    plain: SocketAddr,
    secure: SocketAddr,
    untrusted: SocketAddr,
    bad: SocketAddr,
    mutual: SocketAddr,
    identity: String,
    certificates: PathBuf,
}

impl Upstream {
    /// Starts it on free ports of this machine.
    pub fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let folder = tempfile::tempdir()?;
        let certificates = folder.path().join("certificates.pem");
        let counts = Arc::new(Counts::default());
        let (trusted, mutual) = (Identity::make()?, Identity::make()?);
        fs_err::write(&certificates, trusted.certificate() + &mutual.certificate())?;
        let (untrusted, client) = (Identity::make()?, Identity::make()?);
        let (plain, secure, untrusted, mutual, bad) = runtime.block_on(async {
            let plain = serve(counts.clone(), None).await?;
            let secure = serve(counts.clone(), Some(trusted.acceptor(None)?)).await?;
            let untrusted = serve(counts.clone(), Some(untrusted.acceptor(None)?)).await?;
            let mutual = serve(counts, Some(mutual.acceptor(Some(&client))?)).await?;
            anyhow::Ok((plain, secure, untrusted, mutual, serve_badly().await?))
        })?;
        let identity = client.certificate() + &client.key();
        Ok(Self {
            _runtime: runtime,
            _folder: folder,
            plain,
            secure,
            untrusted,
            bad,
            mutual,
            identity,
            certificates,
        })
    }

    /// Variables for the Worker.
    pub fn vars(&self) -> [(&'static str, String); 6] {
        [
            ("UPSTREAM", format!("http://{}", self.plain)),
            ("UPSTREAM_TLS", format!("https://localhost:{}", self.secure.port())),
            ("UPSTREAM_UNTRUSTED", format!("https://localhost:{}", self.untrusted.port())),
            ("UPSTREAM_BAD", format!("http://{}", self.bad)),
            ("UPSTREAM_MUTUAL", format!("https://localhost:{}", self.mutual.port())),
            ("UPSTREAM_IDENTITY", self.identity.clone()),
        ]
    }

    /// Environment variables for the process.
    pub fn env(&self) -> (String, String) {
        ("SSL_CERT_FILE".into(), self.certificates.to_string_lossy().into_owned())
    }
}

/// A certificate that nobody else has signed, and its key.
struct Identity(CertifiedKey<KeyPair>);

impl Identity {
    fn make() -> Result<Self> {
        Ok(Self(generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?))
    }

    fn certificate(&self) -> String {
        pem("CERTIFICATE", self.0.cert.der())
    }

    fn key(&self) -> String {
        pem("PRIVATE KEY", &self.0.signing_key.serialize_der())
    }

    /// Accepts connections; of one client only, if there is one.
    fn acceptor(&self, client: Option<&Self>) -> Result<TlsAcceptor> {
        let key = PrivateKeyDer::Pkcs8(self.0.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = match client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let mut roots = RootCertStore::empty();
                roots.add(client.0.cert.der().clone())?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build()?)
            }
        };
        let mut config = builder.with_single_cert(vec![self.0.cert.der().clone()], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn pem(what: &str, der: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(der);
    format!("-----BEGIN {what}-----\n{body}\n-----END {what}-----\n")
}

async fn serve(counts: Arc<Counts>, tls: Option<TlsAcceptor>) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen")?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            counts.connections.fetch_add(1, Ordering::Relaxed);
            let (counts, tls) = (counts.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => converse(tcp, counts).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(tcp).await {
                            converse(stream, counts).await;
                        }
                    }
                }
            });
        }
    });
    Ok(address)
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, counts: Arc<Counts>) {
    let service = service_fn(move |request| {
        let counts = counts.clone();
        async move { Ok::<_, Infallible>(answer(request, counts).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    drop(builder.serve_connection(TokioIo::new(stream), service).await);
}

/// A body of parts, each after a time.
struct Parts {
    parts: std::collections::VecDeque<Bytes>,
    pause: Option<Duration>,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    /// Nothing follows, but there is no end either.
    never_ends: bool,
    length: Option<u64>,
    counts: Arc<Counts>,
    is_over: bool,
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(sleep) = &mut self.sleep {
            std::task::ready!(sleep.as_mut().poll(cx));
        }
        self.sleep = self.pause.map(|pause| Box::pin(sleep(pause)));
        match self.parts.pop_front() {
            Some(part) => Poll::Ready(Some(Ok(Frame::data(part)))),
            None if self.never_ends => Poll::Pending,
            None => {
                self.is_over = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.length == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if !self.is_over && self.never_ends {
            self.counts.abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// - `/echo`: what arrived, as JSON
/// - `/repeat`: the request's body, chunk by chunk
/// - `/status/N`, `/redirect/N?to=URL`, `/loop`, `/header-flood`
/// - `/bytes/N`: so many bytes, in pieces; `/drip/N/MS`: so many numbers, each after a time
/// - `/encoded/gzip` …: a known text; with `,` several on top of each other; `/lie/gzip`: text that is none
/// - `/bomb`: much of nothing, by gzip
/// - `/never/head`, `/never/body`
/// - `/counts`: connections, and responses whose clients left
async fn answer(request: Request<Incoming>, counts: Arc<Counts>) -> Response<Parts> {
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let number = |i: usize| segments.get(i).and_then(|s| s.parse::<u64>().ok()).unwrap_or_default();
    let make = |parts: Vec<Bytes>, length: Option<u64>| Parts {
        parts: parts.into(),
        pause: None,
        sleep: None,
        never_ends: false,
        length,
        counts: counts.clone(),
        is_over: false,
    };
    let whole = |bytes: Bytes| {
        let length = bytes.len() as u64;
        make(vec![bytes], Some(length))
    };
    let mut response = Response::new(make(vec![], Some(0)));
    match segments.first().copied().unwrap_or_default() {
        "echo" => {
            let (parts, body) = request.into_parts();
            let headers: Vec<[String; 2]> = parts
                .headers
                .iter()
                .map(|(name, value)| {
                    [name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()]
                })
                .collect();
            let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
            let json = serde_json::json!({
                "method": parts.method.as_str(), "uri": parts.uri.to_string(), "version": format!("{:?}", parts.version),
                "headers": headers, "size": body.len(), "body": String::from_utf8_lossy(body.get(..body.len().min(1000)).unwrap_or_default()),
            });
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
            *response.body_mut() = whole(json.to_string().into());
        }
        "repeat" => {
            let body = request.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
            *response.body_mut() = whole(body);
        }
        "status" => *response.status_mut() = status(number(1)),
        "redirect" => {
            *response.status_mut() = status(number(1));
            let query = Url::parse(&format!("http://x{}", request.uri())).ok();
            let query = query.or_else(|| Url::parse(&request.uri().to_string()).ok());
            // A connection whose request nobody reads is closed: who still writes may find that out before it reads the answer.
            drop(request.into_body().collect().await);
            let to = query.and_then(|url| {
                url.query_pairs().find(|(name, _)| name == "to").map(|(_, to)| to.into_owned())
            });
            if let Some(to) = to.and_then(|to| header::HeaderValue::from_str(&to).ok()) {
                response.headers_mut().insert(header::LOCATION, to);
            }
            *response.body_mut() = whole("redirected".into());
        }
        "loop" => {
            *response.status_mut() = status(302);
            response.headers_mut().insert(header::LOCATION, header::HeaderValue::from_static("/loop"));
        }
        "bytes" => {
            let bytes = Bytes::from(
                Repeat { byte: 0, count: usize::try_from(number(1)).unwrap_or_default() }.bytes(),
            );
            let pieces: Vec<Bytes> = bytes.chunks(50_000).map(|piece| bytes.slice_ref(piece)).collect();
            *response.body_mut() = make(pieces, segments.get(2).is_none().then_some(number(1)));
        }
        "drip" => {
            let mut parts = make((0..number(1)).map(|i| Bytes::from(format!("{i}\n"))).collect(), None);
            parts.pause = Some(Duration::from_millis(number(2)));
            *response.body_mut() = parts;
        }
        "encoded" | "lie" => {
            let names = segments.get(1).copied().unwrap_or_default();
            let mut bytes = ENCODED.repeat(ENCODED_TIMES).into_bytes();
            if segments.first() == Some(&"encoded") {
                for name in names.split(',') {
                    bytes = encode(name, bytes).await;
                }
            }
            if let Ok(value) = header::HeaderValue::from_str(names) {
                response.headers_mut().insert(header::CONTENT_ENCODING, value);
            }
            *response.body_mut() = whole(bytes.into());
        }
        "bomb" => {
            let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
            let block = vec![0; 1 << 20];
            for _ in 0..64 {
                gzip.write_all(&block).unwrap_or_default();
            }
            response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
            *response.body_mut() = whole(gzip.finish().unwrap_or_default().into());
        }
        "never" if segments.get(1) == Some(&"head") => std::future::pending().await,
        "never" => {
            let mut parts = make(vec!["first".into()], None);
            parts.never_ends = true;
            *response.body_mut() = parts;
        }
        "header-flood" => {
            for i in 0..2000 {
                let name = header::HeaderName::from_bytes(format!("x-{i}").as_bytes());
                if let Ok(name) = name {
                    response.headers_mut().insert(name, header::HeaderValue::from_static("flood"));
                }
            }
        }
        "counts" => {
            let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
            let json = serde_json::json!({ "connections": load(&counts.connections), "abandoned": load(&counts.abandoned) });
            *response.body_mut() = whole(json.to_string().into());
        }
        _ => *response.status_mut() = status(404),
    }
    response
}

fn status(number: u64) -> hyper::StatusCode {
    u16::try_from(number).ok().and_then(|n| hyper::StatusCode::from_u16(n).ok()).unwrap_or_default()
}

async fn encode(name: &str, bytes: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    let input = &bytes[..];
    let done = match name {
        "gzip" => GzipEncoder::new(input).read_to_end(&mut out).await,
        "deflate" => ZlibEncoder::new(input).read_to_end(&mut out).await,
        "br" => BrotliEncoder::new(input).read_to_end(&mut out).await,
        "zstd" => ZstdEncoder::new(input).read_to_end(&mut out).await,
        _ => return bytes,
    };
    drop(done);
    out
}

async fn serve_badly() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen")?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(async move { drop(misbehave(tcp).await) });
        }
    });
    Ok(address)
}

/// - `/truncated`: less than its length; `/truncated-chunk`: chunks without an end
/// - `/garbage`: no HTTP; `/nothing`: the connection ends; `/flood`: a head without an end
/// - `/once`: the first request of a connection is answered, the next one finds the connection closed
/// - `/early`: an answer before the request's body, which is not read
/// - `/early-hints`, `/folded`, `/until-close`: what old and new servers do
/// - `/deflate`: without zlib's head; `/gzip-filled`: zeros after the end; `/gzip-twice`: two members
async fn misbehave(mut tcp: TcpStream) -> std::io::Result<()> {
    let path = read_head(&mut tcp).await?;
    if path == "/once" {
        tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nonce").await?;
        read_head(&mut tcp).await?;
        return tcp.shutdown().await;
    }
    let gzip = |text: &str| {
        let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
        gzip.write_all(text.as_bytes()).unwrap_or_default();
        gzip.finish().unwrap_or_default()
    };
    let encoded = match path.as_str() {
        "/deflate" => {
            let mut bare = flate2::write::DeflateEncoder::new(vec![], flate2::Compression::best());
            bare.write_all(b"bare deflate").unwrap_or_default();
            Some(("deflate", bare.finish().unwrap_or_default()))
        }
        "/gzip-filled" => Some(("gzip", [gzip("filled up"), vec![0; 500]].concat())),
        "/gzip-twice" => Some(("gzip", [gzip("one, "), gzip("two")].concat())),
        _ => None,
    };
    if let Some((name, bytes)) = encoded {
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: {name}\r\ncontent-length: {}\r\n\r\n", bytes.len());
        tcp.write_all(&[head.as_bytes(), &bytes].concat()).await?;
        return tcp.shutdown().await;
    }
    let text: &[u8] = match path.as_str() {
        "/early" => {
            b"HTTP/1.1 413 Payload Too Large\r\ncontent-length: 8\r\nconnection: close\r\n\r\ntoo much"
        }
        "/early-hints" => {
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        }
        "/folded" => b"HTTP/1.1 200 OK\r\nx-folded: one\r\n  two\r\ncontent-length: 2\r\n\r\nok",
        "/until-close" => b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        "/truncated" => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this",
        "/truncated-chunk" => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nchunk\r\n",
        "/garbage" => b"220 mail.example ESMTP\r\n",
        "/flood" => {
            tcp.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            for i in 0..1_000_000 {
                tcp.write_all(format!("x-{i}: {}\r\n", "flood".repeat(100)).as_bytes()).await?;
            }
            b""
        }
        _ => b"",
    };
    tcp.write_all(text).await?;
    if path == "/early" {
        // The client may see the answer before it finds out that nobody reads.
        sleep(Duration::from_millis(200)).await;
    }
    tcp.shutdown().await
}

/// Reads a request as far as its head, and gives its path.
async fn read_head(tcp: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    Ok(head.split(' ').nth(1).unwrap_or_default().to_owned())
}

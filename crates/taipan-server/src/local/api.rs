//! Data as JSON, for pages and for commands that find the state folder taken by this process.
//!
//! ```text
//!  GET    api/stores                                            what there is
//!  GET    api/kv/ID/keys?prefix=&cursor=&limit=
//!  GET    api/kv/ID/value?key=                                  PUT: &ttl= &expiration= &metadata=JSON; DELETE
//!  GET    api/r2/ID/objects?prefix=&delimiter=&cursor=&limit=
//!  GET    api/r2/ID/object?key=                                 HEAD; PUT with its headers; DELETE
//!  POST   api/d1/ID/query   {"sql": …, "params": […]}           without params: a script
//!  GET    api/d1/ID/dump?table=&no_data=&no_schema=
//!  GET    api/queues/NAME/count                                 with what holds for it; DELETE api/queues/NAME: all of it
//!  PUT    api/queues/NAME/settings?retention=&delay=&paused=&new=   what is not said stays; with new, only if nobody has set any
//!  GET    api/queues/NAME/messages?limit=                       POST: &type=json|text|bytes &delay=SECONDS; DELETE: all of them
//!  POST   api/analytics/query   {"sql": …, "datasets": […]}     without datasets: all that are bound
//! ```

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde_json::{Value, json};
use taipan_bindings::{Known, Stores, object_body};
use taipan_storage::StorageError;
use taipan_storage::analytics::{self, Cell};
use taipan_storage::d1::{self, D1Database, Done, DumpOptions, Statement};
use taipan_storage::kv::{self, End, KvNamespace, Put};
use taipan_storage::queues::{Change, Count, LARGEST_MESSAGE, Message, Outgoing, Queues, Settings};
use taipan_storage::r2::{self, Conditions, Found, R2Bucket};

use super::Trust;
use super::objects::{self, BodyError, Expected, ask, on_io};
use super::uri::{decode, pairs};
use crate::body::{Arriving, Body, Stream};

/// Below this path.
pub(super) const PATH: &str = "/cdn-cgi/local/api/";

/// The largest SQL: an exported database comes in one piece.
const LARGEST_SQL: usize = 1 << 30;

/// The largest question about data points.
const LARGEST_QUESTION: usize = 1 << 20;

/// Why there is no answer.
struct Failure(StatusCode, String, Option<String>);

type Answer = Result<Response<Body>, Failure>;

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        let status = match error {
            StorageError::Refused { .. } | StorageError::Statement { .. } => StatusCode::BAD_REQUEST,
            StorageError::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let hint = error.hint();
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(source) = cause {
            message = format!("{message}: {source}");
            cause = source.source();
        }
        Self(status, message, hint)
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Store(error) => error.into(),
            BodyError::Bad(_, message) => bad(message),
        }
    }
}

fn bad(message: impl Into<String>) -> Failure {
    Failure(StatusCode::BAD_REQUEST, message.into(), None)
}

fn nothing(what: &str, name: &str) -> Failure {
    Failure(StatusCode::NOT_FOUND, format!("there is no such {what}: {name}"), None)
}

pub(super) async fn answer(
    stores: Option<&Stores>,
    trust: Trust,
    parts: Parts,
    body: Arriving,
) -> Response<Body> {
    perform(stores, trust, parts, body).await.unwrap_or_else(|Failure(status, message, hint)| {
        let mut response = shown(&json!({ "error": message, "hint": hint }));
        *response.status_mut() = status;
        response
    })
}

/// A request, as the store that it is for sees it.
struct Ask {
    method: Method,
    /// The last part of the path.
    what: String,
    query: Query,
    headers: HeaderMap,
    body: Arriving,
}

impl Ask {
    fn unknown<T>(&self) -> Result<T, Failure> {
        Err(nothing("operation", &format!("{} {}", self.method, self.what)))
    }
}

async fn perform(stores: Option<&Stores>, trust: Trust, parts: Parts, body: Arriving) -> Answer {
    let path = parts.uri.path().strip_prefix(PATH).unwrap_or_default().to_owned();
    let mut segments = path.split('/').map(decode);
    let [kind, id, what] = [segments.next(), segments.next(), segments.next()].map(Option::unwrap_or_default);
    if kind == "stores" {
        return Ok(all(stores));
    }
    let Some(stores) = stores.cloned() else { return Err(nothing("store", &id)) };
    let query = Query(pairs(parts.uri.query().unwrap_or_default()));
    let asked = Ask { method: parts.method, what, query, headers: parts.headers, body };
    let known = match kind.as_str() {
        "kv" => stores.known_kv(),
        "d1" => stores.known_d1(),
        "r2" => stores.known_r2(),
        "queues" => stores.known_queues(),
        "analytics" => return points(stores, &id, trust, asked).await,
        _ => return Err(nothing("kind of store", &kind)),
    };
    // Whoever may read the folder may open what is in it; a page sees what the Worker does.
    if trust == Trust::Page && !known.iter().any(|known| known.id == id) {
        return Err(nothing("store", &id));
    }
    match kind.as_str() {
        "kv" => namespace(on_io(move || stores.kv(&id)).await?, asked).await,
        "r2" => bucket(on_io(move || stores.r2(&id)).await?, asked).await,
        "d1" => database(on_io(move || stores.d1(&id)).await?, asked).await,
        _ => queue(on_io(move || stores.queues()).await?, &id, asked).await,
    }
}

/// The pairs of a query.
struct Query(Vec<(String, String)>);

impl Query {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let number = self.get(name).filter(|value| !value.is_empty()).map(str::parse).transpose();
        number.map_err(|_| bad(format!("{name} is no number")))
    }

    fn key(&self) -> Result<String, Failure> {
        self.get("key").map(str::to_owned).ok_or_else(|| bad("which key is missing"))
    }
}

fn all(stores: Option<&Stores>) -> Response<Body> {
    let list = |known: Vec<Known>| -> Vec<Value> {
        known.into_iter().map(|known| json!({ "id": known.id, "name": known.name })).collect()
    };
    let of = |known: fn(&Stores) -> Vec<Known>| list(stores.map(known).unwrap_or_default());
    shown(&json!({
        "kv": of(Stores::known_kv), "d1": of(Stores::known_d1), "r2": of(Stores::known_r2),
        "queues": of(Stores::known_queues), "analytics": of(Stores::known_datasets),
    }))
}

async fn namespace(store: Arc<KvNamespace>, asked: Ask) -> Answer {
    let query = &asked.query;
    match (asked.method.as_str(), asked.what.as_str()) {
        ("GET", "keys") => {
            let options = kv::ListOptions {
                prefix: query.owned("prefix").unwrap_or_default(),
                limit: query.number("limit")?,
                after: query.owned("cursor"),
            };
            let list = ask(|reply| store.list(options, reply)).await?;
            let cursor = list.keys.last().filter(|_| !list.is_complete).map(|key| key.key.clone());
            let keys: Vec<Value> = list
                .keys
                .into_iter()
                .map(|key| json!({ "name": key.key, "expiration": key.expires_at, "metadata": parsed(key.metadata) }))
                .collect();
            Ok(shown(&json!({ "keys": keys, "cursor": cursor })))
        }
        ("GET", "value") => {
            let key = query.key()?;
            let name = key.clone();
            let Some(entry) = ask(|reply| store.get(key, reply)).await? else {
                return Err(nothing("key", &name));
            };
            Ok(bytes(entry.value.into(), "application/octet-stream"))
        }
        ("PUT", "value") => {
            let end = query.number("ttl")?.map(End::After).or(query.number("expiration")?.map(End::At));
            let metadata =
                query.owned("metadata").map(|text| serde_json::from_str::<Value>(&text)).transpose();
            let metadata = metadata.map_err(|_| bad("the metadata is not JSON"))?;
            let value = whole(asked.body, kv::LARGEST_VALUE + 1).await?;
            let put = Put { key: query.key()?, value, metadata: metadata.map(|m| m.to_string()), end };
            ask(|reply| store.put(put, reply)).await?;
            Ok(shown(&json!({})))
        }
        ("DELETE", "value") => {
            let key = query.key()?;
            ask(|reply| store.delete(vec![key], reply)).await?;
            Ok(shown(&json!({})))
        }
        _ => asked.unknown(),
    }
}

async fn bucket(store: Arc<R2Bucket>, asked: Ask) -> Answer {
    let query = &asked.query;
    match (asked.method.as_str(), asked.what.as_str()) {
        ("GET", "objects") => {
            let options = r2::ListOptions {
                prefix: query.owned("prefix").unwrap_or_default(),
                limit: query.number("limit")?,
                from: query.owned("cursor"),
                after: None,
                delimiter: query.owned("delimiter"),
            };
            let list = ask(|reply| store.list(options, reply)).await?;
            let objects: Vec<Value> = list.objects.into_iter().map(object).collect();
            Ok(shown(&json!({ "objects": objects, "prefixes": list.prefixes, "cursor": list.next })))
        }
        ("GET" | "HEAD", "object") => {
            let key = query.key()?;
            let name = key.clone();
            let found = ask(|reply| store.get(key, Conditions::default(), None, reply)).await?;
            let Some(Found::Object(object, _, length, body)) = found else {
                return Err(nothing("object", &name));
            };
            let mut response = Response::new(Body::full(Bytes::new()));
            objects::describe(&object, response.headers_mut());
            if asked.method == Method::GET {
                *response.body_mut() = Body::stream(Stream::of_host(object_body(body)));
            }
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            // Somebody's page, which must not run as one of ours.
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            Ok(response)
        }
        ("PUT", "object") => {
            let key = query.key()?;
            let metadata = objects::metadata(&asked.headers);
            let received = objects::receive(&store, asked.body, Expected::default()).await?;
            let put =
                ask(|reply| store.put(key, received.stored, metadata, Conditions::default(), reply)).await?;
            Ok(shown(&put.map(object).unwrap_or_default()))
        }
        ("DELETE", "object") => {
            let key = query.key()?;
            ask(|reply| store.delete(vec![key], reply)).await?;
            Ok(shown(&json!({})))
        }
        _ => asked.unknown(),
    }
}

fn object(object: r2::Object) -> Value {
    json!({
        "key": object.key, "size": object.size, "etag": object.etag, "uploaded": object.uploaded_ms,
        "httpMetadata": parsed(Some(object.http_metadata)), "customMetadata": parsed(Some(object.custom_metadata)),
    })
}

async fn database(store: Arc<D1Database>, asked: Ask) -> Answer {
    let query = &asked.query;
    match (asked.method.as_str(), asked.what.as_str()) {
        ("POST", "query") => {
            let sent: Value = serde_json::from_slice(&whole(asked.body, LARGEST_SQL).await?)
                .map_err(|_| bad("the body is not JSON"))?;
            let sql = sent.get("sql").and_then(Value::as_str).unwrap_or_default().to_owned();
            let done = match sent.get("params").and_then(Value::as_array) {
                None => ask(|reply| store.execute(sql, reply)).await?,
                Some(params) => {
                    let params = params.iter().map(value).collect::<Result<_, Failure>>()?;
                    ask(|reply| store.run(vec![Statement { sql, params }], reply)).await?
                }
            };
            let done: Vec<Value> = done.into_iter().map(outcome).collect::<Result<_, _>>()?;
            Ok(shown(&done.into()))
        }
        ("GET", "dump") => {
            let options = DumpOptions {
                table: query.owned("table"),
                no_data: query.get("no_data") == Some("true"),
                no_schema: query.get("no_schema") == Some("true"),
            };
            let sql = ask(|reply| store.dump(options, reply)).await?;
            Ok(bytes(sql.into(), "application/sql"))
        }
        _ => asked.unknown(),
    }
}

/// A parameter of SQL.
fn value(value: &Value) -> Result<d1::Value, Failure> {
    Ok(match value {
        Value::Null => d1::Value::Null,
        Value::Bool(is) => d1::Value::Integer(i64::from(*is)),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => d1::Value::Integer(integer),
            None => d1::Value::Real(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => d1::Value::Text(text.clone()),
        // As results have it.
        other => match other.get("b").and_then(Value::as_str).map(|text| BASE64.decode(text)) {
            Some(Ok(bytes)) => d1::Value::Blob(bytes),
            _ => return Err(bad("a parameter is null, a boolean, a number, a text or {\"b\": Base64}")),
        },
    })
}

/// What a statement did. Rows stay as the store wrote them: numbers have all of their digits.
fn outcome(done: Done) -> Result<Value, Failure> {
    Ok(json!({
        "columns": done.rows.columns,
        "rows": done.rows.json,
        "duration": done.duration_ms,
        "rowsRead": done.rows_read,
        "rowsWritten": done.rows_written,
        "changes": done.changes,
    }))
}

async fn queue(queues: Arc<Queues>, name: &str, asked: Ask) -> Answer {
    let query = &asked.query;
    match (asked.method.as_str(), asked.what.as_str()) {
        ("GET", "count") => Ok(shown(&shown_count(&ask(|reply| queues.count(name, reply)).await?))),
        ("PUT", "settings") => {
            let change = Change {
                retention: query.number("retention")?,
                delay: query.number("delay")?,
                is_paused: query.number::<bool>("paused")?,
            };
            let is_new = query.get("new").is_some();
            let settings = ask(|reply| queues.change(name, change, is_new, reply)).await?;
            Ok(shown(&shown_settings(settings)))
        }
        ("DELETE", "") => {
            let removed = ask(|reply| queues.remove(name, reply)).await?;
            Ok(shown(&json!({ "removed": removed })))
        }
        ("GET", "messages") => {
            let most = query.number("limit")?.unwrap_or(MOST_PEEKED).min(MOST_PEEKED);
            let messages = ask(|reply| queues.peek(name, most, reply)).await?;
            Ok(shown(&messages.into_iter().map(shown_message).collect()))
        }
        ("POST", "messages") => {
            let (kind, delay) = (query.owned("type"), query.number("delay")?);
            let body = whole(asked.body, LARGEST_MESSAGE + 1).await?;
            let message = message(kind.unwrap_or_else(|| "json".to_owned()), body, delay).map_err(bad)?;
            ask(|reply| queues.send(name, vec![message], reply)).await?;
            Ok(shown(&json!({})))
        }
        ("DELETE", "messages") => {
            let removed = ask(|reply| queues.purge(name, reply)).await?;
            Ok(shown(&json!({ "removed": removed })))
        }
        _ => asked.unknown(),
    }
}

/// Messages that are shown at once: each may be large.
pub const MOST_PEEKED: usize = 100;

/// A message that somebody sends by hand: what Workers cannot read is refused.
///
/// # Errors
/// When the body is not what `kind` says.
pub fn message(kind: String, body: Bytes, delay: Option<u32>) -> Result<Outgoing, String> {
    match kind.as_str() {
        "json" => {
            serde_json::from_slice::<Value>(&body)
                .map_err(|error| format!("the body is not JSON: {error}"))?;
        }
        "text" => drop(str::from_utf8(&body).map_err(|_| "the body is not UTF-8")?),
        "bytes" => {}
        other => return Err(format!("the type of a message is json, text or bytes, not {other}")),
    }
    Ok(Outgoing { kind, body, delay })
}

/// What a queue has, as JSON.
pub fn shown_count(count: &Count) -> Value {
    let mut shown = shown_settings(count.settings);
    if let Some(shown) = shown.as_object_mut() {
        let numbers = json!({ "messages": count.messages, "delayed": count.delayed, "oldest_sent_ms": count.oldest, "expired": count.expired, "is_set": count.is_set });
        shown.extend(numbers.as_object().cloned().unwrap_or_default());
    }
    shown
}

/// What holds for a queue, as JSON.
pub fn shown_settings(settings: Settings) -> Value {
    let Settings { retention, delay, is_paused } = settings;
    json!({ "retention_seconds": retention, "delivery_delay_seconds": delay, "is_paused": is_paused })
}

/// A message as JSON; what is no text in Base64.
pub fn shown_message(message: Message) -> Value {
    let body = match String::from_utf8(message.body) {
        Ok(text) if message.kind == "json" => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Ok(text) if message.kind == "text" => Value::String(text),
        Ok(text) => json!({ "base64": BASE64.encode(text) }),
        Err(error) => json!({ "base64": BASE64.encode(error.as_bytes()) }),
    };
    json!({
        "id": format!("{:032x}", message.id), "content_type": message.kind, "sent_ms": message.sent_at,
        "deliveries": message.attempts - 1, "body": body,
    })
}

async fn points(stores: Stores, what: &str, trust: Trust, asked: Ask) -> Answer {
    if asked.method != Method::POST || what != "query" {
        return asked.unknown();
    }
    let sent = whole(asked.body, LARGEST_QUESTION).await?;
    let sent: Value = serde_json::from_slice(&sent).map_err(|_| bad("the body is not JSON"))?;
    let sql = sent.get("sql").and_then(Value::as_str).unwrap_or_default().to_owned();
    let named = sent.get("datasets").and_then(Value::as_array).filter(|_| trust == Trust::Owner);
    let datasets: Vec<String> = match named {
        Some(named) => named.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        None => stores.known_datasets().into_iter().map(|known| known.id).collect(),
    };
    let answer = on_io(move || stores.analytics()?.query(&datasets, &sql)).await?;
    Ok(shown(&json!({ "columns": answer.columns, "rows": shown_rows(&answer) })))
}

/// Rows of values; bytes as numbers.
pub fn shown_rows(answer: &analytics::Answer) -> Vec<Vec<Value>> {
    let shown = |cell: &Cell| match cell {
        Cell::Null => json!(null),
        Cell::Integer(number) => json!(number),
        Cell::Real(number) => json!(number),
        Cell::Text(text) => json!(text),
        Cell::Blob(bytes) => json!(bytes),
    };
    answer.rows.iter().map(|row| row.iter().map(shown).collect()).collect()
}

fn parsed(json: Option<String>) -> Value {
    json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
}

async fn whole(body: Arriving, most: usize) -> Result<Bytes, Failure> {
    let bytes = Limited::new(body, most).collect().await;
    Ok(bytes.map_err(|_| bad("the request body broke off or is too large"))?.to_bytes())
}

fn shown(value: &Value) -> Response<Body> {
    bytes(value.to_string().into(), "application/json")
}

fn bytes(bytes: Bytes, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::full(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

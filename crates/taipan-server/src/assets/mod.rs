//! Files that are served beside a Worker: before it is asked, or when it asks for them.
//!
//! Nothing is kept of them but their tags, so an edit is there with the next request. All that touches the disk is done on threads
//! that may block.

mod body;
mod folder;
mod html;
mod listed;
mod negotiate;
mod pattern;
mod rules;
mod types;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use taipan_bindings::{BodySource, FetchAnswer, FetchRequest, Fetcher};
use taipan_config::{NotFoundHandling, RunWorkerFirst};
use tokio::runtime::Handle;
use url::{Position, Url};

use self::body::{FileBody, PIECE};
use self::folder::{Folder, HEADERS, Ignored, Known, REDIRECTS};
use self::html::{Intent, intent};
pub use self::listed::list_assets;
use self::negotiate::Part;
use self::rules::{HeaderRule, Parsed, Redirect, RedirectRule};
use crate::Console;
use crate::within::{self, Call, Reply};

/// What clients and caches may do with an asset when `_headers` does not say.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=0, must-revalidate");

/// What of the folder says something about its other files, as it was last read.
#[derive(Default)]
struct Sayings {
    ignored: Known<Ignored>,
    headers: Known<Parsed<HeaderRule>>,
    redirects: Known<Parsed<RedirectRule>>,
}

/// The assets of a Worker.
pub struct Assets {
    config: taipan_config::Assets,
    folder: Folder,
    sayings: Mutex<Sayings>,
    console: Arc<dyn Console>,
    executor: Handle,
}

/// An answer from a file, or about one.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: AnswerBody,
}

pub(crate) enum AnswerBody {
    /// None, be it that there would be one of this length.
    Empty(Option<u64>),
    Full(Bytes),
    File(FileBody),
}

/// Whether there is a Worker that could answer instead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    First,
    Only,
}

impl Assets {
    /// Files are read by threads of the executor.
    pub fn new(config: taipan_config::Assets, console: Arc<dyn Console>, executor: Handle) -> Arc<Self> {
        let folder = Folder::new(config.directory.clone());
        Arc::new(Self { config, folder, sayings: Mutex::default(), console, executor })
    }

    /// What they were made from.
    pub fn config(&self) -> &taipan_config::Assets {
        &self.config
    }

    /// Answers a client's request, unless it is for the Worker.
    pub(crate) async fn front(
        self: &Arc<Self>,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> Option<Answer> {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| pattern::matches(pattern, url.path()));
        let asked = match &self.config.run_worker_first {
            RunWorkerFirst::Always => return None,
            RunWorkerFirst::NoWorker => Asked::Only,
            RunWorkerFirst::Matching(_, never) if any(never) => Asked::Only,
            RunWorkerFirst::Matching(first, _) if any(first) => return None,
            _ => Asked::First,
        };
        self.answer(method.clone(), url.clone(), headers.clone(), asked).await
    }

    async fn answer(
        self: &Arc<Self>,
        method: Method,
        url: Url,
        headers: HeaderMap,
        asked: Asked,
    ) -> Option<Answer> {
        let this = self.clone();
        let answered = self.executor.spawn_blocking(move || this.find(&method, &url, &headers, asked)).await;
        match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                self.console.failure(&format!("an asset cannot be read: {error}"));
                Some(Answer::new(StatusCode::INTERNAL_SERVER_ERROR))
            }
            // The executor ends.
            Err(_) => Some(Answer::new(StatusCode::SERVICE_UNAVAILABLE)),
        }
    }

    fn find(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        asked: Asked,
    ) -> io::Result<Option<Answer>> {
        let sayings = &mut *self.sayings.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(sayings);
        let host = &url[Position::BeforeHost..Position::AfterPort];
        let redirect = rules::follow(&sayings.redirects.value.rules, host, url.path(), url.query());
        let (raw, is_rewritten) = match redirect {
            Some(Redirect::To(status, to)) => {
                let mut answer = Answer::new(status);
                answer.lead_to(&to);
                rules::apply(&sayings.headers.value.rules, host, url.path(), &mut answer.headers);
                return Ok(Some(answer));
            }
            Some(Redirect::Rewrite(to)) => (to, true),
            None => (url.path().to_owned(), false),
        };
        let ignored = &sayings.ignored.value;
        let exists = |path: &str| self.folder.file(path, ignored).is_some();
        // A path that is no text has no file.
        let intent = decoded(&raw).and_then(|path| intent(self.config.html_handling, &path, &exists));
        let is_navigation = self.config.navigation_prefers_assets
            && headers.get("sec-fetch-mode").is_some_and(|mode| mode.as_bytes() == b"navigate");
        let (file, status) = match intent {
            Some(Intent::Redirect(to)) if !is_rewritten => {
                let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
                let mut answer = Answer::new(StatusCode::TEMPORARY_REDIRECT);
                answer.lead_to(&format!("{}{query}", encoded(&to)));
                rules::apply(&sayings.headers.value.rules, host, url.path(), &mut answer.headers);
                return Ok(Some(answer));
            }
            // The path within is not the client's, which is not sent elsewhere then.
            Some(Intent::Redirect(to)) => match html::intent(self.config.html_handling, &to, &exists) {
                Some(Intent::File(file)) => (Some(file), StatusCode::OK),
                _ => (None, StatusCode::NOT_FOUND),
            },
            Some(Intent::File(file)) => (Some(file), StatusCode::OK),
            None if asked == Asked::Only || is_navigation => self.not_found(&raw, &exists),
            None => (None, StatusCode::NOT_FOUND),
        };
        let found = file.and_then(|file| Some((self.folder.file(&file, ignored)?, file)));
        let Some((path, file)) = found else {
            return Ok((asked == Asked::Only).then(|| Answer::new(StatusCode::NOT_FOUND)));
        };
        if ![Method::GET, Method::HEAD].contains(method) {
            let mut answer = Answer::new(StatusCode::METHOD_NOT_ALLOWED);
            answer.headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Ok(Some(answer));
        }
        let variants = |suffix: &str| self.folder.file(&format!("{file}.{suffix}"), ignored);
        let mut answer = self.serve(&path, &file, status, method, headers, &variants)?;
        rules::apply(&sayings.headers.value.rules, host, url.path(), &mut answer.headers);
        Ok(Some(answer))
    }

    /// The file that stands for one that is not there.
    fn not_found(&self, path: &str, exists: &dyn Fn(&str) -> bool) -> (Option<String>, StatusCode) {
        match self.config.not_found_handling {
            NotFoundHandling::None => (None, StatusCode::NOT_FOUND),
            NotFoundHandling::SinglePageApplication => (Some("/index.html".to_owned()), StatusCode::OK),
            NotFoundHandling::NotFoundPage => {
                let path = decoded(path).unwrap_or_default();
                let folders = path.rmatch_indices('/').filter_map(|(at, _)| path.get(..at));
                let mut pages = folders.map(|folder| format!("{folder}/404.html"));
                (pages.find(|page| exists(page)), StatusCode::NOT_FOUND)
            }
        }
    }

    fn serve(
        &self,
        path: &Path,
        name: &str,
        status: StatusCode,
        method: &Method,
        asked: &HeaderMap,
        variant: &dyn Fn(&str) -> Option<PathBuf>,
    ) -> io::Result<Answer> {
        let mut answer = Answer::new(status);
        let headers = &mut answer.headers;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(types::content_type(name)));
        headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
        let has_variants = negotiate::VARIANTS.iter().any(|(suffix, _)| variant(suffix).is_some());
        let mut path = path.to_owned();
        if has_variants {
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
            // A part is one of the file itself.
            let wanted = if asked.contains_key(header::RANGE) { vec![] } else { negotiate::encodings(asked) };
            let found = wanted.into_iter().find_map(|(suffix, coding)| Some((variant(suffix)?, coding)));
            if let Some((better, coding)) = found {
                path = better;
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
            }
        }
        let open = self.folder.open(&path)?;
        headers.insert(header::ETAG, HeaderValue::from_str(&open.tag).map_err(io::Error::other)?);
        if status == StatusCode::OK && negotiate::has_it(asked, &open.tag) {
            answer.status = StatusCode::NOT_MODIFIED;
            answer.headers.remove(header::CONTENT_TYPE);
            answer.headers.remove(header::CONTENT_ENCODING);
            return Ok(answer);
        }
        let mut range = 0..open.length;
        if status == StatusCode::OK {
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            match negotiate::part(asked, &open.tag, open.length) {
                Part::All => {}
                Part::Bytes(part) => {
                    answer.status = StatusCode::PARTIAL_CONTENT;
                    let text = format!("bytes {}-{}/{}", part.start, part.end - 1, open.length);
                    headers.insert(
                        header::CONTENT_RANGE,
                        HeaderValue::from_str(&text).map_err(io::Error::other)?,
                    );
                    range = part;
                }
                Part::None => {
                    let mut answer = Answer::new(StatusCode::RANGE_NOT_SATISFIABLE);
                    let text = format!("bytes */{}", open.length);
                    let value = HeaderValue::from_str(&text).map_err(io::Error::other)?;
                    answer.headers.insert(header::CONTENT_RANGE, value);
                    return Ok(answer);
                }
            }
        }
        let length = range.end - range.start;
        let mut file = open.file;
        answer.body = if method == Method::HEAD {
            AnswerBody::Empty(Some(length))
        } else if length <= PIECE {
            io::Seek::seek(&mut file, io::SeekFrom::Start(range.start))?;
            AnswerBody::Full(body::read(&mut file, length)?)
        } else {
            AnswerBody::File(FileBody::new(file, range, self.executor.clone())?)
        };
        Ok(answer)
    }

    /// Reads again what has changed, and says what is wrong with it.
    fn refresh(&self, sayings: &mut Sayings) {
        let warn = |name: &str, warnings: &[(usize, String)]| {
            let path = self.config.directory.join(name);
            for (line, message) in warnings {
                self.console.warning(&format!("{}:{line}: left out: {message}", path.display()));
            }
        };
        let Sayings { ignored, headers, redirects } = sayings;
        if self.folder.read_ignored(ignored) {
            warn(".assetsignore", &ignored.value.warnings);
        }
        if self.folder.read(HEADERS, headers, rules::headers) {
            warn(HEADERS, &headers.value.warnings);
        }
        if self.folder.read(REDIRECTS, redirects, rules::redirects) {
            warn(REDIRECTS, &redirects.value.warnings);
        }
    }
}

impl Answer {
    fn new(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: AnswerBody::Empty(None) }
    }

    fn lead_to(&mut self, to: &str) {
        if let Ok(value) = HeaderValue::from_bytes(to.as_bytes()) {
            self.headers.insert(header::LOCATION, value);
        }
    }
}

/// The path with the bytes that `%` stands for; none when they are no text, or hide a slash.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|digits| str::from_utf8(digits).ok());
        let byte = digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(b'/') => return None,
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// The path as a URL has it.
fn encoded(path: &str) -> String {
    let mut url = Url::parse("http://a/").ok();
    if let Some(url) = &mut url {
        url.set_path(&path.replace('%', "%25"));
    }
    url.map_or_else(|| path.to_owned(), |url| url.path().to_owned())
}

/// `env.NAME` of the assets.
#[derive(Clone)]
pub struct AssetsBinding(pub Arc<Assets>);

impl std::fmt::Debug for AssetsBinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AssetsBinding({})", self.0.config.directory.display())
    }
}

impl Fetcher for AssetsBinding {
    fn fetch(&self, request: FetchRequest, answer: FetchAnswer) {
        let assets = self.0.clone();
        let decode = request.decode;
        self.0.executor.spawn(within::perform(request, answer, move |call: Call| {
            let assets = assets.clone();
            async move {
                // No file reads it.
                drop(call.body);
                let mut headers = call.headers;
                if decode {
                    // Whoever reads the answer has the file itself.
                    headers.remove(header::ACCEPT_ENCODING);
                }
                let answer = assets.answer(call.method, call.url, headers, Asked::Only).await;
                let answer = answer.unwrap_or_else(|| Answer::new(StatusCode::NOT_FOUND));
                let body: Option<Box<dyn BodySource>> = match answer.body {
                    AnswerBody::Empty(_) => None,
                    AnswerBody::Full(bytes) => Some(Box::new(within::Whole::new(bytes))),
                    AnswerBody::File(file) => Some(Box::new(file)),
                };
                Ok(Reply::new(answer.status, &answer.headers, body))
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once_and_encoded_again() {
        assert_eq!(decoded("/a%20b%C3%A9%"), Some("/a bé%".to_owned()));
        assert_eq!(decoded("/a%2fb"), None);
        assert_eq!(decoded("/%ff"), None);
        assert_eq!(encoded("/a b%é"), "/a%20b%25%C3%A9");
    }
}

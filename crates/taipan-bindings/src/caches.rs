//! What `caches` holds: responses by URL, in memory, for as long as they are fresh.
//!
//! One [`Caches`] belongs to one Worker: all its isolates see it, those of a new version too, and nobody else. It has a bound, and what
//! was used least recently goes first. It is a cache, not a store: whoever uses it must expect it to be empty.
//!
//! Dates of `Last-Modified` are compared as text, which is how clients send them back.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

/// Of all responses together, in bytes.
const CAPACITY: usize = 64 << 20;

/// Of one response's body; larger ones are not kept.
const LARGEST: usize = 16 << 20;

/// What a response takes beside its text.
const OVERHEAD: usize = 256;

/// No response is kept for longer.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

type Headers = Vec<(String, String)>;

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) status: u32,
    pub(crate) status_text: String,
    pub(crate) headers: Headers,
    pub(crate) body: Option<Bytes>,
}

struct Entry {
    /// What the request had in the headers that the response varies by.
    varies: Vec<(String, Option<String>)>,
    response: Stored,
    stored: Instant,
    lifetime: Duration,
    used: u64,
}

impl Entry {
    fn size(&self) -> usize {
        let texts = self.response.headers.iter().map(|(name, value)| name.len() + value.len());
        OVERHEAD + self.response.body.as_ref().map_or(0, Bytes::len) + texts.sum::<usize>()
    }

    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.stored) < self.lifetime
    }
}

#[derive(Default)]
struct Table {
    /// By the cache's name and the URL.
    entries: HashMap<(String, String), Vec<Entry>>,
    size: usize,
    clock: u64,
}

/// The caches of a Worker. A cheap handle; clones are the same caches.
#[derive(Clone, Default)]
pub struct Caches(Arc<Mutex<Table>>);

/// Why a response is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It varies by everything, so it would never be found.
    VariesByAll,
    /// It is a part of something.
    Partial,
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// The value of a directive of Cache-Control; empty for one without.
fn directive<'a>(control: &'a str, name: &str) -> Option<&'a str> {
    control.split(',').find_map(|part| {
        let (key, value) = part.trim().split_once('=').unwrap_or((part.trim(), ""));
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// How long the response may be kept; none: not at all.
fn lifetime(response: &Stored) -> Option<Duration> {
    let control = header(&response.headers, "cache-control").unwrap_or_default();
    // A cookie is for one client, unless the Worker says that it knows.
    let private = directive(control, "private");
    let has_cookie = header(&response.headers, "set-cookie").is_some();
    let is_private = private.is_some_and(|what| !what.eq_ignore_ascii_case("set-cookie"));
    if is_private
        || (has_cookie && private.is_none())
        || ["no-store", "no-cache"].iter().any(|name| directive(control, name).is_some())
    {
        return None;
    }
    let age = directive(control, "s-maxage").or_else(|| directive(control, "max-age"));
    let seconds = match age {
        Some(text) => text.parse::<u64>().unwrap_or(0),
        // As Cloudflare's edge has it for responses that say nothing.
        None => match response.status {
            200 | 301 => 120 * 60,
            302 | 303 => 20 * 60,
            404 | 410 => 3 * 60,
            _ => 0,
        },
    };
    Some(Duration::from_secs(seconds).min(LONGEST)).filter(|time| !time.is_zero())
}

impl fmt::Debug for Caches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Caches")
    }
}

impl Caches {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the response to a request, in place of the one before.
    pub(crate) fn put(
        &self,
        cache: &str,
        url: &str,
        request: &[(String, String)],
        mut response: Stored,
        now: Instant,
    ) -> Result<(), Refusal> {
        let names = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("vary"));
        let names: HashSet<String> = names
            .flat_map(|(_, value)| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
            .filter(|name| !name.is_empty())
            .collect();
        if names.contains("*") {
            return Err(Refusal::VariesByAll);
        }
        if response.status == 206 {
            return Err(Refusal::Partial);
        }
        let Some(lifetime) = lifetime(&response) else { return Ok(()) };
        if response.body.as_ref().is_some_and(|body| body.len() > LARGEST) {
            return Ok(());
        }
        if header(&response.headers, "set-cookie").is_some() {
            // Kept without it, as its `private` asks.
            response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("set-cookie"));
        }
        let varies = names.into_iter().map(|name| {
            let value = header(request, &name).map(str::to_owned);
            (name, value)
        });
        let entry = Entry { varies: varies.collect(), response, stored: now, lifetime, used: 0 };
        let size = entry.size();
        let mut table = self.lock();
        table.remove(cache, url, |old| old.matches(request));
        table.clock += 1;
        table.size += size;
        let used = table.clock;
        table.entries.entry((cache.to_owned(), url.to_owned())).or_default().push(Entry { used, ..entry });
        table.make_room(now);
        Ok(())
    }

    /// The response to a request, with how old it is in seconds.
    pub(crate) fn find(
        &self,
        cache: &str,
        url: &str,
        request: &[(String, String)],
        now: Instant,
    ) -> Option<(Stored, u64)> {
        let mut table = self.lock();
        table.remove(cache, url, |entry| !entry.is_fresh(now));
        table.clock += 1;
        let used = table.clock;
        let entries = table.entries.get_mut(&(cache.to_owned(), url.to_owned()))?;
        let entry = entries.iter_mut().find(|entry| entry.matches(request))?;
        entry.used = used;
        Some((entry.response.clone(), now.saturating_duration_since(entry.stored).as_secs()))
    }

    /// Forgets the responses to a URL. Whether there were any.
    pub(crate) fn delete(&self, cache: &str, url: &str, now: Instant) -> bool {
        let mut table = self.lock();
        table.remove(cache, url, |entry| !entry.is_fresh(now));
        table.remove(cache, url, |_| true)
    }
}

impl Entry {
    fn matches(&self, request: &[(String, String)]) -> bool {
        self.varies.iter().all(|(name, value)| header(request, name) == value.as_deref())
    }
}

impl Table {
    /// Removes a URL's responses of which `is_gone` holds; whether there was one.
    fn remove(&mut self, cache: &str, url: &str, is_gone: impl Fn(&Entry) -> bool) -> bool {
        let key = (cache.to_owned(), url.to_owned());
        let Some(entries) = self.entries.get_mut(&key) else { return false };
        let (gone, kept): (Vec<_>, Vec<_>) = entries.drain(..).partition(|entry| is_gone(entry));
        self.size -= gone.iter().map(Entry::size).sum::<usize>();
        if kept.is_empty() {
            self.entries.remove(&key);
        } else {
            *entries = kept;
        }
        !gone.is_empty()
    }

    fn make_room(&mut self, now: Instant) {
        if self.size <= CAPACITY {
            return;
        }
        // More than needed at a time, so that this is seldom.
        let mut all: Vec<(bool, u64, (String, String))> = Vec::new();
        for (key, entries) in &self.entries {
            all.extend(entries.iter().map(|entry| (entry.is_fresh(now), entry.used, key.clone())));
        }
        all.sort_unstable();
        for (_, used, (cache, url)) in all {
            if self.size <= CAPACITY - CAPACITY / 8 {
                break;
            }
            self.remove(&cache, &url, |entry| entry.used == used);
        }
    }
}

/// What a request with conditions or a range gets of a whole response.
pub(crate) fn select(request: &[(String, String)], mut response: Stored) -> Stored {
    if response.status != 200 {
        return response;
    }
    let etag = header(&response.headers, "etag");
    let is_same = match header(request, "if-none-match") {
        Some(wanted) => etag.is_some_and(|etag| {
            let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
            wanted.trim() == "*" || wanted.split(',').any(|tag| plain(tag) == plain(etag))
        }),
        None => header(request, "if-modified-since")
            .is_some_and(|since| header(&response.headers, "last-modified") == Some(since)),
    };
    if is_same {
        return Stored { status: 304, status_text: "Not Modified".into(), body: None, ..response };
    }
    let Some(body) = &response.body else { return response };
    let range = header(request, "range").and_then(|range| range.strip_prefix("bytes="));
    // Several ranges would need a multipart response, which nobody has to give.
    let Some((first, last)) = range.filter(|r| !r.contains(',')).and_then(|r| r.split_once('-')) else {
        return response;
    };
    let length = body.len();
    let bounds = match (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => Some((first, last.min(length.saturating_sub(1)))),
        (Ok(first), Err(_)) if last.trim().is_empty() => Some((first, length.saturating_sub(1))),
        (Err(_), Ok(count)) if first.trim().is_empty() => {
            Some((length.saturating_sub(count), length.saturating_sub(1)))
        }
        _ => None,
    };
    let Some((first, last)) = bounds else { return response };
    let set = |headers: &mut Headers, name: &str, value: String| {
        headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        headers.push((name.to_owned(), value));
    };
    if first >= length || last < first {
        set(&mut response.headers, "content-range", format!("bytes */{length}"));
        set(&mut response.headers, "content-length", "0".into());
        return Stored { status: 416, status_text: "Range Not Satisfiable".into(), body: None, ..response };
    }
    let part = body.slice(first..=last);
    set(&mut response.headers, "content-range", format!("bytes {first}-{last}/{length}"));
    set(&mut response.headers, "content-length", part.len().to_string());
    Stored { status: 206, status_text: "Partial Content".into(), body: Some(part), ..response }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(headers: &[(&str, &str)]) -> Headers {
        headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    fn response(headers: &[(&str, &str)], body: &str) -> Stored {
        let body = Some(Bytes::copy_from_slice(body.as_bytes()));
        Stored { status: 200, status_text: "OK".into(), headers: pairs(headers), body }
    }

    fn put(caches: &Caches, url: &str, headers: &[(&str, &str)], body: &str, now: Instant) {
        caches.put("", url, &[], response(headers, body), now).unwrap();
    }

    fn body(caches: &Caches, url: &str, request: &[(&str, &str)], now: Instant) -> Option<String> {
        let (found, _) = caches.find("", url, &pairs(request), now)?;
        Some(String::from_utf8(found.body?.to_vec()).unwrap())
    }

    #[test]
    fn what_may_be_kept_is_kept_as_long_as_it_is_fresh() {
        let (caches, now) = (Caches::default(), Instant::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        put(&caches, "a", &[("Cache-Control", "public, max-age=10")], "x", now);
        assert_eq!(body(&caches, "a", &[], later(9)).as_deref(), Some("x"));
        assert_eq!(body(&caches, "a", &[], later(10)), None);
        put(&caches, "a", &[("cache-control", "max-age=10, s-maxage=100")], "y", now);
        assert_eq!(body(&caches, "a", &[], later(50)).as_deref(), Some("y"));
        put(&caches, "b", &[], "by default", now);
        assert_eq!(body(&caches, "b", &[], later(7199)).as_deref(), Some("by default"));
        assert_eq!(body(&caches, "b", &[], later(7200)), None);
        for headers in [
            &[("cache-control", "no-store")][..],
            &[("cache-control", "private")],
            &[("cache-control", "max-age=0")],
            &[("cache-control", "max-age=x")],
            &[("set-cookie", "a=b")],
        ] {
            put(&caches, "c", headers, "no", now);
            assert_eq!(body(&caches, "c", &[], now), None, "{headers:?}");
        }
        put(&caches, "c", &[("cache-control", "private=Set-Cookie"), ("set-cookie", "a=b")], "yes", now);
        let (found, _) = caches.find("", "c", &[], now).unwrap();
        assert_eq!(found.headers.len(), 1);
        assert!(caches.delete("", "c", now) && !caches.delete("", "c", now));
        assert_eq!(caches.lock().entries.len(), 1);
    }

    #[test]
    fn responses_vary() {
        let (caches, now) = (Caches::default(), Instant::now());
        for language in ["de", "fr"] {
            let request = pairs(&[("Accept-Language", language)]);
            caches.put("", "a", &request, response(&[("Vary", "accept-language")], language), now).unwrap();
        }
        assert_eq!(body(&caches, "a", &[("accept-language", "fr")], now).as_deref(), Some("fr"));
        assert_eq!(body(&caches, "a", &[("accept-language", "de")], now).as_deref(), Some("de"));
        assert_eq!(body(&caches, "a", &[], now), None);
        let all = caches.put("", "a", &[], response(&[("vary", "x, *")], ""), now);
        assert_eq!(all, Err(Refusal::VariesByAll));
    }

    #[test]
    fn ranges_and_conditions() {
        let whole = || response(&[("etag", "\"1\""), ("last-modified", "then")], "0123456789");
        let got = |name: &str, value: &str| {
            let got = select(&pairs(&[(name, value)]), whole());
            (got.status, got.body.map(|b| String::from_utf8(b.to_vec()).unwrap()).unwrap_or_default())
        };
        assert_eq!(got("range", "bytes=2-4"), (206, "234".into()));
        assert_eq!(got("range", "bytes=7-"), (206, "789".into()));
        assert_eq!(got("range", "bytes=-3"), (206, "789".into()));
        assert_eq!(got("range", "bytes=5-99"), (206, "56789".into()));
        assert_eq!(got("range", "bytes=10-"), (416, String::new()));
        assert_eq!(got("range", "bytes=-0"), (416, String::new()));
        for odd in ["bytes=4-2", "bytes=a-b", "bytes=0-1,3-4", "lines=1-2", "bytes=-"] {
            assert_eq!(got("range", odd), (200, "0123456789".into()), "{odd}");
        }
        assert_eq!(got("if-none-match", "\"0\", W/\"1\"").0, 304);
        assert_eq!(got("if-none-match", "\"0\"").0, 200);
        assert_eq!(got("if-modified-since", "then").0, 304);
        assert_eq!(got("if-modified-since", "now").0, 200);
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let (caches, now) = (Caches::default(), Instant::now());
        let large = "x".repeat(1 << 20);
        for n in 0..80 {
            put(&caches, &n.to_string(), &[], &large, now);
            body(&caches, "0", &[], now);
        }
        assert!(caches.lock().size <= CAPACITY);
        assert!(body(&caches, "0", &[], now).is_some(), "it is used again and again");
        assert!(body(&caches, "1", &[], now).is_none());
        assert!(body(&caches, "79", &[], now).is_some());
        put(&caches, "0", &[], &"x".repeat(LARGEST + 1), now);
        assert!(body(&caches, "0", &[], now).is_some(), "too large to take its place");
    }
}

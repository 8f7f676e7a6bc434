//! The files `_headers` and `_redirects`: what an author says about answers.
//!
//! A line that cannot be used is left out and named in a warning, as at Cloudflare: an asset without a header is better than none.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{StatusCode, Uri};

use super::pattern::{Found, Pattern, fill};

/// The limits of Cloudflare.
const MOST_HEADERS: usize = 100;
const MOST_REDIRECTS: usize = 2000;
const LONGEST_LINE: usize = 2000;

/// What a file of rules says.
#[derive(Debug)]
pub(super) struct Parsed<T> {
    pub(super) rules: Vec<T>,
    /// Lines and what is wrong with them.
    pub(super) warnings: Vec<(usize, String)>,
}

impl<T> Default for Parsed<T> {
    fn default() -> Self {
        Self { rules: Vec::new(), warnings: Vec::new() }
    }
}

/// Headers for paths.
#[derive(Debug)]
pub(super) struct HeaderRule {
    pattern: Pattern,
    unset: Vec<HeaderName>,
    set: Vec<(HeaderName, String)>,
}

/// Where a path is.
#[derive(Debug)]
pub(super) struct RedirectRule {
    pattern: Pattern,
    is_static: bool,
    to: String,
    status: StatusCode,
}

/// What a redirect comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// The client is sent there.
    To(StatusCode, String),
    /// What is there is the answer.
    Rewrite(String),
}

/// Reads `_headers`.
pub(super) fn headers(text: &str) -> Parsed<HeaderRule> {
    let mut parsed = Parsed::<HeaderRule>::default();
    let mut is_usable = false;
    for (number, line) in lines(text) {
        if line.len() > LONGEST_LINE {
            parsed.warnings.push((number, format!("longer than {LONGEST_LINE} bytes")));
        } else if line.starts_with('/') || line.starts_with("https://") {
            is_usable = parsed.rules.len() < MOST_HEADERS;
            match Pattern::new(line) {
                _ if !is_usable => {
                    parsed.warnings.push((number, format!("only {MOST_HEADERS} paths can have headers")));
                }
                Ok(pattern) => {
                    parsed.rules.push(HeaderRule { pattern, unset: Vec::new(), set: Vec::new() });
                }
                Err(why) => {
                    is_usable = false;
                    parsed.warnings.push((number, format!("not a path: {line}: {why}")));
                }
            }
        } else if is_usable && let Some(rule) = parsed.rules.last_mut() {
            if let Err(why) = header(rule, line) {
                parsed.warnings.push((number, why));
            }
        } else {
            parsed.warnings.push((number, format!("there is no path for this header: {line}")));
        }
    }
    parsed
}

fn header(rule: &mut HeaderRule, line: &str) -> Result<(), String> {
    let name = |text: &str| {
        HeaderName::from_bytes(text.trim().as_bytes())
            .map_err(|_| format!("not the name of a header: {text}"))
    };
    if let Some(unset) = line.strip_prefix('!') {
        rule.unset.push(name(unset)?);
        return Ok(());
    }
    let (key, value) = line.split_once(':').ok_or_else(|| format!("not a header: {line}"))?;
    rule.set.push((name(key)?, value.trim().to_owned()));
    Ok(())
}

/// Gives the answer the headers of the paths that it is for.
pub(super) fn apply(rules: &[HeaderRule], host: &str, path: &str, headers: &mut HeaderMap) {
    let mut own: Vec<&HeaderName> = Vec::new();
    for rule in rules {
        let Some(found) = rule.pattern.find(host, path) else { continue };
        for name in &rule.unset {
            headers.remove(name);
        }
        for (name, text) in &rule.set {
            let Ok(value) = HeaderValue::from_bytes(fill(text, &found).as_bytes()) else { continue };
            let before = if own.contains(&name) { headers.get(name).cloned() } else { None };
            own.push(name);
            if name == hyper::header::SET_COOKIE && before.is_some() {
                headers.append(name, value);
                continue;
            }
            let joined = before.map(|before| [before.as_bytes(), b", ", value.as_bytes()].concat());
            let value = joined.and_then(|joined| HeaderValue::from_bytes(&joined).ok()).unwrap_or(value);
            headers.insert(name, value);
        }
    }
}

/// Reads `_redirects`.
pub(super) fn redirects(text: &str) -> Parsed<RedirectRule> {
    let mut parsed = Parsed::<RedirectRule>::default();
    let mut sources: Vec<String> = Vec::new();
    for (number, line) in lines(text) {
        match redirect(line, &sources) {
            Ok(_) if parsed.rules.len() >= MOST_REDIRECTS => {
                parsed.warnings.push((number, format!("only {MOST_REDIRECTS} paths can be redirected")));
                break;
            }
            Ok((from, rule)) => {
                sources.push(from);
                parsed.rules.push(rule);
            }
            Err(why) => parsed.warnings.push((number, why)),
        }
    }
    // Those without placeholders come first, wherever they are written.
    parsed.rules.sort_by_key(|rule| !rule.is_static);
    parsed
}

fn redirect(line: &str, known: &[String]) -> Result<(String, RedirectRule), String> {
    if line.len() > LONGEST_LINE {
        return Err(format!("longer than {LONGEST_LINE} bytes"));
    }
    let words: Vec<&str> = line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
    let (from, to, status) = match words.as_slice() {
        [from, to] => (*from, *to, "302"),
        [from, to, status] => (*from, *to, *status),
        _ => return Err(format!("expected a path, where it is, and perhaps a status: {line}")),
    };
    if !from.starts_with('/') || from.contains(['?', '#']) {
        return Err(format!("not a path: {from}"));
    }
    if known.iter().any(|known| known == from) {
        return Err(format!("an earlier line is for this path: {from}"));
    }
    let status = match status {
        "200" => StatusCode::OK,
        "301" => StatusCode::MOVED_PERMANENTLY,
        "302" => StatusCode::FOUND,
        "303" => StatusCode::SEE_OTHER,
        "307" => StatusCode::TEMPORARY_REDIRECT,
        "308" => StatusCode::PERMANENT_REDIRECT,
        other => {
            return Err(format!("not a status of a redirect: {other}; use 301, 302, 303, 307, 308 or 200"));
        }
    };
    let is_elsewhere = to.starts_with("https://") || to.starts_with("http://");
    if !(to.starts_with('/') && !to.starts_with("//") || is_elsewhere && status != StatusCode::OK) {
        return Err(format!("cannot lead there: {to}"));
    }
    let pattern = Pattern::new(from).map_err(|why| format!("not a path: {from}: {why}"))?;
    let rule = RedirectRule { pattern, is_static: !from.contains(['*', ':']), to: to.to_owned(), status };
    Ok((from.to_owned(), rule))
}

/// Where a request for the path goes, if it goes elsewhere. `query` is without its question mark.
pub(super) fn follow(
    rules: &[RedirectRule],
    host: &str,
    path: &str,
    query: Option<&str>,
) -> Option<Redirect> {
    let (rule, found): (&RedirectRule, Found) =
        rules.iter().find_map(|rule| Some((rule, rule.pattern.find(host, path)?)))?;
    let mut to = fill(&rule.to, &found);
    // What a placeholder stands for comes from the client, and must not become a host.
    if rule.to.starts_with('/') {
        to = format!("/{}", to.trim_start_matches(['/', '\\']));
    }
    if rule.status == StatusCode::OK {
        let end = to.find(['?', '#']).unwrap_or(to.len());
        to.truncate(end);
        return Some(Redirect::Rewrite(to));
    }
    let has_query = to.parse::<Uri>().is_ok_and(|uri| uri.query().is_some());
    if let Some(query) = query.filter(|_| !has_query) {
        let at = to.find('#').unwrap_or(to.len());
        to.insert_str(at, &format!("?{query}"));
    }
    Some(Redirect::To(rule.status, to))
}

/// Lines that say something, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_set_joined_and_removed() {
        let parsed = headers(
            "# all\n/*\n  X-All: yes\n  Link: </a>\n/blog/:name\n  link: </b>\n  x-name: :name\n  ! cache-control\nx\n",
        );
        assert_eq!(parsed.warnings, [(9, "not a header: x".to_owned())]);
        let mut map = HeaderMap::new();
        map.insert("cache-control", HeaderValue::from_static("public"));
        apply(&parsed.rules, "a", "/blog/one", &mut map);
        assert_eq!(map["link"], "</a>, </b>");
        assert_eq!((&map["x-all"], &map["x-name"]), (&"yes".parse().unwrap(), &"one".parse().unwrap()));
        assert!(!map.contains_key("cache-control"));
        assert_eq!(headers("x: y\n/ /\n").warnings.len(), 1);
    }

    #[test]
    fn redirects_lead_where_they_should_and_no_client_says_where() {
        let parsed = redirects(
            "/a /b\n/a /c\n/old/* /new/:splat 301\n/x/* https://example.com/:splat?z=1 308 # why\n/app/* /app.html 200\n\
             /out /o 999\n/old/static /s 303\n/bad //evil 301\nnothing\n/t/* /:splat 302\n",
        );
        let numbers: Vec<usize> = parsed.warnings.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [2, 6, 8, 9]);
        let to = |path: &str, query| follow(&parsed.rules, "h", path, query);
        let sent =
            |status: u16, to: &str| Some(Redirect::To(StatusCode::from_u16(status).unwrap(), to.to_owned()));
        assert_eq!(to("/a", Some("q=1")), sent(302, "/b?q=1"));
        assert_eq!(to("/old/x/y", None), sent(301, "/new/x/y"));
        assert_eq!(to("/old/static", None), sent(303, "/s"));
        assert_eq!(to("/x/y", Some("q")), sent(308, "https://example.com/y?z=1"));
        assert_eq!(to("/app/deep", None), Some(Redirect::Rewrite("/app.html".to_owned())));
        assert_eq!(to("/t//evil.com", None), sent(302, "/evil.com"));
        assert_eq!(to("/none", None), None);
    }
}

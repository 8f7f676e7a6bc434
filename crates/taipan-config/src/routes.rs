//! `routes`: for which addresses a deployed Worker is called.
//!
//! A pattern is a host and a path, as at Cloudflare: `example.com/api/*`, `*.example.com/*`. A star stands at the beginning of the host, where
//! it means any text, and at the end of the path.

use std::fmt;

use crate::bindings::text;
use crate::decode::Section;
use crate::error::ConfigError;
use crate::keys::ROUTE_KEYS;
use crate::sections::required;
use crate::tree::Value;

/// A pattern of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    text: String,
    host: String,
    any_before_host: bool,
    path: String,
    any_after_path: bool,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Route {
    /// Understands a pattern; the error says what is wrong with it.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            // A host alone is all of it.
            None => (rest, "/*"),
        };
        let (any_before_host, host) = host.strip_prefix('*').map_or((false, host), |host| (true, host));
        let (any_after_path, path) = path.strip_suffix('*').map_or((false, path), |path| (true, path));
        if host.is_empty() && !any_before_host {
            return Err("it has no host".to_owned());
        }
        let is_of_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if let Some(wrong) = host.chars().find(|c| !is_of_host(*c)) {
            return Err(match wrong {
                '*' => "a star can only be at the beginning of the host".to_owned(),
                ':' => "it cannot say which port".to_owned(),
                other => format!("`{other}` cannot be part of a host"),
            });
        }
        if path.contains('*') {
            return Err("a star can only be at the end of the path".to_owned());
        }
        if path.contains(['?', '#']) {
            return Err("it cannot have a query".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            host: host.to_ascii_lowercase(),
            any_before_host,
            path: path.to_owned(),
            any_after_path,
        })
    }

    /// How closely the pattern describes a host (in lower case) and a path, if it does: of several, the greatest is meant.
    pub fn matches(&self, host: &str, path: &str) -> Option<(bool, usize, bool, usize)> {
        let has_host = if self.any_before_host { host.ends_with(&self.host) } else { host == self.host };
        let has_path = if self.any_after_path { path.starts_with(&self.path) } else { path == self.path };
        (has_host && has_path).then_some((
            !self.any_before_host,
            self.host.len(),
            !self.any_after_path,
            self.path.len(),
        ))
    }
}

/// Reads both keys; `section` gives the one that decides about a key.
pub(crate) fn read<'a>(section: impl Fn(&str) -> Section<'a>) -> Result<Vec<Route>, ConfigError> {
    let mut routes = Vec::new();
    let route = |owner: &Section<'a>, path: &str, text: &str, at: usize| {
        Route::parse(text).map_err(|reason| {
            let message = format!("wrong value of `{path}`: `{text}`: {reason}");
            owner.source.error(at, message).with_hint("write a host and a path, such as `example.com/api/*`")
        })
    };
    for key in ["route", "routes"] {
        let section = section(key);
        let Some(entry) = section.get(key) else { continue };
        let path = section.path_of(key);
        let (single, list);
        let nodes = match &entry.node.value {
            Value::Array(nodes) => {
                list = nodes.as_slice();
                list
            }
            _ => {
                single = std::slice::from_ref(&entry.node);
                single
            }
        };
        for (index, node) in nodes.iter().enumerate() {
            let path = if key == "route" { path.clone() } else { format!("{path}[{index}]") };
            match &node.value {
                Value::String(text) => routes.push(route(&section, &path, text, node.at)?),
                Value::Object(_) => {
                    let below = section.object(path.clone(), node)?;
                    below.only(ROUTE_KEYS)?;
                    let pattern = required(&below, text(&below, "pattern")?, "pattern")?;
                    routes.push(route(&section, &format!("{path}.pattern"), &pattern, node.at)?);
                }
                other => {
                    let message =
                        format!("wrong type of `{path}`: expected a pattern, found {}", other.kind());
                    return Err(section
                        .source
                        .error(node.at, message)
                        .with_hint("write a host and a path, such as `example.com/api/*`"));
                }
            }
        }
    }
    Ok(routes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let matches = |pattern: &str, host: &str, path: &str| {
            Route::parse(pattern).unwrap().matches(host, path).is_some()
        };
        assert!(matches("Example.com/api/*", "example.com", "/api/x"));
        assert!(matches("https://example.com/api*", "example.com", "/apiary"));
        assert!(matches("*.example.com/*", "a.b.example.com", "/"));
        assert!(matches("*example.com/x", "example.com", "/x"));
        assert!(matches("example.com", "example.com", "/any"));
        assert!(!matches("*.example.com/*", "example.com", "/"));
        assert!(!matches("example.com/x", "example.com", "/x/"));
        assert!(!matches("example.com/api/*", "example.org", "/api/"));
        for wrong in
            ["", "/x", "exa*mple.com/*", "example.com:80/*", "example.com/*/x", "example.com/?a", "a b/*"]
        {
            assert!(Route::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_closest_pattern_is_the_greatest() {
        let of = |pattern: &str| Route::parse(pattern).unwrap().matches("a.example.com", "/api/x");
        let order = [
            "*/*",
            "*.example.com/*",
            "*.example.com/api/*",
            "a.example.com/*",
            "a.example.com/api/*",
            "a.example.com/api/x",
        ];
        assert!(order.iter().map(|pattern| of(pattern).unwrap()).is_sorted_by(|a, b| a < b));
    }
}

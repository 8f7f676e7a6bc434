//! Paths with placeholders, as `_headers`, `_redirects` and `run_worker_first` have them.

use regex::Regex;

/// A path in which `:name` is text without a slash, and `*` any text, known as `:splat`.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// The pattern begins with a host.
    has_host: bool,
}

/// What placeholders stand for, by their names.
pub(super) type Found = Vec<(String, String)>;

impl Pattern {
    /// What is wrong with it is said.
    pub(super) fn new(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("https://");
        if rest.is_none() && !text.starts_with('/') {
            return Err("it does not begin with `/` or `https://`");
        }
        if text.matches('*').count() > 1 {
            return Err("it has more than one `*`");
        }
        let mut regex = String::from("^");
        let mut characters = rest.unwrap_or(text).char_indices().peekable();
        let source = rest.unwrap_or(text);
        while let Some((at, c)) = characters.next() {
            let name: String = source
                .get(at + c.len_utf8()..)
                .unwrap_or_default()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            match c {
                '*' => regex.push_str("(?P<splat>.*)"),
                // A port is no placeholder.
                ':' if name.starts_with(|first: char| first.is_ascii_alphabetic()) => {
                    regex.push_str(&format!("(?P<{name}>[^/]+)"));
                    let _last = name.chars().map_while(|_| characters.next()).last();
                }
                other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
            }
        }
        regex.push('$');
        let regex = Regex::new(&regex).map_err(|_| "a placeholder is in it twice, or it is too long")?;
        Ok(Self { regex, has_host: rest.is_some() })
    }

    /// What placeholders stand for, when the pattern is for this host and path.
    pub(super) fn find(&self, host: &str, path: &str) -> Option<Found> {
        let whole = if self.has_host { format!("{host}{path}") } else { path.to_owned() };
        let captures = self.regex.captures(&whole)?;
        let names = self.regex.capture_names().flatten();
        Some(
            names
                .filter_map(|name| Some((name.to_owned(), captures.name(name)?.as_str().to_owned())))
                .collect(),
        )
    }
}

/// The text with what its placeholders stand for.
pub(super) fn fill(text: &str, found: &Found) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(':') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        let after = from.get(1..).unwrap_or_default();
        let length = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
        let (name, tail) = after.split_at(length);
        match found.iter().find(|(known, _)| known == name) {
            Some((_, value)) => filled.push_str(value),
            None => filled.push_str(from.get(..=length).unwrap_or_default()),
        }
        rest = tail;
    }
    filled.push_str(rest);
    filled
}

/// Whether `*` in the pattern can be such text that it is the path.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| path.strip_prefix(first)) else { return false };
    let mut is_open = false;
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        is_open = true;
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    is_open || rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_found_and_filled_in() {
        let pattern = Pattern::new("/blog/:year/*").unwrap();
        let found = pattern.find("a", "/blog/2026/x/y").unwrap();
        assert_eq!(fill("/news/:splat?y=:year&z=:other:", &found), "/news/x/y?y=2026&z=:other:");
        assert!(pattern.find("a", "/blog/2026").is_none());
        let hosted = Pattern::new("https://:sub.example.com:8080/*").unwrap();
        assert_eq!(fill(":sub", &hosted.find("de.example.com:8080", "/").unwrap()), "de");
        assert!(hosted.find("example.com:8080", "/").is_none());
        for wrong in ["blog", "/*/*", "http://a/", "/:a/:a"] {
            assert!(Pattern::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn stars_are_any_text() {
        for (pattern, path, is_match) in [
            ("/api/*", "/api/a/b", true),
            ("/api/*", "/api", false),
            ("/api", "/api/", false),
            ("/a*/b*c", "/ax/y/bc", true),
            ("/a*/b*c", "/ax/y/bcd", false),
            ("/*", "/", true),
            ("/a*a", "/a", false),
        ] {
            assert_eq!(matches(pattern, path), is_match, "{pattern} {path}");
        }
    }
}

//! What a client asks for: encodings, conditions and ranges.

use std::ops::Range;

use hyper::header::{self, HeaderMap};

/// Encodings of files beside the one that is asked for: what follows its name, and what HTTP calls it; the preferred ones first.
pub(super) const VARIANTS: [(&str, &str); 3] = [("br", "br"), ("zst", "zstd"), ("gz", "gzip")];

/// Those of the variants that the client takes, the best first.
pub(super) fn encodings(headers: &HeaderMap) -> Vec<(&'static str, &'static str)> {
    let accepted: Vec<&str> =
        headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
    let weight = |name: &str| {
        let mut any = None;
        for item in accepted.iter().flat_map(|value| value.split(',')) {
            let mut parts = item.split(';').map(str::trim);
            let coding = parts.next().unwrap_or_default();
            let q = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
            let q = q.unwrap_or(0.0);
            if coding.eq_ignore_ascii_case(name) {
                return q;
            }
            if coding == "*" {
                any = Some(q);
            }
        }
        any.unwrap_or(0.0)
    };
    let mut wanted: Vec<_> = VARIANTS.into_iter().map(|variant| (weight(variant.1), variant)).collect();
    wanted.retain(|(weight, _)| *weight > 0.0);
    wanted.sort_by(|a, b| b.0.total_cmp(&a.0));
    wanted.into_iter().map(|(_, variant)| variant).collect()
}

/// Whether the client has what has this tag.
pub(super) fn has_it(headers: &HeaderMap, tag: &str) -> bool {
    let listed = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = listed.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// Which part of a file is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    All,
    Bytes(Range<u64>),
    /// There is no such part.
    None,
}

/// Several ranges are answered with all of the file, as the standard allows.
pub(super) fn part(headers: &HeaderMap, tag: &str, length: u64) -> Part {
    if headers.get(header::IF_RANGE).is_some_and(|known| known.as_bytes() != tag.as_bytes()) {
        return Part::All;
    }
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) = range
        .and_then(|range| range.strip_prefix("bytes="))
        .filter(|range| !range.contains(','))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Part::All;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let range = match (first, last) {
        ("", last) if is_number(last) => length.saturating_sub(number(last))..length,
        (first, "") if is_number(first) => number(first)..length,
        (first, last) if is_number(first) && is_number(last) && number(first) <= number(last) => {
            number(first)..number(last).saturating_add(1).min(length)
        }
        _ => return Part::All,
    };
    if range.start >= range.end { Part::None } else { Part::Bytes(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(name: &'static str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn the_clients_preference_decides_then_ours() {
        let names = |value| {
            let found = encodings(&map("accept-encoding", value));
            found.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
        };
        assert_eq!(names("gzip, deflate, br, zstd"), ["br", "zstd", "gzip"]);
        assert_eq!(names("GZIP;q=1.0, br;q=0.5"), ["gzip", "br"]);
        assert_eq!(names("*;q=0.1, br;q=0"), ["zstd", "gzip"]);
        assert_eq!(names("identity"), [""; 0]);
        assert!(encodings(&HeaderMap::new()).is_empty());
    }

    #[test]
    fn parts_of_a_file() {
        let asked = |range| part(&map("range", range), "\"t\"", 10);
        assert_eq!(asked("bytes=0-0"), Part::Bytes(0..1));
        assert_eq!(asked("bytes=5-"), Part::Bytes(5..10));
        assert_eq!(asked("bytes=-3"), Part::Bytes(7..10));
        assert_eq!(asked("bytes=-30"), Part::Bytes(0..10));
        assert_eq!(asked("bytes=8-99999999999999999999"), Part::Bytes(8..10));
        assert_eq!(asked("bytes=10-"), Part::None);
        assert_eq!(asked("bytes=-0"), Part::None);
        for other in ["bytes=0-1,3-4", "bytes=3-1", "bytes=x-", "lines=1-2", "bytes=-", "bytes=1"] {
            assert_eq!(asked(other), Part::All, "{other}");
        }
        let mut stale = map("range", "bytes=0-0");
        stale.insert("if-range", "\"u\"".parse().unwrap());
        assert_eq!(part(&stale, "\"t\"", 10), Part::All);
        assert!(has_it(&map("if-none-match", "\"a\", W/\"t\""), "\"t\""));
        assert!(has_it(&map("if-none-match", "*"), "\"t\"") && !has_it(&HeaderMap::new(), "\"t\""));
    }
}

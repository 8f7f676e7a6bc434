//! Compares what came with what was expected; an error says both.

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::case::{Conditions, Expect, Text};
use crate::http::Response;

/// How much of a body a message shows.
const SHOWN: usize = 2000;

/// Checks a response.
pub fn response(got: &Response, expect: &Expect, request_body: &[u8]) -> Result<()> {
    if got.status != expect.status {
        bail!("expected status {}, got {} with body: {}", expect.status, got.status, shown(&got.body));
    }
    for (name, expected) in &expect.headers {
        let value = got
            .header(&name.to_ascii_lowercase())
            .with_context(|| format!("expected header {name}, got only: {:?}", got.headers))?;
        text(value.as_bytes(), expected, &[]).with_context(|| format!("header {name}"))?;
    }
    match &expect.body {
        Some(expected) => text(&got.body, expected, request_body).context("body"),
        None => Ok(()),
    }
}

/// Checks a text.
pub fn text(got: &[u8], expected: &Text, request_body: &[u8]) -> Result<()> {
    match expected {
        Text::Exact(expected) if got != expected.as_bytes() => {
            bail!("expected: {expected}\ngot: {}", shown(got))
        }
        Text::Exact(_) => Ok(()),
        Text::Conditions(conditions) => self::conditions(got, conditions, request_body),
    }
}

fn conditions(got: &[u8], conditions: &Conditions, request_body: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(got);
    let mut rest = &*text;
    for part in &conditions.contains {
        let Some((_, after)) = rest.split_once(part.as_str()) else {
            bail!("expected it to contain, in this place: {part}\ngot: {}", shown(got));
        };
        rest = after;
    }
    if let Some(part) = conditions.lacks.iter().find(|part| text.contains(part.as_str())) {
        bail!("expected it not to contain: {part}\ngot: {}", shown(got));
    }
    if let Some(pattern) = &conditions.regex
        && !regex::Regex::new(pattern)?.is_match(&text)
    {
        bail!("expected it to match: {pattern}\ngot: {}", shown(got));
    }
    if let Some(expected) = &conditions.json {
        let value: serde_json::Value =
            serde_json::from_slice(got).with_context(|| format!("not JSON: {}", shown(got)))?;
        if value != *expected {
            bail!("expected: {expected}\ngot: {value}");
        }
    }
    if let Some(expected) = &conditions.sha256 {
        let digest: String = Sha256::digest(got).iter().map(|byte| format!("{byte:02x}")).collect();
        if digest != *expected {
            bail!("expected SHA-256: {expected}\ngot: {digest} of {} bytes", got.len());
        }
    }
    if conditions.equals_request_body && got != request_body {
        let same = got.iter().zip(request_body).take_while(|(a, b)| a == b).count();
        bail!(
            "expected the {} bytes of the request, got {} bytes, equal up to byte {same}",
            request_body.len(),
            got.len()
        );
    }
    Ok(())
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes)", text.get(..end).unwrap_or_default(), bytes.len()),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(got: &str, expected: &str) -> Result<()> {
        text(got.as_bytes(), &serde_json::from_str(expected).unwrap(), b"body")
    }

    #[test]
    fn each_condition_can_fail() {
        for (expected, good, bad) in [
            (r#""abc""#, "abc", "abcd"),
            (r#"{"contains":["b","a"]}"#, "xbxa", "ab"),
            (r#"{"lacks":["b"]}"#, "a", "ab"),
            (r#"{"regex":"^a+$"}"#, "aa", "ab"),
            (r#"{"json":{"a":[1]}}"#, "{ \"a\": [1] }", "{\"a\":[2]}"),
            (
                r#"{"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}"#,
                "abc",
                "abd",
            ),
            (r#"{"equals_request_body":true}"#, "body", "bode"),
        ] {
            check(good, expected).unwrap();
            assert!(check(bad, expected).is_err(), "{expected}");
        }
    }
}

//! Percent-encoding, as signatures have it: everything but letters, digits and `-._~` is encoded.

/// A value of a query, or one part of a path.
pub fn percent_encoded(text: &str) -> String {
    encode(text, false)
}

/// Encodes text; in a path, slashes stay.
pub(super) fn encode(text: &str, is_path: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            b'/' if is_path => encoded.push('/'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Decodes text; what is not encoded well stays.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| str::from_utf8(two).ok());
        let byte = digits.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned())
}

/// The pairs of a query; a plus sign is one, as S3's clients encode spaces as `%20`.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (decode(k), decode(v)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes() {
        assert_eq!(encode("a b/é+~", true), "a%20b/%C3%A9%2B~");
        assert_eq!(encode("/", false), "%2F");
        assert_eq!(decode("a%20b/%C3%A9%2B~%zz%4"), "a b/é+~%zz%4");
        assert_eq!(
            pairs("a=1&b&c=%26="),
            [("a", "1"), ("b", ""), ("c", "&=")].map(|(a, b)| (a.into(), b.into()))
        );
    }
}

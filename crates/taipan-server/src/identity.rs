//! What versions are called: UUIDs as text.

use std::io;

use taipan_storage::hex;

/// An identity in the form of a UUID.
pub fn as_uuid(bytes: [u8; 16]) -> String {
    let hex = hex(&bytes);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// A new identity.
pub(crate) fn random_id() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    // The version and the variant.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(as_uuid(bytes))
}

/// Whether the text may be one.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_uuids() {
        assert_eq!(as_uuid([0xa0; 16]), "a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a0a0");
        let id = random_id().unwrap();
        assert!(is_id(&id) && &id[14..15] == "4" && "89ab".contains(&id[19..20]), "{id}");
    }
}

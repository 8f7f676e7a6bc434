//! What guest JavaScript gets to read of the main module: a module of its custom section for dynamic linking alone. The
//! code is compiled and instantiated before JavaScript runs, and ten megabytes would only be copied to be dropped.

/// Magic and version.
const HEADER: &[u8] = b"\0asm\x01\0\0\0";

/// The stub for a main module; also how the host recognises it when JavaScript "compiles" it.
pub(crate) fn stub_of(main: &[u8]) -> Vec<u8> {
    let mut stub = HEADER.to_vec();
    stub.extend_from_slice(custom_section(main, b"dylink.0").unwrap_or_default());
    // A section that no real module has: the stub of a module without linking information is not just any empty one.
    stub.extend_from_slice(b"\0\x0c\x0btaipan.main");
    stub
}

/// The whole section, with its header.
fn custom_section<'a>(wasm: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = wasm.get(HEADER.len()..)?;
    while let Some((&id, after)) = rest.split_first() {
        let (length, body) = leb(after)?;
        let body_length = usize::try_from(length).ok()?;
        let content = body.get(..body_length)?;
        let (name_length, named) = leb(content).unwrap_or((0, &[]));
        if id == 0 && named.get(..usize::try_from(name_length).ok()?) == Some(name) {
            let section_length = rest.len() - body.len() + body_length;
            return rest.get(..section_length);
        }
        rest = body.get(body_length..)?;
    }
    None
}

/// An unsigned LEB128 number of 32 bits, and what follows it.
fn leb(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u32;
    for (i, byte) in bytes.iter().enumerate().take(5) {
        value |= u32::from(byte & 0x7f).checked_shl(u32::try_from(i).ok()? * 7)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(i + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_section_and_nothing_else() {
        let mut module = HEADER.to_vec();
        module.extend_from_slice(b"\x01\x01\x00"); // an empty type section
        let section = b"\0\x0b\x08dylink.0ab";
        module.extend_from_slice(section);
        module.extend_from_slice(b"\x03\x01\x00");
        let stub = stub_of(&module);
        assert!(stub.starts_with(HEADER));
        assert_eq!(&stub[HEADER.len()..HEADER.len() + section.len()], section);
        assert!(stub_of(HEADER).ends_with(b"taipan.main"));
        for n in 0..module.len() {
            stub_of(&module[..n]);
        }
    }
}

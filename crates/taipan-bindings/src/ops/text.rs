//! `text.*`: the legacy encodings of the Encoding standard, by Firefox's implementation of it.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use taipan_guest::protocol::{Field, Message};

use super::{Fields, OpError};

pub(super) fn call(verb: &str, args: &Message<'_>) -> Fields {
    match verb {
        "label" => Ok(vec![encoding(args.str(0)?)?.name().to_ascii_lowercase().into()]),
        "decode" => decode(args),
        _ => Err(OpError::unknown(verb)),
    }
}

fn encoding(label: &str) -> Result<&'static Encoding, OpError> {
    Encoding::for_label_no_replacement(label.as_bytes())
        .ok_or_else(|| OpError::range_error(format!("unknown encoding: {label}")))
}

fn decode(args: &Message<'_>) -> Fields {
    let encoding = encoding(args.str(0)?)?;
    let (mut bytes, fatal, keep_mark) = (args.bytes(1)?, args.u32(2)? != 0, args.u32(3)? != 0);
    if !keep_mark {
        bytes = bytes.strip_prefix(byte_order_mark(encoding)).unwrap_or(bytes);
    }
    let text = if fatal {
        encoding
            .decode_without_bom_handling_and_without_replacement(bytes)
            .ok_or_else(|| OpError::type_error(format!("the bytes are not valid {}", encoding.name())))?
    } else {
        encoding.decode_without_bom_handling(bytes).0
    };
    let mut answer: Vec<Field> = vec![text.into_owned().into()];
    if args.len() > 4 {
        answer.push(unfinished(encoding, bytes).into());
    }
    Ok(answer)
}

/// How many bytes at the end may begin a character that others complete: what is left without them decodes as if they were to come.
fn unfinished(encoding: &'static Encoding, bytes: &[u8]) -> u32 {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let room = decoder.max_utf8_buffer_length(bytes.len()).unwrap_or_default();
    let mut begun = String::with_capacity(room);
    let (_, _, _) = decoder.decode_to_string(bytes, &mut begun, false);
    (0..4_u32)
        .zip((0..=bytes.len()).rev())
        .find(|(_, end)| {
            let before = bytes.get(..*end).unwrap_or_default();
            encoding.decode_without_bom_handling(before).0 == begun
        })
        .map_or(0, |(left, _)| left)
}

fn byte_order_mark(encoding: &'static Encoding) -> &'static [u8] {
    match encoding {
        e if e == UTF_8 => b"\xEF\xBB\xBF",
        e if e == UTF_16LE => b"\xFF\xFE",
        e if e == UTF_16BE => b"\xFE\xFF",
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use taipan_guest::protocol::encode;

    use super::*;

    fn run(verb: &str, fields: &[Field]) -> Result<Field, String> {
        let bytes = encode(fields);
        call(verb, &Message::decode(&bytes).unwrap()).map(|mut f| f.remove(0)).map_err(|e| e.name.to_owned())
    }

    fn decode(label: &str, bytes: &[u8], fatal: u32, keep: u32) -> Result<Field, String> {
        run("decode", &[label.into(), Field::Bytes(bytes.into()), fatal.into(), keep.into()])
    }

    #[test]
    fn characters_that_are_not_whole_yet() {
        let pending = |label: &str, bytes: &[u8]| {
            let fields = [label.into(), Field::Bytes(bytes.into()), 0_u32.into(), 1_u32.into(), 1_u32.into()];
            call("decode", &Message::decode(&encode(&fields)).unwrap()).unwrap().pop()
        };
        assert_eq!(pending("shift_jis", &[144, 133]), Some(0_u32.into()));
        assert_eq!(pending("shift_jis", &[65, 144]), Some(1_u32.into()));
        assert_eq!(pending("gb18030", &[0x81, 0x30, 0x81]), Some(3_u32.into()));
        assert_eq!(pending("gb18030", &[0x81, 0x30, 0x81, 0x30]), Some(0_u32.into()));
        assert_eq!(pending("euc-jp", &[0x8f, 0xb0]), Some(2_u32.into()));
        assert_eq!(pending("big5", &[0xff]), Some(0_u32.into()), "wrong already");
        assert_eq!(pending("big5", &[]), Some(0_u32.into()));
    }

    #[test]
    fn labels() {
        assert_eq!(run("label", &[" Latin1 ".into()]), Ok("windows-1252".into()));
        assert_eq!(run("label", &["UTF8".into()]), Ok("utf-8".into()));
        assert_eq!(run("label", &["klingon".into()]), Err("RangeError".into()));
        assert_eq!(
            run("label", &["iso-2022-kr".into()]),
            Err("RangeError".into()),
            "no replacement encoding"
        );
    }

    #[test]
    fn decoding() {
        assert_eq!(decode("shift_jis", b"\x93\xFA", 1, 0), Ok("日".into()));
        assert_eq!(decode("utf-8", b"a\xFF", 0, 0), Ok("a\u{FFFD}".into()));
        assert_eq!(decode("utf-8", b"a\xFF", 1, 0), Err("TypeError".into()));
        assert_eq!(decode("utf-8", b"\xEF\xBB\xBFa", 1, 0), Ok("a".into()));
        assert_eq!(decode("utf-8", b"\xEF\xBB\xBFa", 1, 1), Ok("\u{FEFF}a".into()));
        assert_eq!(decode("utf-16le", b"\xFF\xFEa\0", 0, 0), Ok("a".into()));
        assert_eq!(decode("utf-16be", b"\0a\xFF\xFE", 0, 0), Ok("a\u{FFFE}".into()));
    }
}

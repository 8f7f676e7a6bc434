//! How values travel between guest and host: a *message* is a list of fields.
//!
//! ```text
//! message := count:u32le  field*
//! field   := kind:u8  pad:u8×3  length:u32le  payload:u8×length     (0 null, 1 string, 2 bytes, 3 number,
//!                                                                       4 integer, 5 real)
//! ```
//! Strings are UTF-8, numbers are one little-endian `f64`. What must not lose its type, which Python has and JavaScript has not, is
//! an integer, an `i64`, or a real, an `f64`. There is no nesting and no alignment: what has
//! structure travels as JSON in a string. The C half of the codec is in `engine/ops.c`.

use thiserror::Error;

/// One value of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// JavaScript's `null` (and `undefined`, on the way to the host).
    Null,
    /// A string.
    Str(String),
    /// Bytes; an `ArrayBuffer` in the guest.
    Bytes(Vec<u8>),
    /// A number.
    Num(f64),
    /// A whole number, for Python.
    Int(i64),
    /// A number that need not be whole, for Python.
    Real(f64),
}

/// One value of a message that stays where it was received.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldRef<'a> {
    /// JavaScript's `null` or `undefined`.
    Null,
    /// A string.
    Str(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A number.
    Num(f64),
    /// A whole number of Python's.
    Int(i64),
    /// A `float` of Python's.
    Real(f64),
}

/// A message from the guest that does not follow the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MalformedMessage {
    /// The message ends inside a field.
    #[error("the message ends inside field {field}")]
    Truncated {
        /// The field's index.
        field: u32,
    },
    /// A field's kind, text or length is not one of those defined.
    #[error("field {field} of the message is not a value")]
    NotAValue {
        /// The field's index.
        field: u32,
    },
    /// The message has other fields than the operation takes.
    #[error("field {field} is missing or of the wrong kind")]
    Unexpected {
        /// The field's index.
        field: u32,
    },
}

const NULL: u8 = 0;
const STRING: u8 = 1;
const BYTES: u8 = 2;
const NUMBER: u8 = 3;
const INTEGER: u8 = 4;
const REAL: u8 = 5;

/// The fields of a message, decoded without copying.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a>(Vec<FieldRef<'a>>);

impl<'a> Message<'a> {
    /// Decodes a message; trailing bytes are an error of the sender that goes unnoticed.
    pub fn decode(mut bytes: &'a [u8]) -> Result<Self, MalformedMessage> {
        fn take<'a>(bytes: &mut &'a [u8], n: usize, field: u32) -> Result<&'a [u8], MalformedMessage> {
            let (head, tail) = bytes.split_at_checked(n).ok_or(MalformedMessage::Truncated { field })?;
            *bytes = tail;
            Ok(head)
        }
        fn int(bytes: &[u8]) -> u32 {
            bytes.try_into().map(u32::from_le_bytes).unwrap_or_default()
        }
        let count = int(take(&mut bytes, 4, 0)?);
        // A field takes eight bytes at least: a wrong count cannot make us reserve more than we were sent.
        let mut fields = Vec::with_capacity((count as usize).min(bytes.len() / 8));
        for field in 0..count {
            let kind = take(&mut bytes, 4, field)?.first().copied();
            let length = int(take(&mut bytes, 4, field)?) as usize;
            let payload = take(&mut bytes, length, field)?;
            let wrong = MalformedMessage::NotAValue { field };
            fields.push(match kind {
                Some(NULL) => FieldRef::Null,
                Some(STRING) => FieldRef::Str(str::from_utf8(payload).map_err(|_| wrong)?),
                Some(BYTES) => FieldRef::Bytes(payload),
                Some(NUMBER) => FieldRef::Num(f64::from_le_bytes(payload.try_into().map_err(|_| wrong)?)),
                Some(INTEGER) => FieldRef::Int(i64::from_le_bytes(payload.try_into().map_err(|_| wrong)?)),
                Some(REAL) => FieldRef::Real(f64::from_le_bytes(payload.try_into().map_err(|_| wrong)?)),
                _ => return Err(wrong),
            });
        }
        Ok(Self(fields))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Field `i`; `Null` past the end, as a missing JavaScript argument is.
    pub fn get(&self, i: usize) -> FieldRef<'a> {
        self.0.get(i).copied().unwrap_or(FieldRef::Null)
    }

    fn unexpected(i: usize) -> MalformedMessage {
        MalformedMessage::Unexpected { field: u32::try_from(i).unwrap_or(u32::MAX) }
    }

    /// Field `i`, which must be a string.
    pub fn str(&self, i: usize) -> Result<&'a str, MalformedMessage> {
        match self.get(i) {
            FieldRef::Str(s) => Ok(s),
            _ => Err(Self::unexpected(i)),
        }
    }

    /// Field `i`, which must be bytes.
    pub fn bytes(&self, i: usize) -> Result<&'a [u8], MalformedMessage> {
        match self.get(i) {
            FieldRef::Bytes(b) => Ok(b),
            _ => Err(Self::unexpected(i)),
        }
    }

    /// Field `i`, which must be a number.
    pub fn num(&self, i: usize) -> Result<f64, MalformedMessage> {
        match self.get(i) {
            FieldRef::Num(n) => Ok(n),
            _ => Err(Self::unexpected(i)),
        }
    }

    /// Field `i`, which must be an integer.
    pub fn int(&self, i: usize) -> Result<i64, MalformedMessage> {
        match self.get(i) {
            FieldRef::Int(n) => Ok(n),
            _ => Err(Self::unexpected(i)),
        }
    }

    /// Field `i`, which must be a whole number from 0 to 2³²−1.
    pub fn u32(&self, i: usize) -> Result<u32, MalformedMessage> {
        let n = self.num(i)?;
        if n.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&n) {
            // The range was checked on the line above.
            Ok(n as u32)
        } else {
            Err(Self::unexpected(i))
        }
    }
}

/// Encodes fields as a message.
pub fn encode(fields: &[Field]) -> Vec<u8> {
    let size = 4 + fields
        .iter()
        .map(|f| {
            8 + match f {
                Field::Null => 0,
                Field::Str(s) => s.len(),
                Field::Bytes(b) => b.len(),
                Field::Num(_) | Field::Int(_) | Field::Real(_) => 8,
            }
        })
        .sum::<usize>();
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(&length(fields.len()));
    let mut put = |kind: u8, payload: &[u8]| {
        out.extend_from_slice(&[kind, 0, 0, 0]);
        out.extend_from_slice(&length(payload.len()));
        out.extend_from_slice(payload);
    };
    for field in fields {
        match field {
            Field::Null => put(NULL, &[]),
            Field::Str(s) => put(STRING, s.as_bytes()),
            Field::Bytes(b) => put(BYTES, b),
            Field::Num(n) => put(NUMBER, &n.to_le_bytes()),
            Field::Int(n) => put(INTEGER, &n.to_le_bytes()),
            Field::Real(n) => put(REAL, &n.to_le_bytes()),
        }
    }
    out
}

/// The guest's memory ends at 4 GiB; a longer message cannot be delivered and is cut, which its decoder refuses.
fn length(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes()
}

impl From<&str> for Field {
    fn from(s: &str) -> Self {
        Self::Str(s.to_owned())
    }
}
impl From<String> for Field {
    fn from(s: String) -> Self {
        Self::Str(s)
    }
}
impl From<Vec<u8>> for Field {
    fn from(b: Vec<u8>) -> Self {
        Self::Bytes(b)
    }
}
impl From<f64> for Field {
    fn from(n: f64) -> Self {
        Self::Num(n)
    }
}
impl From<u32> for Field {
    fn from(n: u32) -> Self {
        Self::Num(f64::from(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let fields = vec![
            Field::Null,
            Field::from("hällo"),
            Field::Bytes(vec![0, 255, 7]),
            Field::Num(-1.5),
            Field::from(""),
            Field::Int(i64::MIN),
            Field::Real(2.0),
        ];
        let bytes = encode(&fields);
        let m = Message::decode(&bytes).unwrap();
        assert_eq!(m.len(), 7);
        assert_eq!(m.get(0), FieldRef::Null);
        assert_eq!(m.str(1), Ok("hällo"));
        assert_eq!(m.bytes(2), Ok(&[0, 255, 7][..]));
        assert_eq!(m.num(3), Ok(-1.5));
        assert_eq!(m.str(4), Ok(""));
        assert_eq!((m.int(5), m.get(6)), (Ok(i64::MIN), FieldRef::Real(2.0)));
        assert_eq!(m.get(9), FieldRef::Null);
        assert_eq!(m.u32(3), Err(MalformedMessage::Unexpected { field: 3 }));
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = encode(&[Field::from("abc"), Field::Num(1.0), Field::Bytes(vec![1, 2, 3])]);
        for n in 0..bytes.len() {
            assert!(matches!(Message::decode(&bytes[..n]), Err(MalformedMessage::Truncated { .. })), "{n}");
        }
    }

    #[test]
    fn a_wrong_count_reserves_nothing() {
        assert!(Message::decode(&[255, 255, 255, 255, 1]).is_err());
    }
}

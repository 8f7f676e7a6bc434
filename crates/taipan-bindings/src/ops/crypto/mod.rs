//! `crypto.*`: what `crypto.subtle` computes, by the RustCrypto crates.
//!
//! The host keeps nothing: keys are bytes in the guest, which gives them along with each call, and so is the state of a
//! hash under way. So both survive a snapshot, and both end with their isolate. A secret key has these forms:
//!
//! | kind | private | public |
//! |---|---|---|
//! | AES, HMAC, HKDF, PBKDF2 | the bytes | – |
//! | RSA, P-256, P-384, P-521 | PKCS #8 | SubjectPublicKeyInfo |
//! | Ed25519, X25519 | 32 bytes | 32 bytes |
//!
//! What takes long is done on another thread ([`crate::background`]).

mod aes;
mod curves;
mod hash;
mod keys;
mod rsa;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use subtle::ConstantTimeEq;
use taipan_engine::{Event, OpReply};
use taipan_guest::protocol::{Field, FieldRef, Message};

use super::OpError;
use crate::background::Client;

/// More bytes than this are worked on elsewhere.
const AT_ONCE: usize = 64 << 10;

/// More rounds of PBKDF2 are refused: a background thread would be lost for minutes.
const MOST_ROUNDS: u32 = 10_000_000;

/// One call. Every operation has the same fields, so that it can be moved to another thread as it is.
#[derive(Default)]
struct Task {
    algorithm: String,
    hash: String,
    curve: String,
    key: Vec<u8>,
    data: Vec<u8>,
    /// Initialisation vector, counter, label, salt, signature or the peer's public key.
    extra: Option<Vec<u8>>,
    /// Additional data or info.
    info: Option<Vec<u8>>,
    /// Bits of the tag, counter, modulus or result; bytes of the salt.
    size: u32,
    rounds: u32,
    /// A JSON Web Key's numbers.
    parts: Vec<Vec<u8>>,
}

impl Task {
    fn of(args: &Message<'_>) -> Result<Self, OpError> {
        let optional = |i| match args.get(i) {
            FieldRef::Null => Ok(None),
            _ => args.bytes(i).map(|b| Some(b.to_vec())),
        };
        Ok(Self {
            algorithm: args.str(0)?.to_owned(),
            hash: args.str(1)?.to_owned(),
            curve: args.str(2)?.to_owned(),
            key: args.bytes(3)?.to_vec(),
            data: args.bytes(4)?.to_vec(),
            extra: optional(5)?,
            info: optional(6)?,
            size: args.u32(7)?,
            rounds: args.u32(8)?,
            // Between them is the number of the request.
            parts: (10..args.len()).map(|i| args.bytes(i).map(<[u8]>::to_vec)).collect::<Result<_, _>>()?,
        })
    }

    fn extra(&self) -> &[u8] {
        self.extra.as_deref().unwrap_or_default()
    }

    fn info(&self) -> &[u8] {
        self.info.as_deref().unwrap_or_default()
    }

    /// A number of bytes that was given in bits.
    fn bytes(&self) -> usize {
        (self.size / 8) as usize
    }

    fn is_long(&self, verb: &str) -> bool {
        let is_private = matches!(verb, "sign" | "decrypt" | "generate");
        self.data.len() > AT_ONCE
            || self.info().len() > AT_ONCE
            || self.algorithm == "PBKDF2"
            // A microsecond each, or some hundred where the curves are large and for RSA's private half.
            || (self.algorithm.starts_with("RSA") && (is_private || verb == "import"))
            || self.curve == "P-521"
    }
}

type Outcome = Result<Vec<Field>, OpError>;

pub(super) fn call(verb: &str, id: u32, args: &Message<'_>, client: Client) -> Result<OpReply, OpError> {
    let verb = match verb {
        "equal" => {
            let equal = args.bytes(0)?.ct_eq(args.bytes(1)?);
            return Ok(OpReply::Ready(vec![u32::from(equal.unwrap_u8()).into()]));
        }
        "hash" => "hash",
        "encrypt" => "encrypt",
        "decrypt" => "decrypt",
        "sign" => "sign",
        "verify" => "verify",
        "derive" => "derive",
        "generate" => "generate",
        "import" => "import",
        "export" => "export",
        _ => return Err(OpError::unknown(verb)),
    };
    let task = Task::of(args)?;
    if !task.is_long(verb) {
        return guarded(verb, &task).map(OpReply::Ready);
    }
    Client { request: args.u32(9)?, ..client }.answer(move || match guarded(verb, &task) {
        Ok(fields) => Event::Complete { id, fields },
        Err(e) => Event::Failed { id, name: e.name, message: e.message },
    });
    Ok(OpReply::Later)
}

/// Keys and messages are a stranger's, and the code that reads them is not ours.
fn guarded(verb: &str, task: &Task) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| perform(verb, task)))
        .unwrap_or_else(|_| Err(failed("the operation failed unexpectedly")))
}

fn perform(verb: &str, task: &Task) -> Outcome {
    let algorithm = task.algorithm.as_str();
    let bytes = match (verb, algorithm) {
        ("hash", _) => hash::digest(task)?,
        ("encrypt", "AES-GCM") => aes::gcm_encrypt(task)?,
        ("decrypt", "AES-GCM") => aes::gcm_decrypt(task)?,
        ("encrypt", "AES-CBC") => aes::cbc_encrypt(task)?,
        ("decrypt", "AES-CBC") => aes::cbc_decrypt(task)?,
        ("encrypt" | "decrypt", "AES-CTR") => aes::ctr(task)?,
        ("encrypt", "AES-KW") => aes::wrap(task)?,
        ("decrypt", "AES-KW") => aes::unwrap(task)?,
        ("encrypt", "RSA-OAEP") => rsa::encrypt(task)?,
        ("decrypt", "RSA-OAEP") => rsa::decrypt(task)?,
        ("sign", "HMAC") => hash::sign(task)?,
        ("sign", "RSASSA-PKCS1-v1_5" | "RSA-PSS") => rsa::sign(task)?,
        ("sign", "ECDSA") => curves::sign(task)?,
        ("sign", "Ed25519") => curves::sign_edwards(task)?,
        ("verify", _) => {
            let holds = match algorithm {
                "HMAC" => hash::verify(task)?,
                "RSASSA-PKCS1-v1_5" | "RSA-PSS" => rsa::verify(task)?,
                "ECDSA" => curves::verify(task)?,
                "Ed25519" => curves::verify_edwards(task)?,
                _ => return Err(unsupported(verb, algorithm)),
            };
            return Ok(vec![u32::from(holds).into()]);
        }
        ("derive", "HKDF") => hash::hkdf(task)?,
        ("derive", "PBKDF2") => hash::pbkdf2(task)?,
        ("derive", "ECDH") => curves::agree(task)?,
        ("derive", "X25519") => curves::agree_montgomery(task)?,
        ("generate", _) => return keys::generate(task),
        ("import", _) => return keys::import(task),
        ("export", _) => return keys::export(task),
        _ => return Err(unsupported(verb, algorithm)),
    };
    Ok(vec![bytes.into()])
}

fn unsupported(verb: &str, algorithm: &str) -> OpError {
    OpError { name: "NotSupportedError", message: format!("{algorithm} does not support {verb}") }
}

fn failed(message: impl Into<String>) -> OpError {
    OpError { name: "OperationError", message: message.into() }
}

fn bad_key(message: impl Into<String>) -> OpError {
    OpError { name: "DataError", message: message.into() }
}

/// The operating system's randomness, for those who want it as a trait.
struct SystemRandom;

impl ::rsa::rand_core::TryRng for SystemRandom {
    type Error = getrandom::Error;

    fn try_next_u32(&mut self) -> Result<u32, getrandom::Error> {
        getrandom::u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, getrandom::Error> {
        getrandom::u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        getrandom::fill(bytes)
    }
}

impl ::rsa::rand_core::TryCryptoRng for SystemRandom {}

fn random<const N: usize>() -> Result<[u8; N], OpError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| failed(format!("there is no randomness: {e}")))?;
    Ok(bytes)
}

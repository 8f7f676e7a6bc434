//! Hashes, and what is built on them: HMAC, HKDF, PBKDF2.

use hkdf::Hkdf;
use hmac::digest::common::hazmat::{SerializableState, SerializedState};
use hmac::{Hmac, KeyInit, Mac};
use rsa::sha2::Digest;

use super::{MOST_ROUNDS, OpError, Task, bad_key, failed};

/// Evaluates the expression with `$H` as the type of the hash with this name.
macro_rules! with_hash {
    ($name:expr, $H:ident => $body:expr) => {
        match $name {
            "SHA-1" => {
                type $H = sha1::Sha1;
                $body
            }
            "SHA-256" => {
                type $H = rsa::sha2::Sha256;
                $body
            }
            "SHA-384" => {
                type $H = rsa::sha2::Sha384;
                $body
            }
            "SHA-512" => {
                type $H = rsa::sha2::Sha512;
                $body
            }
            name => Err($crate::ops::crypto::hash::unknown(name)),
        }
    };
}
pub(super) use with_hash;

pub(super) fn unknown(name: &str) -> OpError {
    OpError { name: "NotSupportedError", message: format!("there is no such hash: {name}") }
}

/// The digest of the data. With a size of 1 the data is a part of what is hashed, and the answer the state after it; `key` is the
/// state before it, empty at first.
pub(super) fn digest(task: &Task) -> Result<Vec<u8>, OpError> {
    match task.hash.as_str() {
        // Good for nothing but checking what others have published, and therefore for nothing else in this module.
        "MD5" => hash::<md5::Md5>(task),
        name => with_hash!(name, H => hash::<H>(task)),
    }
}

fn hash<H: Digest + SerializableState>(task: &Task) -> Result<Vec<u8>, OpError> {
    let mut hash = if task.key.is_empty() {
        H::new()
    } else {
        let state = SerializedState::<H>::try_from(task.key.as_slice());
        let state = state.map_err(|_| failed("this is not the state of a hash"))?;
        H::deserialize(&state).map_err(|_| failed("this is not the state of a hash"))?
    };
    hash.update(&task.data);
    Ok(if task.size == 1 { hash.serialize().to_vec() } else { hash.finalize().to_vec() })
}

/// The digest that a signature is made of.
pub(super) fn of(name: &str, data: &[u8]) -> Result<Vec<u8>, OpError> {
    with_hash!(name, H => Ok(H::digest(data).to_vec()))
}

pub(super) fn sign(task: &Task) -> Result<Vec<u8>, OpError> {
    with_hash!(task.hash.as_str(), H => {
        let mut mac = Hmac::<H>::new_from_slice(&task.key).map_err(|e| bad_key(e.to_string()))?;
        mac.update(&task.data);
        Ok(mac.finalize().into_bytes().to_vec())
    })
}

pub(super) fn verify(task: &Task) -> Result<bool, OpError> {
    with_hash!(task.hash.as_str(), H => {
        let mut mac = Hmac::<H>::new_from_slice(&task.key).map_err(|e| bad_key(e.to_string()))?;
        mac.update(&task.data);
        Ok(mac.verify_slice(task.extra()).is_ok())
    })
}

pub(super) fn hkdf(task: &Task) -> Result<Vec<u8>, OpError> {
    let mut out = vec![0; task.bytes().min(255 * 64 + 1)];
    with_hash!(task.hash.as_str(), H => {
        Hkdf::<H>::new(Some(task.extra()), &task.key)
            .expand(task.info(), &mut out)
            .map_err(|_| failed("HKDF gives 255 times the hash's length at most"))
    })?;
    Ok(out)
}

pub(super) fn pbkdf2(task: &Task) -> Result<Vec<u8>, OpError> {
    if task.rounds == 0 || task.rounds > MOST_ROUNDS {
        return Err(failed(format!("PBKDF2 has from 1 to {MOST_ROUNDS} iterations: {}", task.rounds)));
    }
    // Each block of the result costs all rounds.
    let mut out = vec![0; task.bytes()];
    if out.len() as u64 * u64::from(task.rounds) > u64::from(MOST_ROUNDS) * 64 {
        return Err(failed("this many bits with this many iterations would take too long"));
    }
    with_hash!(task.hash.as_str(), H => {
        pbkdf2::pbkdf2_hmac::<H>(&task.key, task.extra(), task.rounds, &mut out);
        Ok(())
    })?;
    Ok(out)
}

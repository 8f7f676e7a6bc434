//! Elliptic curves: ECDSA and ECDH on NIST's, Ed25519, X25519.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::{OpError, Task, bad_key, failed, hash};

/// Evaluates the expression with `$curve` as the crate of the curve with this name.
macro_rules! with_curve {
    ($name:expr, $curve:ident => $body:expr) => {
        match $name {
            "P-256" => {
                use p256 as $curve;
                $body
            }
            "P-384" => {
                use p384 as $curve;
                $body
            }
            "P-521" => {
                use p521 as $curve;
                $body
            }
            name => Err($crate::ops::crypto::curves::unknown(name)),
        }
    };
}
pub(super) use with_curve;

pub(super) fn unknown(name: &str) -> OpError {
    OpError { name: "NotSupportedError", message: format!("there is no such curve: {name}") }
}

pub(super) fn not_a_key<E>(_: E) -> OpError {
    bad_key("this is not a key for the curve")
}

/// The digest, with zeros ahead of one that is short for the curve: the number that it stands for is the same.
fn prehash(task: &Task) -> Result<Vec<u8>, OpError> {
    let digest = hash::of(&task.hash, &task.data)?;
    let least = match task.curve.as_str() {
        "P-384" => 24,
        "P-521" => 33,
        _ => 16,
    };
    let mut padded = vec![0; usize::saturating_sub(least, digest.len())];
    padded.extend(digest);
    Ok(padded)
}

pub(super) fn sign(task: &Task) -> Result<Vec<u8>, OpError> {
    let digest = prehash(task)?;
    with_curve!(task.curve.as_str(), curve => {
        use curve::ecdsa::signature::hazmat::PrehashSigner;
        use curve::pkcs8::DecodePrivateKey;
        let key = curve::SecretKey::from_pkcs8_der(&task.key).map_err(not_a_key)?;
        let signature: curve::ecdsa::Signature =
            curve::ecdsa::SigningKey::from(&key).sign_prehash(&digest).map_err(|e| failed(e.to_string()))?;
        Ok(signature.to_vec())
    })
}

pub(super) fn verify(task: &Task) -> Result<bool, OpError> {
    let digest = prehash(task)?;
    with_curve!(task.curve.as_str(), curve => {
        use curve::ecdsa::signature::hazmat::PrehashVerifier;
        use curve::pkcs8::DecodePublicKey;
        let key = curve::PublicKey::from_public_key_der(&task.key).map_err(not_a_key)?;
        let signature = curve::ecdsa::Signature::from_slice(task.extra());
        Ok(signature.is_ok_and(|s| curve::ecdsa::VerifyingKey::from(&key).verify_prehash(&digest, &s).is_ok()))
    })
}

/// ECDH with the peer's public key.
pub(super) fn agree(task: &Task) -> Result<Vec<u8>, OpError> {
    with_curve!(task.curve.as_str(), curve => {
        use curve::pkcs8::{DecodePrivateKey, DecodePublicKey};
        let key = curve::SecretKey::from_pkcs8_der(&task.key).map_err(not_a_key)?;
        let peer = curve::PublicKey::from_public_key_der(task.extra()).map_err(not_a_key)?;
        Ok(key.diffie_hellman(&peer).raw_secret_bytes().to_vec())
    })
}

pub(super) fn seed(bytes: &[u8]) -> Result<[u8; 32], OpError> {
    bytes.try_into().map_err(|_| bad_key("a key of this curve has 32 bytes"))
}

pub(super) fn sign_edwards(task: &Task) -> Result<Vec<u8>, OpError> {
    Ok(SigningKey::from_bytes(&seed(&task.key)?).sign(&task.data).to_bytes().to_vec())
}

pub(super) fn verify_edwards(task: &Task) -> Result<bool, OpError> {
    let Ok(key) = VerifyingKey::from_bytes(&seed(&task.key)?) else { return Ok(false) };
    let signature = Signature::from_slice(task.extra());
    // As the standard wants it: points of small order verify nothing.
    Ok(signature.is_ok_and(|s| key.verify_strict(&task.data, &s).is_ok()))
}

pub(super) fn agree_montgomery(task: &Task) -> Result<Vec<u8>, OpError> {
    let key = x25519_dalek::StaticSecret::from(seed(&task.key)?);
    let peer = x25519_dalek::PublicKey::from(seed(task.extra())?);
    let secret = key.diffie_hellman(&peer);
    if secret.was_contributory() {
        Ok(secret.as_bytes().to_vec())
    } else {
        Err(failed("the peer's public key is of small order"))
    }
}

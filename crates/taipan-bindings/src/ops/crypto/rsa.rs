//! RSA: PKCS #1 version 1.5 and PSS signatures, OAEP encryption.

use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{Oaep, Pkcs1v15Sign, PrivateKey, Pss, PublicKey};

use super::hash::{self, with_hash};
use super::{OpError, SystemRandom, Task, bad_key, failed};

fn private(key: &[u8]) -> Result<PrivateKey, OpError> {
    PrivateKey::from_pkcs8_der(key).map_err(|e| bad_key(format!("this is not a private RSA key: {e}")))
}

fn public(key: &[u8]) -> Result<PublicKey, OpError> {
    PublicKey::from_public_key_der(key).map_err(|e| bad_key(format!("this is not a public RSA key: {e}")))
}

pub(super) fn sign(task: &Task) -> Result<Vec<u8>, OpError> {
    let key = private(&task.key)?;
    let digest = hash::of(&task.hash, &task.data)?;
    with_hash!(task.hash.as_str(), H => {
        if task.algorithm == "RSA-PSS" {
            let salt = task.size as usize;
            if digest.len() + salt + 2 > key.size() {
                return Err(failed("the salt is too long for the key"));
            }
            key.sign_with_rng(&mut SystemRandom, Pss::<H>::new_with_salt(salt), &digest)
        } else {
            key.sign_with_rng(&mut SystemRandom, Pkcs1v15Sign::new::<H>(), &digest)
        }
        .map_err(|e| failed(e.to_string()))
    })
}

pub(super) fn verify(task: &Task) -> Result<bool, OpError> {
    let key = public(&task.key)?;
    let digest = hash::of(&task.hash, &task.data)?;
    with_hash!(task.hash.as_str(), H => Ok(if task.algorithm == "RSA-PSS" {
        key.verify(Pss::<H>::new_with_salt(task.size as usize), &digest, task.extra()).is_ok()
    } else {
        key.verify(Pkcs1v15Sign::new::<H>(), &digest, task.extra()).is_ok()
    }))
}

pub(super) fn encrypt(task: &Task) -> Result<Vec<u8>, OpError> {
    let key = public(&task.key)?;
    with_hash!(task.hash.as_str(), H => {
        key.encrypt(&mut SystemRandom, Oaep::<H>::new_with_label(task.extra()), &task.data)
            .map_err(|e| failed(e.to_string()))
    })
}

pub(super) fn decrypt(task: &Task) -> Result<Vec<u8>, OpError> {
    let key = private(&task.key)?;
    with_hash!(task.hash.as_str(), H => {
        key.decrypt_blinded(&mut SystemRandom, Oaep::<H>::new_with_label(task.extra()), &task.data)
            .map_err(|_| failed("the data cannot be decrypted with this key"))
    })
}

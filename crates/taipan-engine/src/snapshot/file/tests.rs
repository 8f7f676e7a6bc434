//! Files that are not as they were written.

use super::super::image::Run;
use super::*;

const KEY: Key = *b"a key of thirty-two bytes for it";

/// A small file, as `write` makes them: two extents and some description.
fn file() -> Vec<u8> {
    let runs = [Run { first: 3, pages: 2 }, Run { first: 900, pages: 3 }];
    let description: Vec<u8> = (0..3000u32).map(|i| (i * 7 % 251) as u8).collect();
    let start = (HEAD + runs.len() * EXTENT + description.len()).next_multiple_of(PAGE);
    let extents = image::place(&runs, count(start / PAGE));
    let pages: Vec<u8> = (0..5 * PAGE).map(|i| (i / 3 % 255) as u8).collect();
    let mut bytes = head_of(&extents, &description, &[7; 32], start);
    seal(&mut bytes, pages.chunks(PAGE), &KEY);
    bytes.extend_from_slice(&pages);
    bytes
}

/// Numbers that are the same in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

/// One change of a kind; what comes out may happen to be what went in.
fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let length = bytes.len();
    // Half of the changes are in the first kilobyte, where all the structure is.
    let region = if random.below(2) == 0 { 1024 } else { length };
    let at = random.below(region);
    match random.below(7) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.below(256) as u8,
        2 => bytes.truncate(at),
        3 => bytes.extend((0..1 + random.below(9000)).map(|i| i as u8)),
        4 => {
            let (other, size) = (random.below(length), 1 + random.below(64));
            for i in 0..size {
                if at + i < length && other + i < length {
                    bytes.swap(at + i, other + i);
                }
            }
        }
        5 => {
            // A field of the head set to an extreme.
            let field = 8 + 4 * random.below((HEAD - 8) / 4);
            let value = [0, 1, u32::MAX, u32::MAX - 1, 1 << 31][random.below(5)];
            bytes[field..field + 4].copy_from_slice(&value.to_le_bytes());
        }
        _ => {
            let end = (at + 1 + random.below(5000)).min(length);
            bytes.drain(at..end);
        }
    }
}

#[test]
fn what_was_written_is_read() {
    let bytes = file();
    let parts = read(&bytes, &KEY).unwrap();
    assert_eq!(parts.below, [7; 32]);
    assert_eq!(parts.description.len(), 3000);
    let places: Vec<_> = parts.extents.iter().map(|e| (e.memory_page, e.file_page, e.pages)).collect();
    assert_eq!(places, [(3, 1, 2), (900, 3, 3)]);
}

#[test]
fn a_hundred_thousand_changed_files_are_refused() {
    let original = file();
    let mut random = Random(0x7a69_7061_6e00_0001);
    let mut reasons = std::collections::BTreeMap::new();
    let mut changed = original.clone();
    let mut refused = 0;
    while refused < 100_000 {
        changed.clone_from(&original);
        for _ in 0..=random.below(3) {
            if changed.len() > HEAD + 8192 {
                change(&mut changed, &mut random);
            }
        }
        if changed == original {
            continue;
        }
        let reason = read(&changed, &KEY).expect_err("a changed file was accepted");
        *reasons.entry(reason).or_insert(0) += 1;
        refused += 1;
    }
    // Each check has work to do.
    let expected = [
        "it has another version of the format",
        "it is not a snapshot",
        "it is too short",
        "its digest does not fit",
        "its length is wrong",
    ];
    assert_eq!(reasons.keys().copied().collect::<Vec<_>>(), expected, "{reasons:?}");
}

#[test]
fn another_key_does_not_open_it() {
    let mut key = KEY;
    key[31] ^= 1;
    assert_eq!(read(&file(), &key).unwrap_err(), "its digest does not fit");
}

/// The digest stands before all this; if it ever did not, wrong numbers must still do no harm.
#[test]
fn nothing_behind_the_digest_can_panic() {
    let original = file();
    let mut random = Random(0x7a69_7061_6e00_0002);
    let mut changed = original.clone();
    for _ in 0..20_000 {
        changed.clone_from(&original);
        for _ in 0..3 {
            let at = random.below(4096.min(changed.len()));
            changed[at] = random.below(256) as u8;
        }
        changed.truncate(original.len() - random.below(2) * random.below(4096));
        let (head, pages) = changed.split_at_mut(HEAD);
        seal(head, std::iter::once(&*pages), &KEY);
        if let Ok(parts) = read(&changed, &KEY) {
            let _ = postcard::from_bytes::<Frozen>(parts.description);
        }
    }
}

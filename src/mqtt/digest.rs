//! [`Digest`]: compares payloads without keeping them.

use std::fmt;
use std::hash::{BuildHasher, Hasher};

/// A digest of bytes that arrive in chunks. It depends only on the bytes, not
/// on where they were split, and is the same for equal bytes in one run of the
/// program. It is not cryptographic: payloads can be constructed to have the
/// same digest; among 2^32 others that is rare.
///
/// ```
/// use mqttdump::mqtt::Digest;
///
/// let mut digest = Digest::default();
/// digest.update(b"21.5 deg");
/// digest.update(b"rees Celsius");
/// assert_eq!(digest.finish(), Digest::of(b"21.5 degrees Celsius"));
/// ```
#[derive(Clone)]
pub struct Digest {
    hasher: foldhash::quality::FoldHasher<'static>,
    /// Bytes that do not fill a block yet.
    tail: [u8; BLOCK],
    len: u64,
}

const BLOCK: usize = size_of::<u128>();

impl Default for Digest {
    fn default() -> Self {
        Self {
            hasher: foldhash::quality::FixedState::default().build_hasher(),
            tail: [0; BLOCK],
            len: 0,
        }
    }
}

impl Digest {
    /// The digest of contiguous bytes.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut digest = Self::default();
        digest.update(bytes);
        digest.finish()
    }

    /// Adds the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let filled = (self.len % BLOCK as u64) as usize;
        self.len += bytes.len() as u64;
        if filled > 0 {
            let more = bytes.len().min(BLOCK - filled);
            self.tail[filled..filled + more].copy_from_slice(&bytes[..more]);
            bytes = &bytes[more..];
            if filled + more < BLOCK {
                return;
            }
            self.hasher.write_u128(u128::from_le_bytes(self.tail));
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for block in blocks {
            self.hasher.write_u128(u128::from_le_bytes(*block));
        }
        self.tail[..rest.len()].copy_from_slice(rest);
    }

    /// The digest of all bytes so far.
    pub fn finish(mut self) -> u64 {
        let filled = (self.len % BLOCK as u64) as usize;
        self.tail[filled..].fill(0);
        self.hasher.write_u128(u128::from_le_bytes(self.tail));
        self.hasher.write_u64(self.len);
        self.hasher.finish()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            cuts in prop::collection::vec(0usize..200, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let (mut digest, mut from) = (Digest::default(), 0);
            for cut in cuts.into_iter().chain([bytes.len()]) {
                digest.update(&bytes[from..cut]);
                from = cut;
            }
            prop_assert_eq!(digest.finish(), Digest::of(&bytes));
        }

        #[test]
        fn every_byte_and_the_length_count(
            bytes in prop::collection::vec(any::<u8>(), 1..100),
            at in any::<prop::sample::Index>(),
        ) {
            let mut other = bytes.clone();
            other[at.index(bytes.len())] ^= 1;
            prop_assert_ne!(Digest::of(&other), Digest::of(&bytes));
            let mut longer = bytes.clone();
            longer.push(0);
            prop_assert_ne!(Digest::of(&longer), Digest::of(&bytes));
        }
    }
}

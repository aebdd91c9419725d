//! [`Deltas`]: `DELTA_BINARY_PACKED`, in which Parquet stores numbers as differences to
//! the ones before ([encodings](https://parquet.apache.org/docs/file-format/data-pages/encodings/)).
//!
//! ```text
//! 128  4  count  first │ least difference, 4 widths, 4 × 32 packed differences │ …
//! ```

use super::bits::{pack, put_varint};

/// Values of a block.
const BLOCK: usize = 128;
/// Values of a part of it, whose differences have one width.
const PART: usize = 32;

/// Encodes numbers, of 64 bits or of 32.
#[derive(Debug)]
pub(super) struct Deltas {
    is_narrow: bool,
    first: u64,
    last: u64,
    count: u64,
    /// Differences that are not written yet.
    waiting: [i64; BLOCK],
    n: usize,
    blocks: Vec<u8>,
}

impl Deltas {
    /// Of 32 bits if `is_narrow`, as Parquet stores what has at most as many.
    pub(super) const fn new(is_narrow: bool) -> Self {
        Self {
            is_narrow,
            first: 0,
            last: 0,
            count: 0,
            waiting: [0; BLOCK],
            n: 0,
            blocks: Vec::new(),
        }
    }

    /// Adds `value`, `rows` times.
    #[inline]
    pub(super) fn put(&mut self, value: u64, mut rows: usize) {
        self.count += rows as u64;
        if self.count == rows as u64 {
            (self.first, self.last) = (value, value);
            rows = rows.saturating_sub(1);
        } else if rows > 0 {
            let difference = value.wrapping_sub(self.last);
            self.add(match self.is_narrow {
                true => (difference as i32).into(),
                false => difference as i64,
            });
            self.last = value;
            rows -= 1;
        }
        while rows > 0 {
            if self.n == 0 && rows >= BLOCK {
                // No difference, in no bits.
                self.blocks.extend_from_slice(&[0; 5]);
                rows -= BLOCK;
                continue;
            }
            let more = rows.min(BLOCK - self.n);
            self.waiting[self.n..self.n + more].fill(0);
            self.n += more;
            rows -= more;
            if self.n == BLOCK {
                self.put_block();
            }
        }
    }

    #[inline]
    fn add(&mut self, difference: i64) {
        self.waiting[self.n] = difference;
        self.n += 1;
        if self.n == BLOCK {
            self.put_block();
        }
    }

    fn put_block(&mut self) {
        let differences = &self.waiting[..self.n];
        let least = differences.iter().copied().min().unwrap_or(0);
        put_varint(zigzag(least), &mut self.blocks);
        let widths = self.blocks.len();
        self.blocks.extend_from_slice(&[0; BLOCK / PART]);
        let mask = match self.is_narrow {
            true => u64::from(u32::MAX),
            false => u64::MAX,
        };
        // What is above the least; the last part is filled up with zeros.
        let mut above = [0; BLOCK];
        for (above, difference) in above.iter_mut().zip(differences) {
            *above = difference.wrapping_sub(least) as u64 & mask;
        }
        let parts = self.n.div_ceil(PART);
        for (at, part) in above.chunks_exact(PART).take(parts).enumerate() {
            let all = part.iter().fold(0, |all, value| all | value);
            let width = (u64::BITS - all.leading_zeros()) as u8;
            self.blocks[widths + at] = width;
            pack(part, width, &mut self.blocks);
        }
        self.n = 0;
    }

    /// Appends all to `out`.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) {
        if self.n > 0 {
            self.put_block();
        }
        put_varint(BLOCK as u64, out);
        put_varint((BLOCK / PART) as u64, out);
        put_varint(self.count, out);
        let first = match self.is_narrow {
            true => i64::from(self.first as i32),
            false => self.first as i64,
        };
        put_varint(zigzag(first), out);
        out.extend_from_slice(&self.blocks);
    }
}

/// Small for numbers near 0.
const fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

#[cfg(test)]
mod tests {
    use super::super::bits::tests::{take_varint, unpack};
    use super::*;
    use proptest::prelude::*;

    fn take_zigzag(bytes: &mut &[u8]) -> i64 {
        let number = take_varint(bytes);
        (number >> 1) as i64 ^ -((number & 1) as i64)
    }

    /// The values that `bytes` stand for, as the specification has it.
    fn decode(mut bytes: &[u8]) -> Vec<i64> {
        let bytes = &mut bytes;
        let (block, parts) = (take_varint(bytes) as usize, take_varint(bytes) as usize);
        let part = block / parts;
        assert!(block.is_multiple_of(128) && part.is_multiple_of(32));
        let count = take_varint(bytes) as usize;
        let mut last = take_zigzag(bytes);
        let mut values = vec![last];
        while values.len() < count {
            let least = take_zigzag(bytes);
            let (widths, rest) = bytes.split_at(parts);
            *bytes = rest;
            for width in widths {
                if values.len() >= count {
                    assert_eq!(*width, 0);
                    continue;
                }
                let (packed, rest) = bytes.split_at(part / 8 * usize::from(*width));
                *bytes = rest;
                for above in unpack(packed, *width, part) {
                    last = last.wrapping_add(least).wrapping_add(above as i64);
                    values.push(last);
                }
            }
        }
        assert!(bytes.is_empty(), "{bytes:?}");
        values.truncate(count);
        values
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_written(
            runs in proptest::collection::vec((any::<u64>(), 0u32..64, 1usize..400), 1..200),
            is_narrow: bool,
        ) {
            let mut deltas = Deltas::new(is_narrow);
            let mut expected = Vec::new();
            for (value, shift, rows) in runs {
                let value = value >> shift;
                let rows = if rows > 300 { rows } else { 1 };
                let value = if is_narrow { u64::from(value as u32) } else { value };
                deltas.put(value, rows);
                expected.extend(std::iter::repeat_n(value, rows));
            }
            let mut bytes = Vec::new();
            deltas.finish(&mut bytes);
            let found: Vec<u64> = match is_narrow {
                true => decode(&bytes).iter().map(|value| (*value as u32).into()).collect(),
                false => decode(&bytes).iter().map(|value| *value as u64).collect(),
            };
            prop_assert_eq!(found, expected);
        }
    }
}

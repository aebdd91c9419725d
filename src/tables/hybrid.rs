//! [`Hybrid`]: the hybrid of run lengths and packed bits in which Parquet stores levels
//! and keys of dictionaries ([encodings](https://parquet.apache.org/docs/file-format/data-pages/encodings/)).

use super::bits::{pack, put_varint};

/// Most groups of eight values with one header: their count fits into one byte.
const GROUPS: usize = 63;

/// Bits that hold numbers below `count`.
pub(super) const fn width(count: usize) -> u8 {
    match count {
        0 | 1 => 0,
        count => (usize::BITS - (count - 1).leading_zeros()) as u8,
    }
}

/// Encodes runs of values.
#[derive(Debug)]
pub(super) struct Hybrid<'a> {
    width: u8,
    /// Values that are not written yet.
    waiting: &'a mut Vec<u64>,
    out: &'a mut Vec<u8>,
}

impl<'a> Hybrid<'a> {
    /// Appends to `out` values of `width` bits. `waiting` is memory for values.
    pub(super) fn new(width: u8, waiting: &'a mut Vec<u64>, out: &'a mut Vec<u8>) -> Self {
        waiting.clear();
        Self {
            width,
            waiting,
            out,
        }
    }

    /// Adds `value`, `rows` times.
    #[inline]
    pub(super) fn put(&mut self, value: u64, rows: u32) {
        if rows == 1 {
            self.waiting.push(value);
        } else {
            self.put_all(value, rows);
        }
    }

    /// Adds values, one after the other.
    pub(super) fn put_each(&mut self, values: &[u64]) {
        self.waiting.extend_from_slice(values);
    }

    fn put_all(&mut self, value: u64, rows: u32) {
        // Packed values come in groups of eight.
        let missing = (8 - self.waiting.len() as u32 % 8) % 8;
        if rows < missing + 8 {
            let length = self.waiting.len() + rows as usize;
            return self.waiting.resize(length, value);
        }
        self.waiting
            .resize(self.waiting.len() + missing as usize, value);
        self.pack();
        self.put_run(value, rows - missing);
    }

    fn put_run(&mut self, value: u64, rows: u32) {
        put_varint(u64::from(rows) << 1, self.out);
        let bytes = usize::from(self.width.div_ceil(8));
        self.out.extend_from_slice(&value.to_le_bytes()[..bytes]);
    }

    /// Writes what waits: groups of eight.
    fn pack(&mut self) {
        for groups in self.waiting.chunks(8 * GROUPS) {
            let count = (groups.len() / 8) as u8;
            self.out.push(count << 1 | 1);
            pack(groups, self.width, self.out);
        }
        self.waiting.clear();
    }

    /// Writes the rest. The last group is filled up.
    pub(super) fn finish(mut self) {
        match self.waiting[..] {
            [first, ref rest @ ..] if rest.iter().all(|value| *value == first) => {
                self.put_run(first, self.waiting.len() as u32);
            }
            _ => {
                let length = self.waiting.len().next_multiple_of(8);
                self.waiting.resize(length, 0);
                self.pack();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bits::tests::{take_varint, unpack};
    use super::*;
    use proptest::prelude::*;

    /// The values that `bytes` stand for, as the specification has it.
    fn decode(mut bytes: &[u8], width: u8, count: usize) -> Vec<u64> {
        let mut values = Vec::new();
        while values.len() < count {
            let header = take_varint(&mut bytes);
            let length = (header >> 1) as usize;
            if header & 1 == 1 {
                let (packed, rest) = bytes.split_at(length * usize::from(width));
                bytes = rest;
                values.extend(unpack(packed, width, length * 8));
                continue;
            }
            let (value, rest) = bytes.split_at(usize::from(width.div_ceil(8)));
            bytes = rest;
            let mut word = [0; 8];
            word[..value.len()].copy_from_slice(value);
            values.extend(std::iter::repeat_n(u64::from_le_bytes(word), length));
        }
        assert!(bytes.is_empty(), "{bytes:?}");
        assert!(values.len() < count + 8, "only the last group is filled up");
        values.truncate(count);
        values
    }

    #[test]
    fn widths() {
        for (count, expected) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (257, 9)] {
            assert_eq!(width(count), expected, "{count}");
        }
    }

    proptest! {
        #[test]
        fn runs_are_read_as_written(
            runs in proptest::collection::vec((0u64..300, 1u32..30), 0..300),
            singles in proptest::collection::vec(0u64..300, 0..1200),
        ) {
            let singles = singles.into_iter().map(|value| (value, 1));
            let runs: Vec<_> = singles.clone().chain(runs).chain(singles).collect();
            let (mut waiting, mut bytes) = (Vec::new(), Vec::new());
            let mut hybrid = Hybrid::new(9, &mut waiting, &mut bytes);
            let mut values = Vec::new();
            for (value, rows) in runs {
                hybrid.put(value, rows);
                values.extend(std::iter::repeat_n(value, rows as usize));
            }
            hybrid.finish();
            prop_assert_eq!(decode(&bytes, 9, values.len()), values);
        }
    }
}

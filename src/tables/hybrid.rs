//! [`Hybrid`]: the hybrid of run lengths and packed bits in which Parquet stores levels
//! and keys of dictionaries ([encodings](https://parquet.apache.org/docs/file-format/data-pages/encodings/)).

use super::bits::{pack, put_varint};

/// Most groups of eight values with one header: their count fits into one byte.
const GROUPS: u8 = 63;

/// Bits that hold numbers below `count`.
pub(super) const fn width(count: usize) -> u8 {
    match count {
        0 | 1 => 0,
        count => (usize::BITS - (count - 1).leading_zeros()) as u8,
    }
}

/// Encodes runs of values.
#[derive(Debug)]
pub(super) struct Hybrid {
    width: u8,
    out: Vec<u8>,
    /// Values that are not written yet: fewer than eight.
    waiting: [u64; 8],
    count: usize,
    /// Where the header of the packed groups is that can be added to, and how many
    /// they are.
    groups: Option<(usize, u8)>,
}

impl Hybrid {
    /// Appends to `out` values of `width` bits.
    pub(super) const fn new(width: u8, out: Vec<u8>) -> Self {
        Self {
            width,
            out,
            waiting: [0; 8],
            count: 0,
            groups: None,
        }
    }

    /// Adds `value`, `rows` times.
    #[inline]
    pub(super) fn put(&mut self, value: u64, mut rows: usize) {
        while rows > 0 {
            if self.count == 0 && rows >= 8 {
                return self.put_run(value, rows);
            }
            self.waiting[self.count] = value;
            self.count += 1;
            rows -= 1;
            if self.count == 8 {
                self.put_group();
            }
        }
    }

    fn put_run(&mut self, value: u64, rows: usize) {
        self.groups = None;
        put_varint((rows as u64) << 1, &mut self.out);
        let bytes = usize::from(self.width.div_ceil(8));
        self.out.extend_from_slice(&value.to_le_bytes()[..bytes]);
    }

    fn put_group(&mut self) {
        let (header, groups) = match self.groups {
            Some((header, groups)) if groups < GROUPS => (header, groups + 1),
            _ => {
                self.out.push(0);
                (self.out.len() - 1, 1)
            }
        };
        self.out[header] = groups << 1 | 1;
        self.groups = Some((header, groups));
        pack(&self.waiting, self.width, &mut self.out);
        self.count = 0;
    }

    /// The bytes. The last group is filled up.
    pub(super) fn finish(mut self) -> Vec<u8> {
        match self.waiting[..self.count] {
            [] => {}
            [first, ref rest @ ..] if rest.iter().all(|value| *value == first) => {
                self.put_run(first, self.count);
            }
            _ => {
                self.waiting[self.count..].fill(0);
                self.put_group();
            }
        }
        self.out
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
            runs in proptest::collection::vec((0u64..300, 1usize..30), 0..300),
            singles in proptest::collection::vec(0u64..300, 0..1200),
        ) {
            let singles = singles.into_iter().map(|value| (value, 1));
            let runs: Vec<_> = singles.clone().chain(runs).chain(singles).collect();
            let mut hybrid = Hybrid::new(9, Vec::new());
            let mut values = Vec::new();
            for (value, rows) in runs {
                hybrid.put(value, rows);
                values.extend(std::iter::repeat_n(value, rows));
            }
            prop_assert_eq!(decode(&hybrid.finish(), 9, values.len()), values);
        }
    }
}

//! [`put_deltas`]: `DELTA_BINARY_PACKED`, in which Parquet stores numbers as differences to
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

/// Appends numbers; of 32 bits if `is_narrow`, as Parquet stores what has at most as many.
pub(super) fn put_deltas(values: &[u64], is_narrow: bool, out: &mut Vec<u8>) {
    put_varint(BLOCK as u64, out);
    put_varint((BLOCK / PART) as u64, out);
    put_varint(values.len() as u64, out);
    let first = values.first().copied().unwrap_or(0);
    let first = match is_narrow {
        true => i64::from(first as i32),
        false => first as i64,
    };
    put_varint(zigzag(first), out);
    let mut last = values.first().copied().unwrap_or(0);
    let mut above = [0; BLOCK];
    for values in values.get(1..).unwrap_or_default().chunks(BLOCK) {
        let least = match is_narrow {
            true => narrow(last, values, &mut above),
            false => wide(last, values, &mut above),
        };
        last = values.last().copied().unwrap_or(0);
        put_block(least, &above[..values.len()], out);
    }
}

/// The least difference, and what the others are above it.
fn wide(mut last: u64, values: &[u64], above: &mut [u64; BLOCK]) -> i64 {
    for (above, value) in above.iter_mut().zip(values) {
        *above = value.wrapping_sub(last);
        last = *value;
    }
    let above = &mut above[..values.len()];
    let differences = above.iter().map(|difference| *difference as i64);
    let least = differences.min().unwrap_or(0);
    for above in above {
        *above = above.wrapping_sub(least as u64);
    }
    least
}

/// The same, of 32 bits: the processor compares several at once.
fn narrow(last: u64, values: &[u64], above: &mut [u64; BLOCK]) -> i64 {
    let mut last = last as i32;
    let mut differences = [0; BLOCK];
    let differences = &mut differences[..values.len()];
    for (difference, value) in differences.iter_mut().zip(values) {
        let value = *value as i32;
        *difference = value.wrapping_sub(last);
        last = value;
    }
    let least = differences
        .iter()
        .fold(i32::MAX, |least, it| least.min(*it));
    for (above, difference) in above.iter_mut().zip(differences) {
        *above = u64::from(difference.wrapping_sub(least) as u32);
    }
    least.into()
}

/// Appends a block: the least difference, and what the others are above it.
fn put_block(least: i64, above: &[u64], out: &mut Vec<u8>) {
    put_varint(zigzag(least), out);
    let widths = out.len();
    out.extend_from_slice(&[0; BLOCK / PART]);
    for (at, above) in above.chunks(PART).enumerate() {
        let all = above.iter().fold(0, |all, above| all | above);
        let width = (u64::BITS - all.leading_zeros()) as u8;
        out[widths + at] = width;
        if above.len() == PART {
            pack(above, width, out);
        } else {
            // The last part is filled up.
            let mut whole = [0; PART];
            whole[..above.len()].copy_from_slice(above);
            pack(&whole, width, out);
        }
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
            runs in proptest::collection::vec((any::<u64>(), 0u32..64, 1u32..400), 1..200),
            is_narrow: bool,
        ) {
            let mut values = Vec::new();
            for (value, shift, rows) in runs {
                let value = value >> shift;
                let rows = if rows > 300 { rows } else { 1 };
                let value = if is_narrow { u64::from(value as u32) } else { value };
                values.extend(std::iter::repeat_n(value, rows as usize));
            }
            let mut bytes = Vec::new();
            put_deltas(&values, is_narrow, &mut bytes);
            let found: Vec<u64> = match is_narrow {
                true => decode(&bytes).iter().map(|value| (*value as u32).into()).collect(),
                false => decode(&bytes).iter().map(|value| *value as u64).collect(),
            };
            prop_assert_eq!(found, values);
        }
    }
}

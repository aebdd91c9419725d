//! Numbers of few bits, packed, and of few bytes, as the encodings of Parquet have them.

/// Appends the `width` low bits of each value, the first in the lowest bits. The values
/// have no other bits, and are a multiple of eight.
pub(super) fn pack(values: &[u64], width: u8, out: &mut Vec<u8>) {
    let bits = u32::from(width);
    let (eights, _) = values.as_chunks::<8>();
    match width {
        0 => {}
        1..=8 => {
            for eight in eights {
                let packed = eight.iter().rev().fold(0, |all, value| all << bits | value);
                put_some(packed.to_le_bytes(), width, out);
            }
        }
        9..=16 => {
            for eight in eights {
                let (low, high) = eight.split_at(4);
                let half = |four: &[u64]| four.iter().rev().fold(0, |all, v| all << bits | v);
                let packed = u128::from(half(high)) << (4 * bits) | u128::from(half(low));
                put_some(packed.to_le_bytes(), width, out);
            }
        }
        _ => {
            let (mut packed, mut count) = (0u128, 0);
            for value in values {
                packed |= u128::from(*value) << count;
                count += bits;
                if count >= 64 {
                    out.extend_from_slice(&(packed as u64).to_le_bytes());
                    packed >>= 64;
                    count -= 64;
                }
            }
            out.extend_from_slice(&packed.to_le_bytes()[..count as usize / 8]);
        }
    }
}

/// Appends the first bytes, so many. All are written, as that takes one instruction.
#[inline]
fn put_some<const N: usize>(bytes: [u8; N], count: u8, out: &mut Vec<u8>) {
    let length = out.len() + usize::from(count);
    out.extend_from_slice(&bytes);
    out.truncate(length);
}

/// Appends a number, seven bits in a byte.
pub(super) fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
pub(super) mod tests {
    pub(in super::super) fn take_varint(bytes: &mut &[u8]) -> u64 {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let (&byte, rest) = bytes.split_first().expect("a byte");
            *bytes = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }

    pub(in super::super) fn unpack(packed: &[u8], width: u8, count: usize) -> Vec<u64> {
        let width = usize::from(width);
        let bit = |at: usize| u64::from(packed[at / 8] >> (at % 8) & 1);
        let value = |at| (0..width).fold(0, |value, n| value | bit(at * width + n) << n);
        (0..count).map(value).collect()
    }
}

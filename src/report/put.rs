//! Appending numbers and addresses to a line without `format!`.
//!
//! A text line has many short parts, and formatting each with `fmt` costs more than
//! all the copying: 330 ns a line with `println!`, about 50 ns with these.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::frame::Direction;
use crate::identity::ExchangeId;
use crate::net::Endpoint;

/// An integer that can be written in decimal.
pub(super) trait Decimal: itoa::Integer + Copy + TryInto<u8> {}

impl<N: itoa::Integer + Copy + TryInto<u8>> Decimal for N {}

/// A number in decimal.
#[inline]
pub(super) fn decimal(number: impl Decimal, out: &mut Vec<u8>) {
    // Most are counts of bytes, small: 25 instructions less.
    if let Ok(small) = number.try_into() {
        let (digits, count) = OCTETS[usize::from(small)];
        out.extend_from_slice(&digits);
        out.truncate(out.len() + usize::from(count) - digits.len() - 1);
        return;
    }
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A number in decimal with leading zeros up to `DIGITS`; higher digits are
/// dropped.
pub(super) fn zero_padded<const DIGITS: usize>(mut number: u32, out: &mut Vec<u8>) {
    let mut digits = [b'0'; DIGITS];
    let (first, pairs) = digits.as_rchunks_mut::<2>();
    for pair in pairs.iter_mut().rev() {
        *pair = PAIRS[(number % 100) as usize];
        number /= 100;
    }
    if let [first] = first {
        *first = b'0' + (number % 10) as u8;
    }
    out.extend_from_slice(&digits);
}

/// `00` to `99`.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    pairs
};

/// A byte as two hexadecimal digits.
pub(super) fn hex(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[
        DIGITS[usize::from(byte >> 4)],
        DIGITS[usize::from(byte & 15)],
    ]);
}

/// `10.0.0.7:1883` or `[::1]:1883`.
pub(super) fn endpoint(endpoint: Endpoint, out: &mut Vec<u8>) {
    match endpoint.addr {
        IpAddr::V4(addr) => ipv4(addr, out),
        IpAddr::V6(addr) => {
            out.push(b'[');
            ipv6(addr, out);
            out.push(b']');
        }
    }
    out.push(b':');
    decimal(endpoint.port, out);
}

/// `10.0.0.7` or `::1`.
pub(super) fn address(addr: IpAddr, out: &mut Vec<u8>) {
    match addr {
        IpAddr::V4(addr) => ipv4(addr, out),
        IpAddr::V6(addr) => ipv6(addr, out),
    }
}

/// Appends the [identity](crate::identity) of an exchange.
#[inline]
pub fn exchange_uid(connection_uid: &str, id: ExchangeId, out: &mut Vec<u8>) {
    out.extend_from_slice(connection_uid.as_bytes());
    out.extend_from_slice(match id.direction {
        Direction::Up => b"-up-",
        Direction::Down => b"-down-",
    });
    decimal(id.packet_id, out);
    out.push(b'-');
    decimal(id.number, out);
}

fn ipv4(addr: Ipv4Addr, out: &mut Vec<u8>) {
    // Four octets, each copied at its maximum length, then cut: addresses are a
    // large part of every line.
    let mut text = [0; 4 * 4];
    let mut len = 0;
    for octet in addr.octets() {
        let (digits, count) = OCTETS[usize::from(octet)];
        text[len..len + 4].copy_from_slice(&digits);
        len += usize::from(count);
    }
    // Without the last dot.
    out.extend_from_slice(&text[..len - 1]);
}

/// `7.`, `40.`, `122.`, and their lengths.
static OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [([0; 4], 0); 256];
    let mut value = 0;
    while value < 256 {
        let (hundreds, tens, ones) = (value / 100, value / 10 % 10, value % 10);
        let (h, t, o) = (b'0' + hundreds as u8, b'0' + tens as u8, b'0' + ones as u8);
        octets[value] = match value {
            100.. => ([h, t, o, b'.'], 4),
            10.. => ([t, o, b'.', 0], 3),
            _ => ([o, b'.', 0, 0], 2),
        };
        value += 1;
    }
    octets
};

/// RFC 5952: lower case, no leading zeros, the first longest run of two or
/// more zero groups as `::`.
fn ipv6(addr: Ipv6Addr, out: &mut Vec<u8>) {
    if addr.to_ipv4_mapped().is_some() {
        // Rare: use the library for the mixed notation.
        let _ = write!(out, "{addr}");
        return;
    }
    let groups = addr.segments();
    let (mut run_start, mut run_len) = (0, 1);
    let (mut start, mut len) = (0, 0);
    for (at, &group) in groups.iter().enumerate() {
        if group != 0 {
            len = 0;
            continue;
        }
        if len == 0 {
            start = at;
        }
        len += 1;
        if len > run_len {
            (run_start, run_len) = (start, len);
        }
    }
    let run = if run_len > 1 {
        run_start..run_start + run_len
    } else {
        8..8
    };
    for (at, &group) in groups.iter().enumerate() {
        if run.contains(&at) {
            if at == run.start {
                out.extend_from_slice(b"::");
            }
            continue;
        }
        if at > 0 && at != run.end {
            out.push(b':');
        }
        hex_group(group, out);
    }
}

fn hex_group(group: u16, out: &mut Vec<u8>) {
    let mut started = false;
    for shift in [12, 8, 4, 0] {
        let digit = (group >> shift) as u8 & 15;
        started |= digit != 0 || shift == 0;
        if started {
            out.push(if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn numbers() {
        assert_eq!(written(|o| decimal(u64::MAX, o)), u64::MAX.to_string());
        for number in 0..=300_u16 {
            assert_eq!(written(|o| decimal(number, o)), number.to_string());
        }
        assert_eq!(written(|o| zero_padded::<6>(4511, o)), "004511");
        assert_eq!(written(|o| hex(0x0f, o)), "0f");
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_writes_them() {
        let some = [
            "::",
            "::1",
            "1::",
            "fe80::1:2",
            "2001:db8::1:0:0:1",
            "2001:0:0:1:0:0:0:1",
            "1:0:2:0:3:0:4:0",
            "0:1:2:3:4:5:6:7",
            "1:2:3:4:5:6:0:0",
            "abcd:ef01:2345:6789:abcd:ef01:2345:6789",
            "::ffff:10.0.0.7",
            "10.0.0.7",
            "255.255.255.255",
            "0.0.0.0",
        ];
        for addr in some {
            let addr: IpAddr = addr.parse().expect("an address");
            let endpoint = Endpoint { addr, port: 1883 };
            assert_eq!(
                written(|o| super::endpoint(endpoint, o)),
                endpoint.to_string()
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_ipv6_address(groups: [u16; 8], zeros: u8) {
            let mut groups = groups;
            for (at, group) in groups.iter_mut().enumerate() {
                if zeros >> at & 1 == 1 {
                    *group = 0;
                }
            }
            let addr = Ipv6Addr::from(groups);
            proptest::prop_assert_eq!(written(|o| ipv6(addr, o)), addr.to_string());
        }
    }
}

//! What of a value may change: digits with a radix each; everything else stays.

use serde::de::IgnoredAny;

/// Words of Sparkplug topics.
pub(super) const SPARKPLUG: [&[u8]; 10] = [
    b"spBv1.0", b"STATE", b"NBIRTH", b"NDEATH", b"DBIRTH", b"DDEATH", b"NDATA", b"DDATA", b"NCMD",
    b"DCMD",
];

/// Words of `$SYS` topics.
pub(super) const SYSTEM: [&[u8]; 24] = [
    b"broker",
    b"brokers",
    b"clients",
    b"messages",
    b"bytes",
    b"load",
    b"received",
    b"sent",
    b"dropped",
    b"publish",
    b"stored",
    b"retained messages",
    b"subscriptions",
    b"uptime",
    b"version",
    b"timestamp",
    b"connected",
    b"disconnected",
    b"connection",
    b"state",
    b"heap",
    b"1min",
    b"5min",
    b"15min",
];

/// Whether a payload is JSON.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

/// Ranges of IPv4 addresses of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum V4Class {
    /// Loopback, multicast, broadcast, unspecified: stays.
    Fixed,
    /// 10.0.0.0/8.
    Private8,
    /// 172.16.0.0/12.
    Private12,
    /// 192.168.0.0/16.
    Private16,
    /// 169.254.0.0/16.
    LinkLocal,
    Public,
}

pub(super) const fn class_of_v4(octets: [u8; 4]) -> V4Class {
    match octets {
        [0 | 127 | 224..=255, ..] => V4Class::Fixed,
        [10, ..] => V4Class::Private8,
        [172, 16..=31, ..] => V4Class::Private12,
        [192, 168, ..] => V4Class::Private16,
        [169, 254, ..] => V4Class::LinkLocal,
        _ => V4Class::Public,
    }
}

/// The digits of a value: position, smallest value and radix of each.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    slots: Vec<(usize, u8, u16)>,
}

impl Shape {
    pub(super) fn slots(&self) -> &[(usize, u8, u16)] {
        &self.slots
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn digits(&self, bytes: &[u8]) -> Vec<u8> {
        let digit = |&(at, base, _): &(usize, u8, u16)| bytes[at] - base;
        self.slots.iter().map(digit).collect()
    }

    pub(super) fn put(&self, digits: &[u8], bytes: &mut [u8]) {
        for (&(at, base, _), digit) in self.slots.iter().zip(digits) {
            bytes[at] = base + digit;
        }
    }

    /// Octets of any value.
    pub(super) fn octets(len: usize) -> Self {
        Self {
            slots: (0..len).map(|at| (at, 0, 256)).collect(),
        }
    }

    pub(super) fn v4(class: V4Class) -> Self {
        let mut shape = Self::octets(4);
        match class {
            V4Class::Fixed => shape.slots.clear(),
            V4Class::Private8 => drop(shape.slots.remove(0)),
            V4Class::Private12 => {
                shape.slots.remove(0);
                shape.slots[0] = (1, 16, 16);
            }
            V4Class::Private16 | V4Class::LinkLocal => drop(shape.slots.drain(..2)),
            V4Class::Public => {}
        }
        shape
    }

    pub(super) fn v6(octets: [u8; 16]) -> Self {
        let mut shape = Self::octets(16);
        let kept = match octets {
            [0xff, ..] => 16,
            [0xfe, 0x80..=0xbf, ..] => 8,
            [0xfc | 0xfd, ..] => 1,
            // ::, ::1
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 | 1] => 16,
            // IPv4-mapped
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..] => 12,
            [0x20..=0x3f, ..] => {
                shape.slots[0] = (0, 0x20, 32);
                0
            }
            _ => 1,
        };
        shape.slots.drain(..kept);
        shape
    }

    pub(super) fn mac(mac: &[u8]) -> Self {
        // The upper six bits cannot be a digit of their own; the last octets name the
        // device, the first three its maker.
        Self {
            slots: (1..mac.len()).map(|at| (at, 0, 256)).collect(),
        }
    }

    /// Letters, decimal digits and other characters, each by its class; punctuation,
    /// white space and control characters stay.
    pub(super) fn text(bytes: &[u8]) -> Self {
        let mut shape = Self::default();
        let mut at = 0;
        while at < bytes.len() {
            at += match bytes[at] {
                b'0'..=b'9' => shape.slot(at, b'0', 10),
                byte if byte < 0x80 => shape.letter(at, byte),
                _ => shape.high(bytes, at),
            };
        }
        shape
    }

    /// A payload that is not JSON: text if it reads as text, else any bytes.
    pub(super) fn payload(bytes: &[u8]) -> Self {
        let is_control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
        match std::str::from_utf8(bytes).is_ok() && !bytes.iter().any(is_control) {
            true => Self::text(bytes),
            false => Self::opaque(bytes),
        }
    }

    /// Any bytes: whether they are UTF-8, and from where on not, stays.
    pub(super) fn opaque(bytes: &[u8]) -> Self {
        let mut shape = Self::default();
        let mut at = 0;
        while at < bytes.len() {
            at += match bytes[at] {
                // U+0000 is a defect in strings.
                0 => 1,
                1..=0x7f => shape.slot(at, 1, 127),
                _ => shape.high(bytes, at),
            };
        }
        shape
    }

    /// Valid JSON: the names of members one by one, and all values together.
    pub(super) fn json(bytes: &[u8]) -> (Vec<Self>, Self) {
        let (mut keys, mut values) = (Vec::new(), Self::default());
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                b'"' => {
                    let (string, end) = Self::json_string(bytes, at + 1);
                    let next = bytes[end..].iter().find(|byte| !byte.is_ascii_whitespace());
                    match next {
                        Some(b':') => keys.push(string),
                        _ => values.slots.extend(string.slots),
                    }
                    at = end;
                }
                b'0'..=b'9' => at = values.json_number(bytes, at),
                _ => at += 1,
            }
        }
        (keys, values)
    }

    /// A string from after its quotation mark, and where it ends.
    fn json_string(bytes: &[u8], mut at: usize) -> (Self, usize) {
        let mut shape = Self::default();
        while at < bytes.len() {
            at += match bytes[at] {
                b'"' => return (shape, at + 1),
                // The last two hexadecimal digits of \uXXXX do not decide whether it is
                // a surrogate.
                b'\\' if bytes.get(at + 1) == Some(&b'u') => {
                    for (digit, byte) in bytes.iter().enumerate().take(at + 6).skip(at + 4) {
                        match byte {
                            b'0'..=b'9' => shape.slot(digit, b'0', 10),
                            b'a'..=b'f' => shape.slot(digit, b'a', 6),
                            _ => shape.slot(digit, b'A', 6),
                        };
                    }
                    6
                }
                b'\\' => 2,
                b'0'..=b'9' => shape.slot(at, b'0', 10),
                byte if byte < 0x80 => shape.letter(at, byte),
                _ => shape.high(bytes, at),
            };
        }
        (shape, bytes.len())
    }

    /// The digits of a number from its first one on, and where it ends. A number of
    /// several digits does not begin with 0; exponents stay.
    fn json_number(&mut self, bytes: &[u8], first: usize) -> usize {
        let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let mut at = first;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'0'..=b'9' if at == first && is_digit(at + 1) => self.slot(at, b'1', 9),
                b'0'..=b'9' => self.slot(at, b'0', 10),
                b'.' => 1,
                b'e' | b'E' => {
                    at += 1;
                    while is_digit(at) || matches!(bytes.get(at), Some(b'+' | b'-')) {
                        at += 1;
                    }
                    return at;
                }
                _ => return at,
            };
            at += 1;
        }
        at
    }

    fn letter(&mut self, at: usize, byte: u8) -> usize {
        match byte {
            b'a'..=b'z' => self.slot(at, b'a', 26),
            b'A'..=b'Z' => self.slot(at, b'A', 26),
            _ => 1,
        }
    }

    fn slot(&mut self, at: usize, base: u8, radix: u16) -> usize {
        self.slots.push((at, base, radix));
        1
    }

    /// A lead byte with those after it that it restricts, or a continuation byte.
    /// Encodings stay valid, or invalid at the same byte; control characters, marks of
    /// direction and noncharacters do not appear.
    fn high(&mut self, bytes: &[u8], at: usize) -> usize {
        let next = |n: usize| bytes.get(at + n).copied().unwrap_or(0);
        let mut varies = |n: usize, low: u8, high: u8| {
            if (low..=high).contains(&next(n)) {
                self.slots
                    .push((at + n, low, u16::from(high) - u16::from(low) + 1));
            }
        };
        // Bytes after the lead byte that are not continuation bytes stand for themselves.
        let follows = |n: usize| (0x80..=0xbf).contains(&next(n));
        match next(0) {
            0x80..=0xbf => varies(0, 0x80, 0xbf),
            0xc3..=0xdf => varies(0, 0xc3, 0xdf),
            0xc2 if follows(1) => {
                varies(1, 0xa0, 0xbf);
                return 2;
            }
            0xe0 if follows(1) => {
                varies(1, 0xa0, 0xbf);
                return 2;
            }
            0xe3..=0xec => varies(0, 0xe3, 0xec),
            0xed if follows(1) => {
                varies(1, 0x80, 0x9f);
                return 2;
            }
            0xe2 | 0xef if follows(1) && follows(2) => {
                if !matches!(
                    (next(0), next(1)),
                    (0xe2, 0x80 | 0x81) | (0xef, 0xb7 | 0xbb | 0xbf)
                ) {
                    varies(2, 0x80, 0xbf);
                }
                return 3;
            }
            0xf0 if follows(1) => {
                varies(1, 0x90, 0xbf);
                return 2;
            }
            0xf1..=0xf3 => varies(0, 0xf1, 0xf3),
            0xf4 if follows(1) => {
                varies(1, 0x80, 0x8f);
                return 2;
            }
            _ => {}
        }
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets every digit to the smallest, the largest and a middle value.
    fn variants(shape: &Shape, bytes: &[u8]) -> Vec<Vec<u8>> {
        let of = |digit: fn(u16) -> u16| {
            let digits: Vec<u8> = shape.slots.iter().map(|s| digit(s.2) as u8).collect();
            let mut copy = bytes.to_vec();
            shape.put(&digits, &mut copy);
            copy
        };
        vec![of(|_| 0), of(|radix| radix - 1), of(|radix| radix / 2)]
    }

    #[test]
    fn utf8_stays_valid_or_invalid_at_the_same_byte() {
        let fault = |bytes: &[u8]| std::str::from_utf8(bytes).err().map(|e| e.valid_up_to());
        let mut samples: Vec<Vec<u8>> = ["Öl Ж 温度 € 😀 ｆ", "plain"]
            .map(|text| text.as_bytes().to_vec())
            .into();
        for lead in 0x7f..=0xff_u8 {
            for second in [0x20, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc3, 0xff] {
                samples.push(vec![b'a', lead, second]);
                samples.push(vec![lead, second, 0x80, b'z']);
                samples.push(vec![lead, second, 0x80, 0xbf, b'z']);
            }
        }
        for sample in &samples {
            for shape in [Shape::text(sample), Shape::opaque(sample)] {
                for variant in variants(&shape, sample) {
                    assert_eq!(
                        fault(&variant),
                        fault(sample),
                        "{sample:02x?} {variant:02x?}"
                    );
                }
            }
        }
    }

    #[test]
    fn json_stays_json() {
        for text in [
            r#"{"temp": 21.50, "id":"Kiln \"7\" \u00e4\ud83d\ude00", "on":true, "n":[-10, 0, 1e5, 2E-3, null]}"#,
            "0",
            "-12",
            r#""word""#,
        ] {
            assert!(is_json(text.as_bytes()));
            let (keys, values) = Shape::json(text.as_bytes());
            for shape in keys.iter().chain([&values]) {
                for variant in variants(shape, text.as_bytes()) {
                    assert!(is_json(&variant), "{}", String::from_utf8_lossy(&variant));
                }
            }
            let changed: usize = keys.iter().map(|key| key.slots.len()).sum();
            assert!(changed + values.slots.len() > 0);
        }
    }
}

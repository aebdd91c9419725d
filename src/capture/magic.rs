//! Recognises the format of a file by its first bytes; unsupported formats are named.

use super::bytes::ByteOrder;
use super::error::Problem;

/// A supported capture format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// The classic format of libpcap.
    Pcap {
        order: ByteOrder,
        /// Fractions of a second are nanoseconds, not microseconds.
        nanoseconds: bool,
        /// Alexey Kuznetzov's variant, whose record headers have eight bytes
        /// more (interface index, protocol, packet type).
        modified: bool,
    },
    /// Blocks; byte order and all else is in the section headers.
    Pcapng,
    /// The format of Solaris' snoop.
    Snoop,
}

/// The format by the first four bytes.
pub(super) fn recognise(magic: [u8; 4]) -> Option<Format> {
    match &magic {
        [0x0a, 0x0d, 0x0d, 0x0a] => return Some(Format::Pcapng),
        // btsnoop starts with another letter.
        b"snoo" => return Some(Format::Snoop),
        _ => {}
    }
    [ByteOrder::Little, ByteOrder::Big]
        .into_iter()
        .find_map(|order| {
            let (nanoseconds, modified) = match order.u32(magic) {
                0xa1b2_c3d4 => (false, false),
                0xa1b2_3c4d => (true, false),
                0xa1b2_cd34 => (false, true),
                _ => return None,
            };
            Some(Format::Pcap {
                order,
                nanoseconds,
                modified,
            })
        })
}

/// Description of a file that starts with `start` and is not supported.
pub(super) fn foreign(start: &[u8]) -> Problem {
    if let Some(&(_, name)) = FOREIGN.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Problem::Unsupported(name);
    }
    if let Some(text) = text(start) {
        return Problem::Text(text);
    }
    if is_erf(start) {
        return Problem::Unsupported("an ERF capture");
    }
    let mut magic = [0; 4];
    for (to, from) in magic.iter_mut().zip(start) {
        *to = *from;
    }
    if start.len() < magic.len() {
        return Problem::Cut {
            what: "file header",
            expected: 24,
            there: start.len() as u64,
        };
    }
    Problem::Unknown(magic)
}

/// Formats that are recognised only to be named.
const FOREIGN: &[(&[u8], &str)] = &[
    (b"btsnoop\0", "a Bluetooth snoop capture"),
    (b"RTSS", "a Network Monitor 1 capture"),
    (b"GMBU", "a Network Monitor 2 capture"),
    (b"XCP\0", "a NetXRay capture"),
    (b"TRSNIFF data", "a Sniffer capture"),
    (b"iptrace ", "an iptrace capture"),
    (b"\x7fver", "an EtherPeek or OmniPeek capture"),
    (b"\xa1\xb2\x34\xcd", "a pcap variant (Mesquita)"),
    (b"\xcd\x34\xb2\xa1", "a pcap variant (Mesquita)"),
    (b"\xa1\x2b\x3c\x4d", "a pcap variant (Navtel)"),
    (b"\x4d\x3c\x2b\xa1", "a pcap variant (Navtel)"),
    (b"\x1c\x00\x01\xac", "a pcap variant (IxVeriWave hardware)"),
    (b"\xac\x01\x00\x1c", "a pcap variant (IxVeriWave hardware)"),
    (b"\x1c\x00\x01\xab", "a pcap variant (IxVeriWave software)"),
    (b"\xab\x01\x00\x1c", "a pcap variant (IxVeriWave software)"),
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
];

/// Up to forty characters of the first line, if all of `start` is text.
fn text(start: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // The sample may end within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(start.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let readable = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    if text.is_empty() || !text.chars().all(readable) {
        return None;
    }
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    let mut shown: String = line
        .chars()
        .take(40)
        .flat_map(char::escape_default)
        .collect();
    if line.chars().nth(40).is_some() {
        shown.push('…');
    }
    Some(shown)
}

/// Endace's format has no magic number. A record starts with a time (32.32 bit
/// fixed point, least significant byte first), a type, flags, the record's
/// length and the packet's.
fn is_erf(start: &[u8]) -> bool {
    let Some(
        &[
            _,
            _,
            _,
            _,
            t0,
            t1,
            t2,
            t3,
            kind,
            _flags,
            r0,
            r1,
            _,
            _,
            w0,
            w1,
        ],
    ) = start.first_chunk::<16>()
    else {
        return false;
    };
    let year_1990_to_2050 = 631_152_000..2_524_608_000;
    let record = u16::from_be_bytes([r0, r1]);
    year_1990_to_2050.contains(&u32::from_le_bytes([t0, t1, t2, t3]))
        && matches!(kind & 0x7f, 1..=29)
        && record >= 16
        && u16::from_be_bytes([w0, w1]) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_files_are_named() {
        let said = |start: &[u8]| foreign(start).to_string();
        assert!(said(b"btsnoop\0\0\0\0\x01").contains("Bluetooth"));
        assert!(said(b"GMBU\0\x02\x01\0").contains("Network Monitor 2"));
        assert!(said(b"{\"mqtt\": \"json\"}\n").contains("text (\"{\\\"mqtt"));
        assert!(said(b"\x01\x02\x03\x04\x05").contains("starts with 01 02 03 04"));
        assert!(said(b"\xd4\xc3").contains("the file ends after 2"));
        let erf = [
            0, 0, 0, 0, 0x80, 0x3a, 0x9e, 0x53, 2, 4, 0, 0x50, 0, 0, 0, 0x3c,
        ];
        assert!(said(&erf).contains("ERF"));
    }

    #[test]
    fn both_orders_of_every_magic() {
        for (magic, nanoseconds, modified) in [
            (0xa1b2_c3d4_u32, false, false),
            (0xa1b2_3c4d, true, false),
            (0xa1b2_cd34, false, true),
        ] {
            for (bytes, order) in [
                (magic.to_le_bytes(), ByteOrder::Little),
                (magic.to_be_bytes(), ByteOrder::Big),
            ] {
                let expected = Format::Pcap {
                    order,
                    nanoseconds,
                    modified,
                };
                assert_eq!(recognise(bytes), Some(expected));
            }
        }
    }
}

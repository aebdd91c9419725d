//! The bytes of a control packet, in tcpdump's layouts.
//!
//! ```text
//! -X      0x0000:  3012 0004 6974 656d 6869 2120 7468 6572  0...itemhi!.ther
//! -x      0x0000:  3012 0004 6974 656d 6869 2120 7468 6572
//! -A      0...itemhi! there
//! ```
//!
//! Unlike tcpdump's, `-A` starts every line with a tab, so that a payload with line
//! feeds cannot forge output lines, and `::` at the start of a line is printed as
//! `.:`, because the runners of GitHub Actions execute it as a command after any
//! blanks. Masked bytes are `**` in hexadecimal and `*` in text.

use std::ops::Range;

use crate::report::put;

/// How the bytes of a control packet are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// `-A`: as text.
    Ascii,
    /// `-x`: in hexadecimal.
    Hex,
    /// `-X`: in hexadecimal and as text.
    HexAscii,
}

/// Bytes in a line of a hexadecimal dump.
const ROW: usize = 16;
/// Columns they take up: a space and four digits for every two bytes.
const HEX_COLUMNS: usize = ROW / 2 * 5;

/// Appends a dump of `bytes`, those in `masked` hidden.
pub(super) fn dump(how: Dump, bytes: &[u8], masked: &[Range<usize>], out: &mut Vec<u8>) {
    match how {
        Dump::Ascii => ascii(bytes, masked, out),
        Dump::Hex => rows(bytes, masked, false, out),
        Dump::HexAscii => rows(bytes, masked, true, out),
    }
}

fn hides(masked: &[Range<usize>], at: usize) -> bool {
    masked.iter().any(|range| range.contains(&at))
}

fn rows(bytes: &[u8], masked: &[Range<usize>], text: bool, out: &mut Vec<u8>) {
    for (row, chunk) in bytes.chunks(ROW).enumerate() {
        let start = row * ROW;
        out.extend_from_slice(b"\t0x");
        // Four digits as in tcpdump, more where the packet is longer.
        if start > 0xffff {
            put::hex((start >> 24) as u8, out);
            put::hex((start >> 16) as u8, out);
        }
        put::hex((start >> 8) as u8, out);
        put::hex(start as u8, out);
        out.extend_from_slice(b": ");
        let hex_start = out.len();
        for (at, &byte) in chunk.iter().enumerate() {
            if at % 2 == 0 {
                out.push(b' ');
            }
            if hides(masked, start + at) {
                out.extend_from_slice(b"**");
            } else {
                put::hex(byte, out);
            }
        }
        if text {
            out.resize(hex_start + HEX_COLUMNS + 2, b' ');
            for (at, &byte) in chunk.iter().enumerate() {
                out.push(match byte {
                    _ if hides(masked, start + at) => b'*',
                    0x21..=0x7e => byte,
                    _ => b'.',
                });
            }
        }
        out.push(b'\n');
    }
}

fn ascii(bytes: &[u8], masked: &[Range<usize>], out: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    out.push(b'\t');
    let mut begins = true;
    for (at, &byte) in bytes.iter().enumerate() {
        let first = begins;
        begins = byte == b'\n' || begins && matches!(byte, b' ' | b'\t' | b'\r');
        match byte {
            _ if hides(masked, at) => out.push(b'*'),
            b':' if first && bytes.get(at + 1) == Some(&b':') => out.push(b'.'),
            b'\n' => out.extend_from_slice(b"\n\t"),
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => {}
            b'\t' | 0x20..=0x7e => out.push(byte),
            _ => out.push(b'.'),
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dumped(how: Dump, bytes: &[u8], masked: Range<usize>) -> String {
        let mut out = Vec::new();
        dump(how, bytes, &[masked], &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    const PUBLISH: &[u8] = b"0\x12\0\x04itemhi! there\r\n\x1b";

    #[test]
    fn layouts() {
        assert_eq!(
            dumped(Dump::HexAscii, PUBLISH, 0..0),
            "\t0x0000:  3012 0004 6974 656d 6869 2120 7468 6572  0...itemhi!.ther\n\
             \t0x0010:  650d 0a1b                                e...\n"
        );
        assert_eq!(
            dumped(Dump::Hex, &PUBLISH[..17], 0..0),
            "\t0x0000:  3012 0004 6974 656d 6869 2120 7468 6572\n\
             \t0x0010:  65\n"
        );
        assert_eq!(
            dumped(Dump::Ascii, PUBLISH, 0..0),
            "\t0...itemhi! there\n\t.\n"
        );
        assert_eq!(dumped(Dump::Ascii, b"", 0..0), "");
        assert_eq!(
            dumped(Dump::Ascii, b"a::b\n ::error::c", 0..0),
            "\ta::b\n\t .:error::c\n"
        );
        assert_eq!(dumped(Dump::HexAscii, b"", 0..0), "");
    }

    #[test]
    fn masks() {
        assert_eq!(
            dumped(Dump::HexAscii, b"pass12!", 3..6),
            "\t0x0000:  7061 73** **** 21                        pas***!\n"
        );
        assert_eq!(dumped(Dump::Ascii, b"pa\nss", 1..4), "\tp***s\n");
    }

    #[test]
    fn long_packets_have_long_offsets() {
        let bytes = vec![0; 0x1_0011];
        let dump = dumped(Dump::Hex, &bytes, 0..0);
        assert!(dump.contains("\n\t0xfff0:  0000"));
        assert!(dump.ends_with("\n\t0x00010010:  00\n"));
    }
}

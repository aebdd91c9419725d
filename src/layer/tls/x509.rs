//! The subject of an X.509 certificate, and nothing else of it.
//!
//! ```text
//! Certificate ─ TBSCertificate ─ [0] version, serial, algorithm, issuer, validity, subject
//!                                                                                  │
//!                            Name: sequence of sets of (object identifier, string) ┘
//! ```
//! Names are written in the order of the certificate, `C=DE, O=Works, CN=mqtt`.
//! Nothing is verified, and unknown content gives no name.

use crate::limits;

/// The subject of a DER certificate.
pub(super) fn subject(certificate: &[u8]) -> Option<String> {
    let (whole, _) = element(certificate, 0x30)?;
    let (mut rest, _) = element(whole, 0x30)?;
    if let Some((_, after)) = element(rest, 0xA0) {
        rest = after;
    }
    for tag in [0x02, 0x30, 0x30, 0x30] {
        (_, rest) = element(rest, tag)?;
    }
    let (mut name, _) = element(rest, 0x30)?;
    let mut out = String::new();
    while let Some((mut set, after)) = element(name, 0x31) {
        while let Some((attribute, more)) = element(set, 0x30) {
            add(&mut out, attribute);
            set = more;
        }
        name = after;
        if out.len() > limits::TLS_SUBJECT {
            out = out.chars().take(limits::TLS_SUBJECT).collect::<String>() + "…";
            break;
        }
    }
    (!out.is_empty()).then_some(out)
}

fn add(out: &mut String, attribute: &[u8]) -> Option<()> {
    let (kind, value) = element(attribute, 0x06)?;
    let (&tag, _) = value.split_first()?;
    let (text, _) = element(value, tag)?;
    let text = match tag {
        // BMPString
        0x1E => {
            let (pairs, _) = text.as_chunks();
            let units: Vec<u16> = pairs.iter().map(|p| u16::from_be_bytes(*p)).collect();
            String::from_utf16_lossy(&units)
        }
        _ => String::from_utf8_lossy(text).into_owned(),
    };
    if !out.is_empty() {
        out.push_str(", ");
    }
    let short = SHORT.iter().find(|(id, _)| *id == kind);
    out.push_str(short.map_or("?", |(_, name)| name));
    out.push('=');
    out.push_str(&text);
    Some(())
}

/// Names that people write, RFC 4514, 3 and a few more.
const SHORT: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 12], "title"),
    (&[0x55, 4, 42], "GN"),
    (&[0x55, 4, 46], "dnQualifier"),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 1, 1],
        "UID",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 1, 25],
        "DC",
    ),
    (
        &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 1],
        "emailAddress",
    ),
];

/// The contents of the element at the start, if it has this tag, and what
/// follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let (len, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        // Certificates are shorter than 16 MiB.
        0x81..=0x83 => {
            let (len, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            let add = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
            (len.iter().fold(0, add), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The certificate of RFC 8448, whose subject is CN=rsa: cut after it.
    #[test]
    fn subjects_are_read() {
        let name = [
            0x30, 0x0E, 0x31, 0x0C, 0x30, 0x0A, 6, 3, 0x55, 4, 3, 0x13, 3, b'r', b's', b'a',
        ];
        let mut tbs = vec![0xA0, 3, 2, 1, 2, 2, 1, 2, 0x30, 0, 0x30, 0, 0x30, 0];
        tbs.extend(name);
        let mut der = vec![0x30, 0x81, tbs.len() as u8 + 2, 0x30, tbs.len() as u8];
        der.extend(&tbs);
        assert_eq!(subject(&der).as_deref(), Some("CN=rsa"));
        // Version 1 certificates have no version.
        let tbs = &tbs[5..];
        let mut der = vec![0x30, tbs.len() as u8 + 2, 0x30, tbs.len() as u8];
        der.extend(tbs);
        assert_eq!(subject(&der).as_deref(), Some("CN=rsa"));
        for cut in 0..der.len() {
            assert_eq!(subject(&der[..cut]), None, "cut at {cut}");
        }
    }
}

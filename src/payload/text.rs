//! Text in a charset.

/// The charsets that need no tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8, with U+FFFD for invalid bytes.
    Utf8,
    /// ISO 8859-1: every byte is the character of its number.
    Latin1,
    /// UTF-16, the low byte first.
    Utf16Le,
    /// UTF-16, the high byte first.
    Utf16Be,
}

impl Charset {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "ascii" => Self::Utf8,
            "latin1" | "latin-1" | "iso-8859-1" => Self::Latin1,
            "utf-16" | "utf-16le" => Self::Utf16Le,
            "utf-16be" => Self::Utf16Be,
            _ => return None,
        })
    }

    pub(super) fn read(self, bytes: &[u8]) -> String {
        let utf16 = |read: fn([u8; 2]) -> u16| {
            let (pairs, rest) = bytes.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| read(*pair)).collect();
            let mut text = String::from_utf16_lossy(&units);
            if !rest.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
            text
        };
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Self::Latin1 => bytes.iter().copied().map(char::from).collect(),
            Self::Utf16Le => utf16(u16::from_le_bytes),
            Self::Utf16Be => utf16(u16::from_be_bytes),
        }
    }
}

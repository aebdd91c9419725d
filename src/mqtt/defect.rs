//! Defects: bytes that break the packet format. Wrong *behaviour* of a
//! well-formed packet is not a defect but a finding.
//!
//! A defect is decidable from one control packet and its version. What needs
//! other packets (an unknown Topic Alias, a negotiated limit, a wrong
//! direction) is checked by later stages.

use std::fmt;

/// Bytes of a control packet that violate the specification.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Defect {
    /// Short stable name in kebab case, such as `bad-utf8`; see [`CODES`].
    pub code: &'static str,
    /// The field that is wrong, in the specification's words, such as
    /// `Will Topic`; for a property its name.
    pub field: &'static str,
    /// Where, in bytes from the first byte of the control packet.
    pub offset: u32,
    /// What was expected and what was found.
    pub message: String,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at offset {}: {}",
            self.code, self.offset, self.message
        )
    }
}

/// Maximum number of defects reported for one control packet. A SUBACK of a megabyte of
/// unknown codes does not become a million strings.
pub const MOST_DEFECTS: usize = 32;

/// All defects, with their meaning.
pub const CODES: &[(&str, &str)] = &[
    (
        "reserved-type",
        "packet type 0, or 15 in a version before 5.0",
    ),
    (
        "reserved-flags",
        "flags of the fixed header that are fixed for this type have another value",
    ),
    ("qos-3", "a QoS of 3"),
    ("dup-with-qos-0", "DUP set in a PUBLISH of QoS 0"),
    (
        "overlong-integer",
        "a Variable Byte Integer in more bytes than it needs (5.0)",
    ),
    (
        "malformed-integer",
        "a Variable Byte Integer of more than four bytes",
    ),
    (
        "missing-field",
        "the packet ends where a field should start",
    ),
    ("past-end", "a field runs over the end of the packet"),
    ("trailing-bytes", "bytes are left after the last field"),
    ("packet-id-0", "a Packet Identifier of 0"),
    ("bad-utf8", "a string that is not UTF-8"),
    ("nul-in-string", "a string that contains U+0000"),
    (
        "empty-topic",
        "a Topic Name of no characters, without a Topic Alias",
    ),
    ("wildcard-in-topic", "a Topic Name with + or #"),
    ("empty-filter", "a Topic Filter of no characters"),
    (
        "bad-filter",
        "a Topic Filter with + or # beside other characters of a level, or # before the last level",
    ),
    (
        "bad-share",
        "a shared subscription without a proper share name or filter (5.0)",
    ),
    (
        "shared-no-local",
        "No Local set on a shared subscription (5.0)",
    ),
    (
        "empty-payload",
        "a SUBSCRIBE, UNSUBSCRIBE, SUBACK or UNSUBACK without an entry",
    ),
    ("reserved-options", "reserved bits of Subscription Options"),
    ("retain-handling-3", "a Retain Handling of 3"),
    (
        "unknown-protocol",
        "a protocol name and level of no version",
    ),
    ("reserved-connect-flag", "bit 0 of the Connect Flags set"),
    (
        "will-flags",
        "Will QoS or Will Retain set without the Will Flag",
    ),
    (
        "password-without-username",
        "the Password Flag without the User Name Flag (before 5.0)",
    ),
    (
        "reserved-connack-flags",
        "bits 7-1 of the Connect Acknowledge Flags",
    ),
    (
        "unknown-code",
        "a return or reason code that this packet type does not have",
    ),
    (
        "property-length",
        "a Property Length that runs over the end of the packet",
    ),
    (
        "property-past-end",
        "a property runs over the Property Length",
    ),
    ("unknown-property", "a Property Identifier of no property"),
    (
        "misplaced-property",
        "a property that is not allowed in this packet",
    ),
    (
        "repeated-property",
        "a property that may be there once and is there again",
    ),
    (
        "property-value",
        "a property with a value outside its range",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_kebab_case() {
        for (place, (code, meaning)) in CODES.iter().enumerate() {
            assert!(!CODES[..place].iter().any(|(other, _)| other == code));
            assert!(
                code.bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')),
                "{code}"
            );
            assert!(!meaning.is_empty());
        }
    }
}

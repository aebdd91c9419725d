//! Defects: bytes that break the packet format. Wrong *behaviour* of a
//! well-formed packet is not a defect but a finding, and not reported here.
//!
//! A defect is decidable from one control packet and its version alone. What
//! needs another packet (an unknown Topic Alias, a limit that was negotiated,
//! a type that travels the wrong way) is judged where the others are known.

use std::fmt;

/// Bytes of a control packet that violate the specification.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Defect {
    /// What is wrong.
    pub code: DefectCode,
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

/// Defects reported of one control packet. A SUBACK of a megabyte of unknown codes
/// is not a million strings.
pub const MOST_DEFECTS: usize = 32;

/// Makes the codes out of one table: variant, name, meaning.
macro_rules! codes {
    ($($variant:ident, $name:literal, $meaning:literal;)+) => {
        /// What is wrong with the bytes of a control packet.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum DefectCode {
            $(#[doc = concat!("`", $name, "`: ", $meaning, ".")] $variant,)+
        }

        impl DefectCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name in reports: short, stable, in kebab case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What it means.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)+
                }
            }
        }
    };
}

codes! {
    ReservedType, "reserved-type", "packet type 0, or 15 in a version before 5.0";
    ReservedFlags, "reserved-flags", "flags of the fixed header that are fixed for this type have another value";
    Qos3, "qos-3", "a QoS of 3";
    DupWithQos0, "dup-with-qos-0", "DUP set in a PUBLISH of QoS 0";
    OverlongInteger, "overlong-integer", "a Variable Byte Integer in more bytes than it needs (5.0)";
    MalformedInteger, "malformed-integer", "a Variable Byte Integer of more than four bytes";
    MissingField, "missing-field", "the packet ends where a field should start";
    PastEnd, "past-end", "a field runs over the end of the packet";
    TrailingBytes, "trailing-bytes", "bytes are left after the last field";
    PacketId0, "packet-id-0", "a Packet Identifier of 0";
    BadUtf8, "bad-utf8", "a string that is not UTF-8";
    NulInString, "nul-in-string", "a string that contains U+0000";
    EmptyTopic, "empty-topic", "a Topic Name of no characters, without a Topic Alias";
    WildcardInTopic, "wildcard-in-topic", "a Topic Name with + or #";
    EmptyFilter, "empty-filter", "a Topic Filter of no characters";
    BadFilter, "bad-filter", "a Topic Filter with + or # beside other characters of a level, or # before the last level";
    BadShare, "bad-share", "a shared subscription without a proper share name or filter (5.0)";
    SharedNoLocal, "shared-no-local", "No Local set on a shared subscription (5.0)";
    EmptyPayload, "empty-payload", "a SUBSCRIBE, UNSUBSCRIBE, SUBACK or UNSUBACK without an entry";
    ReservedOptions, "reserved-options", "reserved bits of Subscription Options";
    RetainHandling3, "retain-handling-3", "a Retain Handling of 3";
    UnknownProtocol, "unknown-protocol", "a protocol name and level of no version";
    ReservedConnectFlag, "reserved-connect-flag", "bit 0 of the Connect Flags set";
    WillFlags, "will-flags", "Will QoS or Will Retain set without the Will Flag";
    PasswordWithoutUsername, "password-without-username", "the Password Flag without the User Name Flag (before 5.0)";
    ReservedConnackFlags, "reserved-connack-flags", "bits 7-1 of the Connect Acknowledge Flags";
    UnknownCode, "unknown-code", "a return or reason code that this packet type does not have";
    PropertyLength, "property-length", "a Property Length that runs over the end of the packet";
    PropertyPastEnd, "property-past-end", "a property runs over the Property Length";
    UnknownProperty, "unknown-property", "a Property Identifier of no property";
    MisplacedProperty, "misplaced-property", "a property that is not allowed in this packet";
    RepeatedProperty, "repeated-property", "a property that may be there once and is there again";
    PropertyValue, "property-value", "a property with a value outside its range";
}

impl fmt::Display for DefectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_kebab_case() {
        for (place, code) in DefectCode::ALL.iter().enumerate() {
            let name = code.name();
            let same = |other: &DefectCode| other.name() == name;
            assert!(!DefectCode::ALL[..place].iter().any(same), "{name}");
            assert!(
                name.bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')),
                "{name}"
            );
            assert!(!code.meaning().is_empty());
        }
    }
}

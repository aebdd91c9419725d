//! Names of reason and return codes: one table per packet type, because the
//! same code may be legal in one packet and not in another, and has several
//! names (0x00 is `Success`, `Granted QoS 0` or `Normal disconnection`).

use super::header::PacketType;
use super::version::Version;

/// The name of a code in a packet type of a version, such as `Not authorized`;
/// `None` if the specification defines none.
///
/// A server that only supports 3.1.1 answers a CONNECT of 5.0 with the return
/// codes of 3.1.1, of which 1 to 5 are not Reason Codes: they keep their names.
pub fn name(version: Version, packet: PacketType, code: u8) -> Option<&'static str> {
    let found = lookup(table(version, packet), code);
    match packet {
        PacketType::Connack => found.or_else(|| lookup(CONNACK_3, code)),
        _ => found,
    }
}

/// Whether the packet type has that code in that version.
pub(super) fn is_known(version: Version, packet: PacketType, code: u8) -> bool {
    lookup(table(version, packet), code).is_some()
}

/// How many codes the packet type has in that version.
pub(super) fn count(version: Version, packet: PacketType) -> usize {
    table(version, packet).len()
}

fn lookup(table: &[(u8, &'static str)], code: u8) -> Option<&'static str> {
    table
        .iter()
        .find(|(known, _)| *known == code)
        .map(|(_, name)| *name)
}

fn table(version: Version, packet: PacketType) -> &'static [(u8, &'static str)] {
    use PacketType as P;
    match (packet, version) {
        (P::Connack, Version::V3_1 | Version::V3_1_1) => CONNACK_3,
        (P::Suback, Version::V3_1) => SUBACK_3_1,
        (P::Suback, Version::V3_1_1) => SUBACK_3_1_1,
        (_, Version::V3_1 | Version::V3_1_1) => &[],
        (P::Connack, Version::V5) => CONNACK,
        (P::Puback, Version::V5) => PUBACK,
        (P::Pubrec, Version::V5) => PUBREC,
        (P::Pubrel, Version::V5) => PUBREL,
        (P::Pubcomp, Version::V5) => PUBCOMP,
        (P::Suback, Version::V5) => SUBACK,
        (P::Unsuback, Version::V5) => UNSUBACK,
        (P::Disconnect, Version::V5) => DISCONNECT,
        (P::Auth, Version::V5) => AUTH,
        (
            P::Reserved
            | P::Connect
            | P::Publish
            | P::Subscribe
            | P::Unsubscribe
            | P::Pingreq
            | P::Pingresp,
            Version::V5,
        ) => &[],
    }
}

/// Return codes of CONNACK (3.1.1: table 3.1).
const CONNACK_3: &[(u8, &str)] = &[
    (0x00, "Connection accepted"),
    (0x01, "Refused: unacceptable protocol version"),
    (0x02, "Refused: identifier rejected"),
    (0x03, "Refused: server unavailable"),
    (0x04, "Refused: bad user name or password"),
    (0x05, "Refused: not authorized"),
];

/// What a SUBACK of 3.1 grants; it has no failure.
const SUBACK_3_1: &[(u8, &str)] = &[
    (0x00, "Granted QoS 0"),
    (0x01, "Granted QoS 1"),
    (0x02, "Granted QoS 2"),
];

/// Return codes of SUBACK (3.1.1: 3.9.3).
const SUBACK_3_1_1: &[(u8, &str)] = &[
    (0x00, "Success - Maximum QoS 0"),
    (0x01, "Success - Maximum QoS 1"),
    (0x02, "Success - Maximum QoS 2"),
    (0x80, "Failure"),
];

/// Reason Codes of CONNACK (5.0: table 3-1).
const CONNACK: &[(u8, &str)] = &[
    (0x00, "Success"),
    (0x80, "Unspecified error"),
    (0x81, "Malformed Packet"),
    (0x82, "Protocol Error"),
    (0x83, "Implementation specific error"),
    (0x84, "Unsupported Protocol Version"),
    (0x85, "Client Identifier not valid"),
    (0x86, "Bad User Name or Password"),
    (0x87, "Not authorized"),
    (0x88, "Server unavailable"),
    (0x89, "Server busy"),
    (0x8a, "Banned"),
    (0x8c, "Bad authentication method"),
    (0x90, "Topic Name invalid"),
    (0x95, "Packet too large"),
    (0x97, "Quota exceeded"),
    (0x99, "Payload format invalid"),
    (0x9a, "Retain not supported"),
    (0x9b, "QoS not supported"),
    (0x9c, "Use another server"),
    (0x9d, "Server moved"),
    (0x9f, "Connection rate exceeded"),
];

/// Reason Codes of PUBACK (5.0: table 3-4).
const PUBACK: &[(u8, &str)] = &[
    (0x00, "Success"),
    (0x10, "No matching subscribers"),
    (0x80, "Unspecified error"),
    (0x83, "Implementation specific error"),
    (0x87, "Not authorized"),
    (0x90, "Topic Name invalid"),
    (0x91, "Packet identifier in use"),
    (0x97, "Quota exceeded"),
    (0x99, "Payload format invalid"),
];

/// Reason Codes of PUBREC (5.0: table 3-5).
const PUBREC: &[(u8, &str)] = &[
    (0x00, "Success"),
    (0x10, "No matching subscribers"),
    (0x80, "Unspecified error"),
    (0x83, "Implementation specific error"),
    (0x87, "Not authorized"),
    (0x90, "Topic Name invalid"),
    (0x91, "Packet Identifier in use"),
    (0x97, "Quota exceeded"),
    (0x99, "Payload format invalid"),
];

/// Reason Codes of PUBREL (5.0: table 3-6).
const PUBREL: &[(u8, &str)] = &[(0x00, "Success"), (0x92, "Packet Identifier not found")];

/// Reason Codes of PUBCOMP (5.0: table 3-7).
const PUBCOMP: &[(u8, &str)] = &[(0x00, "Success"), (0x92, "Packet Identifier not found")];

/// Reason Codes of SUBACK (5.0: table 3-8).
const SUBACK: &[(u8, &str)] = &[
    (0x00, "Granted QoS 0"),
    (0x01, "Granted QoS 1"),
    (0x02, "Granted QoS 2"),
    (0x80, "Unspecified error"),
    (0x83, "Implementation specific error"),
    (0x87, "Not authorized"),
    (0x8f, "Topic Filter invalid"),
    (0x91, "Packet Identifier in use"),
    (0x97, "Quota exceeded"),
    (0x9e, "Shared Subscriptions not supported"),
    (0xa1, "Subscription Identifiers not supported"),
    (0xa2, "Wildcard Subscriptions not supported"),
];

/// Reason Codes of UNSUBACK (5.0: table 3-9).
const UNSUBACK: &[(u8, &str)] = &[
    (0x00, "Success"),
    (0x11, "No subscription existed"),
    (0x80, "Unspecified error"),
    (0x83, "Implementation specific error"),
    (0x87, "Not authorized"),
    (0x8f, "Topic Filter invalid"),
    (0x91, "Packet Identifier in use"),
];

/// Reason Codes of DISCONNECT (5.0: table 3-10; 0x8C is in table 2-6 only).
const DISCONNECT: &[(u8, &str)] = &[
    (0x00, "Normal disconnection"),
    (0x04, "Disconnect with Will Message"),
    (0x80, "Unspecified error"),
    (0x81, "Malformed Packet"),
    (0x82, "Protocol Error"),
    (0x83, "Implementation specific error"),
    (0x87, "Not authorized"),
    (0x89, "Server busy"),
    (0x8b, "Server shutting down"),
    (0x8c, "Bad authentication method"),
    (0x8d, "Keep Alive timeout"),
    (0x8e, "Session taken over"),
    (0x8f, "Topic Filter invalid"),
    (0x90, "Topic Name invalid"),
    (0x93, "Receive Maximum exceeded"),
    (0x94, "Topic Alias invalid"),
    (0x95, "Packet too large"),
    (0x96, "Message rate too high"),
    (0x97, "Quota exceeded"),
    (0x98, "Administrative action"),
    (0x99, "Payload format invalid"),
    (0x9a, "Retain not supported"),
    (0x9b, "QoS not supported"),
    (0x9c, "Use another server"),
    (0x9d, "Server moved"),
    (0x9e, "Shared Subscriptions not supported"),
    (0x9f, "Connection rate exceeded"),
    (0xa0, "Maximum connect time"),
    (0xa1, "Subscription Identifiers not supported"),
    (0xa2, "Wildcard Subscriptions not supported"),
];

/// Reason Codes of AUTH (5.0: table 3-11).
const AUTH: &[(u8, &str)] = &[
    (0x00, "Success"),
    (0x18, "Continue authentication"),
    (0x19, "Re-authenticate"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_in_order_and_has_its_size() {
        use PacketType as P;
        for (version, packet, codes) in [
            (Version::V3_1, P::Connack, 6),
            (Version::V3_1, P::Suback, 3),
            (Version::V3_1, P::Unsuback, 0),
            (Version::V3_1_1, P::Connack, 6),
            (Version::V3_1_1, P::Suback, 4),
            (Version::V3_1_1, P::Disconnect, 0),
            (Version::V5, P::Connack, 22),
            (Version::V5, P::Puback, 9),
            (Version::V5, P::Pubrec, 9),
            (Version::V5, P::Pubrel, 2),
            (Version::V5, P::Pubcomp, 2),
            (Version::V5, P::Suback, 12),
            (Version::V5, P::Unsuback, 7),
            (Version::V5, P::Disconnect, 30),
            (Version::V5, P::Auth, 3),
            (Version::V5, P::Publish, 0),
        ] {
            let table = table(version, packet);
            assert_eq!(table.len(), codes, "{version} {packet}");
            assert!(table.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }

    #[test]
    fn names() {
        use PacketType as P;
        for (version, packet, code, expected) in [
            (Version::V5, P::Connack, 0x00, Some("Success")),
            (Version::V5, P::Suback, 0x00, Some("Granted QoS 0")),
            (
                Version::V5,
                P::Disconnect,
                0x00,
                Some("Normal disconnection"),
            ),
            (
                Version::V5,
                P::Puback,
                0x10,
                Some("No matching subscribers"),
            ),
            (Version::V5, P::Pubrel, 0x10, None),
            (Version::V5, P::Connack, 0x87, Some("Not authorized")),
            (Version::V3_1_1, P::Connack, 0x87, None),
            (
                Version::V3_1_1,
                P::Connack,
                5,
                Some("Refused: not authorized"),
            ),
            (
                Version::V5,
                P::Connack,
                1,
                Some("Refused: unacceptable protocol version"),
            ),
            (Version::V3_1_1, P::Suback, 0x80, Some("Failure")),
            (Version::V3_1, P::Suback, 0x80, None),
            (Version::V3_1_1, P::Puback, 0, None),
        ] {
            assert_eq!(
                name(version, packet, code),
                expected,
                "{version} {packet} {code}"
            );
        }
    }
}

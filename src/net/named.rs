//! Recognises MQTT-SN and QUIC, which are reported but not decoded.
//!
//! ```text
//! MQTT-SN  length ┊ type ┊ flags ┊ 01 ┊ duration ┊ client id      (CONNECT, on any port)
//! QUIC     1100.... ┊ version ┊ connection ids ┊ …                (on ports of MQTT)
//! ```
//! A user who looks for MQTT messages should see that they are there in another
//! form. Doubtful packets count as other UDP.

use super::Other;
use crate::link::Bytes;

/// Common UDP ports of MQTT-SN gateways.
const SN: [u16; 4] = [1883, 1884, 10_000, 2442];
/// UDP ports of MQTT over QUIC.
const QUIC: [u16; 3] = [14_567, 1883, 8883];

/// Kind of a UDP datagram that is not a tunnel.
pub(super) fn name(datagram: Bytes<'_>) -> Other {
    const HEADER: usize = 8;
    let bytes = datagram.captured();
    let (Some((header, body)), Ok(src), Ok(dst)) = (
        bytes.split_at_checked(HEADER),
        datagram.u16(0),
        datagram.u16(2),
    ) else {
        return Other::Udp;
    };
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let whole = length.saturating_sub(HEADER);
    let on = |ports: &[u16]| ports.contains(&src) || ports.contains(&dst);
    if is_sn(body, whole, on(&SN)) {
        Other::MqttSn
    } else if on(&QUIC) && is_quic(body) {
        Other::Quic
    } else {
        Other::Udp
    }
}

/// Whether a datagram is a message of MQTT-SN 1.2: its length and a type, and on
/// any other port than the usual ones a CONNECT.
fn is_sn(body: &[u8], whole: usize, usual: bool) -> bool {
    let (length, message) = match body {
        [1, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        [length, rest @ ..] => (usize::from(*length), rest),
        [] => return false,
    };
    if length != whole {
        return false;
    }
    match message {
        // CONNECT: will and clean session at most, protocol 1, a client id.
        [0x04, flags, 0x01, _, _, id @ ..] => {
            flags & !0x0c == 0
                && (1..=23).contains(&id.len())
                && id.iter().all(u8::is_ascii_graphic)
        }
        [0x00..=0x1d | 0xfe, ..] => usual,
        _ => false,
    }
}

/// A long header of QUIC version 1 or 2.
fn is_quic(body: &[u8]) -> bool {
    matches!(
        body,
        [0xc0..=0xff, 0, 0, 0, 1, ..] | [0xc0..=0xff, 0x6b, 0x33, 0x43, 0xcf, ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(port: u16, body: &[u8]) -> Other {
        let length = (8 + body.len()) as u16;
        let header = [50_000, port, length, 0].map(u16::to_be_bytes);
        let datagram = [header.as_flattened(), body].concat();
        name(Bytes::new(&datagram, datagram.len()))
    }

    #[test]
    fn mqtt_sn_is_known_by_its_connect_or_its_port() {
        let connect = b"\x0b\x04\x04\x01\x00\x3csensor";
        assert_eq!(named(4000, &connect[..11]), Other::MqttSn);
        assert_eq!(named(4000, connect), Other::Udp);
        assert_eq!(named(1883, b"\x02\x16"), Other::MqttSn);
        assert_eq!(named(4000, b"\x02\x16"), Other::Udp);
        assert_eq!(named(1883, b"\x03\x16"), Other::Udp);
        assert_eq!(named(1883, b""), Other::Udp);
    }

    #[test]
    fn quic_is_known_on_ports_of_mqtt() {
        let initial = b"\xc3\x00\x00\x00\x01\x08abcdefgh";
        assert_eq!(named(14_567, initial), Other::Quic);
        assert_eq!(named(443, initial), Other::Udp);
    }
}

//! UDP datagrams: the header, and whether it is MQTT-SN or QUIC, which are counted
//! but not decoded.
//!
//! ```text
//! MQTT-SN  length ┊ type ┊ flags ┊ 01 ┊ duration ┊ client id      (CONNECT, on any port)
//! QUIC     1100.... ┊ version ┊ connection ids ┊ …                (on ports of MQTT)
//! ```
//! A user who looks for MQTT messages should see that they are there in another
//! form. Doubtful packets count as other UDP.

use super::Endpoint;
use crate::link::{Bytes, Stop};
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// Common UDP ports of MQTT-SN gateways.
const SN: [u16; 4] = [1883, 1884, 10_000, 2442];
/// UDP ports of MQTT over QUIC.
const QUIC: [u16; 3] = [14_567, 1883, 8883];

/// One UDP datagram that is no tunnel. Its payload lies in the captured packet,
/// or in the buffer that joined its IP fragments.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The captured packet, the last one of fragments.
    pub packet: PacketRef,
    /// When it was captured.
    pub time: Timestamp,
    /// Sender.
    pub src: Endpoint,
    /// Receiver.
    pub dst: Endpoint,
    /// Bytes after the UDP header, as far as they were captured.
    pub payload: &'a [u8],
    /// Bytes of payload that the snap length cut.
    pub cut: u32,
    /// What it carries.
    pub application: Application,
    /// Earlier packets whose IP fragments were joined into it.
    pub fragments: &'a [PacketRef],
}

/// What a UDP datagram carries, as far as it is recognised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Application {
    /// A message of MQTT-SN.
    MqttSn,
    /// A packet that opens QUIC, on a port of MQTT.
    Quic,
    /// Something else.
    Other,
}

impl Application {
    /// Its name for a reader.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MqttSn => "MQTT-SN",
            Self::Quic => "QUIC",
            Self::Other => "UDP",
        }
    }

    /// Its well-known ports.
    const fn ports(self) -> &'static [u16] {
        match self {
            Self::MqttSn => &SN,
            Self::Quic => &QUIC,
            Self::Other => &[],
        }
    }
}

impl Datagram<'_> {
    /// The port of the gateway or server: of both ports the well-known one, else
    /// the receiver's.
    pub fn service_port(&self) -> u16 {
        let ports = [self.dst.port, self.src.port];
        let known = |port: &&u16| self.application.ports().contains(port);
        *ports.iter().find(known).unwrap_or(&self.dst.port)
    }
}

/// The parts of a UDP header that are needed, and what follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened<'a> {
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    pub(super) payload: Bytes<'a>,
    pub(super) application: Application,
}

/// Decodes a UDP header and recognises what it carries.
pub(super) fn open(bytes: Bytes<'_>) -> Result<Opened<'_>, Stop> {
    const HEADER: usize = 8;
    let (src_port, dst_port) = (bytes.u16(0)?, bytes.u16(2)?);
    let datagram = match usize::from(bytes.u16(4)?) {
        // As in IP, 0 is segmentation left to the card, or a jumbogram.
        0 => bytes,
        length => bytes.at_most(length),
    };
    let payload = datagram.skip(HEADER)?;
    let on = |ports: &[u16]| ports.contains(&src_port) || ports.contains(&dst_port);
    let (body, whole) = (payload.captured(), payload.captured().len() + payload.cut());
    let application = if is_sn(body, whole, on(&SN)) {
        Application::MqttSn
    } else if on(&QUIC) && is_quic(body) {
        Application::Quic
    } else {
        Application::Other
    };
    Ok(Opened {
        src_port,
        dst_port,
        payload,
        application,
    })
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

    fn named(port: u16, body: &[u8]) -> Application {
        let length = (8 + body.len()) as u16;
        let header = [50_000, port, length, 0].map(u16::to_be_bytes);
        let datagram = [header.as_flattened(), body].concat();
        let opened = open(Bytes::new(&datagram, datagram.len()));
        opened.expect("a header").application
    }

    #[test]
    fn mqtt_sn_is_known_by_its_connect_or_its_port() {
        let connect = b"\x0b\x04\x04\x01\x00\x3csensor";
        assert_eq!(named(4000, &connect[..11]), Application::MqttSn);
        assert_eq!(named(4000, connect), Application::Other);
        assert_eq!(named(1883, b"\x02\x16"), Application::MqttSn);
        assert_eq!(named(4000, b"\x02\x16"), Application::Other);
        assert_eq!(named(1883, b"\x03\x16"), Application::Other);
        assert_eq!(named(1883, b""), Application::Other);
    }

    #[test]
    fn quic_is_known_on_ports_of_mqtt() {
        let initial = b"\xc3\x00\x00\x00\x01\x08abcdefgh";
        assert_eq!(named(14_567, initial), Application::Quic);
        assert_eq!(named(443, initial), Application::Other);
    }
    #[test]
    fn a_datagram_belongs_to_its_well_known_port() {
        let end = |port| Endpoint {
            addr: [10, 0, 0, 1].into(),
            port,
        };
        let port = |src, dst, application| {
            let datagram = Datagram {
                packet: PacketRef::default(),
                time: Timestamp::from_nanos(0),
                src: end(src),
                dst: end(dst),
                payload: &[],
                cut: 0,
                application,
                fragments: &[],
            };
            datagram.service_port()
        };
        assert_eq!(port(1884, 50_000, Application::MqttSn), 1884);
        assert_eq!(port(50_000, 1884, Application::MqttSn), 1884);
        assert_eq!(port(50_000, 4000, Application::MqttSn), 4000);
        assert_eq!(port(14_567, 50_000, Application::Quic), 14_567);
    }
}

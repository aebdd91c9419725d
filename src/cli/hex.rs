//! `--hex`: control packets typed as hexadecimal digits, decoded without a
//! capture.

use mqttdump::frame::{Connection, Direction, MQTTFrame, PerDirection, Received, Transport};
use mqttdump::layer::ByteRange;
use mqttdump::mqtt::{
    self, Certainty, ControlPacket, FixedHeader, Framed, Framer, Sink, Trouble, Version,
    infer_version,
};
use mqttdump::net::Endpoint;
use mqttdump::packet::PacketRef;
use mqttdump::payload::{Decoder, Message};
use mqttdump::report::{FrameItem, Frames, Report};
use mqttdump::time::Timestamp;

use super::command::Exit;
use super::console::{complain, counted};
use super::output;
use super::stop::Stop;

/// The bytes that were typed: pairs of digits, with `0x`, `\x`, spaces, commas,
/// colons and dashes between them.
pub(crate) fn parse(typed: &str) -> Result<Vec<u8>, String> {
    let mut digits = Vec::new();
    let plain = typed.replace("0x", " ").replace("\\x", " ");
    for letter in plain.chars() {
        match letter.to_digit(16) {
            Some(digit) => digits.push(digit as u8),
            None if letter.is_whitespace() || matches!(letter, ',' | ':' | '-' | ';') => {}
            None => {
                return Err(format!(
                    "expected hexadecimal digits, found {letter:?} after {}",
                    counted(digits.len() as u64, "digit")
                ));
            }
        }
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    match (pairs, rest) {
        ([], []) => Err("expected hexadecimal digits, found none".into()),
        (pairs, []) => Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect()),
        _ => Err(format!(
            "expected two digits a byte, found {}",
            counted(digits.len() as u64, "digit")
        )),
    }
}

/// Decodes bytes and prints each control packet.
pub(crate) fn run(
    bytes: &[u8],
    report: &mut dyn Report<Frames>,
    decoder: Option<&Decoder>,
) -> Result<Exit, Stop> {
    let mut sink = Decoding {
        report,
        decoder,
        out: Vec::new(),
        version: None,
        assumed: None,
        wrong: Vec::new(),
    };
    let mut framer = Framer::at_boundary();
    framer.data(bytes, None, &mut sink);
    framer.finish(None, false, &mut sink);
    let Decoding {
        out,
        assumed,
        wrong,
        ..
    } = sink;
    output::print(&out)?;
    if let Some(version) = assumed {
        complain(&format!(
            "read as MQTT {version}: no CONNECT before it says which version it is"
        ));
    }
    wrong.iter().for_each(|message| complain(message));
    Ok(Exit::success(wrong.is_empty()))
}

struct Decoding<'a> {
    report: &'a mut dyn Report<Frames>,
    decoder: Option<&'a Decoder>,
    out: Vec<u8>,
    /// The version of the last CONNECT.
    version: Option<Version>,
    /// The version that is assumed without a CONNECT.
    assumed: Option<Version>,
    wrong: Vec<String>,
}

impl Decoding<'_> {
    fn version_of(&mut self, framed: &Framed<'_>) -> Version {
        if let Some(version) = self.version {
            return version;
        }
        let inferred = infer_version(framed.header, framed.bytes, None);
        let (version, certainty) = inferred.unwrap_or((Version::V3_1_1, Certainty::Likely));
        if certainty == Certainty::Certain {
            self.version = Some(version);
        } else if inferred.is_some() {
            self.assumed = Some(version);
        }
        version
    }

    fn frame(&mut self, framed: Framed<'_>, unfinished: bool) {
        let version = self.version_of(&framed);
        let decoded = mqtt::decode(framed.header, framed.bytes, version);
        let topic = match &decoded.packet {
            ControlPacket::Publish(publish) => publish.own_topic(),
            _ => None,
        };
        let connection = nowhere(version, self.version.is_none());
        let range = ByteRange {
            start: framed.offset,
            end: framed.offset + framed.bytes.len() as u64,
        };
        let frame = MQTTFrame {
            header: framed.header,
            packet: &decoded.packet,
            defects: &decoded.defects,
            topic,
            bytes: framed.bytes,
            payload_digest: None,
            missing: framed.missing,
            unfinished,
            resynchronised: false,
            version,
            connection: &connection,
            direction: Direction::Up,
            number: 1,
            first: PacketRef::default(),
            last: PacketRef::default(),
            time: Timestamp::default(),
            offset: framed.offset,
            range,
            started: Timestamp::default(),
            received: Received::default(),
        };
        let message = Message::of(&frame);
        let payload = self
            .decoder
            .zip(message)
            .and_then(|(decoder, message)| decoder.decode(&message));
        let item = FrameItem::Frame {
            frame: &frame,
            exchange: None,
            topic_unknown: false,
            payload: payload.as_ref(),
        };
        self.report.put(&item, &mut self.out);
    }
}

/// A connection for packets without one.
fn nowhere(version: Version, version_assumed: bool) -> Connection {
    let endpoint = Endpoint {
        addr: std::net::Ipv4Addr::UNSPECIFIED.into(),
        port: 0,
    };
    Connection {
        number: 0,
        client: endpoint,
        server: endpoint,
        transport: Transport::default(),
        tls: None,
        websocket: None,
        client_id: None,
        version: Some(version),
        version_assumed,
        first_seq: PerDirection::both(None),
        from_start: PerDirection::both(true),
        started: Timestamp::default(),
        session_uid: None,
        uid: std::sync::OnceLock::new(),
    }
}

impl Sink for Decoding<'_> {
    fn framed(&mut self, framed: Framed<'_>) {
        self.frame(framed, false);
    }

    fn unfinished(&mut self, framed: Framed<'_>) {
        let (there, wanted) = (framed.bytes.len() as u64, framed.header.packet_len());
        self.wrong.push(format!(
            "the last control packet, from byte {}, has {} of {wanted}",
            framed.offset,
            counted(there, "byte")
        ));
        self.frame(framed, true);
    }

    fn trouble(&mut self, offset: u64, trouble: Trouble) {
        let reason = match trouble {
            Trouble::Malformed { reason } => reason.text(),
            _ => "no control packet begins here",
        };
        self.wrong.push(format!("byte {offset}: {reason}"));
    }

    fn version(&self) -> Option<Version> {
        self.version
    }

    fn keep(&self, _: FixedHeader, _: &[u8]) -> Option<usize> {
        Some(usize::MAX)
    }

    fn reserve(&mut self, _: usize) -> bool {
        true
    }

    fn release(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_as_people_write_them() {
        let right = vec![0xc0, 0x00];
        for typed in [
            "c000",
            "C0 00",
            "0xc0, 0x00",
            "\\xc0\\x00",
            "c0:00",
            " c0-00\n",
        ] {
            assert_eq!(parse(typed), Ok(right.clone()), "{typed}");
        }
        for typed in ["", "c", "c0 0", "zz", "c0g0"] {
            assert!(parse(typed).is_err(), "{typed}");
        }
    }
}

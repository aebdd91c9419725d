//! Replaces the values in a control packet. Its structure stays: types, flags,
//! lengths, identifiers, codes, QoS. Whatever is not recognised as structure is
//! replaced, so that a defect can hide nothing.

use super::pseudonym::{Kind, Pseudonyms};
use crate::mqtt::varint::{self, Varint};
use crate::mqtt::{FixedHeader, PacketType, Version};

/// Values of `Content Type` that are no secret.
const CONTENT_TYPES: [&[u8]; 10] = [
    b"application/json",
    b"application/cbor",
    b"application/octet-stream",
    b"application/xml",
    b"application/protobuf",
    b"application/x-protobuf",
    b"application/msgpack",
    b"text/plain",
    b"text/csv",
    b"text/html",
];

/// Values of `Authentication Method` that are no secret.
const METHODS: [&[u8]; 8] = [
    b"SCRAM-SHA-1",
    b"SCRAM-SHA-256",
    b"SCRAM-SHA-512",
    b"GS2-KRB5",
    b"K8S-SAT",
    b"OAUTH2-JWT",
    b"PLAIN",
    b"DIGEST-MD5",
];

/// What a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    ClientId,
    UserName,
    Topic,
    Payload,
    /// Text of another kind.
    Text,
    /// Text that stays if it is one of these.
    Word(&'static [&'static [u8]]),
    /// Passwords, authentication and correlation data.
    Secret,
}

/// Replaces the values of a control packet, of which `bytes` are the first: fewer than
/// the whole where the capture lacks the rest.
pub(super) fn redact(
    bytes: &mut [u8],
    header: &FixedHeader,
    version: Version,
    names: &mut Pseudonyms,
) {
    let mut walk = Walk {
        at: header.header_len().min(bytes.len()),
        bytes,
        names,
    };
    // Structure that cannot be read ends the walk; the rest is replaced.
    let _ = walk.packet(header, version);
    walk.rest();
}

struct Walk<'a> {
    bytes: &'a mut [u8],
    at: usize,
    names: &'a mut Pseudonyms,
}

impl Walk<'_> {
    fn packet(&mut self, header: &FixedHeader, version: Version) -> Option<()> {
        let v5 = version == Version::V5;
        match header.packet_type() {
            PacketType::Connect => return self.connect(),
            PacketType::Connack => {
                self.skip(2)?;
                if v5 {
                    self.properties()?;
                }
            }
            PacketType::Publish => {
                self.field(Field::Topic)?;
                if header.qos() != 0 {
                    self.skip(2)?;
                }
                if v5 {
                    self.properties()?;
                }
                let payload = self.at;
                self.at = self.bytes.len();
                self.names.payload(&mut self.bytes[payload..]);
            }
            PacketType::Puback | PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp => {
                self.skip(2)?;
                // Also before 5.0, where they are too many: a reason code and the length
                // of no properties.
                self.skip(1)?;
                self.properties()?;
            }
            PacketType::Subscribe => {
                self.skip(2)?;
                if v5 {
                    self.properties()?;
                }
                while self.at < self.bytes.len() {
                    self.field(Field::Topic)?;
                    self.skip(1)?;
                }
            }
            PacketType::Unsubscribe => {
                self.skip(2)?;
                if v5 {
                    self.properties()?;
                }
                while self.at < self.bytes.len() {
                    self.field(Field::Topic)?;
                }
            }
            PacketType::Suback | PacketType::Unsuback => {
                self.skip(2)?;
                if v5 {
                    self.properties()?;
                }
                self.codes(v5);
            }
            PacketType::Disconnect | PacketType::Auth => {
                self.skip(1)?;
                self.properties()?;
            }
            PacketType::Pingreq | PacketType::Pingresp | PacketType::Reserved => {}
        }
        Some(())
    }

    fn connect(&mut self) -> Option<()> {
        const USERNAME: u8 = 0x80;
        const PASSWORD: u8 = 0x40;
        const WILL: u8 = 0x04;
        self.field(Field::Word(&[b"MQTT", b"MQIsdp"]))?;
        let level = self.byte()?;
        let flags = self.byte()?;
        self.skip(2)?;
        let v5 = level == 5;
        if v5 {
            self.properties()?;
        }
        self.field(Field::ClientId)?;
        if flags & WILL != 0 {
            if v5 {
                self.properties()?;
            }
            self.field(Field::Topic)?;
            self.field(Field::Payload)?;
        }
        if flags & USERNAME != 0 {
            self.field(Field::UserName)?;
        }
        if flags & PASSWORD != 0 {
            self.field(Field::Secret)?;
        }
        Some(())
    }

    /// Reason codes: a byte each of which few values are defined, so that nothing can be
    /// written in them.
    fn codes(&mut self, v5: bool) {
        while let Some(&code) = self.bytes.get(self.at) {
            if !(code <= 0x02 || code >= 0x80 || (v5 && code == 0x11)) {
                break;
            }
            self.at += 1;
        }
    }

    fn properties(&mut self) -> Option<()> {
        let (len, size) = self.varint()?;
        self.at += size;
        let end = self.at.checked_add(len)?;
        if end > self.bytes.len() {
            // Cut, or longer than the packet: what is there, as far as it goes.
            while self.at < self.bytes.len() {
                self.property()?;
            }
            return None;
        }
        while self.at < end {
            if self.property().is_none() {
                let from = self.at.min(end);
                self.names.opaque(&mut self.bytes[from..end]);
                break;
            }
        }
        self.at = end;
        Some(())
    }

    fn property(&mut self) -> Option<()> {
        let (id, size) = self.varint()?;
        self.at += size;
        match id {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => self.skip(1),
            0x13 | 0x21 | 0x22 | 0x23 => self.skip(2),
            0x02 | 0x11 | 0x18 | 0x27 => self.skip(4),
            0x0b => {
                let (_, size) = self.varint()?;
                self.skip(size)
            }
            0x03 => self.field(Field::Word(&CONTENT_TYPES)),
            0x15 => self.field(Field::Word(&METHODS)),
            0x08 => self.field(Field::Topic),
            0x12 => self.field(Field::ClientId),
            0x1a | 0x1c | 0x1f => self.field(Field::Text),
            0x09 | 0x16 => self.field(Field::Secret),
            0x26 => {
                self.field(Field::Text)?;
                self.field(Field::Text)
            }
            _ => None,
        }
    }

    fn field(&mut self, field: Field) -> Option<()> {
        let length = self.bytes.get(self.at..)?.first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        self.at += 2;
        let end = self.at + length;
        let is_whole = end <= self.bytes.len();
        let value = &mut self.bytes[self.at.min(end)..];
        let value = match is_whole {
            true => &mut value[..length],
            false => value,
        };
        match field {
            Field::ClientId => self.names.levels(Some(Kind::ClientIds), value),
            Field::UserName => self.names.levels(Some(Kind::UserNames), value),
            Field::Topic => self.names.levels(Some(Kind::Topics), value),
            Field::Payload => self.names.payload(value),
            Field::Text => self.names.levels(None, value),
            Field::Word(words) => {
                // Also before other text: a wrong length is a defect that stays.
                let is_prefix = |word: &&&[u8]| value.starts_with(word);
                let kept = words.iter().find(is_prefix).map_or(0, |word| word.len());
                let kept = match is_whole && kept < value.len() {
                    true => 0,
                    false => kept,
                };
                self.names.levels(None, &mut value[kept..]);
            }
            Field::Secret => self.names.opaque(value),
        }
        self.at = end.min(self.bytes.len());
        is_whole.then_some(())
    }

    /// Everything that was not read.
    fn rest(&mut self) {
        let from = self.at.min(self.bytes.len());
        self.names.opaque(&mut self.bytes[from..]);
    }

    fn varint(&self) -> Option<(usize, usize)> {
        match varint::decode(self.bytes.get(self.at..)?) {
            Varint::Value { value, bytes } => Some((value as usize, bytes.into())),
            Varint::Incomplete | Varint::Malformed => None,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn skip(&mut self, n: usize) -> Option<()> {
        if self.at + n > self.bytes.len() {
            return None;
        }
        self.at += n;
        Some(())
    }
}

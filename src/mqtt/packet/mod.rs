//! What each control packet says, as far as its bytes could be read.
//!
//! Every field that may be missing (because the packet is too short, or the
//! capture lacks the bytes) is an `Option`; numbers stay numbers. Nothing here
//! allocates: lists are slices of the packet that are walked when asked.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod publish;
mod suback;
mod subscribe;
mod unsuback;
mod unsubscribe;

pub use ack::Ack;
pub use auth::Auth;
pub use connack::Connack;
pub use connect::{Connect, Will};
pub use disconnect::Disconnect;
pub use publish::Publish;
pub use suback::Suback;
pub use subscribe::{Subscribe, Subscription};
pub use unsuback::Unsuback;
pub use unsubscribe::Unsubscribe;

use super::header::PacketType;
use super::reader::Reader;
use super::reason;
use super::text::Text;
use super::topic;
use super::version::Version;

/// The variable header and payload of a control packet, by type. One struct
/// per type for all versions; properties are empty before 5.0.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum ControlPacket<'a> {
    /// Type 0: no version defines it.
    Reserved,
    Connect(Connect<'a>),
    Connack(Connack<'a>),
    Publish(Publish<'a>),
    Puback(Ack<'a>),
    Pubrec(Ack<'a>),
    Pubrel(Ack<'a>),
    Pubcomp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    Suback(Suback<'a>),
    Unsubscribe(Unsubscribe<'a>),
    Unsuback(Unsuback<'a>),
    Pingreq,
    Pingresp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl<'a> ControlPacket<'a> {
    /// The Packet Identifier, in types that have one.
    pub fn packet_id(&self) -> Option<u16> {
        match self {
            Self::Publish(publish) => publish.packet_id,
            Self::Puback(ack) | Self::Pubrec(ack) | Self::Pubrel(ack) | Self::Pubcomp(ack) => {
                ack.packet_id
            }
            Self::Subscribe(subscribe) => subscribe.packet_id,
            Self::Suback(suback) => suback.packet_id,
            Self::Unsubscribe(unsubscribe) => unsubscribe.packet_id,
            Self::Unsuback(unsuback) => unsuback.packet_id,
            _ => None,
        }
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let kind = reader.header.packet_type();
        if kind != PacketType::Publish {
            check_type_and_flags(reader, kind);
        }
        match kind {
            PacketType::Publish => Self::Publish(Publish::read(reader)),
            PacketType::Connect => Self::Connect(Connect::read(reader)),
            PacketType::Connack => Self::Connack(Connack::read(reader)),
            PacketType::Puback => Self::Puback(Ack::read(reader)),
            PacketType::Pubrec => Self::Pubrec(Ack::read(reader)),
            PacketType::Pubrel => Self::Pubrel(Ack::read(reader)),
            PacketType::Pubcomp => Self::Pubcomp(Ack::read(reader)),
            PacketType::Subscribe => Self::Subscribe(Subscribe::read(reader)),
            PacketType::Suback => Self::Suback(Suback::read(reader)),
            PacketType::Unsubscribe => Self::Unsubscribe(Unsubscribe::read(reader)),
            PacketType::Unsuback => Self::Unsuback(Unsuback::read(reader)),
            PacketType::Pingreq => Self::Pingreq,
            PacketType::Pingresp => Self::Pingresp,
            PacketType::Disconnect => Self::Disconnect(Disconnect::read(reader)),
            PacketType::Auth if reader.v5() => Self::Auth(Auth::read(reader)),
            PacketType::Auth => {
                reader.rest();
                Self::Auth(Auth::default())
            }
            PacketType::Reserved => {
                reader.rest();
                Self::Reserved
            }
        }
    }
}

/// That the type exists in this version, and its fixed flags are as the table
/// has them (3.1.1: 2.2.2; 5.0: 2.1.3). 3.1 fixes no flags.
fn check_type_and_flags(reader: &mut Reader<'_>, kind: PacketType) {
    let reserved = match kind {
        PacketType::Reserved => true,
        PacketType::Auth => !reader.v5(),
        _ => false,
    };
    if reserved {
        let number = kind as u8;
        let version = reader.version;
        reader.defect(
            "reserved-type",
            0,
            format_args!("packet type {number} is reserved in MQTT {version}"),
        );
        return;
    }
    // Which version a CONNECT is of stands in its protocol level.
    let version = match kind {
        PacketType::Connect => connect_version(reader),
        _ => reader.version,
    };
    let expected = match kind {
        PacketType::Pubrel | PacketType::Subscribe | PacketType::Unsubscribe => 2,
        _ => 0,
    };
    let found = reader.header.flags();
    if found != expected && version != Version::V3_1 {
        reader.defect(
            "reserved-flags",
            0,
            format_args!("flags of {kind}: expected {expected:04b}, found {found:04b}"),
        );
    }
}

fn connect_version(reader: &Reader<'_>) -> Version {
    match reader.visible() {
        [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', ..] => Version::V3_1,
        _ => Version::V3_1_1,
    }
}

/// That a return or reason code is one of the packet type.
fn check_code(reader: &mut Reader<'_>, at: u32, code: Option<u8>) {
    let kind = reader.header.packet_type();
    if let Some(code) = code
        && !reason::is_known(reader.version, kind, code)
        // A server that knows no 5.0 refuses in the form of 3.1.1.
        && !(kind == PacketType::Connack && matches!(code, 1..=5) && reader.left() == 0)
    {
        let version = reader.version;
        reader.defect(
            "unknown-code",
            at,
            format_args!("expected a code of {kind} in MQTT {version}, found 0x{code:02x}"),
        );
    }
}

fn check_codes(reader: &mut Reader<'_>, at: u32, codes: &[u8]) {
    for (i, &code) in codes.iter().enumerate() {
        check_code(reader, at + i as u32, Some(code));
    }
}

fn check_filter(reader: &mut Reader<'_>, at: u32, filter: Text<'_>) {
    if let Err(fault) = topic::check_filter(filter.bytes(), reader.v5()) {
        let offset = at + fault.at() as u32;
        reader.defect(fault.code(), offset, format_args!("Topic Filter: {fault}"));
    }
}

/// That a list that needs an entry has one.
fn empty_payload(reader: &mut Reader<'_>, what: &str) {
    if reader.reading() && reader.left() == 0 {
        let at = reader.offset();
        reader.defect(
            "empty-payload",
            at,
            format_args!("expected at least one {what}, found none"),
        );
    }
}

/// A length-prefixed string and what follows it.
fn string(bytes: &[u8]) -> Option<(Text<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((Text(text), rest))
}

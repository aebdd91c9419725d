//! Decoded control packets, as far as their bytes could be read.
//!
//! Every field that may be missing (because the packet is too short, or the
//! capture lacks the bytes) is an `Option`; values are numbers. Nothing but a CONNECT
//! is allocated: lists are slices of the packet that are decoded on iteration.
//!
//! One file per packet type, one struct for all versions. This file has the
//! common parts.

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

use std::sync::LazyLock;

use super::defect::DefectCode;
use super::header::{FixedHeader, PacketType};
use super::property::{Place, Properties};
use super::reader::Reader;
use super::text::Text;
use super::version::Version;
use super::{reason, topic, varint};

/// The variable header and payload of a control packet, by type. One struct
/// per type for all versions; properties are empty before 5.0.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum ControlPacket<'a> {
    /// Type 0: no version defines it.
    Reserved,
    /// Boxed, because it is rare and larger than all others.
    Connect(Box<Connect<'a>>),
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
    /// A packet of a type of which no field was read.
    pub fn without_fields(packet_type: PacketType) -> &'static Self {
        static PACKETS: LazyLock<[ControlPacket<'static>; 16]> = LazyLock::new(|| {
            PacketType::ALL.map(|packet_type| {
                let header = FixedHeader {
                    first: (packet_type as u8) << 4,
                    length_bytes: 1,
                    remaining_length: 1,
                };
                ControlPacket::read(&mut Reader::new(header, &[], Version::V3_1_1))
            })
        });
        &PACKETS[packet_type as usize]
    }

    /// The Packet Identifier, of types that have one.
    pub fn packet_id(&self) -> Option<u16> {
        match self {
            Self::Publish(packet) => packet.packet_id,
            Self::Puback(packet)
            | Self::Pubrec(packet)
            | Self::Pubrel(packet)
            | Self::Pubcomp(packet) => packet.packet_id,
            Self::Subscribe(packet) => packet.packet_id,
            Self::Suback(packet) => packet.packet_id,
            Self::Unsubscribe(packet) => packet.packet_id,
            Self::Unsuback(packet) => packet.packet_id,
            Self::Reserved
            | Self::Connect(_)
            | Self::Connack(_)
            | Self::Pingreq
            | Self::Pingresp
            | Self::Disconnect(_)
            | Self::Auth(_) => None,
        }
    }

    /// The one return or reason code that was on the wire. SUBACK and UNSUBACK
    /// have lists instead.
    pub fn code(&self) -> Option<u8> {
        match self {
            Self::Connack(packet) => packet.code,
            Self::Puback(packet)
            | Self::Pubrec(packet)
            | Self::Pubrel(packet)
            | Self::Pubcomp(packet) => packet.code,
            Self::Disconnect(packet) => packet.code,
            Self::Auth(packet) => packet.code,
            _ => None,
        }
    }

    /// The properties, of types that have them; not those of a will.
    pub fn properties(&self) -> Properties<'a> {
        match self {
            Self::Connect(packet) => packet.properties,
            Self::Connack(packet) => packet.properties,
            Self::Publish(packet) => packet.properties,
            Self::Puback(packet)
            | Self::Pubrec(packet)
            | Self::Pubrel(packet)
            | Self::Pubcomp(packet) => packet.properties,
            Self::Subscribe(packet) => packet.properties,
            Self::Suback(packet) => packet.properties,
            Self::Unsubscribe(packet) => packet.properties,
            Self::Unsuback(packet) => packet.properties,
            Self::Disconnect(packet) => packet.properties,
            Self::Auth(packet) => packet.properties,
            Self::Reserved | Self::Pingreq | Self::Pingresp => Properties::default(),
        }
    }

    /// Reads a whole packet, of which the reader is past the fixed header.
    #[inline]
    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let kind = reader.header.packet_type();
        // The header of a CONNECT is checked when its version is known.
        if kind != PacketType::Connect {
            check_header(reader);
        }
        match kind {
            PacketType::Reserved => {
                reader.rest();
                Self::Reserved
            }
            PacketType::Connect => Self::Connect(Box::new(Connect::read(reader))),
            PacketType::Connack => Self::Connack(Connack::read(reader)),
            PacketType::Publish => Self::Publish(Publish::read(reader)),
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
            PacketType::Auth => Self::Auth(Auth::read(reader)),
        }
    }
}

/// Defects of the fixed header, once the version is known.
#[inline]
fn check_header(reader: &mut Reader<'_>) {
    use PacketType as P;
    let header = reader.header;
    let (kind, flags) = (header.packet_type(), header.flags());
    if kind == P::Reserved || kind == P::Auth && !reader.v5() {
        let (number, version) = (kind as u8, reader.version);
        reader.defect(
            DefectCode::ReservedType,
            "Packet Type",
            0,
            format_args!("expected a packet type of MQTT {version}, found {number}"),
        );
        return;
    }
    if kind == P::Publish {
        if header.qos() == 3 {
            reader.defect(
                DefectCode::Qos3,
                "QoS",
                0,
                format_args!("PUBLISH: expected a QoS of 0 to 2, found 3"),
            );
        }
        if header.qos() == 0 && header.dup() && reader.version != Version::V3_1 {
            reader.defect(
                DefectCode::DupWithQos0,
                "DUP",
                0,
                format_args!("PUBLISH: expected DUP 0 with QoS 0, found DUP 1"),
            );
        }
    } else {
        let at_least_once = matches!(kind, P::Pubrel | P::Subscribe | P::Unsubscribe);
        let expected = if at_least_once { 2 } else { 0 };
        // 3.1 fixes only the QoS, and only of those three, which may be sent
        // again with DUP.
        let fixed = match (reader.version, at_least_once) {
            (Version::V3_1, true) => 0x06,
            (Version::V3_1, false) => 0,
            (Version::V3_1_1 | Version::V5, _) => 0x0f,
        };
        if flags & fixed != expected & fixed {
            reader.defect(
                DefectCode::ReservedFlags,
                "Flags",
                0,
                format_args!("{kind}: expected flags 0x{expected:x}, found 0x{flags:x}"),
            );
        }
    }
    if header.length_bytes > varint::len(header.remaining_length) {
        reader.check_shortest(
            "Remaining Length",
            1,
            header.remaining_length,
            header.length_bytes.into(),
        );
    }
}

/// The properties of a packet, empty before 5.0.
fn properties<'a>(reader: &mut Reader<'a>, packet: PacketType) -> Properties<'a> {
    if reader.v5() {
        Properties::read(reader, Place::Packet(packet), |_, _| ()).0
    } else {
        Properties::default()
    }
}

/// A return or reason code of a packet.
fn code(reader: &mut Reader<'_>, packet: PacketType) -> Option<u8> {
    let offset = reader.offset();
    let code = reader.byte(code_name(reader.version))?;
    check_code(reader, packet, code, offset);
    Some(code)
}

/// The rest as return or reason codes, one per entry.
fn codes<'a>(reader: &mut Reader<'a>, packet: PacketType) -> &'a [u8] {
    let offset = reader.offset();
    let readable = reader.reading();
    let (codes, left) = reader.rest();
    if readable && left == Some(0) {
        no_entry(reader, code_name(reader.version), offset);
    }
    for (offset, &code) in (offset..).zip(codes) {
        if reader.sated() {
            break;
        }
        check_code(reader, packet, code, offset);
    }
    codes
}

#[inline]
fn check_code(reader: &mut Reader<'_>, packet: PacketType, code: u8, offset: u32) {
    if !reason::is_known(reader.version, packet, code) {
        let (what, version) = (code_name(reader.version), reader.version);
        reader.defect(
            DefectCode::UnknownCode,
            code_name(reader.version),
            offset,
            format_args!("expected a {what} of {packet} in MQTT {version}, found 0x{code:02x}"),
        );
    }
}

fn code_name(version: Version) -> &'static str {
    match version {
        Version::V3_1 | Version::V3_1_1 => "Return Code",
        Version::V5 => "Reason Code",
    }
}

/// The rest as entries, of which there must be one.
fn check_entries<'a>(
    reader: &mut Reader<'a>,
    what: &'static str,
    mut entry: impl FnMut(&mut Reader<'a>),
) {
    if reader.reading() && reader.left() == 0 {
        let offset = reader.offset();
        no_entry(reader, what, offset);
    }
    while reader.left() > 0 {
        entry(reader);
    }
}

fn no_entry(reader: &mut Reader<'_>, what: &'static str, offset: u32) {
    let packet = reader.header.packet_type();
    reader.defect(
        DefectCode::EmptyPayload,
        what,
        offset,
        format_args!("{packet}: expected at least one {what}, found none"),
    );
}

/// A Topic Filter.
fn filter<'a>(reader: &mut Reader<'a>) -> Option<Text<'a>> {
    let offset = reader.offset();
    let filter = reader.text("Topic Filter")?;
    if let Err(fault) = topic::check_filter(filter.0, reader.v5()) {
        reader.defect(
            fault.code(),
            fault.field(),
            offset + 2 + fault.at() as u32,
            format_args!("Topic Filter: {fault}"),
        );
    }
    Some(filter)
}

//! The cursor that decodes every packet type: it knows where the control packet
//! ends, where the kept bytes end, and so whether a missing field is a defect.
//!
//! ```text
//!  0   2                    at            visible            end
//!  ├───┼─────────────────────┼───────────────┼────────────────┤
//!  │fix│ fields already read │  may be read  │ not kept, or   │
//!  │ed │                     │               │ not captured   │
//! ```
//!
//! A field that extends beyond `visible` is unknown, which is no defect. One
//! that extends beyond `end` is a defect. In either case the fields after it
//! cannot be read, because their offset is unknown.

use std::fmt;

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};

use super::defect::{Defect, DefectCode, MOST_DEFECTS};
use super::header::FixedHeader;
use super::text::Text;
use super::topic;
use super::varint::{self, Varint};
use super::version::Version;

/// Reads one control packet, field after field.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    /// The version to decode by; a CONNECT sets its own.
    pub(super) version: Version,
    /// The fixed header.
    pub(super) header: FixedHeader,
    /// The visible part, at most the packet.
    packet: &'a [u8],
    /// Offset of the next field, at most `end`.
    at: usize,
    /// Length of the whole packet, as the fixed header has it.
    end: usize,
    state: State,
    /// Reading ends at the first defect, which is not described.
    strict: bool,
    defects: Vec<Defect>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Fields can be read.
    Reading,
    /// The visible part ended within a field.
    Cut,
    /// The packet ended within a field, or a length made no sense.
    Broken,
    /// There was a defect, and only that was of interest.
    Failed,
}

impl<'a> Reader<'a> {
    /// `bytes` start with the fixed header, which was decoded before.
    pub(super) fn new(header: FixedHeader, bytes: &'a [u8], version: Version) -> Self {
        let end = usize::try_from(header.packet_len()).unwrap_or(usize::MAX);
        let at = header.header_len();
        let packet = bytes.get(..end).unwrap_or(bytes);
        Self {
            version,
            header,
            packet,
            at,
            end,
            state: if packet.len() < at {
                State::Cut
            } else {
                State::Reading
            },
            strict: false,
            defects: Vec::new(),
        }
    }

    /// A reader that only finds whether there is a defect, and stops at the first.
    pub(super) fn strict(header: FixedHeader, bytes: &'a [u8], version: Version) -> Self {
        Self {
            strict: true,
            ..Self::new(header, bytes, version)
        }
    }

    /// Whether it reads by 5.0.
    pub(super) fn v5(&self) -> bool {
        self.version == Version::V5
    }

    /// Whether everything so far was available: nothing cut, nothing beyond the end.
    pub(super) fn reading(&self) -> bool {
        self.state == State::Reading
    }

    /// Whether a part of the packet was not visible.
    pub(super) fn cut(&self) -> bool {
        self.state == State::Cut
    }

    /// Bytes of the packet after the last field, visible or not; 0 after a
    /// field that could not be read.
    pub(super) fn left(&self) -> usize {
        match self.state {
            State::Reading => self.end - self.at,
            State::Cut | State::Broken | State::Failed => 0,
        }
    }

    /// The visible ones of the bytes that are left.
    pub(super) fn visible(&self) -> &'a [u8] {
        match self.state {
            State::Reading => self.packet.get(self.at..).unwrap_or_default(),
            State::Cut | State::Broken | State::Failed => &[],
        }
    }

    /// Offset of the next field from the first byte of the packet.
    pub(super) fn offset(&self) -> u32 {
        self.at as u32
    }

    /// One byte.
    #[inline]
    pub(super) fn byte(&mut self, what: &'static str) -> Option<u8> {
        self.field(what, be_u8)
    }

    /// A Two Byte Integer.
    #[inline]
    pub(super) fn number(&mut self, what: &'static str) -> Option<u16> {
        self.field(what, be_u16)
    }

    /// A Variable Byte Integer.
    #[inline]
    pub(super) fn varint(&mut self, what: &'static str) -> Option<u32> {
        let offset = self.offset();
        if varint::decode(self.visible()) == Varint::Malformed {
            self.defect(
                DefectCode::MalformedInteger,
                what,
                offset,
                format_args!("{what}: expected at most 4 bytes, found a fifth announced"),
            );
            self.give_up();
            return None;
        }
        let value = self.field(what, varint::varint)?;
        self.check_shortest(what, offset, value, self.at - offset as usize);
        Some(value)
    }

    /// Binary Data: a Two Byte Integer and as many bytes.
    #[inline]
    pub(super) fn binary(&mut self, what: &'static str) -> Option<&'a [u8]> {
        let offset = self.offset();
        let length = self.number(what)?;
        if usize::from(length) > self.left() {
            let left = self.left();
            self.defect(
                DefectCode::PastEnd,
                what,
                offset,
                format_args!("{what} of {length} bytes where the packet has {left} left"),
            );
            self.give_up();
            return None;
        }
        self.field(what, take(length))
    }

    /// A UTF-8 Encoded String.
    #[inline]
    pub(super) fn text(&mut self, what: &'static str) -> Option<Text<'a>> {
        let offset = self.offset();
        let text = Text(self.binary(what)?);
        self.check_text(what, offset + 2, text);
        Some(text)
    }

    /// A Topic Name, which may be empty.
    #[inline]
    pub(super) fn topic_name(&mut self, what: &'static str) -> Option<Text<'a>> {
        let offset = self.offset();
        let text = Text(self.binary(what)?);
        if !topic::is_plain_name(text.0) {
            self.check_text(what, offset + 2, text);
            self.check_topic_name(what, offset + 2, text);
        }
        Some(text)
    }

    /// A Packet Identifier.
    #[inline]
    pub(super) fn packet_id(&mut self) -> Option<u16> {
        let offset = self.offset();
        let id = self.number("Packet Identifier")?;
        if id == 0 {
            self.defect(
                DefectCode::PacketId0,
                "Packet Identifier",
                offset,
                format_args!("Packet Identifier: expected 1 to 65535, found 0"),
            );
        }
        Some(id)
    }

    /// Everything that is left: its visible part, and how long it is.
    pub(super) fn rest(&mut self) -> (&'a [u8], Option<u32>) {
        if !self.reading() {
            return (&[], None);
        }
        let (visible, left) = (self.visible(), self.left());
        self.at = self.end;
        (visible, Some(left as u32))
    }

    /// Goes `length` bytes on, which are known to be within the packet, to
    /// read what follows them.
    pub(super) fn skip(&mut self, length: usize) {
        self.at = self.at.saturating_add(length).min(self.end);
        if self.reading() && self.at > self.packet.len() {
            self.state = State::Cut;
        }
    }

    /// A length made no sense: what follows cannot be found.
    pub(super) fn give_up(&mut self) {
        if self.state != State::Failed {
            self.state = State::Broken;
        }
    }

    /// Notes a defect. The message is only made when it is kept.
    #[cold]
    #[inline(never)]
    pub(super) fn defect(
        &mut self,
        code: DefectCode,
        field: &'static str,
        offset: u32,
        message: fmt::Arguments<'_>,
    ) {
        if self.strict {
            self.state = State::Failed;
        } else if self.defects.len() < MOST_DEFECTS {
            self.defects.push(Defect {
                code,
                field,
                offset,
                message: message.to_string(),
            });
        }
    }

    /// How many defects were noted so far.
    pub(super) fn defects(&self) -> usize {
        self.defects.len()
    }

    /// Whether a defect more would change nothing.
    pub(super) fn sated(&self) -> bool {
        self.state == State::Failed || self.defects.len() == MOST_DEFECTS
    }

    /// The end of the packet for a strict reader: whether there was no defect.
    pub(super) fn is_clean(&self) -> bool {
        self.state != State::Failed && self.left() == 0
    }

    /// That a Variable Byte Integer took no more `bytes` than it needs (5.0).
    pub(super) fn check_shortest(
        &mut self,
        what: &'static str,
        offset: u32,
        value: u32,
        bytes: usize,
    ) {
        let needed = usize::from(varint::len(value));
        if bytes > needed && self.v5() {
            self.defect(
                DefectCode::OverlongInteger,
                what,
                offset,
                format_args!("{what} {value}: expected {needed} bytes, found {bytes}"),
            );
        }
    }

    /// That a string is one; `offset` is that of its first byte. 3.1 leaves
    /// open what a string may not hold.
    #[inline]
    pub(super) fn check_text(&mut self, what: &'static str, offset: u32, text: Text<'_>) {
        if self.version == Version::V3_1 {
            return;
        }
        if let Some(fault) = text.fault() {
            self.defect(
                fault.code(),
                what,
                offset + fault.at() as u32,
                format_args!("{what}: expected UTF-8 without U+0000, found {fault}"),
            );
        }
    }

    /// That a Topic Name holds no wildcard.
    #[inline]
    pub(super) fn check_topic_name(&mut self, what: &'static str, offset: u32, text: Text<'_>) {
        if let Err(fault) = topic::check_wildcards(text.0) {
            self.defect(
                fault.code(),
                what,
                offset + fault.at() as u32,
                format_args!("{what}: {fault}"),
            );
        }
    }

    /// That a Topic Name is not empty.
    pub(super) fn check_not_empty(&mut self, what: &'static str, offset: u32, text: Text<'_>) {
        if text.0.is_empty() {
            self.defect(
                DefectCode::EmptyTopic,
                what,
                offset,
                format_args!("{what}: expected at least one character, found none"),
            );
        }
    }

    /// The end of the packet: nothing may be left. Gives the defects in order
    /// of offset.
    pub(super) fn finish(mut self) -> Vec<Defect> {
        let left = self.left();
        if left > 0 {
            let kind = self.header.packet_type();
            self.defect(
                DefectCode::TrailingBytes,
                "Remaining Length",
                self.at as u32,
                format_args!("expected the end of the {kind}, found more bytes: {left}"),
            );
        }
        if self.defects.len() > 1 {
            self.defects.sort_by_key(|defect| defect.offset);
        }
        self.defects
    }

    #[inline(always)]
    fn field<T>(
        &mut self,
        what: &'static str,
        mut parser: impl Parser<&'a [u8], Output = T, Error = ()>,
    ) -> Option<T> {
        if !self.reading() {
            return None;
        }
        if let Ok((rest, value)) = parser.parse_complete(self.visible()) {
            self.at = self.packet.len() - rest.len();
            return Some(value);
        }
        self.shortage(what);
        None
    }

    #[cold]
    fn shortage(&mut self, what: &'static str) {
        if self.packet.len() < self.end {
            self.state = State::Cut;
            return;
        }
        let (offset, left) = (self.offset(), self.left());
        if left == 0 {
            self.defect(
                DefectCode::MissingField,
                what,
                offset,
                format_args!("expected {what}, found the end of the packet"),
            );
        } else {
            self.defect(
                DefectCode::PastEnd,
                what,
                offset,
                format_args!("{what} does not fit in the {left} bytes the packet has left"),
            );
        }
        self.give_up();
    }
}

//! `--save exchanges`: the packets of the selected messages, their
//! acknowledgements, the opening of their connections, and the PUBLISH packets
//! that set their Topic Aliases.

use std::collections::HashMap;

use mqttdump::facts::{FrameFact, Role};
use mqttdump::frame::Direction;
use mqttdump::mqtt::{ControlPacket, PacketType};
use mqttdump::packet::PacketRef;

/// A range of packets of a connection that are saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Number of the connection.
    pub(crate) connection: u64,
    /// The first packet; `None` for the first of the connection.
    pub(crate) first: Option<PacketRef>,
    /// The last packet.
    pub(crate) last: PacketRef,
}

/// Collects the packets of selected exchanges while a capture is read.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    /// First packets of exchanges, by slot.
    opened: Vec<Opened>,
    connections: HashMap<u64, OfConnection>,
    /// Packets that are saved and were not taken yet.
    pub(crate) spans: Vec<Span>,
}

/// The first control packet of an exchange.
#[derive(Clone, Copy, Debug)]
struct Opened {
    span: Span,
    is_wanted: bool,
}

/// Packets that every saved exchange of a connection needs.
#[derive(Debug, Default)]
struct OfConnection {
    /// The last packet of CONNECT, AUTH and CONNACK.
    opening: Option<PacketRef>,
    /// CONNACK was captured.
    is_open: bool,
    is_wanted: bool,
    /// The PUBLISH packets that gave topics to aliases.
    aliases: HashMap<(Direction, u16), Span>,
}

impl Exchanges {
    /// Takes the next control packet.
    pub(crate) fn frame(&mut self, fact: &FrameFact<'_>, is_selected: bool) {
        let frame = fact.frame;
        let span = Span {
            connection: frame.connection.number,
            first: Some(frame.first),
            last: frame.last,
        };
        self.opening(fact, span);
        if let ControlPacket::Publish(publish) = &frame.packet
            && let Some(alias) = publish.topic_alias
        {
            let of = self.connections.entry(span.connection).or_default();
            let alias = (frame.direction, alias);
            if publish.topic.is_some_and(|topic| !topic.0.is_empty()) {
                of.aliases.insert(alias, span);
            } else if is_selected && let Some(named) = of.aliases.get(&alias) {
                self.spans.push(*named);
            }
        }
        let exchange = fact
            .exchange
            .and_then(|exchange| Some((exchange.role, exchange.first?.slot as usize)));
        let Some((role, slot)) = exchange else {
            if is_selected {
                self.want(span);
            }
            return;
        };
        if role == Role::Opens {
            let opened = Opened {
                span,
                is_wanted: is_selected,
            };
            // Slots are given in order: `Role::Opens` comes first.
            match self.opened.get_mut(slot) {
                Some(old) => *old = opened,
                None => self.opened.resize(slot + 1, opened),
            }
            if is_selected {
                self.want(span);
            }
            return;
        }
        let Some(opened) = self.opened.get_mut(slot) else {
            return;
        };
        if is_selected && !opened.is_wanted {
            opened.is_wanted = true;
            let first = opened.span;
            self.want(first);
            self.want(span);
        } else if opened.is_wanted {
            self.want(span);
        }
    }

    fn opening(&mut self, fact: &FrameFact<'_>, span: Span) {
        let packet_type = fact.frame.header.packet_type();
        if !matches!(
            packet_type,
            PacketType::Connect | PacketType::Connack | PacketType::Auth
        ) {
            return;
        }
        let of = self.connections.entry(span.connection).or_default();
        if of.is_open {
            return;
        }
        of.opening = Some(span.last);
        of.is_open = packet_type == PacketType::Connack;
        if of.is_wanted {
            self.spans.push(Span {
                first: None,
                ..span
            });
        }
    }

    fn want(&mut self, span: Span) {
        let of = self.connections.entry(span.connection).or_default();
        if !std::mem::replace(&mut of.is_wanted, true)
            && let Some(last) = of.opening
        {
            self.spans.push(Span {
                first: None,
                last,
                ..span
            });
        }
        self.spans.push(span);
    }

    /// The connection has ended.
    pub(crate) fn ended(&mut self, connection: u64) {
        self.connections.remove(&connection);
    }
}

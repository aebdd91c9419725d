//! What is in the packets: where each TCP segment stands in its streams, and where the
//! control packets are that can be cut out of them.

use std::collections::{HashMap, HashSet};

use crate::engine::{Captured, SpanKind};
use crate::event::EventKind;
use crate::facts::{ExchangeKind, Fact, Facts, FrameFact, Needs, Sink};
use crate::layer::ByteRange;
use crate::net::Endpoint;
use crate::packet::{LinkType, PacketRef};

use super::{Conditions, Sample};

/// The sender of a stream: the number of its connection, and which end.
pub(super) type StreamId = (u64, usize);

/// The other stream of its connection.
pub(super) fn reversed((number, end): StreamId) -> StreamId {
    (number, 1 - end)
}

/// A TCP segment in a captured packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) stream: StreamId,
    /// Position of its payload in its stream.
    pub(super) offset: i64,
    /// Up to where it acknowledges the other one.
    pub(super) acked: Option<i64>,
    /// Where the headers and the payload are in the packet, and where the payload ends.
    pub(super) ip: usize,
    pub(super) tcp: usize,
    pub(super) payload: usize,
    pub(super) end: usize,
}

/// A control packet that can be cut out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// Its number.
    pub(super) number: u64,
    pub(super) stream: StreamId,
    pub(super) range: ByteRange,
    /// Packets in which its first and last byte are.
    pub(super) first: PacketRef,
    pub(super) last: PacketRef,
    /// The number of the first control packet of its exchange.
    pub(super) group: u64,
    /// It belongs to the exchange that opens its connection.
    pub(super) opens: bool,
}

/// The content of packets.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// By packet: its segment, if it can be edited.
    pub(super) places: Vec<Option<Place>>,
    pub(super) messages: Vec<Message>,
}

/// Link types whose headers hold no length and no checksum of what follows.
const EDITABLE: [u16; 10] = [0, 1, 12, 14, 101, 108, 113, 228, 229, 276];
const ETHERNET: LinkType = LinkType(1);
const ETHERNET_HEADER: u32 = 14;

impl Script {
    /// Reads packets.
    pub(super) fn of(conditions: &Conditions, samples: &[Sample]) -> Self {
        let mut reader = Reader::default();
        let options = conditions.rules.facts();
        let mut facts = Facts::new(conditions.engine.clone(), options, &reader);
        if !conditions.secrets.is_empty() {
            facts.expect_secrets();
            facts.secrets(&conditions.secrets);
        }
        for sample in samples {
            reader.begin(sample);
            facts.push(&sample.lend(), &mut reader);
        }
        facts.finish(&mut reader);
        let Reader {
            mut script, fixed, ..
        } = reader;
        script
            .messages
            .retain(|message| !fixed.contains(&message.stream.0));
        script
    }

    /// The exchanges that have such a control packet, in order.
    pub(super) fn groups(&self, has: impl Fn(&Message) -> bool) -> Vec<u64> {
        let messages = self.messages.iter().filter(|message| has(message));
        let mut groups: Vec<u64> = messages.map(|message| message.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

#[derive(Default)]
struct Reader {
    script: Script,
    /// Length and link type of the packet that is read.
    current: (usize, Option<LinkType>),
    ends: HashMap<u64, Endpoint>,
    /// By exchange, the number of its first control packet.
    exchanges: HashMap<u64, u64>,
    /// Connections that are left as they are.
    fixed: HashSet<u64>,
}

impl Reader {
    fn begin(&mut self, sample: &Sample) {
        self.script.places.push(None);
        self.current = (sample.data.len(), Some(sample.link_type));
    }

    fn packet(&mut self, captured: &Captured<'_>) {
        let Some(segment) = &captured.segment else {
            return;
        };
        let (len, link_type) = self.current;
        let first = *self.ends.entry(segment.number).or_insert(segment.src);
        let anatomy = &captured.anatomy;
        let headers = anatomy.link + anatomy.vlan;
        let is_usual = link_type.is_some_and(|link| EDITABLE.contains(&link.0))
            && (link_type != Some(ETHERNET) || anatomy.link == ETHERNET_HEADER)
            && anatomy.tunnel == 0
            && anatomy.tcp > 0
            && anatomy.payload == segment.carried.len
            && segment.fragments.is_empty()
            && !captured.is_fragment
            && !captured.is_cut
            && anatomy.total() as usize == len;
        let place = self.script.places.last_mut();
        match place {
            Some(place @ None) if is_usual => {
                let ip = headers as usize;
                let tcp = ip + (anatomy.ip + anatomy.ip_options) as usize;
                let payload = tcp + (anatomy.tcp + anatomy.tcp_options) as usize;
                *place = Some(Place {
                    stream: (segment.number, usize::from(segment.src != first)),
                    offset: segment.carried.offset,
                    acked: segment.carried.acked,
                    ip,
                    tcp,
                    payload,
                    end: payload + anatomy.payload as usize,
                });
            }
            _ => {
                self.fixed.insert(segment.number);
            }
        }
    }

    fn frame(&mut self, fact: &FrameFact<'_>) {
        let frame = fact.frame;
        let connection = frame.connection;
        if frame.missing > 0 || frame.range.is_empty() {
            return;
        }
        let number = self.script.messages.len() as u64;
        let exchange = fact.exchange;
        let group = match exchange.and_then(|exchange| exchange.first) {
            Some(first) => *self.exchanges.entry(first.number).or_insert(number),
            None => number,
        };
        let Some(first) = self.ends.get(&connection.number) else {
            return;
        };
        let (source, _) = connection.endpoints(frame.direction);
        self.script.messages.push(Message {
            number,
            stream: (connection.number, usize::from(source != *first)),
            range: frame.range,
            first: frame.first,
            last: frame.last,
            group,
            opens: exchange.is_some_and(|exchange| exchange.kind == ExchangeKind::Connect),
        });
    }
}

impl Sink for Reader {
    fn needs(&self) -> Needs {
        Needs::EXCHANGES | Needs::PACKETS
    }

    fn fact(&mut self, fact: Fact<'_>) {
        match fact {
            Fact::Packet(captured) => self.packet(captured),
            Fact::Frame(fact) => self.frame(&fact),
            // There are layers between TCP and MQTT.
            Fact::Span(span) if !matches!(span.kind, SpanKind::Mqtt { seal: None, .. }) => {
                self.fixed.insert(span.connection.number);
            }
            Fact::Event(event) => {
                if let (EventKind::Conflict { .. }, Some(connection)) =
                    (&event.kind, event.connection)
                {
                    self.fixed.insert(connection.number);
                }
            }
            _ => {}
        }
    }
}

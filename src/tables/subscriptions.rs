//! Rows of `subscriptions`: the filters of a request, when it is answered.

use std::collections::HashMap;

use super::known::Known;
use super::sheet::{Sheet, To};
use crate::facts::FrameFact;
use crate::frame::{Direction, MQTTFrame};
use crate::identity::ExchangeId;
use crate::limits;
use crate::mqtt::{ControlPacket, PropertyValue, Version, topic};
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// The requests without an answer, by connection.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    open: HashMap<u64, Vec<Request>, foldhash::fast::FixedState>,
}

#[derive(Debug)]
struct Request {
    connection: u64,
    exchange: Option<ExchangeId>,
    packet_id: Option<u16>,
    packet: PacketRef,
    time: Timestamp,
    is_subscribe: bool,
    is_v5: bool,
    identifier: Option<u32>,
    filters: Vec<(Box<[u8]>, Option<u8>)>,
    /// It or its answer is selected.
    is_selected: bool,
}

/// Property Identifier of the Subscription Identifier.
const SUBSCRIPTION_IDENTIFIER: u32 = 0x0b;

impl Request {
    fn of(fact: &FrameFact<'_>, is_selected: bool) -> Option<Self> {
        let frame = fact.frame;
        let filters = match &frame.packet {
            ControlPacket::Subscribe(packet) => packet
                .filters()
                .map(|asked| (asked.filter.0.into(), asked.options))
                .collect(),
            ControlPacket::Unsubscribe(packet) => packet
                .filters()
                .map(|filter| (filter.0.into(), None))
                .collect(),
            _ => return None,
        };
        let identifier = frame.packet.properties().find(SUBSCRIPTION_IDENTIFIER);
        Some(Self {
            connection: frame.connection.number,
            exchange: fact.exchange_id(),
            packet_id: frame.packet.packet_id(),
            packet: frame.last,
            time: frame.time,
            is_subscribe: matches!(frame.packet, ControlPacket::Subscribe(_)),
            is_v5: frame.version == Version::V5,
            identifier: match identifier {
                Some(PropertyValue::VariableByteInteger(number)) => Some(number),
                _ => None,
            },
            filters,
            is_selected,
        })
    }
}

impl Subscriptions {
    pub(super) fn frame(
        &mut self,
        fact: &FrameFact<'_>,
        is_selected: bool,
        known: &Known,
        sheet: &mut Sheet,
    ) {
        let frame = fact.frame;
        let codes = match &frame.packet {
            ControlPacket::Subscribe(_) | ControlPacket::Unsubscribe(_)
                if frame.direction == Direction::Up =>
            {
                let Some(request) = Request::of(fact, is_selected) else {
                    return;
                };
                let requests = self.open.entry(frame.connection.number).or_default();
                let oldest =
                    (requests.len() >= limits::UNACKED_REQUESTS).then(|| requests.swap_remove(0));
                requests.push(request);
                if let Some(oldest) = oldest {
                    Self::put(&oldest, None, known, sheet);
                }
                return;
            }
            ControlPacket::Suback(suback) => suback.codes,
            ControlPacket::Unsuback(unsuback) => unsuback.codes,
            _ => return,
        };
        if let Some(mut request) = self.answered(frame) {
            request.is_selected |= is_selected;
            Self::put(&request, Some((codes, frame)), known, sheet);
        }
    }

    /// The request that a packet answers.
    fn answered(&mut self, frame: &MQTTFrame<'_>) -> Option<Request> {
        let requests = self.open.get_mut(&frame.connection.number)?;
        let is_suback = matches!(frame.packet, ControlPacket::Suback(_));
        let id = frame.packet.packet_id();
        let at = requests.iter().position(|request| {
            request.is_subscribe == is_suback && id.is_some() && request.packet_id == id
        })?;
        Some(requests.swap_remove(at))
    }

    pub(super) fn ended(&mut self, connection: u64, known: &Known, sheet: &mut Sheet) {
        for request in self.open.remove(&connection).unwrap_or_default() {
            Self::put(&request, None, known, sheet);
        }
    }

    pub(super) fn finish(&mut self, known: &Known, sheet: &mut Sheet, to: &mut To<'_>) {
        let mut connections: Vec<u64> = self.open.keys().copied().collect();
        connections.sort_unstable();
        for connection in connections {
            self.ended(connection, known, sheet);
            sheet.write(to);
        }
    }

    fn put(
        request: &Request,
        answer: Option<(&[u8], &MQTTFrame<'_>)>,
        known: &Known,
        sheet: &mut Sheet,
    ) {
        let Some(info) = known
            .get(request.connection)
            .filter(|_| request.is_selected)
        else {
            return;
        };
        for (at, (filter, options)) in request.filters.iter().enumerate() {
            let code = answer.and_then(|(codes, _)| codes.get(at).copied());
            let option = |bits: u8, shift: u8| options.map(|options| options >> shift & bits);
            let of_v5 = |value: Option<u8>| value.filter(|_| request.is_v5);
            let rows = sheet.row(request.time, Some(info.server));
            rows.shared(known.file(request.packet));
            rows.number(request.packet.number);
            rows.time(request.time);
            rows.number(request.connection);
            rows.shared(&info.uid);
            rows.optional_shared(info.session_uid.as_ref());
            rows.exchange(&info.uid, request.exchange);
            rows.endpoint(info.server);
            rows.text(info.client_id.as_deref());
            rows.word(match request.is_subscribe {
                true => "subscribe",
                false => "unsubscribe",
            });
            rows.text(Some(filter));
            rows.text(topic::shared(filter).map(|(share, _)| share));
            rows.optional(option(3, 0));
            rows.optional_flag(of_v5(option(1, 2)).map(|bit| bit == 1));
            rows.optional_flag(of_v5(option(1, 3)).map(|bit| bit == 1));
            rows.optional(of_v5(option(3, 4)));
            rows.optional(request.identifier);
            rows.optional(code);
            rows.optional(code.filter(|code| request.is_subscribe && *code <= 2));
            rows.optional_flag(code.map(|code| code >= 0x80));
            rows.nanos(answer.map(|(_, frame)| frame.time.since(request.time)));
            rows.end();
        }
    }
}

//! Rows of `exchanges`: a request with its answers, when it is over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::known::Known;
use super::rows::Shape;
use super::sheet::{Sheet, To};
use crate::facts::{ExchangeKind, FrameFact, OpenExchanges, Reason, Role, Topic};
use crate::frame::{Direction, MQTTFrame};
use crate::identity::ExchangeId;
use crate::limits;
use crate::mqtt::{ControlPacket, PacketType, Version, reason};
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// The exchanges that are open.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    open: OpenExchanges<Open>,
    /// Messages of connections that ended before they were acknowledged: their sessions may
    /// go on with them.
    unfinished: HashMap<Message, (Arc<str>, ExchangeId), foldhash::fast::RandomState>,
}

/// The outcome of a message that nothing answers.
const SENT: &str = "sent";

/// What a message is known by when it is sent again on another connection: session,
/// direction, Packet Identifier.
type Message = (Arc<str>, Direction, u16);

#[derive(Debug)]
struct Open {
    connection: u64,
    id: ExchangeId,
    kind: ExchangeKind,
    packet: PacketRef,
    last: PacketRef,
    opened: Timestamp,
    qos: u8,
    retain: bool,
    topic: Option<Topic>,
    payload_len: Option<u32>,
    digest: Option<u64>,
    frames: u32,
    bytes: u64,
    repeats: u32,
    first_answer: Option<Duration>,
    closed: Option<Timestamp>,
    /// Reason code of the last answer, with what names it.
    code: Option<(u8, Version, PacketType)>,
    doubt: Option<Reason>,
    /// One of its frames is selected.
    is_selected: bool,
    /// The exchange of an earlier connection that it goes on with.
    continues: Option<(Arc<str>, ExchangeId)>,
}

impl Open {
    fn new(frame: &MQTTFrame<'_>, id: ExchangeId, kind: ExchangeKind, is_selected: bool) -> Self {
        let payload_len = match &frame.packet {
            ControlPacket::Publish(publish) => publish.payload_len,
            _ => None,
        };
        let is_message = kind == ExchangeKind::Publish;
        Self {
            connection: frame.connection.number,
            id,
            kind,
            packet: frame.last,
            last: frame.last,
            opened: frame.time,
            qos: if is_message { frame.header.qos() } else { 0 },
            retain: is_message && frame.header.retain(),
            topic: None,
            payload_len,
            digest: frame.payload_digest,
            frames: 1,
            bytes: frame.header.packet_len(),
            repeats: 0,
            first_answer: None,
            closed: None,
            code: None,
            doubt: None,
            is_selected,
            continues: None,
        }
    }

    fn add(&mut self, frame: &MQTTFrame<'_>, role: Role) {
        self.frames += 1;
        self.bytes += frame.header.packet_len();
        self.repeats += u32::from(role == Role::Repeats);
        self.last = frame.last;
        if frame.direction != self.id.direction && self.first_answer.is_none() {
            self.first_answer = Some(frame.time.since(self.opened));
        }
    }
}

/// The topic of a message, or the first filter of a request.
fn topic(fact: &FrameFact<'_>) -> Option<Topic> {
    let filter = match &fact.frame.packet {
        ControlPacket::Subscribe(packet) => packet.filters().next()?.filter,
        ControlPacket::Unsubscribe(packet) => packet.filters().next()?,
        _ => return fact.topic.cloned(),
    };
    Some(Topic::new(filter.bytes()))
}

impl Exchanges {
    pub(super) fn frame(
        &mut self,
        fact: &FrameFact<'_>,
        is_selected: bool,
        known: &Known,
        sheet: &mut Sheet,
    ) {
        let frame = fact.frame;
        let Some(exchange) = fact.exchange else {
            if let Some(id) = fact.exchange_id() {
                let alone = Open::new(frame, id, ExchangeKind::Publish, is_selected);
                Self::put(&alone, fact.topic, SENT, known, sheet);
            }
            return;
        };
        let (Some(first), Some(id)) = (exchange.first, exchange.id(frame)) else {
            return;
        };
        let number = frame.connection.number;
        if exchange.role == Role::Opens {
            let mut new = Open::new(frame, id, exchange.kind, is_selected);
            new.topic = topic(fact);
            if frame.header.dup()
                && let Some(session) = &frame.connection.session_uid
            {
                let message = (session.clone(), id.direction, id.packet_id);
                new.continues = self.unfinished.remove(&message);
            }
            if let Some(before) = self.open.open(number, first, new) {
                Self::put(&before, before.topic.as_ref(), "replaced", known, sheet);
            }
            return;
        }
        let Some(open) = self.open.get_mut(first) else {
            return;
        };
        open.add(frame, exchange.role);
        open.is_selected |= is_selected;
        open.doubt = open.doubt.or(exchange.doubt);
        if exchange.role != Role::Completes {
            return;
        }
        open.closed = Some(frame.time);
        let kind = frame.header.packet_type();
        let code = match &frame.packet {
            ControlPacket::Suback(suback) => suback.codes.iter().max().copied(),
            ControlPacket::Unsuback(unsuback) if frame.version == Version::V5 => {
                unsuback.codes.iter().max().copied()
            }
            packet => packet.code(),
        };
        open.code = code.map(|code| (code, frame.version, kind));
        let is_refused = match kind {
            PacketType::Connack => code.is_some_and(|code| code != 0),
            _ => code.is_some_and(|code| code >= 0x80),
        };
        if let Some(open) = self.open.complete(number, first) {
            let outcome = if is_refused { "refused" } else { "completed" };
            Self::put(&open, open.topic.as_ref(), outcome, known, sheet);
        }
    }

    /// A connection is closed: its session may go on with its messages on another.
    pub(super) fn closed(&mut self, connection: u64, known: &Known) {
        let Some((info, session)) = known
            .get(connection)
            .and_then(|info| Some((info, info.session_uid.as_ref()?)))
        else {
            return;
        };
        let room = limits::SESSIONS.saturating_sub(self.unfinished.len());
        let open = self.open.of(connection);
        let messages = open.filter(|open| open.kind == ExchangeKind::Publish);
        self.unfinished.extend(messages.take(room).map(|open| {
            let message = (session.clone(), open.id.direction, open.id.packet_id);
            (message, (info.uid.clone(), open.id))
        }));
    }

    /// No more frames of a connection follow.
    pub(super) fn ended(&mut self, connection: u64, known: &Known, sheet: &mut Sheet) {
        for open in self.open.ended(connection) {
            Self::put(&open, open.topic.as_ref(), "open", known, sheet);
        }
    }

    /// Memory is short: forgets what sessions may go on with.
    pub(super) fn make_room(&mut self) {
        self.unfinished = HashMap::default();
    }

    /// The capture has ended.
    pub(super) fn finish(&mut self, known: &Known, sheet: &mut Sheet, to: &mut To<'_>) {
        for open in self.open.finish() {
            Self::put(&open, open.topic.as_ref(), "open", known, sheet);
            sheet.write(to);
        }
    }

    fn put(
        open: &Open,
        topic: Option<&Topic>,
        outcome: &'static str,
        known: &Known,
        sheet: &mut Sheet,
    ) {
        let Some(info) = known.get(open.connection).filter(|_| open.is_selected) else {
            return;
        };
        let rows = sheet.row(open.opened, Some(info.server));
        rows.of(info.stamp);
        // Only messages with QoS 0 are sent without an answer: they have much in common.
        rows.shape((outcome == SENT).then(|| Shape {
            file: open.packet.file,
            form: (open.id.direction as u64) << 1 | u64::from(open.retain),
        }));
        rows.alike::<1>(|rows| rows.shared(known.file(open.packet)));
        rows.number(open.packet.number);
        rows.number(open.last.number);
        rows.time(open.opened);
        rows.alike::<1>(|rows| rows.optional_time(open.closed));
        rows.common::<3>(|rows| {
            rows.number(open.connection);
            rows.shared(&info.uid);
            rows.optional_shared(info.session_uid.as_ref());
        });
        rows.exchange(&info.uid, Some(open.id));
        rows.dense(open.id.number);
        rows.alike::<1>(|rows| rows.name(open.id.direction.name()));
        rows.common::<3>(|rows| {
            rows.endpoint(info.server);
            rows.text(info.client_id.as_deref());
        });
        rows.alike::<4>(|rows| {
            rows.name(match open.kind {
                ExchangeKind::Connect => "connect",
                ExchangeKind::Publish => "publish",
                ExchangeKind::Subscribe => "subscribe",
                ExchangeKind::Unsubscribe => "unsubscribe",
                ExchangeKind::Ping => "ping",
                ExchangeKind::Auth => "auth",
            });
            rows.optional(Some(open.id.packet_id).filter(|id| *id > 0));
            rows.number(open.qos);
            rows.flag(open.retain);
        });
        rows.topic(topic);
        rows.optional_dense(open.payload_len);
        rows.optional_dense(open.digest);
        rows.alike::<1>(|rows| rows.number(open.frames));
        rows.dense(open.bytes);
        rows.alike::<8>(|rows| {
            rows.number(open.repeats);
            rows.nanos(open.closed.map(|closed| closed.since(open.opened)));
            rows.nanos(open.first_answer);
            rows.name(outcome);
            rows.optional(open.code.map(|(code, ..)| code));
            let name = |(code, version, kind)| reason::name(version, kind, code);
            rows.optional_name(open.code.and_then(name));
            rows.optional_name(open.doubt.map(|doubt| doubt.name()));
            match &open.continues {
                Some((uid, id)) => rows.exchange(uid, Some(*id)),
                None => rows.null(),
            }
        });
        rows.end();
    }
}

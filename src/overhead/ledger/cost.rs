//! [`Cost`]: the bytes of one message, or of what no message of a connection owns, by
//! cause and by layer.

use super::super::cause::Cause;
use super::super::level::Measures;
use crate::facts::{FrameFact, Topic};
use crate::identity::ExchangeId;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// Bytes of a message, or of what no message of a connection owns.
#[derive(Clone, Copy, Debug)]
pub struct Cost<'a> {
    /// Number of the connection.
    pub connection: u64,
    /// The message; `None` for what no message owns.
    pub message: Option<&'a Costed>,
    /// The bytes of each cause that has some, at all levels: the difference of two
    /// levels is a layer.
    pub bytes: &'a [(Cause, Measures)],
}

/// A message of a [`Cost`].
#[derive(Clone, Debug)]
pub struct Costed {
    /// Its exchange.
    pub exchange: ExchangeId,
    /// Captured packet that completed its PUBLISH for the first time.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
    /// Its QoS.
    pub qos: u8,
    /// Its topic, if known.
    pub topic: Option<Topic>,
    /// Its first PUBLISH was selected: [`Ledger::select`](super::Ledger::select).
    pub is_selected: bool,
}

impl Costed {
    /// The message that this PUBLISH begins.
    pub(super) fn of(fact: &FrameFact<'_>, is_selected: bool) -> Self {
        let frame = fact.frame;
        Self {
            exchange: ExchangeId {
                direction: frame.direction,
                packet_id: frame.packet.packet_id().unwrap_or(0),
                number: frame.number,
            },
            packet: frame.last,
            time: frame.time,
            qos: frame.header.qos(),
            topic: fact.topic.cloned(),
            is_selected,
        }
    }
}

/// Bytes by cause. A message has mostly two causes, a connection few.
#[derive(Debug, Default)]
pub(super) struct ByCause(Vec<(Cause, Measures)>);

impl ByCause {
    pub(super) fn add(&mut self, cause: Cause, measures: &Measures) {
        match self.0.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, sum)) => *sum += *measures,
            None => self.0.push((cause, *measures)),
        }
    }

    /// Removes all, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The cost of a message that is still open.
#[derive(Debug, Default)]
pub(super) struct OpenCost {
    pub(super) message: Option<Costed>,
    pub(super) bytes: ByCause,
}

/// The costs of messages and connections that are closed, until they are taken.
#[derive(Debug, Default)]
pub(super) struct Costs {
    /// Connection, message, and the end of its part of `bytes`.
    closed: Vec<(u64, Option<Costed>, usize)>,
    bytes: Vec<(Cause, Measures)>,
}

impl Costs {
    /// A message, or what no message of a connection owns, is closed.
    pub(super) fn close(&mut self, connection: u64, message: Option<Costed>, bytes: &ByCause) {
        let start = self.bytes.len();
        let charged = bytes.0.iter().filter(|(_, measures)| measures.l2 > 0);
        self.bytes.extend(charged);
        self.bytes[start..].sort_unstable_by_key(|(cause, _)| *cause);
        if self.bytes.len() > start {
            self.closed.push((connection, message, self.bytes.len()));
        }
    }

    /// Takes all of them.
    pub(super) fn drain(&mut self, mut each: impl FnMut(Cost<'_>)) {
        let mut start = 0;
        for (connection, message, end) in self.closed.drain(..) {
            each(Cost {
                connection,
                message: message.as_ref(),
                bytes: &self.bytes[start..end],
            });
            start = end;
        }
        self.bytes.clear();
    }
}

//! [`Cost`]: the bytes of one message, or of what no message of a connection owns, by
//! cause and by layer.

use super::super::cause::Cause;
use super::super::level::Measures;
use crate::frame::MQTTFrame;
use crate::identity::ExchangeId;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// Bytes of a message, or of what no message of a connection owns.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Number of the connection.
    pub connection: u64,
    /// The message; `None` for what no message owns.
    pub message: Option<Costed>,
    /// The bytes of each cause that has some, at all levels: the difference of two
    /// levels is a layer.
    pub bytes: Vec<(Cause, Measures)>,
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
    pub topic: Option<Box<[u8]>>,
    /// Its first PUBLISH was selected: [`Ledger::select`](super::Ledger::select).
    pub is_selected: bool,
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

    fn close(mut self) -> Vec<(Cause, Measures)> {
        self.0.retain(|(_, measures)| measures.l2 > 0);
        self.0.sort_unstable_by_key(|(cause, _)| *cause);
        self.0
    }

    /// Of what no message of a connection owns.
    pub(super) fn close_fixed(self, connection: u64) -> Cost {
        Cost {
            connection,
            message: None,
            bytes: self.close(),
        }
    }
}

/// The cost of a message that is still open.
#[derive(Debug)]
pub(super) struct OpenCost {
    costed: Costed,
    pub(super) bytes: ByCause,
}

impl OpenCost {
    /// Of the message that this PUBLISH begins.
    pub(super) fn new(frame: &MQTTFrame<'_>, is_selected: bool) -> Self {
        Self {
            costed: Costed {
                exchange: ExchangeId {
                    direction: frame.direction,
                    packet_id: frame.packet.packet_id().unwrap_or(0),
                    number: frame.number,
                },
                packet: frame.last,
                time: frame.time,
                qos: frame.header.qos(),
                topic: frame.topic.map(|topic| topic.bytes().into()),
                is_selected,
            },
            bytes: ByCause::default(),
        }
    }

    pub(super) fn close(self, connection: u64) -> Cost {
        Cost {
            connection,
            message: Some(self.costed),
            bytes: self.bytes.close(),
        }
    }
}

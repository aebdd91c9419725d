//! [`Cost`]: the bytes of one message, or of what no message of a connection owns, by
//! cause and by layer.

use super::super::cause::{Cause, Mechanism, Purpose};
use super::super::level::Measures;
use super::super::message::MessageCauses;
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
}

/// The cost of a message that is still open.
#[derive(Debug)]
pub(super) struct OpenCost {
    costed: Costed,
    /// By [`MessageCauses::PURPOSES`] and [`MessageCauses::MECHANISMS`].
    bytes: [[Measures; 3]; 3],
}

impl OpenCost {
    /// Of the message that this PUBLISH begins.
    pub(super) fn new(frame: &MQTTFrame<'_>) -> Self {
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
            },
            bytes: Default::default(),
        }
    }

    pub(super) fn add(&mut self, cause: Cause, measures: &Measures) {
        if let Some((row, column)) = MessageCauses::place(cause) {
            self.bytes[row][column] += *measures;
        }
    }

    pub(super) fn close(self, connection: u64) -> Cost {
        let rows = MessageCauses::PURPOSES.into_iter().zip(self.bytes);
        let all = rows.flat_map(|(purpose, row)| {
            let columns = MessageCauses::MECHANISMS.into_iter().zip(row);
            columns.map(move |(mechanism, bytes)| (Cause(purpose, mechanism), bytes))
        });
        Cost {
            connection,
            message: Some(self.costed),
            bytes: all.filter(|(_, bytes)| bytes.l2 > 0).collect(),
        }
    }
}

/// Bytes that no message of a connection owns.
#[derive(Debug, Default)]
pub(super) struct FixedCost([[Measures; Mechanism::ALL.len()]; Purpose::ALL.len()]);

impl FixedCost {
    pub(super) fn add(&mut self, cause: Cause, measures: &Measures) {
        self.0[cause.0 as usize][cause.1 as usize] += *measures;
    }

    pub(super) fn close(&self, connection: u64) -> Cost {
        let causes = Purpose::ALL
            .into_iter()
            .flat_map(|purpose| Mechanism::ALL.map(|mechanism| Cause(purpose, mechanism)));
        let all = causes.zip(self.0.iter().flatten().copied());
        Cost {
            connection,
            message: None,
            bytes: all.filter(|(_, bytes)| bytes.l2 > 0).collect(),
        }
    }
}

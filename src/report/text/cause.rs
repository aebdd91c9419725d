//! Why a connection closes, as far as the lines before tell: the words after
//! `closed by client`. [`crate::sessions`] looks closer.

use std::collections::VecDeque;

use crate::event::{CloseReason, EventKind, Side};
use crate::frame::{Connection, Direction, MQTTFrame};
use crate::mqtt::ControlPacket;

/// What may end a connection later.
#[derive(Debug, Default)]
pub(super) struct Causes {
    /// Connections that were refused, the latest last.
    refused: VecDeque<u64>,
    /// CONNECTs: the Client Identifier and the connection, the latest last.
    connects: VecDeque<(Box<[u8]>, u64)>,
}

/// What is older than so many others has happened too long ago.
const KEPT: usize = 256;

impl Causes {
    /// A frame comes.
    pub(super) fn frame(&mut self, frame: &MQTTFrame<'_>) {
        let number = frame.connection.number;
        match &frame.packet {
            ControlPacket::Connack(connack) if connack.code.is_some_and(|code| code != 0) => {
                keep(&mut self.refused, number);
            }
            ControlPacket::Connect(connect) if frame.direction == Direction::Up => {
                if let Some(id) = connect.client_id.filter(|id| !id.bytes().is_empty()) {
                    keep(&mut self.connects, (id.bytes().into(), number));
                }
            }
            _ => {}
        }
    }

    /// The cause of a close, in words with a blank before them; nothing when none is
    /// known, or when the event names it.
    pub(super) fn of(&self, kind: &EventKind, connection: &Connection) -> &'static str {
        let EventKind::Closed {
            by,
            reason: CloseReason::Fin | CloseReason::Reset,
            disconnect,
        } = *kind
        else {
            return "";
        };
        match (disconnect, by) {
            _ if kind_names_it(kind) => "",
            (Some(side), Some(by)) if side == by => " after DISCONNECT",
            (Some(Side::Client), _) => " after the client's DISCONNECT",
            (Some(Side::Server), _) => " after the server's DISCONNECT",
            (None, _) if self.refused.contains(&connection.number) => " after the refusal",
            (None, Some(Side::Server)) if self.is_taken_over(connection) => {
                ": taken over by another connection"
            }
            (None, Some(Side::Client)) if connection.version.is_some() => " without DISCONNECT",
            _ => "",
        }
    }

    /// Whether its client has connected again since.
    fn is_taken_over(&self, connection: &Connection) -> bool {
        let latest = self
            .connects
            .iter()
            .rev()
            .find(|(id, _)| connection.client_id.as_deref() == Some(&**id));
        latest.is_some_and(|(_, number)| *number != connection.number)
    }
}

/// A reset after DISCONNECT says so itself.
fn kind_names_it(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Closed {
            reason: CloseReason::Reset,
            disconnect: Some(_),
            ..
        }
    )
}

fn keep<T>(kept: &mut VecDeque<T>, item: T) {
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(item);
}

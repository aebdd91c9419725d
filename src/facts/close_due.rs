//! Connections that one side has to close, and what proves that they are open all
//! the same.

use std::time::Duration;

use crate::frame::Direction;
use crate::limits;
use crate::mqtt::DefectCode;
use crate::time::Timestamp;

use super::frame_ref::FrameRef;

/// How long a connection that had to be closed may stay open. The
/// specifications give no time.
pub const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Why a connection had to be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The server refused it, by CONNACK.
    Refused,
    /// This side sent DISCONNECT.
    Disconnected,
    /// A second CONNECT.
    SecondConnect,
    /// A Malformed Packet, by the code of the defect.
    Malformed(DefectCode),
    /// A CONNECT with such a defect.
    MalformedConnect(DefectCode),
    /// A limit of the receiver was exceeded (5.0).
    Exceeded(Excess),
    /// A protocol level that no version has.
    UnsupportedLevel,
    /// Another connection of the same client was accepted.
    TakenOver,
    /// A text message of a WebSocket.
    TextMessage,
}

/// A limit of 5.0 that its receiver closes the connection over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Excess {
    /// More PUBLISH packets in flight than its Receive Maximum.
    ReceiveMaximum,
    /// A Topic Alias above its Topic Alias Maximum.
    TopicAlias,
    /// A packet above its Maximum Packet Size.
    PacketSize,
}

impl Excess {
    /// The name of the Reason Code with which the receiver closes.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReceiveMaximum => "Receive Maximum exceeded",
            Self::TopicAlias => "Topic Alias invalid",
            Self::PacketSize => "Packet too large",
        }
    }
}

/// A connection that one side had to close.
#[derive(Clone, Debug)]
pub struct CloseDue {
    /// Why.
    pub cause: Cause,
    /// Which side, by the direction it sends in.
    pub by: Direction,
    /// The packet that made it due.
    pub seen: FrameRef,
    /// When that side knew.
    known: Option<Timestamp>,
    /// In which direction that packet went.
    direction: Direction,
    /// Time since the last activity, and the longest pause.
    last: Timestamp,
    pause: Duration,
    /// For how long it was seen without a pause.
    steady: Duration,
    pub(super) found: bool,
}

/// Pending reasons to close a connection.
#[derive(Debug, Default)]
pub(super) struct CloseDues(pub(super) Vec<CloseDue>);

impl CloseDues {
    /// Adds one, unless there is one with the same cause.
    pub(super) fn add(
        &mut self,
        cause: Cause,
        by: Direction,
        seen: FrameRef,
        direction: Direction,
        known: Option<Timestamp>,
    ) {
        let known_already = self.0.iter().any(|due| due.cause == cause);
        if self.0.len() < limits::CLOSE_CAUSES && !known_already {
            self.0.push(CloseDue {
                cause,
                by,
                seen,
                known,
                direction,
                last: known.unwrap_or(seen.time),
                pause: Duration::ZERO,
                steady: Duration::ZERO,
                found: false,
            });
        }
    }

    /// TCP has acknowledged one direction up to an offset.
    pub(super) fn acknowledged(&mut self, direction: Direction, offset: u64, time: Timestamp) {
        for due in &mut self.0 {
            if due.known.is_none() && due.direction == direction && due.seen.end <= offset {
                due.known = Some(time);
                due.last = time;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl CloseDue {
    /// Whether the latest activity proves that the connection is open, for how
    /// long, and whether that is so without pauses.
    pub(super) fn proof(
        &mut self,
        from: Direction,
        answers: Option<FrameRef>,
        now: Timestamp,
    ) -> Option<(Duration, bool)> {
        let known = self.known?;
        let pause = now.since(self.last);
        self.pause = self.pause.max(pause);
        if pause <= CLOSE_PATIENCE {
            self.steady += pause;
        }
        self.last = self.last.max(now);
        let open_for = now.since(known);
        let later = |request: FrameRef| match request.connection == self.seen.connection {
            true => request.end > self.seen.end,
            false => request.started > known,
        };
        let went_on = answers.is_some_and(later);
        let open = open_for.saturating_sub(self.pause) >= CLOSE_PATIENCE;
        let proven = from == self.by && open_for >= CLOSE_PATIENCE && (went_on || open);
        let steady = self.steady >= 2 * CLOSE_PATIENCE;
        (proven && !self.found).then_some((open_for, steady))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_causes_are_kept_and_each_once() {
        let mut dues = CloseDues::default();
        let causes = [
            Cause::Refused,
            Cause::Disconnected,
            Cause::SecondConnect,
            Cause::SecondConnect,
            Cause::UnsupportedLevel,
            Cause::TakenOver,
            Cause::TextMessage,
        ];
        for cause in causes {
            dues.add(
                cause,
                Direction::Up,
                FrameRef::default(),
                Direction::Up,
                None,
            );
        }
        // The connection is to be closed in any case: the first are reason enough.
        assert_eq!(dues.0.len(), limits::CLOSE_CAUSES);
        assert_eq!(
            dues.0.last().map(|due| due.cause),
            Some(Cause::UnsupportedLevel)
        );
    }
}

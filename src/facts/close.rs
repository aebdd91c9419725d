//! Connections that one side had to close: the reason, the time, and evidence that they
//! are still open.
//!
//! A capture's clock may be set while it runs, so one long pause proves nothing. A
//! connection counts as open if the side that had to close
//!
//! - has answered a packet that was sent after the one that required closing, or
//! - was active for five more seconds, not counting the longest pause.
//!
//! This is proof if the side was active for ten seconds without pauses of more than
//! five seconds: then no clock step can explain it.

use std::time::Duration;

use crate::frame::{Direction, MQTTFrame, PerDirection};
use crate::packet::PacketRef;
use crate::time::Timestamp;

use super::close_due::{Cause, CloseDue};
use super::connection::ConnectionFacts;
use super::frame_ref::FrameRef;

/// Facts for a rule about connections that should be closed.
#[derive(Debug)]
pub struct StillOpen<'a> {
    /// The connection.
    pub connection: &'a ConnectionFacts,
    /// The reason to close.
    pub due: &'a CloseDue,
    /// How long it has been open since.
    pub open_for: Duration,
    /// It was seen for long enough without pauses, each of which may be that of a clock
    /// that was set.
    pub steady: bool,
    /// The packet that shows that it is.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
}

impl ConnectionFacts {
    /// This side has to close the connection over a frame.
    pub(super) fn due(&mut self, cause: Cause, by: Direction, frame: &MQTTFrame<'_>) {
        let direction = frame.direction;
        let (offset, time) = self.acked[direction];
        let known = if by == direction {
            Some(frame.time)
        } else {
            (offset >= frame.end()).then_some(time.max(frame.time))
        };
        self.close_due
            .add(cause, by, FrameRef::of(frame), direction, known);
    }

    pub(super) fn taken_over(&mut self, by: FrameRef) {
        let (server, client) = (Direction::Down, Direction::Up);
        self.close_due
            .add(Cause::TakenOver, server, by, client, Some(by.time));
    }

    /// Overdue closes that are proven by what `from` has sent now, such as an
    /// answer to a packet; each is returned once.
    pub(super) fn still_open(
        &mut self,
        from: Direction,
        answers: Option<FrameRef>,
        packet: PacketRef,
        time: Timestamp,
        mut found: impl FnMut(&StillOpen<'_>),
    ) {
        // Nearly always.
        if self.close_due.is_empty() {
            return;
        }
        let none = PerDirection::both(None);
        if self.fin != none || self.fin_acked != none {
            return;
        }
        let mut dues = std::mem::take(&mut self.close_due);
        for due in &mut dues.0 {
            if let Some((open_for, steady)) = due.proof(from, answers, time) {
                due.found = true;
                found(&StillOpen {
                    connection: self,
                    due,
                    open_for,
                    steady,
                    packet,
                    time,
                });
            }
        }
        self.close_due = dues;
    }
}

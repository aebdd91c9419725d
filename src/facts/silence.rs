//! Clients that are silent for longer than their Keep Alive.

use std::time::Duration;

use crate::event::CloseReason;
use crate::frame::{Direction, MQTTFrame, PerDirection};
use crate::mqtt::PacketType;
use crate::packet::PacketRef;
use crate::time::Timestamp;

use super::connection::ConnectionFacts;
use super::due::Reported;
use super::frame_ref::FrameRef;
use super::pauses::Pauses;

/// Facts for a rule about silent clients.
#[derive(Debug)]
pub struct Silence<'a> {
    /// The connection.
    pub connection: &'a ConnectionFacts,
    /// The evidence.
    pub shown: Shown,
    /// The packet that shows it; if there is none, the last one of the client.
    pub packet: PacketRef,
    /// When it was shown.
    pub time: Timestamp,
    /// Since which packet of the client.
    pub since: FrameRef,
    /// How long.
    pub silent: Duration,
    /// The longest time of it in which no packet of any connection was captured, if two
    /// or more were open: the clock may have been set in it.
    pub pause: Duration,
    /// The Keep Alive in effect.
    pub keep_alive: Duration,
    /// Whether it was reported before, at its deadline.
    pub reported: Reported,
}

/// Evidence of a client's silence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// A frame: of the client, which ends the silence, or of the server, while
    /// it lasts.
    Frame(Direction),
    /// The end of the connection.
    Close,
    /// Time, without any packet.
    Time,
}

impl Silence<'_> {
    /// Whether it is longer than this, also if the clock was set in its longest pause.
    pub fn certainly_exceeds(&self, limit: Duration) -> bool {
        self.silent - self.pause > limit
    }

    /// Precision of the measurement: a second, or a tenth of the Keep Alive.
    pub fn tolerance(&self) -> Duration {
        tolerance(self.keep_alive)
    }
}

pub(super) fn tolerance(keep_alive: Duration) -> Duration {
    (keep_alive / 10).max(Duration::from_secs(1))
}

impl ConnectionFacts {
    /// How long the client has been silent when a frame arrives, if that is
    /// longer than its Keep Alive.
    pub(super) fn silence(&self, frame: &MQTTFrame<'_>, pauses: &Pauses) -> Option<Silence<'_>> {
        // The server ends the connection, because of the silence or for another
        // reason. If nothing of the client was captured, not even of its TCP,
        // the device may be offline.
        let ends = frame.direction == Direction::Down
            && frame.header.packet_type() == PacketType::Disconnect
            && self.was_there_after_keep_alive(pauses);
        let shown = match ends {
            true => Shown::Close,
            false => Shown::Frame(frame.direction),
        };
        self.silent_until(frame.started, shown, frame.last, frame.time, pauses)
    }

    /// The same when the connection has ended, if not in order.
    pub(super) fn silence_at_end(
        &self,
        how: Option<CloseReason>,
        packet: PacketRef,
        time: Timestamp,
        pauses: &Pauses,
    ) -> Option<Silence<'_>> {
        if !matches!(how, Some(CloseReason::Fin | CloseReason::Reset))
            || self.disconnect != PerDirection::both(None)
        {
            return None;
        }
        let until = self.fin.into_iter().flatten().min().unwrap_or(time);
        self.silent_until(until, Shown::Close, packet, time, pauses)
    }

    fn was_there_after_keep_alive(&self, pauses: &Pauses) -> bool {
        let since = self.latest[Direction::Up].zip(self.keep_alive());
        since.is_some_and(|(since, keep_alive)| {
            let until = self.alive.up;
            until.since(since.time) > keep_alive + pauses.longest(since.time, until)
        })
    }

    fn silent_until(
        &self,
        until: Timestamp,
        shown: Shown,
        packet: PacketRef,
        time: Timestamp,
        pauses: &Pauses,
    ) -> Option<Silence<'_>> {
        let since = self.latest[Direction::Up]?;
        let silent = until.since(since.time);
        if silent < Duration::from_secs(1) {
            return None;
        }
        let keep_alive = self.keep_alive()?;
        (silent > keep_alive).then_some(Silence {
            connection: self,
            shown,
            packet,
            time,
            since,
            silent,
            pause: pauses.longest(since.time, until),
            keep_alive,
            reported: self.silence_reported(since),
        })
    }
}

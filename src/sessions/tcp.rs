//! Facts of TCP itself on a connection: how it was opened, how far each side has
//! sent and acknowledged, who ended it.
//!
//! ```text
//! up    SYN ──── data ──── data ───────── data' data' data'         (retransmitted)
//! down      SYN-ACK    ACK      FIN ↑ first sign of the end
//! ```
//! A [`Trail`] keeps no bytes. Positions are those of the flow table: 0 is the
//! first byte after the SYN, and a FIN counts one.

use crate::frame::{Direction, PerDirection};
use crate::net::TcpFlags;

use super::mark::Mark;
use super::stall::{AT_ONCE, STALL, Stall, StallCause};

/// A segment, as the trail takes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TcpSegment {
    pub(super) at: Mark,
    pub(super) from: Direction,
    /// Position of its first byte; for a SYN, of the byte after it.
    pub(super) offset: i64,
    pub(super) len: u32,
    /// Position up to which it acknowledges the other direction.
    pub(super) acked: Option<i64>,
    pub(super) flags: TcpFlags,
}

impl TcpSegment {
    /// The SYN of a client.
    pub(super) fn syn(at: Mark) -> Self {
        Self {
            at,
            from: Direction::Up,
            offset: 0,
            len: 0,
            acked: None,
            flags: TcpFlags::SYN,
        }
    }
}

/// One direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    /// Position after the last byte that was captured, FIN included.
    pub(super) end: i64,
    /// Position after the last byte of payload that was captured, and of the FIN.
    data_end: i64,
    fin_at: Option<i64>,
    /// Highest position that the peer has acknowledged.
    pub(super) acked: i64,
    /// First packet of the peer that acknowledged everything up to `end`, until one
    /// side ended the connection.
    pub(super) acked_all: Option<Mark>,
    /// First FIN.
    pub(super) fin: Option<Mark>,
    /// The SYN of this direction, and how many copies of it.
    pub(super) syn: Option<Mark>,
    pub(super) syns: u32,
    /// Retransmissions of unacknowledged bytes since the peer last acknowledged
    /// anything, until one side ended the connection: how many, the packet that
    /// sent them first, and the latest.
    pub(super) retries: u32,
    pub(super) retried: Option<(Mark, Mark)>,
    /// Last packet that carried bytes not sent before.
    sent: Option<Mark>,
    /// Last packet.
    pub(super) last: Option<Mark>,
    /// The window that this side offers is closed since this packet.
    window_closed: Option<Mark>,
    /// The packet with which the peer last acknowledged more.
    progress: Option<Mark>,
    /// Highest position at which a packet without payload began: all before it
    /// was sent.
    ahead: i64,
}

impl Stream {
    /// Bytes, or a FIN, were sent that the capture does not show: the peer has
    /// acknowledged them, or their sender went on after them. (A gap between
    /// two segments with payload is an event of the engine.)
    pub(super) fn has_loss(&self) -> bool {
        let last = self.data_end + i64::from(self.fin.is_some());
        self.acked > last || self.ahead > last || self.fin_at.is_some_and(|fin| fin > self.data_end)
    }

    /// Its first byte was captured, or that there is none before.
    pub(super) fn has_begin(&self) -> bool {
        self.syn.is_some()
    }
}

/// A RST.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reset {
    pub(super) at: Mark,
    pub(super) from: Direction,
    /// It acknowledges nothing but the SYN, and its sequence number is 0: the
    /// answer of a host on which no program listens (RFC 9293, 3.5.2).
    pub(super) answers_syn: bool,
    /// Its sequence number is the one that its supposed sender would use next.
    pub(super) fits: bool,
    /// Its TTL, and that of its supposed sender's other packets, if they differ.
    pub(super) foreign_ttl: Option<(u8, u8)>,
    /// Whether the TTL of both was captured.
    pub(super) ttl_known: bool,
    /// It acknowledges, so that it shows the data that its sender had received.
    pub(super) acks: bool,
}

/// The first packet that ended a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// FIN.
    Fin(Direction, Mark),
    /// RST.
    Reset(Reset),
}

impl End {
    pub(super) fn at(&self) -> Mark {
        match self {
            Self::Fin(_, at) => *at,
            Self::Reset(reset) => reset.at,
        }
    }

    pub(super) fn from(&self) -> Direction {
        match self {
            Self::Fin(from, _) => *from,
            Self::Reset(reset) => reset.from,
        }
    }
}

/// Facts of TCP on one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    pub(super) streams: PerDirection<Stream>,
    pub(super) end: Option<End>,
    /// A RST in the name of the side that did not send the first one, within
    /// [`BOTH_SIDES`]: a middlebox resets both.
    pub(super) second_reset: Option<Reset>,
    /// Whether any byte of payload was captured.
    pub(super) carried: bool,
}

fn stalled(cause: StallCause, from: Mark, to: Mark) -> Option<Stall> {
    let time = to.time.since(from.time);
    (time >= STALL).then(|| Stall {
        packets: vec![from.packet, to.packet],
        time,
        cause,
    })
}

/// Two RSTs in both directions within this time (in nanoseconds) are one act.
const BOTH_SIDES: u128 = 20_000_000;

impl Trail {
    /// Takes a segment, in the order of capture. Returns the wait that it ended.
    pub(super) fn segment(&mut self, segment: TcpSegment) -> Option<Stall> {
        let TcpSegment { at, from, .. } = segment;
        let mut stall = None;
        if segment.flags.has(TcpFlags::RST) {
            self.reset(segment);
            return None;
        }
        let (own, peer) = self.streams.split_mut(from);
        own.last = Some(at);
        if let Some(acked) = segment.acked {
            if acked > peer.acked {
                peer.acked = acked;
                peer.retries = 0;
                if let Some((first, _)) = peer.retried.take() {
                    stall = stalled(StallCause::Retransmission, first, at);
                }
                peer.progress = Some(at);
            }
            if self.end.is_none() && peer.acked_all.is_none() && peer.acked >= peer.end {
                peer.acked_all = Some(at);
            }
        }
        if segment.flags.has(TcpFlags::SYN) {
            own.syns += 1;
            own.syn.get_or_insert(at);
            own.end = own.end.max(0);
            return None;
        }
        let fin = segment.flags.has(TcpFlags::FIN);
        let end = segment.offset + i64::from(segment.len) + i64::from(fin);
        self.carried |= segment.len > 0;
        if segment.len > 0 {
            own.data_end = own.data_end.max(end - i64::from(fin));
        } else if !fin {
            own.ahead = own.ahead.max(segment.offset);
            return stall;
        }
        if fin {
            own.fin_at.get_or_insert(end - 1);
        }
        // A keep-alive probe repeats one byte, and is no retransmission of it.
        let probe = segment.len <= 1 && !fin && segment.offset + 1 == own.end;
        if end > own.end {
            own.end = end;
            own.sent = Some(at);
            if self.end.is_none() {
                own.acked_all = (own.acked >= end).then_some(at);
            }
        } else if self.end.is_none() && end > own.acked && segment.len > 0 && !probe {
            own.retries += 1;
            let first = own
                .retried
                .map_or(own.sent.unwrap_or(at), |(first, _)| first);
            own.retried = Some((first, at));
        }
        if fin {
            own.fin.get_or_insert(at);
            self.end.get_or_insert(End::Fin(from, at));
        }
        stall
    }

    /// A side takes no more bytes for now.
    pub(super) fn window_closed(&mut self, from: Direction, at: Mark) {
        self.streams[from].window_closed.get_or_insert(at);
    }

    /// A side takes bytes again. Returns the wait that this ends.
    pub(super) fn window_opened(&mut self, from: Direction, at: Mark) -> Option<Stall> {
        let closed = self.streams[from].window_closed.take()?;
        stalled(StallCause::ZeroWindow, closed, at)
    }

    /// A control packet that began at `started` is complete: was its end delayed
    /// until its beginning was acknowledged?
    pub(super) fn delayed_by(&self, from: Direction, started: Mark, at: Mark) -> Option<Stall> {
        let acked = self.streams[from].progress?;
        let is_nagle = acked.time.since(started.time) >= STALL
            && at.time.since(acked.time) <= AT_ONCE
            && at.time >= acked.time;
        is_nagle.then(|| Stall {
            packets: vec![started.packet, acked.packet, at.packet],
            time: at.time.since(started.time),
            cause: StallCause::NagleDelayedAck,
        })
    }

    fn reset(&mut self, segment: TcpSegment) {
        let (own, peer) = self.streams.split_mut(segment.from);
        let silent = own.syn.is_none() && own.last.is_none();
        let reset = Reset {
            at: segment.at,
            from: segment.from,
            answers_syn: silent
                && peer.syn.is_some()
                && !self.carried
                && segment.flags.has(TcpFlags::ACK)
                && segment.acked == Some(0),
            fits: own.last.is_some() && segment.offset == own.end,
            foreign_ttl: None,
            ttl_known: false,
            acks: segment.acked.is_some(),
        };
        if reset.fits
            && let Some(acked) = segment.acked
        {
            peer.acked = peer.acked.max(acked);
        }
        match self.end {
            None => self.end = Some(End::Reset(reset)),
            Some(End::Reset(first))
                if first.from != reset.from
                    && self.second_reset.is_none()
                    && reset.at.time.since(first.at.time).as_nanos() <= BOTH_SIDES =>
            {
                self.second_reset = Some(reset);
            }
            Some(_) => {}
        }
    }

    /// The TTL (or hop limit) of the RST in this packet, and that of the last packet
    /// before it from the same address.
    pub(super) fn ttl(&mut self, at: Mark, ttl: u8, usual: Option<u8>) {
        let first = match &mut self.end {
            Some(End::Reset(reset)) => Some(reset),
            _ => None,
        };
        for reset in first.into_iter().chain(&mut self.second_reset) {
            if reset.at == at {
                reset.ttl_known = usual.is_some();
                reset.foreign_ttl = usual
                    .filter(|usual| *usual != ttl)
                    .map(|usual| (ttl, usual));
            }
        }
    }

    /// A control packet ends at this position of a direction: its bytes were captured,
    /// though perhaps before it was known what the connection carries.
    pub(super) fn read(&mut self, from: Direction, end: u64) {
        let stream = &mut self.streams[from];
        let end = i64::try_from(end).unwrap_or(i64::MAX);
        stream.data_end = stream.data_end.max(end);
        stream.end = stream.end.max(end);
    }

    /// The side whose bytes were sent again and again without an answer until the
    /// connection ended, or the capture did: how often, the first and the latest.
    pub(super) fn unanswered(&self) -> Option<(Direction, u32, Mark, Mark)> {
        Direction::ALL.into_iter().find_map(|direction| {
            let stream = &self.streams[direction];
            let (first, latest) = stream.retried.filter(|_| stream.acked < stream.end)?;
            Some((direction, stream.retries, first, latest))
        })
    }
}

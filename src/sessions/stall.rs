//! Stalls: waits that TCP, or flow control, explains.
//!
//! | cause | from | to |
//! |---|---|---|
//! | `retransmission` | the packet that was lost | the acknowledgement of its repetition |
//! | `zero_window` | window 0 | the next window that is open |
//! | `nagle_delayed_ack` | the first part of a control packet | the rest, sent at once when that was acknowledged |
//! | `receive_maximum` | the PUBLISH that used it up | the next one, sent at once when an acknowledgement freed it |

use std::time::Duration;

use crate::packet::PacketRef;

use super::mark::Mark;

/// Shorter waits are not reported: delayed acknowledgements begin at 40 ms.
pub(super) const STALL: Duration = Duration::from_millis(35);
/// A packet that follows within this time follows at once.
pub(super) const AT_ONCE: Duration = Duration::from_millis(5);

/// Why something waited.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StallCause {
    /// Bytes were lost and sent again.
    Retransmission,
    /// The receiver had no room.
    ZeroWindow,
    /// Nagle's algorithm waited for a delayed acknowledgement.
    NagleDelayedAck,
    /// As many messages as Receive Maximum allows were in flight.
    ReceiveMaximum,
}

impl StallCause {
    /// The value in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retransmission => "retransmission",
            Self::ZeroWindow => "zero_window",
            Self::NagleDelayedAck => "nagle_delayed_ack",
            Self::ReceiveMaximum => "receive_maximum",
        }
    }
}

/// A wait.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stall {
    /// The packets between which it lies.
    pub packets: Vec<PacketRef>,
    /// How long.
    pub time: Duration,
    /// Why.
    pub cause: StallCause,
}

/// The longest stalls of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Stalls {
    kept: Vec<Stall>,
    /// How many were shorter than those that are kept.
    pub(super) more: u64,
}

/// Stalls that are kept of a connection.
const KEPT: usize = 16;

impl Stalls {
    pub(super) fn add(&mut self, stall: Stall) {
        self.kept.push(stall);
        if self.kept.len() > KEPT {
            let shortest = (0..self.kept.len()).min_by_key(|at| self.kept[*at].time);
            if let Some(shortest) = shortest {
                self.kept.remove(shortest);
            }
            self.more += 1;
        }
    }

    /// In the order in which they ended.
    pub(super) fn into_kept(self) -> Vec<Stall> {
        self.kept
    }
}

/// Messages that one side may still send by the other's Receive Maximum (5.0: 4.9).
#[derive(Clone, Debug, Default)]
pub(super) struct Quota {
    /// Receive Maximum; `None` if nothing limits it.
    pub(super) most: Option<u32>,
    used: u32,
    full: Option<Mark>,
    freed: Option<Mark>,
}

impl Quota {
    /// A PUBLISH of QoS 1 or 2. Returns the wait that it ended.
    pub(super) fn publish(&mut self, at: Mark) -> Option<Stall> {
        let most = self.most?;
        let waited = self.full.zip(self.freed).filter(|(full, freed)| {
            freed.time.since(full.time) >= STALL && at.time.since(freed.time) <= AT_ONCE
        });
        self.used += 1;
        (self.full, self.freed) = ((self.used >= most).then_some(at), None);
        waited.map(|(full, freed)| Stall {
            packets: vec![full.packet, freed.packet, at.packet],
            time: at.time.since(full.time),
            cause: StallCause::ReceiveMaximum,
        })
    }

    /// The acknowledgement that ends an exchange.
    pub(super) fn free(&mut self, at: Mark) {
        self.used = self.used.saturating_sub(1);
        if self.full.is_some() {
            self.freed.get_or_insert(at);
        }
    }
}

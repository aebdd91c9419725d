//! The account of every byte of a capture, the cost of messages, and estimates of
//! changes.
//!
//! ```text
//! Fact::Packet ─┐
//! Fact::Span   ─┼→ Ledger ─→ Account ─→ Figures ─→ report
//! Fact::Frame  ─┤            integers   ratios, a month, bills, what-ifs
//! Fact::Event  ─┘
//! ```
//! Three exact partitions of the same bytes: by [`Layer`], by [`Cause`] (purpose
//! and mechanism), and by owner (a message, or its connection). All counts are
//! integers; shared bytes are divided by [`apportion`], so that shares add up.
//! Lengths are those on the wire, whatever the snap length.
//!
//! Ratios, projections and what-ifs are computed from the [`Account`].

mod account;
mod amount;
mod apportion;
mod carriage;
mod cause;
mod compress;
mod distribution;
mod error;
mod figures;
mod label;
mod layer;
mod ledger;
mod level;
mod message;
mod outcome;
mod profile;
mod project;
mod ranges;
mod share;
mod term;
mod totals;
mod traffic;
mod wake;
mod whatif;

use std::collections::HashMap;

pub use account::{Account, ConnectionAccount, Costs, Doubts, Group, Topic};
pub use amount::{Amount, Bill};
pub use apportion::apportion;
pub use cause::{Cause, Causes, Mechanism, Purpose};
pub use compress::{Codec, Compressor, Samples, Trial};
pub use distribution::Distribution;
pub use error::{OptionError, ProfileError};
pub use figures::{Asked, Figures, Ratios, Request, Saving};
pub use layer::{Layer, Layers};
pub use ledger::{Cost, Costed, Ledger};
pub use level::{Level, Measures};
pub use message::{GroupKey, Ladder, Message, MessageCauses, Step};
pub use outcome::{Mark, Outcome};
pub use profile::{Counts, Lora, Per, Profile, Profiles, profiles, read_profiles};
pub use project::{Basis, Billed, Count, DAY, MONTH, Month, Projection, bill, period};
pub use share::Share;
pub use term::{Term, Terms};
pub use totals::Totals;
pub use traffic::{
    ConnectionTraffic, Frames, Gaps, GroupTraffic, Headers, Shape, Traffic, varint_len,
};
pub use wake::{TAILS_MILLIS, Wakes};
pub use whatif::{Http, Scenario, Stage, Tls, USUAL, WhatIf, latency_text};

/// Fast, and seeded at random.
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Options of counting.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The level at which bytes are counted.
    pub level: Level,
    /// How headers of shared frames are divided.
    pub share: Share,
    /// How many messages to keep individually: 0, or for example
    /// [`ACCOUNTED_MESSAGES`](crate::limits::ACCOUNTED_MESSAGES).
    pub messages: u64,
    /// Keep sums only: nothing of closed connections, topics and clients.
    pub sums_only: bool,
    /// Report the bytes of each message and connection by cause and layer:
    /// [`Ledger::drain_costs`].
    pub costs: bool,
    /// Keep some payloads to estimate compression.
    pub samples: bool,
    /// Only the connections of these clients; empty for all.
    pub clients: Vec<Box<[u8]>>,
    /// Only these connections, by number; empty for all.
    pub connections: Vec<u64>,
}

impl Options {
    /// Whether only some connections are wanted.
    fn selects(&self) -> bool {
        !self.clients.is_empty() || !self.connections.is_empty()
    }

    fn wants(&self, number: u64, client_id: Option<&[u8]>) -> bool {
        let is_one = |id: &[u8]| self.clients.iter().any(|client| **client == *id);
        (self.clients.is_empty() || client_id.is_some_and(is_one))
            && (self.connections.is_empty() || self.connections.contains(&number))
    }
}

//! What a scenario comes to, and how sure that is.

use super::amount::{Amount, Bill};
use super::traffic::Shape;
use crate::frame::{Direction, PerDirection};

/// What a scenario comes to, in the capture.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What would have been paid.
    pub bill: Bill,
    /// The least and the most, where acknowledgements are a guess.
    pub bounds: Option<(Bill, Bill)>,
    /// How sure that is.
    pub mark: Mark,
    /// Messages by their sizes: shape, direction, QoS, how many. Empty for a bound.
    pub shapes: Vec<(Shape, Direction, u8, f64)>,
    /// PINGREQ packets.
    pub pings: f64,
    /// Connections.
    pub connections: f64,
    /// There is one for each message.
    pub connects_for_each: bool,
    /// Keep Alive in seconds, of most connections.
    pub keep_alive: Option<f64>,
    /// What one keep-alive cycle takes, up and down.
    pub cycle: PerDirection<Amount>,
    /// Messages in one go: wake-ups for messages are fewer by this factor.
    pub batch: f64,
    /// Seconds that a message waits, mean and longest.
    pub latency: Option<(f64, f64)>,
    /// What else it costs, needs, or was assumed.
    pub notes: Vec<String>,
}

/// How sure a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// To the byte, of the capture: bytes changed within segments that stay.
    Exact,
    /// Frames appear or vanish, and how receivers acknowledge is taken from this
    /// capture; or a sample stands for all.
    Model,
    /// Only a lower and an upper value are known.
    Bound,
}

impl Mark {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Model => "model",
            Self::Bound => "bound",
        }
    }
}

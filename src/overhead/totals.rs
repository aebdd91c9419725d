//! Running sums of a live capture, up to a moment or between two.
//!
//! A frame is in [`Totals::all`] as soon as it was captured, and in the sums by
//! layer and by cause when its bytes are attributed. The difference is
//! [`Totals::pending`], and becomes part of later sums.

use super::cause::Causes;
use super::layer::Layers;
use super::level::{Level, Measures};

/// Sums over a capture up to a moment, or over an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// The level at which bytes are counted.
    pub level: Level,
    /// All captured frames.
    pub all: Measures,
    /// Bytes outside of MQTT connections, duplicates included.
    pub foreign: Measures,
    /// Bytes of MQTT connections by layer.
    pub layers: Layers,
    /// Bytes of MQTT connections by cause.
    pub causes: Causes,
    /// MQTT connections that are open.
    pub open: u64,
}

impl Totals {
    /// The difference to an earlier moment.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            level: self.level,
            all: self.all.less(&earlier.all),
            foreign: self.foreign.less(&earlier.foreign),
            layers: self.layers.less(&earlier.layers),
            causes: self.causes.less(&earlier.causes),
            open: self.open,
        }
    }

    /// Bytes of MQTT connections whose cause is known.
    pub fn mqtt_bytes(&self) -> u64 {
        self.causes.total()
    }

    /// Bytes that have been attributed.
    pub fn bytes(&self) -> u64 {
        self.mqtt_bytes() + self.level.of(&self.foreign)
    }

    /// Bytes of frames that are not attributed yet; `None` at levels that need the
    /// attribution.
    pub fn pending(&self) -> Option<u64> {
        match self.level {
            Level::L2 | Level::L3 | Level::L3Plus(_) => {
                Some(self.level.of(&self.all).saturating_sub(self.bytes()))
            }
            Level::Tcp | Level::Mqtt | Level::App => None,
        }
    }
}

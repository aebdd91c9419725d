//! Sums on the way: what a live capture came to so far, or between two moments.
//!
//! A frame is in [`Totals::all`] as soon as it was captured, and in the sums by
//! layer and by cause once it is known what its bytes are: what lies between is
//! [`Totals::pending`], and of the next moment's sums.

use super::cause::Causes;
use super::layer::Layers;
use super::level::{Level, Measures};

/// Sums over a capture up to a moment, or over a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// What counts.
    pub level: Level,
    /// All captured frames.
    pub all: Measures,
    /// Those of something else than MQTT connections, duplicates included.
    pub foreign: Measures,
    /// Bytes of MQTT connections by layer.
    pub layers: Layers,
    /// Bytes of MQTT connections by cause.
    pub causes: Causes,
    /// MQTT connections that are open.
    pub open: u64,
}

impl Totals {
    /// What has come since an earlier moment.
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

    /// Bytes whose place is known.
    pub fn bytes(&self) -> u64 {
        self.mqtt_bytes() + self.level.of(&self.foreign)
    }

    /// Bytes of frames of which it is not known yet what they are; `None` at
    /// levels that only this would tell.
    pub fn pending(&self) -> Option<u64> {
        match self.level {
            Level::L2 | Level::L3 | Level::L3Plus(_) => {
                Some(self.level.of(&self.all).saturating_sub(self.bytes()))
            }
            Level::Tcp | Level::Mqtt | Level::App => None,
        }
    }
}

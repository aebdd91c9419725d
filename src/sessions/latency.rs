//! How long answers took, from packet times at the capture point.
//!
//! A time runs from the captured packet that completed the request to the one that
//! completed the answer. PUBCOMP answers PUBREL; every other acknowledgement the first
//! packet of its exchange.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::frame::PerDirection;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// Answers of one connection, by the kind of the answer, and by the direction of the
/// request.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    /// CONNECT to CONNACK.
    pub connect: Option<Duration>,
    /// PUBLISH of QoS 1 to PUBACK.
    pub puback: PerDirection<Distribution>,
    /// PUBLISH of QoS 2 to PUBREC.
    pub pubrec: PerDirection<Distribution>,
    /// PUBREL to PUBCOMP.
    pub pubcomp: PerDirection<Distribution>,
    /// SUBSCRIBE to SUBACK.
    pub suback: PerDirection<Distribution>,
    /// PINGREQ to PINGRESP.
    pub ping: PerDirection<Distribution>,
}

impl Latency {
    /// All distributions by the name of the answer, as in JSON.
    pub fn kinds(&self) -> [(&'static str, &PerDirection<Distribution>); 5] {
        [
            ("puback_ms", &self.puback),
            ("pubrec_ms", &self.pubrec),
            ("pubcomp_ms", &self.pubcomp),
            ("suback_ms", &self.suback),
            ("ping_ms", &self.ping),
        ]
    }

    /// The slowest answer: its packet type, its time, and its packet.
    pub fn slowest(&self) -> Option<(&'static str, Duration, PacketRef)> {
        self.kinds()
            .into_iter()
            .flat_map(|(name, both)| both.iter().map(move |one| (name, one)))
            .filter_map(|(name, one)| one.slowest().map(|(time, packet)| (name, time, packet)))
            .max_by_key(|(_, time, _)| *time)
    }
}

/// Times of one kind of answer. Exact up to 512 values; of more, percentiles are
/// exact to one part in a thousand, and the extremes still exact.
#[derive(Clone, Debug, Default)]
pub struct Distribution(Option<Box<Times>>);

/// What most connections do not have of most kinds.
#[derive(Clone, Debug, Default)]
struct Times {
    values: Vec<u64>,
    more: Option<Box<Histogram<u64>>>,
    count: u64,
    min: u64,
    slowest: Option<(Duration, PacketRef)>,
}

/// Values that are kept as they are.
pub(super) const EXACT: usize = 512;

impl Distribution {
    /// Adds an answer, and the packet that completed it.
    pub(super) fn add(&mut self, time: Duration, packet: PacketRef) {
        self.0.get_or_insert_default().add(time, packet);
    }

    /// Adds the answers of another distribution. Times that it no longer keeps
    /// exactly are not exact here either.
    pub fn merge(&mut self, other: &Self) {
        if let Some(other) = &other.0 {
            self.0.get_or_insert_default().merge(other);
        }
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.0.as_ref().map_or(0, |times| times.count)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shortest.
    pub fn min(&self) -> Duration {
        Duration::from_nanos(self.0.as_ref().map_or(0, |times| times.min))
    }

    /// The longest, and its packet.
    pub fn slowest(&self) -> Option<(Duration, PacketRef)> {
        self.0.as_ref()?.slowest
    }

    /// The least value that `percent` of all values do not exceed (nearest rank);
    /// zero if there is none.
    pub fn percentile(&self, percent: u64) -> Duration {
        let times = self.0.as_ref();
        times.map_or(Duration::ZERO, |times| times.percentile(percent))
    }

    /// All values, while there are few enough to be kept.
    pub fn values(&self) -> &[u64] {
        self.0.as_ref().map_or(&[], |times| &times.values)
    }
}

impl Times {
    fn add(&mut self, time: Duration, packet: PacketRef) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.min = match self.count {
            0 => nanos,
            _ => self.min.min(nanos),
        };
        self.count += 1;
        if self.slowest.is_none_or(|(slowest, _)| time > slowest) {
            self.slowest = Some((time, packet));
        }
        self.record(nanos);
    }

    fn record(&mut self, nanos: u64) {
        if self.more.is_none() && self.values.len() < EXACT {
            self.values.push(nanos);
            return;
        }
        self.record_many(nanos, 1);
    }

    fn record_many(&mut self, nanos: u64, count: u64) {
        if self.more.is_none()
            && let Ok(mut histogram) = Histogram::new(3)
        {
            histogram.auto(true);
            for value in std::mem::take(&mut self.values) {
                histogram.saturating_record(value.max(1));
            }
            self.more = Some(Box::new(histogram));
        }
        if let Some(histogram) = &mut self.more {
            histogram.saturating_record_n(nanos.max(1), count);
        }
    }

    fn merge(&mut self, other: &Self) {
        let Some((slowest, packet)) = other.slowest else {
            return;
        };
        let extremes = match self.count {
            0 => (other.min, other.slowest),
            _ if self.slowest.is_some_and(|(own, _)| own >= slowest) => {
                (self.min.min(other.min), self.slowest)
            }
            _ => (self.min.min(other.min), Some((slowest, packet))),
        };
        let count = self.count + other.count;
        for value in &other.values {
            self.record(*value);
        }
        if let Some(more) = &other.more {
            for step in more.iter_recorded() {
                self.record_many(step.value_iterated_to(), step.count_since_last_iteration());
            }
        }
        self.count = count;
        (self.min, self.slowest) = extremes;
    }

    fn percentile(&self, percent: u64) -> Duration {
        if let Some(histogram) = &self.more {
            return Duration::from_nanos(histogram.value_at_percentile(percent as f64));
        }
        let mut sorted = self.values.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() as u64 * percent).div_ceil(100).max(1) as usize;
        Duration::from_nanos(sorted.get(rank - 1).copied().unwrap_or(0))
    }
}

/// PUBREL packets without PUBCOMP, by direction and identifier.
#[derive(Clone, Debug, Default)]
pub(super) struct Releases(Vec<(u16, Timestamp)>);

/// Of more, the oldest is not measured.
const RELEASES: usize = 1024;

impl Releases {
    pub(super) fn sent(&mut self, id: u16, at: Timestamp) {
        if self.0.iter().any(|(known, _)| *known == id) {
            return;
        }
        if self.0.len() == RELEASES {
            self.0.remove(0);
        }
        self.0.push((id, at));
    }

    pub(super) fn answered(&mut self, id: u16, at: Timestamp) -> Option<Duration> {
        let found = self.0.iter().position(|(known, _)| *known == id)?;
        Some(at.since(self.0.remove(found).1))
    }
}

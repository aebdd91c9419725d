//! How long acknowledgements take: from the PUBLISH to the PUBACK or PUBCOMP
//! that ends its exchange, both as the capture saw them.
//!
//! ```text
//! PUBLISH (first copy) ──────────────→ PUBACK              QoS 1
//! PUBLISH ─→ PUBREC ─→ PUBREL ───────→ PUBCOMP             QoS 2
//! PUBLISH ─→ PUBREC of 0x80 and above  no acknowledgement, not counted
//! ```

use std::collections::HashMap;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Labels;
use crate::frame::{Direction, MQTTFrame, PerDirection};
use crate::limits;
use crate::mqtt::PacketType;
use crate::time::Timestamp;

type Histograms = Family<Labels<2>, Histogram, fn() -> Histogram>;

/// Upper ends of the buckets in seconds: a broker on the same machine, a
/// network, a mobile network, a fault.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 20.0,
];

/// Measures exchanges.
#[derive(Debug)]
pub(super) struct Latency {
    family: Histograms,
    /// By direction of the PUBLISH and QoS 1 and 2.
    handles: PerDirection<[Histogram; 2]>,
    /// Exchanges by connection; those that end are removed, and so are those of
    /// a connection that does.
    open: HashMap<u64, OfConnection, foldhash::fast::RandomState>,
    kept: usize,
}

/// When each exchange began, by the direction and identifier of its PUBLISH.
type OfConnection = HashMap<(Direction, u16), (u8, Timestamp), foldhash::fast::RandomState>;

impl Default for Latency {
    fn default() -> Self {
        let new: fn() -> Histogram = || Histogram::new(BUCKETS);
        let family = Histograms::new_with_constructor(new);
        let handle = |direction: Direction, qos| {
            family.get_or_create_owned(&[("direction", direction.name()), ("qos", qos)])
        };
        let handles =
            PerDirection::from_fn(|direction| ["1", "2"].map(|qos| handle(direction, qos)));
        Self {
            handles,
            family,
            open: HashMap::default(),
            kept: 0,
        }
    }
}

impl Latency {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "acknowledgement",
            "From PUBLISH to the PUBACK or PUBCOMP that ends its exchange, by direction and QoS of the PUBLISH",
            Unit::Seconds,
            self.family.clone(),
        );
    }

    pub(super) fn frame(&mut self, frame: &MQTTFrame<'_>) {
        let kind = frame.header.packet_type();
        let Some(id) = frame.packet.packet_id() else {
            return;
        };
        let number = frame.connection.number;
        match kind {
            PacketType::Publish if matches!(frame.header.qos(), 1 | 2) => {
                let begun = (frame.header.qos(), frame.time);
                let known = self.open.get_mut(&number);
                if let Some(known) = known.and_then(|of| of.get_mut(&(frame.direction, id))) {
                    // A second copy is the same message.
                    if !frame.header.dup() {
                        *known = begun;
                    }
                } else if self.kept < limits::MEASURED_EXCHANGES {
                    let of = self.open.entry(number).or_default();
                    of.insert((frame.direction, id), begun);
                    self.kept += 1;
                }
            }
            PacketType::Puback | PacketType::Pubcomp | PacketType::Pubrec => {
                let failed = frame.packet.code().is_some_and(|code| code >= 0x80);
                if kind == PacketType::Pubrec && !failed {
                    return;
                }
                let direction = frame.direction.reversed();
                let of = self.open.get_mut(&number);
                let Some((qos, begun)) = of.and_then(|of| of.remove(&(direction, id))) else {
                    return;
                };
                self.kept -= 1;
                let expected = match kind {
                    PacketType::Puback => 1,
                    _ => 2,
                };
                if qos == expected && kind != PacketType::Pubrec {
                    let [of_1, of_2] = &self.handles[direction];
                    let histogram = if qos == 1 { of_1 } else { of_2 };
                    histogram.observe(frame.time.since(begun).as_secs_f64());
                }
            }
            _ => {}
        }
    }

    /// Nothing more comes of a connection.
    pub(super) fn closed(&mut self, number: u64) {
        if let Some(of) = self.open.remove(&number) {
            self.kept -= of.len();
        }
    }
}

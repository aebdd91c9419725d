//! Latency of acknowledgements: from PUBLISH to the PUBACK or PUBCOMP that ends its
//! exchange, by capture times.
//!
//! ```text
//! PUBLISH (first copy) ──────────────→ PUBACK              QoS 1
//! PUBLISH ─→ PUBREC ─→ PUBREL ───────→ PUBCOMP             QoS 2
//! PUBLISH ─→ PUBREC of 0x80 and above  no acknowledgement, not counted
//! ```

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Labels;
use crate::facts::{FrameFact, Role};
use crate::frame::{Direction, PerDirection};
use crate::mqtt::PacketType;

type Histograms = Family<Labels<2>, Histogram, fn() -> Histogram>;

/// Upper bounds of the buckets in seconds, for a broker on the same machine, a
/// network, a mobile network, and a fault.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 20.0,
];

/// Measures exchanges.
#[derive(Debug)]
pub(super) struct Latency {
    family: Histograms,
    /// By direction of the PUBLISH and QoS 1 and 2.
    handles: PerDirection<[Histogram; 2]>,
}

impl Default for Latency {
    fn default() -> Self {
        let new: fn() -> Histogram = || Histogram::new(BUCKETS);
        let family = Histograms::new_with_constructor(new);
        let handle = |direction: Direction, qos| {
            family.get_or_create_owned(&[("direction", direction.name()), ("qos", qos)])
        };
        let handles =
            PerDirection::from_fn(|direction| ["1", "2"].map(|qos| handle(direction, qos)));
        Self { handles, family }
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

    pub(super) fn frame(&self, fact: &FrameFact<'_>) {
        let Some(exchange) = fact.exchange.filter(|exchange| {
            exchange.is_message() && exchange.role == Role::Completes && exchange.doubt.is_none()
        }) else {
            return;
        };
        let of_direction = &self.handles[exchange.asked];
        let histogram = match fact.frame.header.packet_type() {
            PacketType::Puback => &of_direction[0],
            PacketType::Pubcomp => &of_direction[1],
            // PUBREC of 0x80 and above.
            _ => return,
        };
        if let Some(took) = exchange.since_first(fact.frame) {
            histogram.observe(took.as_secs_f64());
        }
    }
}

//! Metrics for Prometheus: counters and a histogram.
//!
//! ```text
//! engine ─frame, event, packet→ Metrics ─┬─ handles: atomic, one for each label set
//!                    judge ─Tally→       │                      │
//!                                        └─ Ledger (bytes) ─→ settle
//!                                                               ↓
//!                              HTTP server ←─text── Exposition
//! ```
//!
//! Counting adds to an existing atomic; only the first of a kind has to wait while an
//! [`Exposition`] is being written, which takes well under a millisecond. So the HTTP
//! server never delays the capture.
//!
//! Labels have fixed sets of values (types, directions, rules, layers), never text
//! from the wire: no topic, no client, no address. So the number of time series is
//! limited, whatever is captured. `docs/metrics.md` lists all metrics.

mod latency;

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::event::{ConnectionEnd, Event, EventKind, Side};
use crate::facts::{Fact, Needs, Sink};
use crate::frame::{Direction, MQTTFrame};
use crate::mqtt::PacketType;
use crate::overhead::{self, Layer, Ledger, Totals};
use crate::rules::Tally;
use crate::time::Timestamp;

use latency::Latency;

/// Labels with their values.
type Labels<const N: usize> = [(&'static str, &'static str); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;

/// Counts facts: a [`Sink`].
#[derive(Debug)]
pub struct Metrics {
    exposition: Exposition,
    /// By type, direction and QoS; types other than PUBLISH have one QoS.
    messages: Vec<Option<Counter>>,
    latency: Latency,
    ledger: Ledger,
    families: Families,
    /// Sums already passed on.
    passed: Totals,
    found: Vec<u64>,
    dropped: [u64; 2],
    counts_drops: bool,
}

/// The metrics as text, for use from any thread.
#[derive(Clone, Debug)]
pub struct Exposition(Arc<Registry>);

#[derive(Debug, Default)]
struct Families {
    messages: Counters<3>,
    bytes: Counters<1>,
    other_bytes: Counter,
    packets: Counter,
    dropped: Counters<1>,
    findings: Counters<3>,
    gaps: Counters<1>,
    gap_bytes: Counters<1>,
    connections: Counter,
    closed: Counters<1>,
    open: Gauge,
    time: Gauge<f64, std::sync::atomic::AtomicU64>,
}

const QOS: [&str; 4] = ["0", "1", "2", "3"];

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for Metrics {
    fn needs(&self) -> Needs {
        self.ledger.needs() | Needs::EXCHANGES
    }

    fn fact(&mut self, fact: Fact<'_>) {
        match fact {
            Fact::Frame(fact) => {
                self.frame(fact.frame);
                self.latency.frame(&fact);
            }
            Fact::Event(event) => self.event(event),
            Fact::Ended(ended) => self.ended(ended),
            Fact::Packet(captured) => self.time(captured.time),
            _ => {}
        }
        self.ledger.fact(fact);
    }
}

impl Metrics {
    /// Nothing was counted yet.
    pub fn new() -> Self {
        let families = Families::default();
        let latency = Latency::default();
        // Counters of rare events exist from the start, as zero: alerts on an
        // increase need an initial value.
        for by in ["kernel", "interface", "capture"] {
            families.dropped.get_or_create(&[("by", by)]).inc_by(0);
        }
        for direction in Direction::ALL {
            let labels = [("direction", direction.name())];
            families.gaps.get_or_create(&labels).inc_by(0);
            families.gap_bytes.get_or_create(&labels).inc_by(0);
        }
        let mut registry = Registry::with_prefix("mqttdump");
        families.register(&mut registry);
        latency.register(&mut registry);
        Self {
            exposition: Exposition(Arc::new(registry)),
            messages: vec![None; PacketType::ALL.len() * 2 * QOS.len()],
            latency,
            ledger: Ledger::new(overhead::Options {
                sums_only: true,
                ..overhead::Options::default()
            }),
            families,
            passed: Totals::default(),
            found: Vec::new(),
            dropped: [0; 2],
            counts_drops: false,
        }
    }

    /// The text to serve.
    pub fn exposition(&self) -> Exposition {
        self.exposition.clone()
    }

    fn time(&self, now: Timestamp) {
        self.families.time.set(now.nanos() as f64 / 1e9);
    }

    fn frame(&mut self, frame: &MQTTFrame<'_>) {
        let kind = frame.header.packet_type();
        let qos = match kind {
            PacketType::Publish => frame.header.qos(),
            _ => 0,
        };
        let way = frame.direction as usize;
        let at = (kind as usize * 2 + way) * QOS.len() + usize::from(qos);
        if let Some(place) = self.messages.get_mut(at) {
            let counter = place.get_or_insert_with(|| {
                self.families.messages.get_or_create_owned(&[
                    ("type", kind.name()),
                    ("direction", frame.direction.name()),
                    // An empty label value counts as no label.
                    (
                        "qos",
                        match kind {
                            PacketType::Publish => QOS.get(usize::from(qos)).copied().unwrap_or(""),
                            _ => "",
                        },
                    ),
                ])
            });
            counter.inc();
        }
        if frame.missing > 0 {
            self.gap(frame.direction, Some(frame.missing));
        }
    }

    fn gap(&self, direction: Direction, bytes: Option<u64>) {
        let labels = [("direction", direction.name())];
        self.families.gaps.get_or_create(&labels).inc();
        self.families
            .gap_bytes
            .get_or_create(&labels)
            .inc_by(bytes.unwrap_or(0));
    }

    fn ended(&mut self, ended: &ConnectionEnd<'_>) {
        let labels = [("how", ended.reason.name())];
        self.families.closed.get_or_create(&labels).inc();
    }

    fn event(&mut self, event: &Event<'_>) {
        match (event.kind, event.direction) {
            (EventKind::Gap, Some(direction)) => self.gap(direction, event.bytes),
            // For an interface, `dropped` is more exact.
            (EventKind::Dropped { packets }, _) if !self.counts_drops => {
                let labels = [("by", "capture")];
                self.families.dropped.get_or_create(&labels).inc_by(packets);
            }
            _ => {}
        }
    }

    /// Sets the counts of broken rules.
    pub fn findings(&mut self, tally: &Tally) {
        for (at, counted) in tally.iter().enumerate() {
            if self.found.len() <= at {
                self.found.push(0);
            }
            let Some(passed) = self.found.get_mut(at) else {
                continue;
            };
            let more = counted.times - *passed;
            if more > 0 {
                *passed = counted.times;
                self.families
                    .findings
                    .get_or_create(&[
                        ("rule", counted.rule.id),
                        ("verdict", counted.verdict.name()),
                        ("by", counted.by.map_or("", Side::name)),
                    ])
                    .inc_by(more);
            }
        }
    }

    /// Sets the packets dropped by the kernel and by the interface.
    pub fn dropped(&mut self, kernel: u64, interface: u64) {
        self.counts_drops = true;
        let now = [kernel, interface];
        for ((by, now), passed) in ["kernel", "interface"]
            .into_iter()
            .zip(now)
            .zip(&mut self.dropped)
        {
            let more = now.saturating_sub(*passed);
            self.families
                .dropped
                .get_or_create(&[("by", by)])
                .inc_by(more);
            *passed = now.max(*passed);
        }
    }

    /// Passes on sums that are not counted individually; a few times a second is
    /// enough. `connections` is the total number of connections.
    pub fn settle(&mut self, now: Option<Timestamp>, connections: u64) {
        if let Some(now) = now {
            self.time(now);
        }
        let totals = self.ledger.totals();
        let new = totals.since(&self.passed);
        self.families.packets.inc_by(new.all.packets);
        for layer in Layer::ALL {
            let bytes = new.layers.get(layer);
            if bytes > 0 {
                self.families
                    .bytes
                    .get_or_create(&[("layer", layer.name())])
                    .inc_by(bytes);
            }
        }
        self.families.other_bytes.inc_by(new.foreign.l2);
        self.families
            .open
            .set(i64::try_from(totals.open).unwrap_or(i64::MAX));
        let more = connections.saturating_sub(self.families.connections.get());
        self.families.connections.inc_by(more);
        self.passed = totals;
    }
}

impl Families {
    fn register(&self, registry: &mut Registry) {
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of mqttdump", version);
        registry.register(
            "messages",
            "MQTT control packets, by type, direction and, of PUBLISH, QoS",
            self.messages.clone(),
        );
        registry.register(
            "bytes",
            "Bytes on the wire of MQTT connections, by layer",
            self.bytes.clone(),
        );
        registry.register(
            "other_bytes",
            "Bytes on the wire of all other captured traffic",
            self.other_bytes.clone(),
        );
        registry.register(
            "packets_captured",
            "Packets captured and read",
            self.packets.clone(),
        );
        registry.register(
            "packets_dropped",
            "Packets dropped by the kernel or the interface",
            self.dropped.clone(),
        );
        registry.register(
            "findings",
            "Findings of check, repetitions included",
            self.findings.clone(),
        );
        registry.register(
            "gaps",
            "Gaps: byte ranges of MQTT streams missing from the capture",
            self.gaps.clone(),
        );
        registry.register(
            "gap_bytes",
            "Bytes of gaps whose size is known",
            self.gap_bytes.clone(),
        );
        registry.register(
            "connections",
            "TCP connections that carried MQTT",
            self.connections.clone(),
        );
        registry.register(
            "connections_closed",
            "Closed connections, by reason",
            self.closed.clone(),
        );
        registry.register("connections_open", "Open connections", self.open.clone());
        registry.register_with_unit(
            "capture_time",
            "Capture time up to which everything is counted, in seconds since 1970",
            Unit::Seconds,
            self.time.clone(),
        );
    }
}

impl Exposition {
    /// The media type of the text.
    pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// The current values.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.0);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_never_happen_is_zero_from_the_start() {
        let text = Metrics::new().exposition().text();
        for line in [
            "mqttdump_packets_dropped_total{by=\"kernel\"} 0",
            "mqttdump_gaps_total{direction=\"up\"} 0",
            "mqttdump_connections_open 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn counts_of_the_kernel_are_passed_on_once() {
        let mut metrics = Metrics::new();
        metrics.dropped(3, 0);
        metrics.dropped(5, 1);
        // A counter that restarts does not give a negative number.
        metrics.dropped(1, 1);
        let text = metrics.exposition().text();
        assert!(text.contains("dropped_total{by=\"kernel\"} 5\n"), "{text}");
        assert!(
            text.contains("dropped_total{by=\"interface\"} 1\n"),
            "{text}"
        );
    }
}

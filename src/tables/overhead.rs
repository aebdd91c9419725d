//! Rows of `overhead`.

use super::known::Known;
use super::rows::Shape;
use super::sheet::{Sheet, To};
use crate::overhead::{Cause, Cost, Ledger, Measures, Mechanism, Options};

/// Gathers costs, and writes their rows.
#[derive(Debug)]
pub(super) struct Overhead {
    pub(super) ledger: Ledger,
    /// Memory for the parts of a cost.
    parts: Vec<Part>,
}

/// What is a row of its own: the bytes of a cause in a layer.
#[derive(Debug)]
struct Part {
    /// The numbers of layer, purpose and mechanism.
    names: [u64; 3],
    bytes: u64,
}

impl Overhead {
    pub(super) fn new() -> Self {
        let options = Options {
            costs: true,
            sums_only: true,
            ..Options::default()
        };
        Self {
            ledger: Ledger::new(options),
            parts: Vec::new(),
        }
    }

    /// Writes all costs that are known.
    pub(super) fn write(&mut self, known: &Known, sheet: &mut Sheet, to: &mut To<'_>) {
        let Self { ledger, parts } = self;
        write(ledger, parts, known, sheet, to);
    }

    /// The capture has ended: writes all.
    pub(super) fn finish(&mut self, known: &Known, sheet: &mut Sheet, to: &mut To<'_>) {
        let Self { ledger, parts } = self;
        ledger.close_all(|ledger| write(ledger, parts, known, sheet, to));
    }
}

fn write(
    ledger: &mut Ledger,
    parts: &mut Vec<Part>,
    known: &Known,
    sheet: &mut Sheet,
    to: &mut To<'_>,
) {
    ledger.drain_costs(|of| {
        cost(&of, parts, known, sheet);
        sheet.write(to);
    });
}

/// The rows of a message, or of what no message of a connection owns: one for each
/// layer and cause that has bytes.
fn cost(cost: &Cost<'_>, parts: &mut Vec<Part>, known: &Known, sheet: &mut Sheet) {
    let Some(info) = known.get(cost.connection) else {
        return;
    };
    let message = cost.message;
    if !message.map_or(info.is_selected, |message| message.is_selected) {
        return;
    }
    let (packet, time) = message.map_or(info.first, |message| (message.packet, message.time));
    let rows = sheet.row(time, Some(info.server));
    parts.clear();
    for (cause, measures) in cost.bytes {
        for (at, bytes) in layers(measures).iter().enumerate() {
            if *bytes > 0 {
                let names = || [LAYERS[at], cause.0.name(), cause.1.name()];
                let names = rows.kind(kind(*cause, at), LAYER, names);
                parts.push(Part {
                    names,
                    bytes: *bytes,
                });
            }
        }
    }
    if parts.is_empty() {
        return;
    }
    rows.of(info.stamp);
    rows.shape(Some(Shape {
        file: packet.file,
        form: message.map_or(0, |message| {
            1 | (message.exchange.direction as u64) << 1 | u64::from(message.qos) << 2
        }),
    }));
    rows.alike::<1>(|rows| rows.shared(known.file(packet)));
    rows.number(packet.number);
    rows.time(time);
    rows.common::<3>(|rows| {
        rows.number(cost.connection);
        rows.shared(&info.uid);
        rows.optional_shared(info.session_uid.as_ref());
    });
    rows.exchange(&info.uid, message.map(|message| message.exchange));
    rows.common::<1>(|rows| rows.text(info.client_id.as_deref()));
    rows.topic(message.and_then(|message| message.topic.as_ref()));
    rows.alike::<2>(|rows| {
        rows.optional(message.map(|message| message.qos));
        rows.optional_name(message.map(|message| message.exchange.direction.name()));
    });
    rows.dense_each(parts.iter().map(|part| part.names[0]));
    rows.each(parts.iter().map(|part| part.names[1]));
    rows.dense_each(parts.iter().map(|part| part.names[2]));
    rows.dense_each(parts.iter().map(|part| part.bytes));
    rows.end_each(parts.len() as u32);
}

/// The column `layer`, the first that differs between the rows of a cost.
const LAYER: usize = 11;

/// The layers, from the outside.
const LAYERS: [&str; 5] = ["link", "ip_tcp", "tls_websocket", "mqtt", "payload"];

/// The bytes of each: the difference of two levels.
fn layers(measures: &Measures) -> [u64; 5] {
    [
        measures.l2 - measures.l3,
        measures.l3 - measures.tcp,
        measures.tcp - measures.mqtt,
        measures.mqtt - measures.app,
        measures.app,
    ]
}

/// A number for each cause and layer.
fn kind(cause: Cause, layer: usize) -> usize {
    let cause = cause.0 as usize * Mechanism::ALL.len() + cause.1 as usize;
    cause * LAYERS.len() + layer
}

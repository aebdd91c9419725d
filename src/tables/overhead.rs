//! Rows of `overhead`.

use super::known::Known;
use super::sheet::{Sheet, To};
use crate::overhead::{Cause, Cost, Ledger, Measures, Mechanism};

/// The rows of all costs that are known.
pub(super) fn costs(ledger: &mut Ledger, known: &Known, sheet: &mut Sheet, to: &mut To<'_>) {
    ledger.drain_costs(|of| {
        cost(&of, known, sheet);
        sheet.write(to);
    });
}

/// The rows of a message, or of what no message of a connection owns: one for each
/// layer and cause that has bytes.
fn cost(cost: &Cost<'_>, known: &Known, sheet: &mut Sheet) {
    let Some(info) = known.get(cost.connection) else {
        return;
    };
    let message = cost.message;
    if !message.map_or(info.is_selected, |message| message.is_selected) {
        return;
    }
    let (packet, time) = message.map_or(info.first, |message| (message.packet, message.time));
    let rows = sheet.row(time, Some(info.server));
    rows.of(info.stamp);
    let mut is_first = true;
    for (cause, measures) in cost.bytes {
        for (at, bytes) in layers(measures).iter().enumerate() {
            if *bytes == 0 {
                continue;
            }
            if std::mem::take(&mut is_first) {
                rows.shared(known.file(packet));
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
                rows.optional(message.map(|message| message.qos));
                rows.optional_name(message.map(|message| message.exchange.direction.name()));
            } else {
                rows.same_until(LAYER);
            }
            let kind = kind(*cause, at);
            if let Some([layer, purpose, mechanism]) = rows.kind(kind) {
                rows.dense(layer);
                rows.known(purpose);
                rows.dense(mechanism);
            } else {
                rows.name(LAYERS[at]);
                rows.name(cause.0.name());
                rows.name(cause.1.name());
                rows.remember_kind(kind);
            }
            rows.dense(*bytes);
            rows.end();
        }
    }
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

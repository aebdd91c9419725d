//! Rows of `overhead`.

use super::known::Known;
use super::sheet::Sheet;
use crate::overhead::{Cost, Measures};

/// The rows of a message, or of what no message of a connection owns: one for each
/// layer and cause that has bytes.
pub(super) fn cost(cost: &Cost, known: &Known, sheet: &mut Sheet) {
    let Some(info) = known.get(cost.connection) else {
        return;
    };
    let message = cost.message.as_ref();
    if !message.map_or(info.is_selected, |message| message.is_selected) {
        return;
    }
    if cost.bytes.iter().all(|(_, measures)| measures.l2 == 0) {
        return;
    }
    let (packet, time) = message.map_or(info.first, |message| (message.packet, message.time));
    let rows = sheet.row(time, Some(info.server));
    rows.of(info.stamp);
    let mut is_first = true;
    for (cause, measures) in &cost.bytes {
        for (layer, bytes) in layers(measures) {
            if bytes == 0 {
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
                rows.text(message.and_then(|message| message.topic.as_deref()));
                rows.optional(message.map(|message| message.qos));
                rows.optional_name(message.map(|message| message.exchange.direction.name()));
            } else {
                rows.same_until(LAYER);
            }
            rows.name(layer);
            rows.name(cause.0.name());
            rows.name(cause.1.name());
            rows.number(bytes);
            rows.end();
        }
    }
}

/// The column `layer`, the first that differs between the rows of a cost.
const LAYER: usize = 11;

/// The difference of two levels is a layer.
fn layers(measures: &Measures) -> [(&'static str, u64); 5] {
    [
        ("link", measures.l2 - measures.l3),
        ("ip_tcp", measures.l3 - measures.tcp),
        ("tls_websocket", measures.tcp - measures.mqtt),
        ("mqtt", measures.mqtt - measures.app),
        ("payload", measures.app),
    ]
}

//! Rows of `overhead`.

use super::known::Known;
use super::sheet::Sheet;
use crate::overhead::{Cost, Measures};
use crate::report;

/// The rows of a message, or of what no message of a connection owns: one for each
/// layer and cause that has bytes.
pub(super) fn cost(cost: &Cost, text: &mut Vec<u8>, known: &Known, sheet: &mut Sheet) {
    let Some(info) = known.get(cost.connection) else {
        return;
    };
    let message = cost.message.as_ref();
    let (packet, time) = message.map_or(info.first, |message| (message.packet, message.time));
    text.clear();
    if let Some(message) = message {
        report::put_exchange_uid(&info.uid, message.exchange, text);
    }
    for (cause, measures) in &cost.bytes {
        for (layer, bytes) in layers(measures) {
            if bytes == 0 {
                continue;
            }
            let rows = sheet.row(time, Some(info.server));
            rows.word(known.file(packet));
            rows.number(packet.number);
            rows.time(time);
            rows.number(cost.connection);
            rows.word(&info.uid);
            rows.optional_word(info.session_uid.as_deref());
            rows.text(message.map(|_| text.as_slice()));
            rows.text(info.client_id.as_deref());
            rows.text(message.and_then(|message| message.topic.as_deref()));
            rows.optional(message.map(|message| message.qos));
            rows.optional_word(message.map(|message| message.exchange.direction.name()));
            rows.word(layer);
            rows.word(cause.0.name());
            rows.word(cause.1.name());
            rows.number(bytes);
            rows.end();
        }
    }
}

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

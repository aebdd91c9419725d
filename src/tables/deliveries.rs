//! Rows of `deliveries`.

use super::known::Known;
use super::rows::Rows;
use super::sheet::Sheet;
use crate::sessions::{Origin, Publication, Unpublished};

/// The rows of a publication: its deliveries, and subscribers without one.
pub(super) fn publication(of: &Publication, known: &Known, sheet: &mut Sheet) {
    for delivery in &of.deliveries {
        let rows = begin(of, delivery.matched.name(), known, sheet);
        rows.number(delivery.packet.number);
        rows.time(of.time.after(delivery.time));
        origin(&delivery.origin, rows);
        rows.text(delivery.client_id.as_deref());
        rows.number(delivery.qos);
        rows.flag(delivery.retained);
        rows.flag(delivery.queued);
        rows.nanos(Some(delivery.time));
        rows.null();
        rows.end();
    }
    for unseen in &of.unseen {
        let rows = begin(of, "unseen", known, sheet);
        for _ in 0..5 {
            rows.null();
        }
        rows.text(unseen.client_id.as_deref());
        for _ in 0..4 {
            rows.null();
        }
        rows.text(Some(&unseen.filter));
        rows.end();
    }
    if of.deliveries.is_empty() && of.unseen.is_empty() {
        let rows = begin(of, "none", known, sheet);
        let is_again = rows.has_same_shape(1);
        rows.group::<11>(is_again, |rows| (0..11).for_each(|_| rows.null()));
        rows.end();
    }
}

/// The columns up to `match`.
fn begin<'a>(
    of: &Publication,
    matched: &'static str,
    known: &Known,
    sheet: &'a mut Sheet,
) -> &'a mut Rows {
    let rows = sheet.row(of.time, Some(of.server));
    rows.shared(known.file(of.packet));
    rows.number(of.packet.number);
    rows.time(of.time);
    rows.endpoint(of.server);
    origin(&of.origin, rows);
    rows.text(of.client_id.as_deref());
    rows.topic(Some(&of.topic));
    rows.number(of.qos);
    rows.flag(of.retain);
    rows.dense(of.payload_len);
    rows.dense(of.digest);
    rows.name(matched);
    rows
}

/// The row of a delivery without a publication.
pub(super) fn unpublished(of: &Unpublished, known: &Known, sheet: &mut Sheet) {
    let rows = sheet.row(of.time, Some(of.server));
    rows.shared(known.file(of.packet));
    rows.number(of.packet.number);
    rows.time(of.time);
    rows.endpoint(of.server);
    for _ in 0..4 {
        rows.null();
    }
    rows.topic(Some(&of.topic));
    rows.number(of.qos);
    rows.flag(of.retained);
    rows.optional_dense(of.payload_len);
    rows.dense(of.digest);
    rows.name("unpublished");
    rows.number(of.packet.number);
    rows.time(of.time);
    origin(&of.origin, rows);
    rows.text(of.client_id.as_deref());
    rows.number(of.qos);
    rows.flag(of.retained);
    for _ in 0..3 {
        rows.null();
    }
    rows.end();
}

fn origin(origin: &Origin, rows: &mut Rows) {
    rows.shared(&origin.connection_uid);
    rows.optional_shared(origin.session_uid.as_ref());
    rows.exchange(&origin.connection_uid, origin.exchange);
}

//! Rows of `deliveries`.

use std::sync::Arc;

use super::known::Known;
use super::rows::{Rows, Shape};
use super::sheet::Sheet;
use crate::identity::ExchangeId;
use crate::sessions::{Peer, Publication, Unpublished};

/// Writes rows.
#[derive(Debug, Default)]
pub(super) struct Publications {
    /// Who sent the latest publication without a delivery.
    sender: Option<Arc<Peer>>,
    /// How often that changed.
    turns: u64,
}

impl Publications {
    /// The rows of a publication: its deliveries, and subscribers without one.
    pub(super) fn publication(&mut self, of: &Publication, known: &Known, sheet: &mut Sheet) {
        for delivery in &of.deliveries {
            let rows = sheet.row(of.time, Some(of.peer.server));
            rows.shape(None);
            begin(of, known, rows);
            rows.name(delivery.matched.name());
            rows.number(delivery.packet.number);
            rows.time(of.time.after(delivery.time));
            peer(&delivery.peer, delivery.exchange, rows);
            rows.number(delivery.qos);
            rows.flag(delivery.retained);
            rows.flag(delivery.queued);
            rows.nanos(Some(delivery.time));
            rows.null();
            rows.end();
        }
        for unseen in &of.unseen {
            let rows = sheet.row(of.time, Some(of.peer.server));
            rows.shape(None);
            begin(of, known, rows);
            rows.name("unseen");
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
            let rows = sheet.row(of.time, Some(of.peer.server));
            rows.shape(Some(self.shape(of)));
            begin(of, known, rows);
            rows.alike::<12>(|rows| {
                rows.name("none");
                (0..11).for_each(|_| rows.null());
            });
            rows.end();
        }
    }

    /// What publications without a delivery have in common.
    fn shape(&mut self, of: &Publication) -> Shape {
        let is_same = |peer| Arc::ptr_eq(peer, &of.peer);
        if !self.sender.as_ref().is_some_and(is_same) {
            self.sender = Some(of.peer.clone());
            self.turns += 1;
        }
        Shape {
            file: of.packet.file,
            form: self.turns << 3 | u64::from(of.retain) << 2 | u64::from(of.qos),
        }
    }
}

/// The columns up to `payload_digest`.
fn begin(of: &Publication, known: &Known, rows: &mut Rows) {
    rows.alike::<1>(|rows| rows.shared(known.file(of.packet)));
    rows.number(of.packet.number);
    rows.time(of.time);
    rows.alike::<4>(|rows| {
        rows.endpoint(of.peer.server);
        connection(&of.peer, rows);
    });
    rows.exchange(&of.peer.connection_uid, of.exchange);
    rows.alike::<1>(|rows| rows.text(of.peer.client_id.as_deref()));
    rows.topic(Some(&of.topic));
    rows.alike::<2>(|rows| {
        rows.number(of.qos);
        rows.flag(of.retain);
    });
    rows.dense(of.payload_len);
    rows.dense(of.digest);
}

/// The row of a delivery without a publication.
pub(super) fn unpublished(of: &Unpublished, known: &Known, sheet: &mut Sheet) {
    let rows = sheet.row(of.time, Some(of.peer.server));
    rows.shape(None);
    rows.shared(known.file(of.packet));
    rows.number(of.packet.number);
    rows.time(of.time);
    rows.endpoint(of.peer.server);
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
    peer(&of.peer, of.exchange, rows);
    rows.number(of.qos);
    rows.flag(of.retained);
    for _ in 0..3 {
        rows.null();
    }
    rows.end();
}

fn peer(peer: &Peer, exchange: Option<ExchangeId>, rows: &mut Rows) {
    connection(peer, rows);
    rows.exchange(&peer.connection_uid, exchange);
    rows.text(peer.client_id.as_deref());
}

fn connection(peer: &Peer, rows: &mut Rows) {
    rows.shared(&peer.connection_uid);
    rows.optional_shared(peer.session_uid.as_ref());
}

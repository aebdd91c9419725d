//! Rows of `deliveries`.

use std::sync::Arc;

use super::known::Known;
use super::rows::{Rows, Shape};
use super::sheet::Sheet;
use crate::sessions::{Origin, Publication, Unpublished};

/// Writes rows.
#[derive(Debug, Default)]
pub(super) struct Publications {
    /// The sender of the publication before, and how many there were: neighbours are equal.
    sender: Option<Sender>,
    senders: u64,
}

/// Who sent a publication, and where.
#[derive(Debug)]
struct Sender {
    connection_uid: Arc<str>,
    session_uid: Option<Arc<str>>,
    client_id: Option<Arc<[u8]>>,
}

impl Sender {
    fn of(of: &Publication) -> Self {
        Self {
            connection_uid: of.origin.connection_uid.clone(),
            session_uid: of.origin.session_uid.clone(),
            client_id: of.client_id.clone(),
        }
    }

    /// Whether it is the same, as far as can be told without comparing texts.
    #[inline]
    fn has_sent(&self, of: &Publication) -> bool {
        Arc::ptr_eq(&self.connection_uid, &of.origin.connection_uid)
            && is_shared(&self.session_uid, &of.origin.session_uid)
            && is_shared(&self.client_id, &of.client_id)
    }
}

#[inline]
fn is_shared<T: ?Sized>(one: &Option<Arc<T>>, other: &Option<Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

impl Publications {
    /// The rows of a publication: its deliveries, and subscribers without one.
    pub(super) fn publication(&mut self, of: &Publication, known: &Known, sheet: &mut Sheet) {
        for delivery in &of.deliveries {
            let rows = sheet.row(of.time, Some(of.server));
            rows.shape(None);
            begin(of, known, rows);
            rows.name(delivery.matched.name());
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
            let rows = sheet.row(of.time, Some(of.server));
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
            let rows = sheet.row(of.time, Some(of.server));
            rows.shape(Some(self.shape(of)));
            begin(of, known, rows);
            rows.alike::<12>(|rows| {
                rows.name("none");
                (0..11).for_each(|_| rows.null());
            });
            rows.end();
        }
    }

    /// What publications have in common that were not delivered.
    fn shape(&mut self, of: &Publication) -> Shape {
        if !self.sender.as_ref().is_some_and(|it| it.has_sent(of)) {
            self.sender = Some(Sender::of(of));
            self.senders += 1;
        }
        Shape {
            file: of.packet.file,
            kind: self.senders << 3 | u64::from(of.retain) << 2 | u64::from(of.qos),
        }
    }
}

/// The columns up to `payload_digest`.
fn begin(of: &Publication, known: &Known, rows: &mut Rows) {
    rows.alike::<1>(|rows| rows.shared(known.file(of.packet)));
    rows.number(of.packet.number);
    rows.time(of.time);
    rows.alike::<4>(|rows| {
        rows.endpoint(of.server);
        connection(&of.origin, rows);
    });
    rows.exchange(&of.origin.connection_uid, of.origin.exchange);
    rows.alike::<1>(|rows| rows.text(of.client_id.as_deref()));
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
    let rows = sheet.row(of.time, Some(of.server));
    rows.shape(None);
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
    connection(origin, rows);
    rows.exchange(&origin.connection_uid, origin.exchange);
}

fn connection(origin: &Origin, rows: &mut Rows) {
    rows.shared(&origin.connection_uid);
    rows.optional_shared(origin.session_uid.as_ref());
}

//! One row per connection.

use super::super::cells::{self, Row};
use super::super::utc::Utc;
use super::super::{Format, Report};
use super::{Connections, ConnectionsItem, ConnectionsNeeds};
use crate::sessions::Record;
use crate::time::Timestamp;

/// `sessions --format csv`
pub(super) static CSV: Format<Connections> = Format {
    name: "csv",
    help: "one row per connection",
    needs: ConnectionsNeeds { deliveries: false },
    new: |options| {
        Box::new(Rows {
            many: options.many,
            row: Row::new(options.csv_safe),
            utc: Utc::default(),
        })
    },
};

const HEADINGS: [&str; 24] = [
    "connection",
    "connection_uid",
    "session_uid",
    "client_id",
    "username",
    "version",
    "transport",
    "client",
    "server",
    "opened",
    "closed",
    "duration_s",
    "keep_alive",
    "messages_up",
    "messages_down",
    "bytes_up",
    "bytes_down",
    "connect_ms",
    "violations",
    "warnings",
    "close_by",
    "close_cause",
    "close_certainty",
    "close_message",
];

struct Rows {
    many: bool,
    row: Row,
    utc: Utc,
}

impl Report<Connections> for Rows {
    fn begin(&mut self, out: &mut Vec<u8>) {
        let file = self.many.then_some("file");
        cells::heading(file.into_iter().chain(HEADINGS), out);
    }

    fn put(&mut self, item: &ConnectionsItem<'_>, out: &mut Vec<u8>) {
        match item {
            ConnectionsItem::Capture(capture) => {
                for record in capture.records {
                    self.row(capture.name, record, out);
                }
            }
            ConnectionsItem::Closed(name, record) => self.row(name, record, out),
            ConnectionsItem::Deliveries(_) => {}
        }
    }
}

impl Rows {
    fn row(&mut self, name: &str, record: &Record, out: &mut Vec<u8>) {
        if self.many {
            self.row.file(name);
        }
        self.record(record);
        self.row.put(out);
    }

    fn record(&mut self, record: &Record) {
        let row = &mut self.row;
        row.number(Some(record.connection));
        row.word(&record.uid);
        row.word(record.session_uid.as_deref().unwrap_or_default());
        row.text(record.client_id.as_deref());
        row.text(record.username.as_deref());
        row.word(
            &record
                .version
                .map(|version| version.to_string())
                .unwrap_or_default(),
        );
        row.word(record.transport.name());
        row.word(&record.client.to_string());
        row.word(&record.server.to_string());
        let utc = &mut self.utc;
        let mut time = |at: Option<Timestamp>| {
            row.cell(|cell| at.into_iter().for_each(|at| utc.put(at, cell)));
        };
        time(record.opened);
        time(record.closed);
        let real = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        row.word(&real(
            record.duration().map(|time| time.as_nanos() as f64 / 1e9),
        ));
        row.number(record.keep_alive);
        for by_qos in [record.messages.up, record.messages.down] {
            row.number(Some(by_qos.iter().sum::<u64>()));
        }
        row.number(Some(record.bytes.up));
        row.number(Some(record.bytes.down));
        row.word(&real(
            record
                .latency
                .connect
                .map(|time| time.as_nanos() as f64 / 1e6),
        ));
        row.number(Some(record.violations));
        row.number(Some(record.warnings));
        row.word(record.close.by.name());
        row.word(record.close.cause.name());
        row.word(record.close.certainty.name());
        row.text(Some(record.close.message.as_bytes()));
    }
}

//! One row per connection.

use csv::{ByteRecord, WriterBuilder};

use super::{SessionsFormat, SessionsOptions, visible};
use crate::sessions::Record;

/// `sessions --format csv`
pub(super) static CSV: SessionsFormat = SessionsFormat {
    name: "csv",
    help: "one row per connection",
    put: |records, options, out| records.iter().for_each(|record| row(record, options, out)),
    put_deliveries: None,
    begin: |out| put(&HEADINGS.iter().collect(), out),
};

const HEADINGS: [&str; 24] = [
    "file",
    "connection",
    "connection_uid",
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

fn put(record: &ByteRecord, out: &mut Vec<u8>) {
    let mut writer = WriterBuilder::new().from_writer(&mut *out);
    // A Vec takes everything, and every row has the same number of cells.
    let _ = writer.write_byte_record(record);
    let _ = writer.flush();
}

fn row(record: &Record, options: &SessionsOptions, out: &mut Vec<u8>) {
    let text = |bytes: Option<&[u8]>| bytes.map(visible).unwrap_or_default();
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let time = |at: Option<crate::time::Timestamp>| {
        let mut out = Vec::new();
        if let Some(at) = at {
            super::super::utc::Utc::default().put(at, &mut out);
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    let cells: [String; 24] = [
        options.file.clone().unwrap_or_default(),
        record.connection.to_string(),
        record.uid.clone(),
        text(record.client_id.as_deref()),
        text(record.username.as_deref()),
        record
            .version
            .map(|version| version.to_string())
            .unwrap_or_default(),
        record.transport.name().to_owned(),
        record.client.to_string(),
        record.server.to_string(),
        time(record.opened),
        time(record.closed),
        number(record.duration().map(|time| time.as_nanos() as f64 / 1e9)),
        record
            .keep_alive
            .map(|seconds| seconds.to_string())
            .unwrap_or_default(),
        record.messages.up.iter().sum::<u64>().to_string(),
        record.messages.down.iter().sum::<u64>().to_string(),
        record.bytes.up.to_string(),
        record.bytes.down.to_string(),
        number(
            record
                .latency
                .connect
                .map(|time| time.as_nanos() as f64 / 1e6),
        ),
        record.violations.to_string(),
        record.warnings.to_string(),
        record.close.by.name().to_owned(),
        record.close.cause.name().to_owned(),
        record.close.certainty.name().to_owned(),
        record.close.message.clone(),
    ];
    put(&cells.iter().map(String::as_bytes).collect(), out);
}

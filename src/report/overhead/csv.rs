//! The account as tables: a row for each message, or for each topic, QoS and
//! direction.

use super::super::cells::{self, Row};
use super::super::{Format, Options, Report};
use super::{Overhead, OverheadItem, OverheadNeeds};
use crate::overhead::{ConnectionAccount, Group, GroupKey, Message};

/// `overhead --format csv`
pub(super) static CSV: Format<Overhead> = Format {
    name: "csv",
    help: "a row for each message",
    needs: OverheadNeeds { messages: true },
    new: |options| Box::new(Rows::new(options, false)),
};

/// `overhead --format csv-topics`
pub(super) static TOPICS: Format<Overhead> = Format {
    name: "csv-topics",
    help: "a row for each topic, QoS and direction",
    needs: OverheadNeeds { messages: false },
    new: |options| Box::new(Rows::new(options, true)),
};

const MESSAGE: [&str; 15] = [
    "connection",
    "client_id",
    "version",
    "n",
    "first_frame",
    "dir",
    "qos",
    "topic",
    "by_alias",
    "payload",
    "packet",
    "marginal",
    "up",
    "down",
    "loaded",
];

const TOPIC: [&str; 14] = [
    "topic", "dir", "qos", "n", "by_alias", "payload", "packets", "up", "down", "min", "mean",
    "median", "p99", "max",
];

struct Rows {
    many: bool,
    topics: bool,
    row: Row,
}

impl Rows {
    fn new(options: &Options, topics: bool) -> Self {
        Self {
            many: options.many,
            topics,
            row: Row::new(options.csv_safe),
        }
    }
}

impl Report<Overhead> for Rows {
    fn begin(&mut self, out: &mut Vec<u8>) {
        let columns: &[&str] = if self.topics { &TOPIC } else { &MESSAGE };
        let file = self.many.then_some("file");
        cells::heading(file.into_iter().chain(columns.iter().copied()), out);
    }

    fn put(&mut self, item: &OverheadItem<'_>, out: &mut Vec<u8>) {
        let OverheadItem::Capture(counted) = item else {
            return;
        };
        let account = counted.figures.account;
        let topic = |topic: u32| &*account.topics[topic as usize].name;
        let file = self.many.then_some(counted.name);
        let row = &mut self.row;
        if self.topics {
            for (key, group) in &account.groups {
                file.inspect(|name| row.file(name));
                put_topic(topic(key.topic), key, group, row);
                row.put(out);
            }
            return;
        }
        for connection in &account.connections {
            for message in &connection.messages {
                file.inspect(|name| row.file(name));
                put_message(topic(message.topic), connection, message, row);
                row.put(out);
            }
        }
    }
}

fn put_message(topic: &[u8], connection: &ConnectionAccount, message: &Message, row: &mut Row) {
    row.number(Some(connection.number));
    row.text(connection.client_id.as_deref());
    row.word(connection.version.map_or("", |version| version.name()));
    row.number(Some(message.number));
    row.number(Some(message.completed_by.number));
    row.word(message.direction.name());
    row.number(Some(message.qos));
    row.text(Some(topic));
    row.flag(message.by_alias);
    row.number(message.payload);
    row.number(Some(message.packet));
    row.number(Some(message.marginal()));
    row.number(Some(message.bytes.up));
    row.number(Some(message.bytes.down));
    row.number(Some(message.loaded()));
}

fn put_topic(topic: &[u8], key: &GroupKey, group: &Group, row: &mut Row) {
    let costs = &group.costs;
    row.text(Some(topic));
    row.word(key.direction.name());
    row.number(Some(key.qos));
    row.number(Some(costs.n()));
    row.number(Some(group.by_alias));
    row.number(Some(costs.payload));
    row.number(Some(costs.packets));
    row.number(Some(costs.bytes.up));
    row.number(Some(costs.bytes.down));
    row.number(costs.marginal.min());
    row.word(&format!("{:.2}", costs.marginal.mean().unwrap_or(0.0)));
    row.number(costs.marginal.quantile(0.5));
    row.number(costs.marginal.quantile(0.99));
    row.number(costs.marginal.max());
}

//! The account as tables: a row for each message, or for each topic, QoS and
//! direction.

use super::{Counted, OverheadFormat, OverheadOptions, OverheadReport};
use crate::overhead::{ConnectionAccount, Group, GroupKey, Message};

/// `overhead --format csv`
pub(super) const CSV: OverheadFormat = OverheadFormat {
    name: "csv",
    help: "a row for each message",
    messages: true,
    new: |options: &OverheadOptions| Box::new(Rows::new(options, false)),
};

/// `overhead --format csv-topics`
pub(super) const TOPICS: OverheadFormat = OverheadFormat {
    name: "csv-topics",
    help: "a row for each topic, QoS and direction",
    messages: false,
    new: |options: &OverheadOptions| Box::new(Rows::new(options, true)),
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
    begun: bool,
}

impl Rows {
    fn new(options: &OverheadOptions, topics: bool) -> Self {
        Self {
            many: options.many,
            topics,
            begun: false,
        }
    }
}

impl OverheadReport for Rows {
    fn capture(&mut self, counted: &Counted<'_>, out: &mut Vec<u8>) {
        let account = counted.figures.account;
        let name = |topic: u32| String::from_utf8_lossy(&account.topics[topic as usize].name);
        let many = self.many;
        let mut table = csv::Writer::from_writer(out);
        let mut write = |file: &str, row: Vec<String>| {
            let row = many.then(|| file.to_owned()).into_iter().chain(row);
            // Writing to memory cannot fail, and all rows are of one length.
            let _ = table.write_record(row.collect::<Vec<_>>());
        };
        if !std::mem::replace(&mut self.begun, true) {
            let head: &[&str] = if self.topics { &TOPIC } else { &MESSAGE };
            write("file", head.iter().map(|name| (*name).to_owned()).collect());
        }
        if self.topics {
            for (key, group) in &account.groups {
                write(counted.name, topic_row(&name(key.topic), key, group));
            }
            return;
        }
        for connection in &account.connections {
            for message in &connection.messages {
                let row = message_row(&name(message.topic), connection, message);
                write(counted.name, row);
            }
        }
    }

    fn finish(&mut self, _out: &mut Vec<u8>) {}
}

fn message_row(topic: &str, connection: &ConnectionAccount, message: &Message) -> Vec<String> {
    let id = connection.client_id.as_deref().unwrap_or_default();
    let version = connection.version.map(|version| version.to_string());
    vec![
        connection.number.to_string(),
        String::from_utf8_lossy(id).into_owned(),
        version.unwrap_or_default(),
        message.number.to_string(),
        message.completed_by.number.to_string(),
        message.direction.name().to_owned(),
        message.qos.to_string(),
        topic.to_owned(),
        message.by_alias.to_string(),
        message.payload.map(|n| n.to_string()).unwrap_or_default(),
        message.packet.to_string(),
        message.marginal().to_string(),
        message.bytes.up.to_string(),
        message.bytes.down.to_string(),
        message.loaded().to_string(),
    ]
}

fn topic_row(topic: &str, key: &GroupKey, group: &Group) -> Vec<String> {
    let costs = &group.costs;
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    vec![
        topic.to_owned(),
        key.direction.name().to_owned(),
        key.qos.to_string(),
        costs.n().to_string(),
        group.by_alias.to_string(),
        costs.payload.to_string(),
        costs.packets.to_string(),
        costs.bytes.up.to_string(),
        costs.bytes.down.to_string(),
        number(costs.marginal.min()),
        format!("{:.2}", costs.marginal.mean().unwrap_or(0.0)),
        number(costs.marginal.quantile(0.5)),
        number(costs.marginal.quantile(0.99)),
        number(costs.marginal.max()),
    ]
}

//! The account as JSON: one document, or a line for each interval and one for the
//! whole capture. Bytes are integers, and counters that are zero are omitted; numbers
//! that are not integers are under `derived`, with their unit and formula.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::super::utc::Utc;
use super::super::{Format, Report, json};
use super::{Counted, Overhead, OverheadItem, OverheadNeeds, Passed};
use crate::frame::{Direction, PerDirection};
use crate::overhead::{
    Account, Bill, Causes, ConnectionAccount, Costs, Figures, Layers, Message, Ratios, Saving,
    TAILS_MILLIS, Term, Topic,
};
use crate::time::Timestamp;

/// `overhead --format json`
pub(super) static JSON: Format<Overhead> = Format {
    name: "json",
    help: "one JSON document with every connection and message",
    needs: OverheadNeeds { messages: true },
    new: |options| {
        Box::new(Document {
            many: options.many,
            begun: false,
        })
    },
};

/// `overhead --format ndjson`
pub(super) static NDJSON: Format<Overhead> = Format {
    name: "ndjson",
    help: "one JSON object for each interval of --every, then one for the whole",
    needs: OverheadNeeds { messages: false },
    new: |_| Box::new(Lines),
};

struct Lines;

impl Report<Overhead> for Lines {
    fn put(&mut self, item: &OverheadItem<'_>, out: &mut Vec<u8>) {
        match item {
            OverheadItem::Interval(passed) => json::compact(&Part(passed), out),
            OverheadItem::Capture(counted) => json::compact(&Whole(counted), out),
        }
        out.push(b'\n');
    }
}

struct Part<'a>(&'a Passed<'a>);

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Passed {
            name,
            from,
            to,
            totals,
            control_packets,
        } = self.0;
        let level = totals.level;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("interval", &Span(*from, *to))?;
        map.serialize_entry("file", name)?;
        map.serialize_entry("level", &level.to_string())?;
        map.serialize_entry("frames", &totals.all.packets)?;
        map.serialize_entry("bytes", &totals.bytes())?;
        map.serialize_entry("foreign_frames", &totals.foreign.packets)?;
        map.serialize_entry("foreign_bytes", &level.of(&totals.foreign))?;
        map.serialize_entry("layers", &ByLayer(&totals.layers))?;
        map.serialize_entry("causes", &ByCause(&totals.causes))?;
        map.serialize_entry("control_packets", control_packets)?;
        map.serialize_entry("connections_open", &totals.open)?;
        map.end()
    }
}

struct Span(Timestamp, Timestamp);

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |time| {
            let mut text = Vec::new();
            Utc::default().put(time, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        };
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("from", &text(self.0))?;
        map.serialize_entry("to", &text(self.1))?;
        map.end()
    }
}

struct Document {
    many: bool,
    begun: bool,
}

impl Report<Overhead> for Document {
    fn put(&mut self, item: &OverheadItem<'_>, out: &mut Vec<u8>) {
        let OverheadItem::Capture(counted) = item else {
            return;
        };
        if self.many {
            out.extend_from_slice(if self.begun {
                b",\n"
            } else {
                b"{\"captures\":[\n"
            });
            self.begun = true;
        }
        json::compact(&Whole(counted), out);
        if !self.many {
            out.push(b'\n');
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.many {
            out.extend_from_slice(b"\n]}\n");
        }
    }
}

struct Whole<'a>(&'a Counted<'a>);

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let figures = self.0.figures;
        let account = figures.account;
        let level = account.level;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("file", self.0.name)?;
        map.serialize_entry("level", &level.to_string())?;
        map.serialize_entry("policy", account.share.name())?;
        map.serialize_entry("frames", &account.all.packets)?;
        map.serialize_entry("bytes", &account.bytes())?;
        map.serialize_entry("foreign_frames", &account.foreign.packets)?;
        map.serialize_entry("foreign_bytes", &level.of(&account.foreign))?;
        if account.copies.packets > 0 {
            map.serialize_entry("duplicate_frames", &account.copies.packets)?;
            map.serialize_entry("duplicate_bytes", &level.of(&account.copies))?;
        }
        map.serialize_entry("layers", &ByLayer(&account.layers))?;
        map.serialize_entry("causes", &ByCause(&account.causes))?;
        map.serialize_entry("connection_count", &account.connection_count)?;
        map.serialize_entry("message_count", &account.message_count())?;
        some(&mut map, "orphans", account.orphans)?;
        some(&mut map, "connections_omitted", account.shape.omitted)?;
        some(&mut map, "messages_omitted", account.messages_omitted)?;
        map.serialize_entry("derived", &Derived(figures))?;
        map.serialize_entry("connections", &Connections(account))?;
        map.end()
    }
}

/// A counter, unless it is zero.
fn some<M: SerializeMap>(map: &mut M, key: &'static str, value: u64) -> Result<(), M::Error> {
    match value {
        0 => Ok(()),
        value => map.serialize_entry(key, &value),
    }
}

struct ByLayer<'a>(&'a Layers);

impl Serialize for ByLayer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(layer, bytes)| (layer.name(), bytes)))
    }
}

struct ByCause<'a>(&'a Causes);

impl Serialize for ByCause<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.0.iter();
        serializer.collect_map(entries.map(|(cause, bytes)| (cause.to_string(), bytes)))
    }
}

struct Connections<'a>(&'a Account);

impl Serialize for Connections<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let account = self.0;
        let mut seq = serializer.serialize_seq(Some(account.connections.len()))?;
        for connection in &account.connections {
            seq.serialize_element(&One {
                account,
                connection,
            })?;
        }
        seq.end()
    }
}

struct One<'a> {
    account: &'a Account,
    connection: &'a ConnectionAccount,
}

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let connection = self.connection;
        let level = self.account.level;
        let PerDirection { up, down } = connection.bytes.map(|measures| level.of(&measures));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &connection.number)?;
        if let Some(id) = &connection.client_id {
            map.serialize_entry("client_id", &String::from_utf8_lossy(id))?;
        }
        if let Some(version) = connection.version {
            map.serialize_entry("version", &version.to_string())?;
        }
        map.serialize_entry("client", &connection.client.to_string())?;
        map.serialize_entry("server", &connection.server.to_string())?;
        map.serialize_entry("frames_up", &connection.frames.up)?;
        map.serialize_entry("frames_down", &connection.frames.down)?;
        map.serialize_entry("bytes", &(up + down))?;
        map.serialize_entry("bytes_up", &up)?;
        map.serialize_entry("bytes_down", &down)?;
        map.serialize_entry("layers", &ByLayer(&connection.layers))?;
        map.serialize_entry("causes", &ByCause(&connection.causes))?;
        map.serialize_entry("fixed_bytes", &connection.fixed)?;
        map.serialize_entry("message_count", &connection.message_count)?;
        if connection.message_count == 0 {
            some(&mut map, "unallocated_bytes", connection.fixed)?;
        }
        some(&mut map, "orphans", connection.orphans)?;
        // An absent key means that they were not kept, not that there are none.
        if connection.message_count == 0 || !connection.messages.is_empty() {
            map.serialize_entry("messages", &Messages(self.account, &connection.messages))?;
        }
        map.end()
    }
}

struct Messages<'a>(&'a Account, &'a [Message]);

impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.1.len()))?;
        for message in self.1 {
            let topic = &self.0.topics[message.topic as usize];
            seq.serialize_element(&OneMessage { message, topic })?;
        }
        seq.end()
    }
}

struct OneMessage<'a> {
    message: &'a Message,
    topic: &'a Topic,
}

impl Serialize for OneMessage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.message;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("n", &message.number)?;
        map.serialize_entry("first_frame", &message.completed_by.number)?;
        map.serialize_entry("dir", message.direction.name())?;
        map.serialize_entry("qos", &message.qos)?;
        match message.topic {
            0 => map.serialize_entry("topic", &None::<()>)?,
            _ => map.serialize_entry("topic", &String::from_utf8_lossy(&self.topic.name))?,
        }
        map.serialize_entry("by_alias", &message.by_alias)?;
        map.serialize_entry("payload", &message.payload)?;
        map.serialize_entry("marginal", &message.marginal())?;
        map.serialize_entry("up", &message.bytes[Direction::Up])?;
        map.serialize_entry("down", &message.bytes[Direction::Down])?;
        map.serialize_entry("by_cause", &ByMessageCause(message))?;
        map.serialize_entry("fixed_share", &message.fixed_share)?;
        map.serialize_entry("loaded", &message.loaded())?;
        map.end()
    }
}

struct ByMessageCause<'a>(&'a Message);

impl Serialize for ByMessageCause<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.0.causes.iter();
        serializer.collect_map(entries.map(|(cause, bytes)| (cause.to_string(), bytes)))
    }
}

/// A number with its unit and formula.
#[derive(Serialize)]
struct Figure {
    value: Option<f64>,
    unit: &'static str,
    formula: &'static str,
}

const fn figure(value: Option<f64>, unit: &'static str, formula: &'static str) -> Figure {
    Figure {
        value,
        unit,
        formula,
    }
}

struct Derived<'a>(&'a Figures<'a>);

impl Serialize for Derived<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let figures = self.0;
        let account = figures.account;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("seconds", &account.seconds())?;
        map.serialize_entry("both", &OfRatios(&figures.both))?;
        for (direction, ratios) in Direction::ALL.into_iter().zip(&figures.by_direction) {
            map.serialize_entry(direction.name(), &OfRatios(ratios))?;
        }
        let loss = figure(figures.loss, "1", "(retx + dupack) / total");
        map.serialize_entry("loss_overhead", &loss)?;
        map.serialize_entry("claimed_bytes", &figures.claimed)?;
        map.serialize_entry(
            "claimed_formula",
            "sum of 2 + topic + payload over messages",
        )?;
        map.serialize_entry("groups", &Groups(account))?;
        map.serialize_entry("clients", &Clients(account))?;
        map.serialize_entry("by_qos", &ByQos(account))?;
        map.serialize_entry("wakes", &Wakes(account))?;
        map.serialize_entry("month", &OfSaving(figures, &figures.now))?;
        let savings: Vec<_> = figures
            .savings
            .iter()
            .map(|s| OfSaving(figures, s))
            .collect();
        map.serialize_entry("what_if", &savings)?;
        let extras = figures.extras.iter().map(|(name, bytes)| (name, bytes));
        let extras: std::collections::BTreeMap<_, _> = extras.collect();
        if !extras.is_empty() {
            map.serialize_entry("link_extras", &extras)?;
        }
        map.serialize_entry("warnings", &figures.warnings())?;
        map.end()
    }
}

struct OfRatios<'a>(&'a Ratios);

impl Serialize for OfRatios<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ratios = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("total", &ratios.total)?;
        map.serialize_entry("app", &ratios.app)?;
        for (name, figure) in [
            (
                "payload_efficiency",
                figure(ratios.efficiency, "1", "app / total"),
            ),
            (
                "overhead_ratio",
                figure(ratios.overhead, "1", "(total - app) / app"),
            ),
            ("expansion", figure(ratios.expansion, "1", "total / app")),
            ("goodput", figure(ratios.goodput, "B/s", "app / seconds")),
            (
                "throughput",
                figure(ratios.throughput, "B/s", "total / seconds"),
            ),
        ] {
            map.serialize_entry(name, &figure)?;
        }
        map.end()
    }
}

struct OfCosts<'a>(&'a Costs);

impl Serialize for OfCosts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.put(&mut map)?;
        map.end()
    }
}

impl OfCosts<'_> {
    fn put<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let costs = self.0;
        map.serialize_entry("n", &costs.n())?;
        map.serialize_entry("payload", &costs.payload)?;
        map.serialize_entry("publish_packets", &costs.packets)?;
        map.serialize_entry("up", &costs.bytes[Direction::Up])?;
        map.serialize_entry("down", &costs.bytes[Direction::Down])?;
        for (name, costs) in [("marginal", &costs.marginal), ("loaded", &costs.loaded)] {
            map.serialize_entry(
                name,
                &Spread {
                    min: costs.min(),
                    mean: costs.mean(),
                    median: costs.quantile(0.5),
                    p99: costs.quantile(0.99),
                    max: costs.max(),
                },
            )?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Spread {
    min: Option<u64>,
    mean: Option<f64>,
    median: Option<u64>,
    p99: Option<u64>,
    max: Option<u64>,
}

struct Groups<'a>(&'a Account);

impl Serialize for Groups<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let account = self.0;
        let mut seq = serializer.serialize_seq(Some(account.groups.len()))?;
        for (key, group) in &account.groups {
            seq.serialize_element(&OneGroup(account, key, &group.costs))?;
        }
        seq.end()
    }
}

struct OneGroup<'a>(&'a Account, &'a crate::overhead::GroupKey, &'a Costs);

impl Serialize for OneGroup<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(account, key, costs) = self;
        let mut map = serializer.serialize_map(None)?;
        let name = String::from_utf8_lossy(&account.topics[key.topic as usize].name);
        map.serialize_entry("topic", &(key.topic > 0).then_some(name))?;
        map.serialize_entry("qos", &key.qos)?;
        map.serialize_entry("dir", key.direction.name())?;
        OfCosts(costs).put(&mut map)?;
        map.end()
    }
}

struct Clients<'a>(&'a Account);

impl Serialize for Clients<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let clients = self.0.clients.iter().filter(|(_, costs)| costs.n() > 0);
        let entries = clients.map(|(id, costs)| (String::from_utf8_lossy(id), OfCosts(costs)));
        serializer.collect_map(entries)
    }
}

struct ByQos<'a>(&'a Account);

impl Serialize for ByQos<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for qos in 0..=3 {
            let costs = self.0.of_qos(qos);
            if costs.n() > 0 {
                map.serialize_entry(&qos.to_string(), &OfCosts(&costs))?;
            }
        }
        map.end()
    }
}

struct Wakes<'a>(&'a Account);

impl Serialize for Wakes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wake {
            tail_seconds: f64,
            bursts: u64,
            on_seconds: f64,
        }
        let wakes = &self.0.wakes;
        serializer.collect_seq(TAILS_MILLIS.iter().enumerate().map(|(i, tail)| Wake {
            tail_seconds: *tail as f64 / 1000.0,
            bursts: wakes.bursts[i],
            on_seconds: wakes.on(i).as_secs_f64(),
        }))
    }
}

struct OfSaving<'a>(&'a Figures<'a>, &'a Saving);

impl Serialize for OfSaving<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Latency {
            mean_seconds: f64,
            max_seconds: f64,
        }
        #[derive(Serialize)]
        struct OneBill<'a> {
            counts: &'a str,
            up: f64,
            down: f64,
            billed: f64,
            #[serde(skip_serializing_if = "Option::is_none")]
            units: Option<f64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            airtime_seconds: Option<f64>,
            too_long: bool,
            source: &'a str,
            assumed: &'a [String],
        }
        let Self(figures, saving) = self;
        let level = figures.account.level;
        let month = &saving.month;
        let mut map = serializer.serialize_map(None)?;
        if !saving.name.is_empty() {
            map.serialize_entry("name", &saving.name)?;
            map.serialize_entry("mark", saving.outcome.mark.name())?;
            map.serialize_entry("capture_bytes", &saving.outcome.bill.total().at(level))?;
            let saved = figures.now.bytes - saving.bytes;
            map.serialize_entry("saved_bytes", &saved)?;
        }
        map.serialize_entry("bytes", &saving.bytes)?;
        map.serialize_entry("bytes_per_device", &(saving.bytes / month.devices))?;
        if let Some(bounds) = saving.bounds {
            map.serialize_entry("bounds", &bounds)?;
        }
        map.serialize_entry("projected", &month.projected)?;
        map.serialize_entry("devices", &month.devices)?;
        for (name, count) in [
            ("messages", &month.messages),
            ("connections", &month.connections),
            ("pings", &month.pings),
        ] {
            map.serialize_entry(name, &count.per_month)?;
            map.serialize_entry(&format!("{name}_source"), &count.source)?;
        }
        map.serialize_entry("terms", &Terms(&month.bill, level))?;
        map.serialize_entry("wakes_per_device_day", &saving.wakes)?;
        if let Some((mean_seconds, max_seconds)) = saving.outcome.latency {
            let latency = Latency {
                mean_seconds,
                max_seconds,
            };
            map.serialize_entry("latency", &latency)?;
        }
        map.serialize_entry("notes", &saving.outcome.notes)?;
        let bills = figures.bills(saving).into_iter().map(|(name, billed)| {
            let profile = &figures.request.links[name];
            let bill = OneBill {
                counts: profile.counts_text(),
                up: billed.up,
                down: billed.down,
                billed: billed.billed,
                units: billed.units,
                airtime_seconds: billed.airtime,
                too_long: billed.too_long,
                source: &profile.source,
                assumed: &profile.assumed,
            };
            (name, bill)
        });
        map.serialize_entry(
            "bills",
            &bills.collect::<std::collections::BTreeMap<_, _>>(),
        )?;
        map.end()
    }
}

struct Terms<'a>(&'a Bill, crate::overhead::Level);

impl Serialize for Terms<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for term in Term::ALL {
            for direction in Direction::ALL {
                let bytes = self.0.get(term, direction).at(self.1);
                if bytes > 0.0 {
                    let name = format!("{}_{}", term.name(), direction.name());
                    map.serialize_entry(&name, &bytes)?;
                }
            }
        }
        map.end()
    }
}

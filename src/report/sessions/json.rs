//! One JSON object per connection, by the contract in `docs/formats.md`. A key that
//! does not apply is absent.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::super::utc::Utc;
use super::super::{Format, Report, json};
use super::{Connections, ConnectionsItem, ConnectionsNeeds};
use crate::frame::PerDirection;
use crate::sessions::{
    Close, Distribution, Publication, Record, Stall, Subscription, Will, WillState, numbers,
};
use crate::time::Timestamp;

/// `sessions --format ndjson`
pub(super) static NDJSON: Format<Connections> = Format {
    name: "ndjson",
    help: "one JSON object per connection, or per message",
    needs: ConnectionsNeeds { deliveries: true },
    new: |options| Box::new(Lines { many: options.many }),
};

struct Lines {
    many: bool,
}

impl Report<Connections> for Lines {
    fn put(&mut self, item: &ConnectionsItem<'_>, out: &mut Vec<u8>) {
        let file = |name: &str| self.many.then(|| name.to_owned());
        match item {
            ConnectionsItem::Capture(capture) => {
                for record in capture.records {
                    json::compact(&Object::of(record, file(capture.name)), out);
                    out.push(b'\n');
                }
            }
            ConnectionsItem::Closed(name, record) => {
                json::compact(&Object::of(record, file(name)), out);
                out.push(b'\n');
            }
            ConnectionsItem::Deliveries(capture) => {
                for publication in capture.deliveries.publications() {
                    let object = PublicationObject::of(publication, file(capture.name));
                    json::compact(&object, out);
                    out.push(b'\n');
                }
            }
        }
    }
}

#[derive(Serialize)]
struct PublicationObject {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    connection: u64,
    connection_uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange_uid: Option<String>,
    packet: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    topic: String,
    qos: u8,
    payload_length: u32,
    time: String,
    deliveries: Vec<DeliveryObject>,
    unseen: Vec<UnseenObject>,
}

#[derive(Serialize)]
struct DeliveryObject {
    connection: u64,
    connection_uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange_uid: Option<String>,
    packet: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    qos: u8,
    ms: f64,
    r#match: &'static str,
    #[serde(skip_serializing_if = "is_false")]
    retained: bool,
    #[serde(skip_serializing_if = "is_false")]
    queued: bool,
}

#[derive(Serialize)]
struct UnseenObject {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    filter: String,
}

impl PublicationObject {
    fn of(publication: &Publication, file: Option<String>) -> Self {
        Self {
            file,
            connection: publication.peer.connection,
            connection_uid: publication.peer.connection_uid.to_string(),
            exchange_uid: publication.peer.exchange_uid(publication.exchange),
            packet: publication.packet.number,
            client_id: publication.peer.client_id.as_deref().map(text),
            topic: text(&publication.topic),
            qos: publication.qos,
            payload_length: publication.payload_len,
            time: utc(publication.time),
            deliveries: publication
                .deliveries
                .iter()
                .map(|delivery| DeliveryObject {
                    connection: delivery.peer.connection,
                    connection_uid: delivery.peer.connection_uid.to_string(),
                    exchange_uid: delivery.peer.exchange_uid(delivery.exchange),
                    packet: delivery.packet.number,
                    client_id: delivery.peer.client_id.as_deref().map(text),
                    qos: delivery.qos,
                    ms: ms(delivery.time),
                    r#match: delivery.matched.name(),
                    retained: delivery.retained,
                    queued: delivery.queued,
                })
                .collect(),
            unseen: publication
                .unseen
                .iter()
                .map(|unseen| UnseenObject {
                    client_id: unseen.client_id.as_deref().map(text),
                    filter: text(&unseen.filter),
                })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct Object {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    connection: u64,
    connection_uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    version_assumed: bool,
    transport: &'static str,
    client: String,
    server: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    opened: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clean_start: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_present: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_alive: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_expiry: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    will: Option<WillObject>,
    messages: Both<BTreeMap<u8, u64>>,
    bytes: Both<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions: Vec<SubscriptionObject>,
    findings: Findings,
    close: CloseObject,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    latency: BTreeMap<&'static str, LatencyObject>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stalls: Vec<StallObject>,
}

#[derive(Serialize)]
struct Both<T> {
    up: T,
    down: T,
}

#[derive(Serialize)]
struct WillObject {
    topic: String,
    qos: u8,
    retain: bool,
    sent: Sent,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Sent {
    Known(bool),
    Unknown(&'static str),
}

#[derive(Serialize)]
struct SubscriptionObject {
    filter: String,
    qos: u8,
    matched: u64,
}

#[derive(Serialize)]
struct Findings {
    violations: u64,
    warnings: u64,
}

#[derive(Serialize)]
struct CloseObject {
    by: &'static str,
    cause: &'static str,
    certainty: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    packets: Vec<u64>,
    message: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum LatencyObject {
    One(f64),
    Both {
        #[serde(skip_serializing_if = "Option::is_none")]
        up: Option<DistributionObject>,
        #[serde(skip_serializing_if = "Option::is_none")]
        down: Option<DistributionObject>,
    },
}

#[derive(Serialize)]
struct DistributionObject {
    n: u64,
    min: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
    slowest: u64,
}

#[derive(Serialize)]
struct StallObject {
    packets: Vec<u64>,
    ms: f64,
    cause: &'static str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Milliseconds, exact to the nanosecond.
fn ms(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn utc(time: Timestamp) -> String {
    let mut out = Vec::new();
    Utc::default().put(time, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

impl Object {
    fn of(record: &Record, file: Option<String>) -> Self {
        Self {
            file,
            connection: record.connection,
            connection_uid: record.uid.to_string(),
            session_uid: record.session_uid.as_deref().map(Into::into),
            client_id: record.client_id.as_deref().map(text),
            username: record.username.as_deref().map(text),
            version: record.version.map(|version| version.to_string()),
            version_assumed: record.version_assumed && record.version.is_some(),
            transport: record.transport.name(),
            client: record.client.to_string(),
            server: record.server.to_string(),
            opened: record.opened.map(utc),
            closed: record.closed.map(utc),
            duration_s: record.duration().map(|time| time.as_nanos() as f64 / 1e9),
            clean_start: record.clean_start,
            session_present: record.session_present,
            keep_alive: record.keep_alive,
            session_expiry: record.session_expiry,
            will: record.will.as_ref().map(WillObject::of),
            messages: both(&record.messages, |by_qos| {
                let each = (0..).zip(by_qos.iter().copied());
                // There is no QoS 3, unless it was sent.
                each.filter(|(qos, count)| *qos < 3 || *count > 0).collect()
            }),
            bytes: both(&record.bytes, |bytes| *bytes),
            subscriptions: record
                .subscriptions
                .iter()
                .map(SubscriptionObject::of)
                .collect(),
            findings: Findings {
                violations: record.violations,
                warnings: record.warnings,
            },
            close: CloseObject::of(&record.close),
            latency: latency(record),
            stalls: record.stalls.iter().map(StallObject::of).collect(),
        }
    }
}

fn both<T, U>(values: &PerDirection<T>, f: impl Fn(&T) -> U) -> Both<U> {
    Both {
        up: f(&values.up),
        down: f(&values.down),
    }
}

fn latency(record: &Record) -> BTreeMap<&'static str, LatencyObject> {
    let mut all = BTreeMap::new();
    if let Some(time) = record.latency.connect {
        all.insert("connect_ms", LatencyObject::One(ms(time)));
    }
    for (name, both) in record.latency.kinds() {
        let (up, down) = (
            DistributionObject::of(&both.up),
            DistributionObject::of(&both.down),
        );
        if up.is_some() || down.is_some() {
            all.insert(name, LatencyObject::Both { up, down });
        }
    }
    all
}

impl DistributionObject {
    fn of(distribution: &Distribution) -> Option<Self> {
        let (max, packet) = distribution.slowest()?;
        let percentile = |percent| ms(distribution.percentile(percent));
        Some(Self {
            n: distribution.len(),
            min: ms(distribution.min()),
            p50: percentile(50),
            p90: percentile(90),
            p99: percentile(99),
            max: ms(max),
            slowest: packet.number,
        })
    }
}

impl WillObject {
    fn of(will: &Will) -> Self {
        Self {
            topic: text(&will.topic),
            qos: will.qos,
            retain: will.retain,
            sent: match will.state {
                WillState::Published(_) => Sent::Known(true),
                WillState::NotOwed => Sent::Known(false),
                WillState::Owed | WillState::CannotTell => Sent::Unknown("cannot_tell"),
            },
        }
    }
}

impl SubscriptionObject {
    fn of(subscription: &Subscription) -> Self {
        Self {
            filter: text(&subscription.filter),
            qos: subscription.qos,
            matched: subscription.matched,
        }
    }
}

impl CloseObject {
    fn of(close: &Close) -> Self {
        Self {
            by: close.by.name(),
            cause: close.cause.name(),
            certainty: close.certainty.name(),
            reason_code: close.reason_code,
            reason: close.reason.clone(),
            packets: numbers(&close.packets),
            message: close.message.clone(),
        }
    }
}

impl StallObject {
    fn of(stall: &Stall) -> Self {
        Self {
            packets: numbers(&stall.packets),
            ms: ms(stall.time),
            cause: stall.cause.name(),
        }
    }
}

//! Connections for a reader: a table with one line each, then the connections that need attention.
//!
//! ```text
//! #  client id  from             open    up  down  ack    closed by  cause
//! 1  sensor-7   10.0.0.7:40122   92.3 s  12  3     1.1 ms server     keep alive
//!
//! needs attention:
//! 1  sensor-7: server closed after 90.1 s of silence, 1.5 × keep alive 60 s (packets 812, 840)
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::super::{Format, Report};
use super::details;
use super::layout::{Lines, Widths, because, hang, name, short, time, wrap};
use super::{Connections, ConnectionsItem, ConnectionsNeeds, Followed, sorted, visible};
use crate::sessions::{
    Cause, Certainty, Deliveries, Match, Publication, Reconnects, Record, Stall, Unseen, WillState,
};

/// `sessions --format text`
pub(super) static TEXT: Format<Connections> = Format {
    name: "text",
    help: "a table, and what needs attention first",
    needs: ConnectionsNeeds { deliveries: true },
    new: |options| {
        Box::new(Text {
            many: options.many,
            colour: options.colour,
            width: options.width.unwrap_or(WIDTH).max(40),
            verbose: options.verbose,
            zone: options.zone.clone(),
            first: true,
        })
    },
};

/// Columns where the output is no terminal.
const WIDTH: usize = 80;
/// Lines of each list, unless `--limit` is set.
const LINES: usize = 20;

struct Text {
    many: bool,
    colour: bool,
    width: usize,
    verbose: bool,
    zone: TimeZone,
    /// Nothing was written yet.
    first: bool,
}

impl Report<Connections> for Text {
    fn put(&mut self, item: &ConnectionsItem<'_>, out: &mut Vec<u8>) {
        let mut text = String::new();
        let (name, limit) = match item {
            ConnectionsItem::Closed(_, record) => return self.closed(record, out),
            ConnectionsItem::Capture(capture) => (capture.name, capture.limit),
            ConnectionsItem::Deliveries(capture) => (capture.name, capture.limit),
        };
        if !std::mem::take(&mut self.first) {
            text += "\n";
        }
        if self.many {
            let _ = writeln!(text, "{}", visible(name.as_bytes()));
        }
        let page = Lines {
            colour: self.colour,
            width: self.width,
            limit: limit.unwrap_or(LINES),
        };
        match item {
            ConnectionsItem::Closed(..) => {}
            ConnectionsItem::Capture(capture) => {
                connections(capture, page, &mut text);
                if self.verbose {
                    details::put(capture, page, &mut text);
                }
            }
            ConnectionsItem::Deliveries(capture) => deliveries(capture.deliveries, page, &mut text),
        }
        out.extend_from_slice(text.as_bytes());
    }
}

impl Text {
    /// `10:15:02 3 sensor-7: client sent DISCONNECT (packet 29)`
    fn closed(&self, record: &Record, out: &mut Vec<u8>) {
        let at = record.closed.unwrap_or(record.captured.1);
        let at = jiff::Timestamp::from_second(at.seconds()).unwrap_or_default();
        let at = at.to_zoned(self.zone.clone()).strftime("%H:%M:%S");
        let line = format!(
            "{at} {} {}: {}\n",
            record.connection,
            name(record),
            explained(record)
        );
        out.extend_from_slice(line.as_bytes());
    }
}

fn connections(capture: &Followed<'_>, page: Lines, text: &mut String) {
    let all = sorted(capture.records, capture.sort);
    let shown = capture.limit.unwrap_or(usize::MAX).min(all.len());
    if !all.is_empty() {
        *text += &table(&all[..shown], page.width);
        *text += "\n";
    }
    hang(&summary(capture, all.len() - shown), page.width, text);
    page.put("Closed abnormally", &abnormal(capture.records), text);
    page.put("Slowest answers", &slow(capture.records), text);
    page.put("Stalls", &stalls(capture.records), text);
    page.put("Reconnects", &coming_back(capture.records), text);
}

/// Published messages, their outcomes, and how long the server kept them.
fn deliveries(deliveries: &Deliveries, page: Lines, text: &mut String) {
    let (mut published, mut ambiguous, mut queued, mut retained) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut live: Vec<(Duration, u64)> = Vec::new();
    let mut unseen = Vec::new();
    for publication in deliveries.publications() {
        published += 1;
        for delivery in &publication.deliveries {
            ambiguous += u64::from(delivery.matched == Match::Ambiguous);
            match (delivery.retained, delivery.queued) {
                (true, _) => retained += 1,
                (_, true) => queued += 1,
                _ => live.push((delivery.time, delivery.packet.number)),
            }
        }
        for one in &publication.unseen {
            unseen.push(not_captured(publication, one));
        }
    }
    live.sort_unstable();
    let mut line = format!(
        "{published} {}; deliveries: {} live, {queued} queued, {retained} retained, \
         {ambiguous} of them ambiguous; {} of messages published elsewhere; {} unseen",
        noun(published, "publication"),
        live.len(),
        deliveries.foreign(),
        unseen.len(),
    );
    if deliveries.evicted() > 0 {
        let _ = write!(line, "; {} evicted: too many", deliveries.evicted());
    }
    wrap(&line, page.width, text);
    if let (Some(first), Some(last)) = (live.first(), live.last()) {
        let at = |percent: usize| time(live[(live.len() * percent).div_ceil(100).max(1) - 1].0);
        let line = format!(
            "time in the server: least {}, p50 {}, p90 {}, p99 {}, most {} (packet {})",
            time(first.0),
            at(50),
            at(90),
            at(99),
            time(last.0),
            last.1
        );
        wrap(&line, page.width, text);
    }
    page.put("Not seen in this capture", &unseen, text);
}

fn not_captured(publication: &Publication, one: &Unseen) -> String {
    let who = |id: Option<&[u8]>| id.map_or("?".to_owned(), visible);
    format!(
        "packet {} by {} on {}: no delivery to {}, subscribed to {}",
        publication.packet.number,
        who(publication.peer.client_id.as_deref()),
        visible(&publication.topic),
        who(one.client_id.as_deref()),
        visible(&one.filter)
    )
}

/// One line per connection; columns that do not fit are left out, the least important
/// first.
fn table(records: &[&Record], width: usize) -> String {
    let columns: [Column; 9] = [
        ("#", |r| r.connection.to_string()),
        ("client id", |r| short(&name(r), 20)),
        ("from", |r| r.client.to_string()),
        ("ver", |r| r.version.map_or("?".into(), |v| v.to_string())),
        ("open", |r| span(r)),
        ("msgs", |r| {
            let [up, down] =
                [r.messages.up, r.messages.down].map(|by_qos| by_qos.iter().sum::<u64>());
            format!("{up}/{down}")
        }),
        ("CONNACK", |r| {
            r.latency.connect.map(time).unwrap_or_default()
        }),
        ("closed by", |r| r.close.by.name().to_owned()),
        ("cause", |r| because(&r.close)),
    ];
    let cells = |columns: &[Column], r: &Record| -> Vec<String> {
        columns.iter().map(|(_, cell)| cell(r)).collect()
    };
    let header = |columns: &[Column]| -> Vec<String> {
        columns.iter().map(|(name, _)| (*name).to_owned()).collect()
    };
    let mut widths = Widths::of(&header(&columns));
    for record in records {
        widths.add(&cells(&columns, record));
    }
    // In the order in which they are dropped.
    let mut expendable = [3, 6, 2, 5, 4].into_iter();
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    while widths.only(&kept).line() > width
        && let Some(left_out) = expendable.next()
    {
        kept.retain(|column| *column != left_out);
    }
    let widths = widths.only(&kept);
    let columns: Vec<Column> = kept.iter().map(|at| columns[*at]).collect();
    let mut text = String::new();
    widths.put(&header(&columns), &mut text);
    for record in records {
        widths.put(&cells(&columns, record), &mut text);
    }
    text
}

type Column = (&'static str, fn(&Record) -> String);

/// How long it was open; `>` where the capture has not all of it.
fn span(record: &Record) -> String {
    let open = time(record.captured.1.since(record.captured.0));
    match record.duration() {
        Some(duration) => time(duration),
        None => format!(">{open}"),
    }
}

fn summary(capture: &Followed<'_>, left_out: usize) -> String {
    let records = capture.records;
    let mut by_cause: BTreeMap<Cause, usize> = BTreeMap::new();
    for record in records {
        *by_cause.entry(record.close.cause).or_default() += 1;
    }
    let causes: Vec<String> = by_cause
        .iter()
        .map(|(cause, n)| format!("{n} {}", cause.name().replace('_', " ")))
        .collect();
    let mut text = match records.len() {
        0 if capture.selecting => "no connection selected".to_owned(),
        0 => "no connection carried MQTT".to_owned(),
        1 => "1 connection".to_owned(),
        n => format!("{n} connections"),
    };
    if !causes.is_empty() {
        let _ = write!(text, ": {}", causes.join(", "));
    }
    if left_out > 0 {
        let _ = write!(text, "; {left_out} not shown (--limit)");
    }
    if capture.evicted > 0 {
        let _ = write!(text, "; {} more were evicted: too many", capture.evicted);
    }
    text
}

/// Ends that are not as they should be. Connections of one client that ended alike share
/// a line.
pub(super) fn abnormal(records: &[Box<Record>]) -> Vec<String> {
    let mut ends: Vec<(String, String, Vec<u64>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for record in records.iter().filter(|r| r.close.is_abnormal()) {
        let text = format!("{}: {}", name(record), explained(record));
        let place = *places.entry(without_packets(&text)).or_insert(ends.len());
        match ends.get_mut(place) {
            Some((_, _, others)) => others.push(record.connection),
            None => ends.push((record.connection.to_string(), text, Vec::new())),
        }
    }
    ends.into_iter()
        .map(|(first, text, others)| match others.as_slice() {
            [] => format!("{first} {text}"),
            [other] => format!("{first} {text}; likewise connection {other}"),
            others => format!("{first} {text}; likewise connections {}", ranges(others)),
        })
        .collect()
}

/// The noun for this number of things.
pub(super) fn noun(count: impl TryInto<u64>, one: &str) -> String {
    match count.try_into() {
        Ok(1) => one.to_owned(),
        _ => format!("{one}s"),
    }
}

/// The text without `(packets 1, 2)`.
fn without_packets(text: &str) -> String {
    let mut parts = text.split(" (packet");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept += part.split_once(')').map_or(part, |(_, after)| after);
    }
    kept
}

/// `2 to 5, 7`; no more than eight.
fn ranges(numbers: &[u64]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let mut texts: Vec<String> = ranges
        .iter()
        .take(8)
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false if *last == first + 1 => format!("{first}, {last}"),
            false => format!("{first} to {last}"),
        })
        .collect();
    if ranges.len() > texts.len() {
        let shown: u64 = ranges
            .iter()
            .take(8)
            .map(|(first, last)| last - first + 1)
            .sum();
        texts.push(format!("and {} more", numbers.len() as u64 - shown));
    }
    texts.join(", ")
}

/// The slowest answer of each connection on which one was slow.
pub(super) fn slow(records: &[Box<Record>]) -> Vec<String> {
    let mut slow: Vec<(&Record, &str, Duration, u64)> = records
        .iter()
        .map(Box::as_ref)
        .filter_map(|record| {
            let (what, time, packet) = record.latency.slowest()?;
            Some((record, what, time, packet.number))
        })
        .filter(|(_, _, time, _)| *time >= SLOW)
        .collect();
    slow.sort_by_key(|(_, _, time, _)| std::cmp::Reverse(*time));
    slow.into_iter()
        .map(|(record, what, took, packet)| {
            let what = match what.trim_end_matches("_ms") {
                "ping" => "PINGRESP".to_owned(),
                other => other.to_uppercase(),
            };
            format!(
                "{} {}: {what} after {} (packet {packet})",
                record.connection,
                name(record),
                time(took)
            )
        })
        .collect()
}

/// Takeover loops, delays between connections, herds, and the silences that connections survived.
pub(super) fn coming_back(records: &[Box<Record>]) -> Vec<String> {
    let found = Reconnects::of(records);
    let mut lines = Vec::new();
    for one in &found.loops {
        let addresses: Vec<String> = one.addresses.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "{}: {} takeovers within {}, from {} (connections {} to {}): several clients use this identifier",
            visible(&one.client_id),
            one.times,
            time(one.within),
            addresses.join(" and "),
            one.connections.0,
            one.connections.1,
        ));
    }
    for herd in &found.herds {
        lines.push(format!(
            "{}: closed {} {}, then accepted {} within {}; {} {} refused before",
            herd.server,
            herd.closed,
            noun(herd.closed, "connection"),
            herd.back,
            time(herd.within),
            herd.refused,
            match herd.refused {
                1 => "attempt was",
                _ => "attempts were",
            },
        ));
    }
    for client in &found.clients {
        let mut delays: Vec<String> = client.delays.iter().take(6).map(|d| time(*d)).collect();
        if client.delays.len() > delays.len() {
            delays.push("…".to_owned());
        }
        let who = match client.clients {
            1 => visible(client.client_id.as_bytes()),
            n => format!("{} ({n} clients)", visible(client.client_id.as_bytes())),
        };
        lines.push(format!(
            "{who}: {}: {}",
            client.growth.name(),
            delays.join(", ")
        ));
    }
    if let Some((silence, connection)) = found.lost {
        let mut line = format!(
            "connection {connection} was lost after at most {} of silence",
            time(silence)
        );
        if let Some((silence, connection)) = found.survived {
            line += &format!(
                "; connection {connection} continued after {}",
                time(silence)
            );
        }
        lines.push(line);
    }
    lines
}

/// The longest waits that TCP or flow control explains.
pub(super) fn stalls(records: &[Box<Record>]) -> Vec<String> {
    let mut all: Vec<(&Record, &Stall)> = records
        .iter()
        .map(Box::as_ref)
        .flat_map(|record| record.stalls.iter().map(move |stall| (record, stall)))
        .collect();
    all.sort_by_key(|(_, stall)| std::cmp::Reverse(stall.time));
    all.into_iter()
        .map(|(record, stall)| {
            let packets: Vec<String> = stall.packets.iter().map(|p| p.number.to_string()).collect();
            format!(
                "{} {}: {} by {} ({} {})",
                record.connection,
                name(record),
                time(stall.time),
                stall.cause.name().replace('_', " "),
                noun(packets.len(), "packet"),
                packets.join(", ")
            )
        })
        .collect()
}

/// Answers that take longer than this are worth a line.
const SLOW: Duration = Duration::from_millis(100);

pub(super) fn explained(record: &Record) -> String {
    let close = &record.close;
    let mut text = match close.certainty {
        Certainty::Proved => close.message.clone(),
        Certainty::Likely => format!(
            "likely {}: {}",
            close.cause.name().replace('_', " "),
            close.message
        ),
        Certainty::CannotTell => format!("cannot tell: {}", close.message),
    };
    if let Some(will) = &record.will {
        let topic = visible(&will.topic);
        match will.state {
            WillState::Published(packet) => {
                let _ = write!(
                    text,
                    "; its will was delivered on {topic} (packet {})",
                    packet.number
                );
            }
            WillState::Owed => {
                let _ = write!(
                    text,
                    "; its will on {topic} was due, but the capture has no delivery"
                );
            }
            WillState::NotOwed | WillState::CannotTell => {}
        }
    }
    text
}

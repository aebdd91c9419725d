//! The additions of `-v`: latency by client, topic and QoS, subscriptions, topics, and the last
//! control packets of each connection.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::ladder::{LadderStyle, put_ladder};
use super::layout::{Lines, aligned, because, name, short, time, widest};
use super::topic_tree::tree;
use super::{Followed, sorted, visible};
use crate::frame::{Direction, PerDirection};
use crate::sessions::{Distribution, Record, Subscription, TopicCount};

pub(super) fn put(capture: &Followed<'_>, page: Lines, text: &mut String) {
    latency(capture, page, text);
    subscriptions(capture, page, text);
    topics(capture, page, text);
    last_packets(capture, page, text);
}

/// Columns of a name.
const NAME: usize = 32;

/// Puts the first rows of a table below a heading. If it is wider than the page, the `expendable` columns are left out, one after
/// the other.
fn table(
    heading: &str,
    header: &[&str],
    expendable: &[usize],
    rows: &[Vec<String>],
    page: Lines,
    text: &mut String,
) {
    if rows.is_empty() {
        return;
    }
    page.heading(heading, text);
    let mut header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let mut shown: Vec<Vec<String>> = rows.iter().take(page.limit).cloned().collect();
    let mut lines = aligned(header.clone(), &shown);
    for &column in expendable {
        if widest(&lines) + 2 <= page.width {
            break;
        }
        header.remove(column);
        shown.iter_mut().for_each(|row| drop(row.remove(column)));
        lines = aligned(header.clone(), &shown);
    }
    for line in lines.lines() {
        let _ = writeln!(text, "  {line}");
    }
    if rows.len() > page.limit {
        let _ = writeln!(text, "  and {} more", rows.len() - page.limit);
    }
}

/// Client or server, request, and the times of the answers.
pub(super) type Latencies = Vec<(String, &'static str, Distribution)>;

/// How long answers took: by kind, by client, by QoS and by topic.
pub(super) fn latencies(capture: &Followed<'_>) -> [(&'static str, Latencies); 4] {
    let mut by_kind: BTreeMap<(&str, &str), Distribution> = BTreeMap::new();
    let mut by_client: BTreeMap<(String, &str), Distribution> = BTreeMap::new();
    for record in capture.records {
        for (kind, both) in record.latency.kinds() {
            for direction in Direction::ALL {
                let of = &both[direction];
                if !of.is_empty() {
                    let kind = kind.trim_end_matches("_ms");
                    let from = direction.sender().name();
                    by_kind.entry((kind, from)).or_default().merge(of);
                    if direction == Direction::Up {
                        by_client.entry((name(record), kind)).or_default().merge(of);
                    }
                }
            }
        }
    }
    let asked_by = |name: &str, both: &PerDirection<Distribution>| {
        Direction::ALL.map(|direction| {
            let from = direction.sender().name();
            (name.to_owned(), from, both[direction].clone())
        })
    };
    let by_qos = capture.topics.latencies_by_qos().into_iter().flatten();
    let by_qos = by_qos
        .zip(["QoS 1", "QoS 2"])
        .flat_map(|(both, qos)| asked_by(qos, both));
    let by_topic = capture
        .topics
        .latencies()
        .into_iter()
        .flat_map(|(topic, both)| asked_by(&visible(topic), both));
    let others = capture.topics.other_latencies().into_iter();
    let by_topic = by_topic.chain(others.flat_map(|both| asked_by("(others)", both)));
    let kept = |rows: &mut dyn Iterator<Item = (String, &'static str, Distribution)>| {
        rows.filter(|(_, _, of)| !of.is_empty()).collect()
    };
    let by_kind = by_kind.into_iter();
    let by_client = by_client.into_iter();
    [
        (
            "answer",
            by_kind
                .map(|((kind, from), of)| (answer(kind), from, of))
                .collect(),
        ),
        (
            "client",
            by_client
                .map(|((client, kind), of)| (format!("{client}: {}", answer(kind)), "client", of))
                .collect(),
        ),
        ("QoS", kept(&mut by_qos.into_iter())),
        ("topic", kept(&mut by_topic.into_iter())),
    ]
}

/// The control packet that answers.
fn answer(kind: &str) -> String {
    match kind {
        "ping" => "PINGRESP".to_owned(),
        other => other.to_uppercase(),
    }
}

fn latency(capture: &Followed<'_>, page: Lines, text: &mut String) {
    for (by, rows) in latencies(capture) {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|(what, from, of)| {
                let (max, packet) = of.slowest().unwrap_or_default();
                vec![
                    short(what, NAME),
                    (*from).to_owned(),
                    of.len().to_string(),
                    time(of.percentile(50)),
                    time(of.percentile(90)),
                    time(of.percentile(99)),
                    format!("{} (packet {})", time(max), packet.number),
                ]
            })
            .collect();
        let heading = format!("Latency by {by}");
        let header = [by, "of", "n", "p50", "p90", "p99", "most"];
        // Where there is little room, the median and the slowest remain.
        table(&heading, &header, &[4, 4, 2], &rows, page, text);
    }
}

fn subscriptions(capture: &Followed<'_>, page: Lines, text: &mut String) {
    let all = capture
        .records
        .iter()
        .flat_map(|record| record.subscriptions.iter().map(move |one| (record, one)));
    let rows: Vec<Vec<String>> = all
        .map(|(record, one)| {
            vec![
                record.connection.to_string(),
                short(&name(record), 20),
                short(&visible(&one.filter), NAME.min(page.width * 2 / 5)),
                one.qos.to_string(),
                matched(one),
            ]
        })
        .collect();
    let header = ["#", "client id", "filter", "QoS", "matched"];
    table("Subscriptions", &header, &[1, 2], &rows, page, text);
}

/// How often a subscription matched, in words.
pub(super) fn matched(one: &Subscription) -> String {
    let times = match (one.refused, one.matched) {
        (true, _) => "refused".to_owned(),
        (false, 0) => "never".to_owned(),
        (false, 1) => "once".to_owned(),
        (false, n) => format!("{n} times"),
    };
    match one.share() {
        Some(share) => format!("{times}, shared by {}", visible(share)),
        None => times,
    }
}

fn topics(capture: &Followed<'_>, page: Lines, text: &mut String) {
    let branches = tree(&capture.topics.sorted());
    let mut rows: Vec<Vec<String>> = branches
        .iter()
        .map(|branch| {
            let name = format!("{}{}", "  ".repeat(branch.depth), branch.name);
            row(short(&name, NAME), &branch.count)
        })
        .collect();
    let others = &capture.topics.others;
    if *others != TopicCount::default() {
        rows.push(row("(others)".to_owned(), others));
    }
    let header = ["topic", "up", "down", "bytes", "rate", "QoS", "retain"];
    table("Topics", &header, &[4, 3], &rows, page, text);
}

fn row(name: String, count: &TopicCount) -> Vec<String> {
    vec![
        name,
        count.messages.up.to_string(),
        count.messages.down.to_string(),
        (count.payload.up + count.payload.down).to_string(),
        rate(count),
        qos(count),
        match count.retained {
            0 => String::new(),
            n => n.to_string(),
        },
    ]
}

/// Messages from clients in a time that makes a number of a few digits.
pub(super) fn rate(count: &TopicCount) -> String {
    match count.rate() {
        None => String::new(),
        Some(rate) if rate >= 1.0 => format!("{rate:.1}/s"),
        Some(rate) if rate * 60.0 >= 1.0 => format!("{:.1}/min", rate * 60.0),
        Some(rate) => format!("{:.1}/h", rate * 3600.0),
    }
}

/// `1: 12, 2: 3`, the QoS of messages from clients.
pub(super) fn qos(count: &TopicCount) -> String {
    let parts: Vec<String> = (0..)
        .zip(count.qos)
        .filter(|(_, n)| *n > 0)
        .map(|(qos, n): (u8, u64)| format!("{qos}: {n}"))
        .collect();
    parts.join(", ")
}

fn last_packets(capture: &Followed<'_>, page: Lines, text: &mut String) {
    let all: Vec<&Record> = sorted(capture.records, capture.sort)
        .into_iter()
        .filter(|record| !record.last.is_empty())
        .collect();
    for record in all.iter().take(page.limit) {
        let heading = format!(
            "Last packets of {} {}: {}",
            record.connection,
            name(record),
            because(&record.close)
        );
        page.heading(&heading, text);
        let style = LadderStyle {
            limit: None,
            ..capture.ladder
        };
        let mut out = Vec::new();
        put_ladder(&record.ladder(), style, &mut out);
        *text += &String::from_utf8_lossy(&out);
    }
    if all.len() > page.limit {
        let _ = writeln!(
            text,
            "last packets of {} more connections are not drawn",
            all.len() - page.limit
        );
    }
}

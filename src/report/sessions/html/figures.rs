//! The drawings as SVG.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use super::super::ladder::letters;
use super::super::layout::time;
use super::super::visible;
use super::{Page, Text, client, more, section};
use crate::frame::Direction;
use crate::mqtt::PacketType;
use crate::sessions::{Ladder, Rung, Shown};
use crate::time::Timestamp;

/// Rungs of a ladder.
const RUNGS: usize = 400;

/// When connections were open.
pub(super) fn timeline(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let shown = &page.followed.records[..page.followed.records.len().min(100)];
    let Some(begin) = shown.iter().map(|record| record.captured.0).min() else {
        return Ok(());
    };
    let end = shown
        .iter()
        .map(|record| record.captured.1)
        .max()
        .unwrap_or(begin);
    let span = end.since(begin).as_secs_f64().max(1e-6);
    let x = |at: Timestamp| 160.0 + 760.0 * at.since(begin).as_secs_f64() / span;
    section(html, "Timeline")?;
    let height = 24 + shown.len() * 18;
    writeln!(
        html,
        "<div class=\"scroll\"><svg class=\"time\" viewBox=\"0 0 940 {height}\" role=\"img\" aria-label=\"Connections over time\">"
    )?;
    for step in 0..=4 {
        let at = 160.0 + 190.0 * f64::from(step);
        let label = time(Duration::from_secs_f64(span * f64::from(step) / 4.0));
        writeln!(
            html,
            "<line class=\"lifeline\" x1=\"{at}\" y1=\"14\" x2=\"{at}\" y2=\"{height}\"/>\
             <text class=\"soft\" x=\"{at}\" y=\"10\" text-anchor=\"middle\">{label}</text>"
        )?;
    }
    for (row, record) in shown.iter().enumerate() {
        let y = 20 + row * 18;
        let (from, to) = (x(record.captured.0), x(record.captured.1));
        let name: String = client(record).chars().take(20).collect();
        let bad = match record.close.is_abnormal() {
            true => " bad",
            false => "",
        };
        writeln!(
            html,
            "<text x=\"152\" y=\"{}\" text-anchor=\"end\">{} {}</text>\
             <rect class=\"bar{bad}\" x=\"{from:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"12\" rx=\"2\"><title>{}</title></rect>",
            y + 10,
            record.connection,
            Text(&name),
            (to - from).max(2.0),
            Text(&record.close.message)
        )?;
    }
    html.write_str("</svg></div>\n")?;
    more(html, page.followed.records.len(), shown.len())
}

/// Times of all connections by powers of two.
pub(super) fn histograms(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let connect = page
        .followed
        .records
        .iter()
        .filter_map(|record| record.latency.connect);
    let mut kinds: Vec<(&str, Vec<u64>)> = vec![(
        "CONNECT to CONNACK",
        connect.map(|time| time.as_nanos() as u64).collect(),
    )];
    for (kind, name) in [
        "PUBLISH to PUBACK",
        "PUBLISH to PUBREC",
        "PUBREL to PUBCOMP",
        "SUBSCRIBE to SUBACK",
        "PINGREQ to PINGRESP",
    ]
    .into_iter()
    .enumerate()
    {
        let values = page.followed.records.iter().flat_map(|record| {
            let (_, both) = record.latency.kinds()[kind];
            both.up.values().iter().chain(both.down.values()).copied()
        });
        kinds.push((name, values.collect()));
    }
    kinds.retain(|(_, values)| !values.is_empty());
    if kinds.is_empty() {
        return Ok(());
    }
    section(html, "Latency")?;
    html.write_str("<div class=\"cards\">\n")?;
    for (name, values) in kinds {
        let mut buckets = [0_u64; 24];
        for value in &values {
            let power = (value / 1000).max(1).ilog2() as usize;
            buckets[power.min(23)] += 1;
        }
        let first = buckets.iter().position(|n| *n > 0).unwrap_or(0);
        let last = buckets.iter().rposition(|n| *n > 0).unwrap_or(0);
        let most = buckets.iter().copied().max().unwrap_or(1).max(1);
        let width = (last - first + 1) * 26 + 10;
        writeln!(
            html,
            "<div class=\"card\">{name} <span class=\"soft\">({})</span><br>\
             <svg class=\"plain\" width=\"{1}\" height=\"96\" viewBox=\"0 0 {1} 96\" role=\"img\" aria-label=\"{name}\">",
            values.len(),
            width.max(120),
        )
        .and_then(|()| {
            for (column, power) in (first..=last).enumerate() {
                let height = 64.0 * buckets[power] as f64 / most as f64;
                let x = 4 + column * 26;
                let micros = 1_u64 << power;
                let label = match micros {
                    0..1_000 => micros,
                    1_000..1_000_000 => micros / 1_000,
                    _ => micros / 1_000_000,
                };
                writeln!(
                    html,
                    "<rect class=\"bar\" x=\"{x}\" y=\"{:.1}\" width=\"22\" height=\"{height:.1}\"/>\
                     <text class=\"soft\" x=\"{}\" y=\"92\" text-anchor=\"middle\">{label}</text>\
                     <text x=\"{}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                    80.0 - height,
                    x + 11,
                    x + 11,
                    76.0 - height,
                    match buckets[power] {
                        0 => String::new(),
                        n => n.to_string(),
                    }
                )?;
            }
            Ok(())
        })?;
        html.write_str("</svg></div>\n")?;
    }
    html.write_str("</div>\n<p class=\"soft\">Columns begin at the time below them: µs up to 512, then ms, then s; each is twice the one before.</p>\n")
}

/// Control packets as arrows between columns. Returns how many are drawn.
pub(super) fn ladder(ladder: &Ladder, html: &mut String) -> Result<usize, fmt::Error> {
    let rungs = &ladder.rungs()[..ladder.rungs().len().min(RUNGS)];
    let participants = &ladder.participants()[..ladder.participants().len().min(8)];
    let (left, right): (Vec<usize>, Vec<usize>) =
        (0..participants.len()).partition(|participant| participants[*participant].publishes);
    // Clients stand on the left if none of them publishes.
    let (left, right) = match left.is_empty() {
        true => (right, left),
        false => (left, right),
    };
    // Labels of a narrow ladder have room.
    let step = match participants.len() {
        0..=2 => 230,
        _ => 190,
    };
    let margin = 110;
    let mut at = vec![0; participants.len()];
    for (column, participant) in left.iter().enumerate() {
        at[*participant] = margin + 60 + column * step;
    }
    let server = margin + 60 + left.len() * step;
    for (column, participant) in right.iter().enumerate() {
        at[*participant] = server + (column + 1) * step;
    }
    let width = margin + 150 + participants.len() * step;
    let height = 40 + rungs.len() * 18;
    writeln!(
        html,
        "<div class=\"scroll\"><svg class=\"plain\" width=\"{width}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Control packets in order\">"
    )?;
    let mut columns: Vec<(usize, String)> = participants
        .iter()
        .zip(&at)
        .map(|(participant, x)| {
            let name = participant
                .client_id
                .as_deref()
                .map_or_else(|| participant.client.to_string(), visible);
            (
                *x,
                format!(
                    "{} {}",
                    participant.connection,
                    name.chars().take(22).collect::<String>()
                ),
            )
        })
        .collect();
    columns.push((server, "server".to_owned()));
    for (x, name) in &columns {
        writeln!(
            html,
            "<line class=\"lifeline\" x1=\"{x}\" y1=\"18\" x2=\"{x}\" y2=\"{height}\"/>\
             <text x=\"{x}\" y=\"12\" text-anchor=\"middle\">{}</text>",
            Text(name)
        )?;
    }
    let mut exchanges = HashMap::new();
    let mut before: Option<Timestamp> = None;
    for (row, rung) in rungs.iter().enumerate() {
        let Some(&client) = at.get(rung.participant) else {
            continue;
        };
        let y = 36 + row * 18;
        let since = before.map_or(String::new(), |before| {
            format!("+{}", time(rung.time.since(before)))
        });
        before = Some(rung.time);
        writeln!(
            html,
            "<text class=\"soft\" x=\"80\" y=\"{y}\" text-anchor=\"end\">{since}</text>\
             <text class=\"soft\" x=\"136\" y=\"{y}\" text-anchor=\"end\">{}</text>",
            rung.packet.number
        )?;
        arrow(rung, client, server, y, &mut exchanges, html)?;
    }
    html.write_str("</svg></div>\n")?;
    Ok(rungs.len())
}

fn arrow(
    rung: &Rung,
    client: usize,
    server: usize,
    y: usize,
    exchanges: &mut HashMap<u64, String>,
    html: &mut String,
) -> fmt::Result {
    let middle = (client + server) / 2;
    let (direction, label, class) = match &rung.what {
        Shown::Packet {
            direction,
            header,
            id,
            topic,
            code,
            exchange,
            missing,
        } => {
            let kind = header.packet_type();
            let mut label = kind.name().to_owned();
            if kind == PacketType::Publish {
                write!(label, " q{}", header.qos())?;
                if header.dup() {
                    label += " dup";
                }
            }
            if let Some(id) = id {
                write!(label, " {id}")?;
            }
            if let Some(exchange) = exchange {
                let next = exchanges.len();
                let tag = exchanges.entry(*exchange).or_insert_with(|| letters(next));
                write!(label, " [{tag}]")?;
            }
            if let Some(code) = code.filter(|code| *code != 0) {
                write!(label, " 0x{code:02X}")?;
            }
            if *missing > 0 {
                write!(label, " -{missing} B")?;
            }
            if let Some(topic) = topic {
                let topic = visible(topic);
                write!(label, " {}", topic.chars().take(14).collect::<String>())?;
            }
            (Some(*direction), label, "arrow")
        }
        Shown::Gap { direction, bytes } => {
            let label = bytes.map_or("gap".to_owned(), |bytes| format!("gap of {bytes} B"));
            (Some(*direction), label, "arrow gap")
        }
        Shown::Tcp { direction, what } => (Some(*direction), what.clone(), "arrow tcp"),
        Shown::Opened => (None, "opened".to_owned(), ""),
        Shown::Closed { by } => (
            None,
            by.map_or("ended".to_owned(), |side| {
                format!("closed by {}", side.name())
            }),
            "",
        ),
    };
    if let Some(direction) = direction {
        let (from, to) = match direction {
            Direction::Up => (client, server),
            Direction::Down => (server, client),
        };
        let back = if to > from { to - 7 } else { to + 7 };
        writeln!(
            html,
            "<line class=\"{class}\" x1=\"{from}\" y1=\"{0}\" x2=\"{to}\" y2=\"{0}\"/>\
             <path class=\"head\" d=\"M{to} {0}L{back} {1}L{back} {2}z\"/>",
            y + 3,
            y,
            y + 6
        )?;
    }
    writeln!(
        html,
        "<text x=\"{middle}\" y=\"{y}\" text-anchor=\"middle\"{}>{}</text>",
        if direction.is_none() {
            " class=\"soft\""
        } else {
            ""
        },
        Text(&label)
    )
}

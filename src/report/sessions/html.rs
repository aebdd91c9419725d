//! One self-contained page: what one sends to a colleague. It needs no network and no
//! script; it follows the reader's light or dark scheme, and prints.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use super::ladder::letters;
use super::text::{because, said, time};
use super::visible;
use crate::frame::Direction;
use crate::mqtt::PacketType;
use crate::sessions::{
    Cause, Certainty, Ladder, Reconnects, Record, Rung, Shown, Topics, WillState,
};
use crate::time::Timestamp;

/// What the page is made of.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Name of the capture.
    pub name: &'a str,
    /// Its connections.
    pub records: &'a [Record],
    /// Its control packets, as far as they are to be drawn.
    pub ladder: &'a Ladder,
    /// Its topics.
    pub topics: &'a Topics,
}

/// Rows of each list, and rungs of the ladder.
const ROWS: usize = 500;
const RUNGS: usize = 400;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6672;--line:#d5dae0;--back:#fff;--card:#f6f8fa;--bad:#b3261e;--warn:#8a5a00;--good:#1a6b3c;--blue:#1f5fbf}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#9aa5b1;--line:#39414a;--back:#14181c;--card:#1d2329;--bad:#ff8a80;--warn:#f0b84b;--good:#67c98e;--blue:#82b1ff}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:76rem;padding:1rem;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\
h1{font-size:1.4rem;margin:.2rem 0}h2{font-size:1.1rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line)}\
p,li{overflow-wrap:anywhere}.soft{color:var(--soft)}.scroll{overflow-x:auto}\
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}th,td{padding:.15rem .6rem;text-align:left;white-space:nowrap;border-bottom:1px solid var(--line)}th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right}\
.bad{color:var(--bad)}.warn{color:var(--warn)}.good{color:var(--good)}\
svg{max-width:100%;height:auto}svg.plain{max-width:none}svg.time{min-width:40rem}svg{font:11px ui-monospace,monospace}svg text{fill:var(--ink)}svg .soft{fill:var(--soft)}svg .lane{stroke:var(--line)}svg .bar{fill:var(--blue)}svg .bar.bad{fill:var(--bad)}svg .arrow{stroke:var(--blue);fill:none}svg .head{fill:var(--blue)}svg .gap{stroke:var(--bad);stroke-dasharray:4 3}\
.cards{display:flex;flex-wrap:wrap;gap:.6rem}.card{background:var(--card);border:1px solid var(--line);border-radius:.4rem;padding:.4rem .8rem}.card b{display:block;font-size:1.2rem}\
details>summary{cursor:pointer}\
@media(max-width:600px){body{padding:.6rem;font-size:14px}}\
@media print{body{max-width:none;font-size:10pt}h2{break-after:avoid}tr,li,.card{break-inside:avoid}details:not([open])>*{display:block}}";

/// Text in HTML.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Appends the page.
pub fn put_html(page: &Page<'_>, out: &mut Vec<u8>) {
    let mut html = String::new();
    // Writing to a String cannot fail.
    let _ = write(page, &mut html);
    out.extend_from_slice(html.as_bytes());
}

fn write(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let name = visible(page.name.as_bytes());
    write!(
        html,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>MQTT sessions: {0}</title><style>{STYLE}</style></head><body>\n\
         <header><h1>MQTT sessions</h1><p class=\"soft\">{0}</p></header>\n",
        Text(&name)
    )?;
    cards(page, html)?;
    attention(page, html)?;
    table(page, html)?;
    timeline(page, html)?;
    histograms(page, html)?;
    ladder(page, html)?;
    topics(page, html)?;
    subscriptions(page, html)?;
    bytes(page, html)?;
    html.write_str("<footer><p class=\"soft\">Written by mqttdump. Packet numbers are those of the capture.</p></footer>\n</body></html>\n")
}

fn section(html: &mut String, title: &str) -> fmt::Result {
    writeln!(html, "<h2>{title}</h2>")
}

fn cards(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let records = page.records;
    let sum = |f: fn(&Record) -> u64| records.iter().map(f).sum::<u64>();
    let abnormal = records
        .iter()
        .filter(|record| record.close.is_abnormal())
        .count();
    html.write_str("<div class=\"cards\">")?;
    for (value, what) in [
        (records.len() as u64, "connections"),
        (abnormal as u64, "closed abnormally"),
        (sum(Record::message_count), "messages"),
        (sum(|r| r.bytes.up + r.bytes.down), "bytes of MQTT"),
        (sum(|r| r.violations), "violations"),
        (sum(|r| r.warnings), "warnings"),
    ] {
        write!(html, "<div class=\"card\"><b>{value}</b>{what}</div>")?;
    }
    html.write_str("</div>\n")
}

fn client(record: &Record) -> String {
    record.client_id.as_deref().map_or("?".to_owned(), visible)
}

fn attention(page: &Page<'_>, html: &mut String) -> fmt::Result {
    section(html, "What needs attention")?;
    let found = Reconnects::of(page.records);
    let abnormal: Vec<&Record> = page
        .records
        .iter()
        .filter(|record| record.close.is_abnormal())
        .collect();
    if abnormal.is_empty() && found.loops.is_empty() {
        return html.write_str(
            "<p class=\"good\">Nothing: every connection ended in order or was open.</p>\n",
        );
    }
    html.write_str("<ul>\n")?;
    for one in &found.loops {
        let from: Vec<String> = one.addresses.iter().map(ToString::to_string).collect();
        writeln!(
            html,
            "<li class=\"bad\">{}: {} takeovers within {}, from {}: one identifier, several owners</li>",
            Text(&visible(&one.client_id)),
            one.times,
            time(one.within),
            from.join(" and ")
        )?;
    }
    for record in abnormal.iter().take(ROWS) {
        writeln!(
            html,
            "<li><b>{} {}</b>: {}</li>",
            record.connection,
            Text(&client(record)),
            Text(&said(record))
        )?;
    }
    for client in &found.clients {
        writeln!(
            html,
            "<li>{}: delay between connections {}</li>",
            Text(&visible(client.client_id.as_bytes())),
            client.growth.name()
        )?;
    }
    html.write_str("</ul>\n")?;
    more(html, abnormal.len(), ROWS)
}

fn more(html: &mut String, all: usize, shown: usize) -> fmt::Result {
    match all > shown {
        true => writeln!(html, "<p class=\"soft\">and {} more</p>", all - shown),
        false => Ok(()),
    }
}

fn table(page: &Page<'_>, html: &mut String) -> fmt::Result {
    section(html, "Connections")?;
    html.write_str(
        "<div class=\"scroll\"><table><thead><tr><th class=\"n\">#</th><th>client id</th><th>from</th>\
         <th>to</th><th>version</th><th class=\"n\">open</th><th class=\"n\">up</th><th class=\"n\">down</th>\
         <th class=\"n\">CONNACK</th><th>closed by</th><th>because</th><th>findings</th></tr></thead><tbody>\n",
    )?;
    for record in page.records.iter().take(ROWS) {
        let class = match (record.close.is_abnormal(), record.close.certainty) {
            (false, _) => "good",
            (true, Certainty::Proved) => "bad",
            (true, _) => "warn",
        };
        writeln!(
            html,
            "<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td>\
             <td class=\"{class}\" title=\"{}\">{}</td><td>{}</td></tr>",
            record.connection,
            Text(&client(record)),
            record.client,
            record.server,
            record
                .version
                .map_or("?".to_owned(), |version| version.to_string()),
            time(record.seen.1.since(record.seen.0)),
            record.messages.up.iter().sum::<u64>(),
            record.messages.down.iter().sum::<u64>(),
            record.latency.connect.map(time).unwrap_or_default(),
            record.close.by.name(),
            Text(&record.close.message),
            Text(&because(&record.close)),
            findings(record),
        )?;
    }
    html.write_str("</tbody></table></div>\n")?;
    more(html, page.records.len(), ROWS)
}

fn findings(record: &Record) -> String {
    match (record.violations, record.warnings) {
        (0, 0) => String::new(),
        (violations, warnings) => format!("{violations} violations, {warnings} warnings"),
    }
}

fn timeline(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let shown = &page.records[..page.records.len().min(100)];
    let Some(begin) = shown.iter().map(|record| record.seen.0).min() else {
        return Ok(());
    };
    let end = shown
        .iter()
        .map(|record| record.seen.1)
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
            "<line class=\"lane\" x1=\"{at}\" y1=\"14\" x2=\"{at}\" y2=\"{height}\"/>\
             <text class=\"soft\" x=\"{at}\" y=\"10\" text-anchor=\"middle\">{label}</text>"
        )?;
    }
    for (row, record) in shown.iter().enumerate() {
        let y = 20 + row * 18;
        let (from, to) = (x(record.seen.0), x(record.seen.1));
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
    more(html, page.records.len(), shown.len())
}

/// Times of all connections by powers of two.
fn histograms(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let connect = page
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
        let values = page.records.iter().flat_map(|record| {
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
                let label = time(Duration::from_micros(1 << power)).replace(".0 ", " ");
                let label = label.split(' ').next().unwrap_or("").to_owned();
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

fn ladder(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let ladder = page.ladder;
    let rungs = &ladder.rungs()[..ladder.rungs().len().min(RUNGS)];
    let lanes = &ladder.lanes()[..ladder.lanes().len().min(8)];
    if rungs.is_empty() {
        return Ok(());
    }
    section(html, "Ladder")?;
    let (left, right): (Vec<usize>, Vec<usize>) =
        (0..lanes.len()).partition(|lane| lanes[*lane].publishes || lanes.len() == 1);
    let step = 190;
    let margin = 150;
    let mut at = vec![0; lanes.len()];
    for (column, lane) in left.iter().enumerate() {
        at[*lane] = margin + 60 + column * step;
    }
    let server = margin + 60 + left.len() * step;
    for (column, lane) in right.iter().enumerate() {
        at[*lane] = server + (column + 1) * step;
    }
    let width = margin + 120 + lanes.len() * step;
    let height = 40 + rungs.len() * 18;
    writeln!(
        html,
        "<div class=\"scroll\"><svg class=\"plain\" width=\"{width}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Control packets in order\">"
    )?;
    let mut columns: Vec<(usize, String)> = lanes
        .iter()
        .zip(&at)
        .map(|(lane, x)| {
            let name = lane
                .client_id
                .as_deref()
                .map_or_else(|| lane.client.to_string(), visible);
            (
                *x,
                format!(
                    "{} {}",
                    lane.connection,
                    name.chars().take(22).collect::<String>()
                ),
            )
        })
        .collect();
    columns.push((server, "server".to_owned()));
    for (x, name) in &columns {
        writeln!(
            html,
            "<line class=\"lane\" x1=\"{x}\" y1=\"18\" x2=\"{x}\" y2=\"{height}\"/>\
             <text x=\"{x}\" y=\"12\" text-anchor=\"middle\">{}</text>",
            Text(name)
        )?;
    }
    let mut exchanges = std::collections::HashMap::new();
    let mut before: Option<Timestamp> = None;
    for (row, rung) in rungs.iter().enumerate() {
        let Some(&client) = at.get(rung.lane) else {
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
    html.write_str("</svg></div>\n<p class=\"soft\">Time since the line before, packet, control packet. A letter in brackets marks the packets of one exchange of QoS 1 or 2.</p>\n")?;
    let all = ladder.rungs().len() + usize::try_from(ladder.more()).unwrap_or(usize::MAX);
    more(html, all, rungs.len())
}

fn arrow(
    rung: &Rung,
    client: usize,
    server: usize,
    y: usize,
    exchanges: &mut std::collections::HashMap<u64, String>,
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

fn topics(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let all: Vec<_> = page.topics.iter().collect();
    if all.is_empty() {
        return Ok(());
    }
    section(html, "Topics")?;
    html.write_str(
        "<div class=\"scroll\"><table><thead><tr><th>topic</th><th class=\"n\">published</th><th class=\"n\">delivered</th>\
         <th class=\"n\">payload bytes</th><th class=\"n\">QoS 0/1/2</th><th class=\"n\">retained</th></tr></thead><tbody>\n",
    )?;
    let mut before: Vec<&[u8]> = Vec::new();
    for (topic, count) in all.iter().take(ROWS) {
        // Levels that the line above has, too, are drawn faintly.
        let levels: Vec<&[u8]> = topic.split(|byte| *byte == b'/').collect();
        let same = levels
            .iter()
            .zip(&before)
            .take_while(|(a, b)| a == b)
            .count();
        let same = same.min(levels.len() - 1);
        let join = |levels: &[&[u8]]| visible(&levels.join(&b'/'));
        let slash = |empty: bool| if empty { "" } else { "/" };
        writeln!(
            html,
            "<tr><td><span class=\"soft\">{}{}</span>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}/{}/{}</td><td class=\"n\">{}</td></tr>",
            Text(&join(&levels[..same])),
            slash(same == 0),
            Text(&join(&levels[same..])),
            count.messages.up,
            count.messages.down,
            count.payload.up + count.payload.down,
            count.qos[0],
            count.qos[1],
            count.qos[2],
            count.retained
        )?;
        before = levels;
    }
    html.write_str("</tbody></table></div>\n")?;
    more(html, all.len(), ROWS)
}

fn subscriptions(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let all: Vec<_> = page
        .records
        .iter()
        .flat_map(|record| record.subscriptions.iter().map(move |one| (record, one)))
        .collect();
    if all.is_empty() {
        return Ok(());
    }
    section(html, "Subscriptions")?;
    html.write_str("<div class=\"scroll\"><table><thead><tr><th class=\"n\">#</th><th>client id</th><th>filter</th><th class=\"n\">QoS</th><th class=\"n\">matched</th></tr></thead><tbody>\n")?;
    for (record, one) in all.iter().take(ROWS) {
        let matched = match (one.refused, one.matched) {
            (true, _) => "<span class=\"bad\">refused</span>".to_owned(),
            (false, 0) => "<span class=\"warn\">never</span>".to_owned(),
            (false, n) => n.to_string(),
        };
        writeln!(
            html,
            "<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{matched}</td></tr>",
            record.connection,
            Text(&client(record)),
            Text(&visible(&one.filter)),
            one.qos
        )?;
    }
    html.write_str("</tbody></table></div>\n")?;
    more(html, all.len(), ROWS)
}

fn bytes(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let records = page.records;
    if records.is_empty() {
        return Ok(());
    }
    let sum = |f: &dyn Fn(&Record) -> u64| records.iter().map(f).sum::<u64>();
    let up = sum(&|r| r.bytes.up);
    let down = sum(&|r| r.bytes.down);
    let payload: u64 = page
        .topics
        .iter()
        .map(|(_, count)| count.payload.up + count.payload.down)
        .sum::<u64>()
        + page.topics.others.payload.up
        + page.topics.others.payload.down;
    let wills = records
        .iter()
        .filter(|r| {
            matches!(
                r.will.as_ref().map(|will| will.state),
                Some(WillState::Published(_))
            )
        })
        .count();
    let lost = records
        .iter()
        .filter(|r| r.close.cause == Cause::NetworkLoss)
        .count();
    section(html, "Bytes")?;
    writeln!(
        html,
        "<p>MQTT control packets: {up} bytes from clients, {down} bytes from servers; {payload} of them are payload \
         ({:.1} %). Wills delivered: {wills}. Connections lost by the network: {lost}. Every byte of every layer: \
         <code>mqttdump overhead</code>.</p>",
        100.0 * payload as f64 / (up + down).max(1) as f64
    )
}

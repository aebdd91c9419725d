//! One self-contained page, to send to a colleague. It needs no network and no
//! script; it follows the reader's light or dark scheme, and prints.
//!
//! ```text
//! mod      the page: cards, what needs attention, findings, tables
//! figures  drawings as SVG: timeline, histograms, ladders
//! ```

mod figures;

use std::fmt::{self, Display, Write as _};

use super::details::{latencies, matched, qos, rate};
use super::layout::{because, time};
use super::text::{abnormal, coming_back, slow, stalls};
use super::topic_tree::tree;
use super::{Followed, visible};
use crate::overhead::Account;
use crate::rules::{Finding, Verdict};
use crate::sessions::{Certainty, Ladder, Record};

/// The contents of the page.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The connections, with their last packets and findings.
    pub followed: Followed<'a>,
    /// Control packets, as far as they are to be drawn.
    pub ladder: &'a Ladder,
    /// Where the bytes went.
    pub account: &'a Account,
}

/// Rows of each list.
const ROWS: usize = 500;
/// Ladders of last packets.
const LADDERS: usize = 24;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6672;--line:#d5dae0;--back:#fff;--card:#f6f8fa;--bad:#b3261e;--warn:#8a5a00;--good:#1a6b3c;--blue:#1f5fbf}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#9aa5b1;--line:#39414a;--back:#14181c;--card:#1d2329;--bad:#ff8a80;--warn:#f0b84b;--good:#67c98e;--blue:#82b1ff}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:76rem;padding:1rem;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\
h1{font-size:1.4rem;margin:.2rem 0}h2{font-size:1.1rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line)}\
p,li{overflow-wrap:anywhere}.soft{color:var(--soft)}.scroll{overflow-x:auto}\
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}th,td{padding:.15rem .6rem;text-align:left;white-space:nowrap;border-bottom:1px solid var(--line)}th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right}\
.bad{color:var(--bad)}.warn{color:var(--warn)}.good{color:var(--good)}\
svg{max-width:100%;height:auto}svg.plain{max-width:none}.card svg.plain{max-width:100%}svg.time{min-width:40rem}svg{font:11px ui-monospace,monospace}svg text{fill:var(--ink)}svg .soft{fill:var(--soft)}svg .lifeline{stroke:var(--line)}svg .bar{fill:var(--blue)}svg .bar.bad{fill:var(--bad)}svg .arrow{stroke:var(--blue);fill:none}svg .head{fill:var(--blue)}svg .gap{stroke:var(--bad);stroke-dasharray:4 3}\
h3{font-size:1rem;margin:1.2rem 0 .3rem}.cards{display:flex;flex-wrap:wrap;gap:.6rem}.card{min-width:0;max-width:100%;background:var(--card);border:1px solid var(--line);border-radius:.4rem;padding:.4rem .8rem}.card b{display:block;font-size:1.2rem}\
.ladder{font-size:.85rem}.ladder b{font-size:.95rem!important}.bar-cell{min-width:8rem}.bar-cell i{display:block;height:.7rem;background:var(--blue);border-radius:2px}\
@media(max-width:600px){body{padding:.6rem;font-size:14px}}\
@media print{body{max-width:none;font-size:10pt}h2,h3{break-after:avoid}tr,li,.card,svg{break-inside:avoid}.scroll{overflow:visible}svg.plain{max-width:100%}table{font-size:7.5pt}th,td{padding:.1rem .3rem;white-space:normal;overflow-wrap:anywhere}td.n{white-space:nowrap}*{print-color-adjust:exact}}";

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
    let name = visible(page.followed.name.as_bytes());
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
    findings(page, html)?;
    table(page, html)?;
    figures::timeline(page, html)?;
    latency(page, html)?;
    last_packets(page, html)?;
    all_packets(page, html)?;
    topics(page, html)?;
    subscriptions(page, html)?;
    bytes(page, html)?;
    html.write_str("<footer><p class=\"soft\">Written by mqttdump. Packet numbers are those of the capture.</p></footer>\n</body></html>\n")
}

fn section(html: &mut String, title: &str) -> fmt::Result {
    writeln!(html, "<h2>{title}</h2>")
}

fn cards(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let records = page.followed.records;
    let sum = |f: fn(&Record) -> u64| records.iter().map(|it| f(it)).sum::<u64>();
    let abnormal = records.iter().filter(|record| record.close.is_abnormal());
    html.write_str("<div class=\"cards\">")?;
    for (value, what) in [
        (records.len() as u64, "connections"),
        (abnormal.count() as u64, "closed abnormally"),
        (sum(Record::message_count), "messages"),
        (page.account.mqtt_bytes(), "bytes on the wire"),
        (sum(|r| r.violations), "violations"),
        (sum(|r| r.warnings), "warnings"),
    ] {
        write!(html, "<div class=\"card\"><b>{value}</b>{what}</div>")?;
    }
    html.write_str("</div>\n")?;
    match page.followed.evicted {
        0 => Ok(()),
        n => writeln!(
            html,
            "<p class=\"warn\">{n} more connections were evicted: too many.</p>"
        ),
    }
}

fn client(record: &Record) -> String {
    record.client_id.as_deref().map_or("?".to_owned(), visible)
}

fn attention(page: &Page<'_>, html: &mut String) -> fmt::Result {
    section(html, "What needs attention")?;
    let records = page.followed.records;
    let lists = [
        ("Reconnects", coming_back(records)),
        ("Closed abnormally", abnormal(records)),
        ("Slowest answers", slow(records)),
        ("Stalls", stalls(records)),
    ];
    if lists.iter().all(|(_, lines)| lines.is_empty()) {
        return html.write_str(
            "<p class=\"good\">Nothing: every connection ended in order or was open.</p>\n",
        );
    }
    for (title, lines) in lists.iter().filter(|(_, lines)| !lines.is_empty()) {
        writeln!(html, "<h3>{title}</h3>\n<ul>")?;
        for line in lines.iter().take(ROWS) {
            writeln!(html, "<li>{}</li>", Text(line))?;
        }
        html.write_str("</ul>\n")?;
        more(html, lines.len(), ROWS)?;
    }
    Ok(())
}

fn more(html: &mut String, all: usize, shown: usize) -> fmt::Result {
    match all > shown {
        true => writeln!(html, "<p class=\"soft\">and {} more</p>", all - shown),
        false => Ok(()),
    }
}

/// Violations, warnings and notes; inconclusive ones are left to `check`.
fn findings(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let all = page.followed.records.iter().map(Box::as_ref);
    let mut all: Vec<(&Record, &Finding)> = all
        .flat_map(|record| record.findings.iter().map(move |found| (record, found)))
        .filter(|(_, found)| found.verdict >= Verdict::Note)
        .collect();
    if all.is_empty() {
        return Ok(());
    }
    all.sort_by_key(|(_, found)| std::cmp::Reverse(found.verdict));
    section(html, "Findings")?;
    html.write_str("<ul>\n")?;
    for (record, found) in all.iter().take(ROWS) {
        let class = match found.verdict {
            Verdict::Violation => "bad",
            Verdict::Warning => "warn",
            _ => "soft",
        };
        let packets: Vec<String> = found.packets.iter().map(|p| p.number.to_string()).collect();
        writeln!(
            html,
            "<li><span class=\"{class}\">{}</span> <b>{} {}</b>: {}{} <span class=\"soft\">({}, {} {})</span></li>",
            found.verdict.name(),
            record.connection,
            Text(&client(record)),
            Text(&found.message),
            match found.count {
                1 => String::new(),
                n => format!(", {n} times"),
            },
            found.rule.id,
            super::text::noun(packets.len(), "packet"),
            packets.join(", ")
        )?;
    }
    html.write_str("</ul>\n")?;
    more(html, all.len(), ROWS)
}

fn table(page: &Page<'_>, html: &mut String) -> fmt::Result {
    section(html, "Connections")?;
    html.write_str(
        "<div class=\"scroll\"><table><thead><tr><th class=\"n\">#</th><th>client id</th><th>from</th>\
         <th>to</th><th>version</th><th class=\"n\">open</th><th class=\"n\">up</th><th class=\"n\">down</th>\
         <th class=\"n\">CONNACK</th><th>closed by</th><th>cause</th><th>findings</th></tr></thead><tbody>\n",
    )?;
    for record in page.followed.records.iter().take(ROWS) {
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
            time(record.captured.1.since(record.captured.0)),
            record.messages.up.iter().sum::<u64>(),
            record.messages.down.iter().sum::<u64>(),
            record.latency.connect.map(time).unwrap_or_default(),
            record.close.by.name(),
            Text(&record.close.message),
            Text(&because(&record.close)),
            counted(record),
        )?;
    }
    html.write_str("</tbody></table></div>\n")?;
    more(html, page.followed.records.len(), ROWS)
}

fn counted(record: &Record) -> String {
    match (record.violations, record.warnings) {
        (0, 0) => String::new(),
        (violations, warnings) => format!("{violations} violations, {warnings} warnings"),
    }
}

fn latency(page: &Page<'_>, html: &mut String) -> fmt::Result {
    figures::histograms(page, html)?;
    for (by, rows) in latencies(&page.followed) {
        if rows.is_empty() {
            continue;
        }
        write!(
            html,
            "<h3>Latency by {by}</h3><div class=\"scroll\"><table><thead><tr><th>{by}</th><th>of</th><th class=\"n\">n</th>\
             <th class=\"n\">p50</th><th class=\"n\">p90</th><th class=\"n\">p99</th><th class=\"n\">most</th>\
             <th class=\"n\">packet</th></tr></thead><tbody>"
        )?;
        for (what, from, of) in rows.iter().take(ROWS) {
            let (max, packet) = of.slowest().unwrap_or_default();
            writeln!(
                html,
                "<tr><td>{}</td><td>{from}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
                 <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
                Text(what),
                of.len(),
                time(of.percentile(50)),
                time(of.percentile(90)),
                time(of.percentile(99)),
                time(max),
                packet.number
            )?;
        }
        html.write_str("</tbody></table></div>\n")?;
        more(html, rows.len(), ROWS)?;
    }
    Ok(())
}

/// How connections that closed abnormally ended.
fn last_packets(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let all: Vec<&Record> = page
        .followed
        .records
        .iter()
        .map(Box::as_ref)
        .filter(|record| record.close.is_abnormal() && !record.last.is_empty())
        .collect();
    if all.is_empty() {
        return Ok(());
    }
    section(html, "Last packets of connections that closed abnormally")?;
    html.write_str("<div class=\"cards\">\n")?;
    for record in all.iter().take(LADDERS) {
        writeln!(
            html,
            "<div class=\"card ladder\"><b>{} {}: {}</b>",
            record.connection,
            Text(&client(record)),
            Text(&because(&record.close))
        )?;
        figures::ladder(&record.ladder(), html)?;
        html.write_str("</div>\n")?;
    }
    html.write_str("</div>\n")?;
    more(html, all.len(), LADDERS)
}

fn all_packets(page: &Page<'_>, html: &mut String) -> fmt::Result {
    if page.ladder.rungs().is_empty() {
        return Ok(());
    }
    section(html, "Control packets")?;
    let shown = figures::ladder(page.ladder, html)?;
    html.write_str("<p class=\"soft\">Time since the line before, packet, control packet. A letter in brackets marks the packets of one exchange of QoS 1 or 2.</p>\n")?;
    let all = page.ladder.rungs().len() + usize::try_from(page.ladder.more()).unwrap_or(usize::MAX);
    more(html, all, shown)
}

fn topics(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let all = tree(&page.followed.topics.sorted());
    if all.is_empty() {
        return Ok(());
    }
    section(html, "Topics")?;
    html.write_str(
        "<div class=\"scroll\"><table><thead><tr><th>topic</th><th class=\"n\">published</th><th class=\"n\">delivered</th>\
         <th class=\"n\">payload bytes</th><th class=\"n\">rate</th><th>QoS</th><th class=\"n\">retained</th></tr></thead><tbody>\n",
    )?;
    for branch in all.iter().take(ROWS) {
        let count = &branch.count;
        writeln!(
            html,
            "<tr><td style=\"padding-left:{}rem\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td></tr>",
            0.6 + 1.2 * branch.depth as f64,
            Text(&branch.name),
            count.messages.up,
            count.messages.down,
            count.payload.up + count.payload.down,
            rate(count),
            qos(count),
            count.retained
        )?;
    }
    html.write_str("</tbody></table></div>\n")?;
    more(html, all.len(), ROWS)
}

fn subscriptions(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let all: Vec<_> = page
        .followed
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
        let class = match (one.refused, one.matched) {
            (true, _) => "bad",
            (false, 0) => "warn",
            (false, _) => "",
        };
        writeln!(
            html,
            "<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"{class}\">{}</td></tr>",
            record.connection,
            Text(&client(record)),
            Text(&visible(&one.filter)),
            one.qos,
            Text(&matched(one))
        )?;
    }
    html.write_str("</tbody></table></div>\n")?;
    more(html, all.len(), ROWS)
}

/// The account of the bytes by layer, as `overhead` counts them.
fn bytes(page: &Page<'_>, html: &mut String) -> fmt::Result {
    let account = page.account;
    let total = account.mqtt_bytes();
    if total == 0 {
        return Ok(());
    }
    section(html, "Bytes")?;
    html.write_str("<div class=\"scroll\"><table><thead><tr><th>layer</th><th class=\"n\">bytes</th><th class=\"n\">share</th><th></th></tr></thead><tbody>\n")?;
    for (layer, bytes) in account.layers.iter().filter(|(_, bytes)| *bytes > 0) {
        let share = 100.0 * bytes as f64 / total as f64;
        writeln!(
            html,
            "<tr><td>{}</td><td class=\"n\">{bytes}</td><td class=\"n\">{share:.1} %</td>\
             <td class=\"bar-cell\"><i style=\"width:{share:.1}%\"></i></td></tr>",
            layer.name()
        )?;
    }
    let foreign = account.level.of(&account.foreign);
    writeln!(
        html,
        "<tr><td><b>MQTT connections</b></td><td class=\"n\"><b>{total}</b></td><td></td><td></td></tr>\
         <tr><td>everything else</td><td class=\"n\">{foreign}</td><td></td><td></td></tr>\
         </tbody></table></div>\n\
         <p class=\"soft\">Frames as captured. By cause, by message, and what would change it: <code>mqttdump overhead</code>.</p>"
    )
}

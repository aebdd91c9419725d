//! Findings as text.
//!
//! ```text
//! line.pcap: 1 violation (120 messages on 4 connections, 87 rules applied)
//!
//! connection 3, client "sensor-7"
//!   VIOLATION by client: A PUBLISH with QoS 0 has DUP 0
//!     PUBLISH: expected DUP 0 with QoS 0, found DUP 1 (12 times)
//!     dup-with-qos-0 [3.1.1 MQTT-3.3.1-2, 3.1.1 MQTT-4.3.1-1], packets 4 7
//!           4 10:15:00.000000 > CONNECT
//!           5 10:15:00.000150 < CONNACK
//!     *     7 10:15:00.000500 > PUBLISH qos0 dup "plant/7/temp"
//! ```
//!
//! In live capture, each finding has its time, and the counts come at the end:
//!
//! ```text
//! 10:15:00.000500 connection 3, client "sensor-7"
//!   VIOLATION by client: A PUBLISH with QoS 0 has DUP 0
//!     …
//!
//! 10:15:10.000000 eth0: 1 violation (120 messages on 4 connections, 87 rules applied)
//!   VIOLATION dup-with-qos-0 by client: 12 times on 1 connection
//! ```

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;

use super::super::wrap::{shorten_words, shortened, wrap};
use super::super::{Format, Report, escape};
use super::{
    CaptureResult, FindingItem, FindingNeeds, Findings, Interval, Streaming, clauses, counted,
    often, packets, sentence,
};
use crate::frame::Direction;
use crate::mqtt::{FixedHeader, PacketType};
use crate::rules::{Finding, Reason, Rung, Tally, Verdict};
use crate::time::Timestamp;

/// `check --format text`
pub(super) static TEXT: Format<Findings> = Format {
    name: "text",
    help: "a summary and the findings by connection, for reading",
    needs: FindingNeeds {
        streaming: Streaming::Live,
        ladders: true,
        session_uids: false,
    },
    new: |options| {
        Box::new(Text {
            many: options.many,
            colour: options.colour,
            width: options.width.unwrap_or(100).max(40),
            terminal: options.width.is_some(),
            zone: options.zone.clone(),
            first: true,
        })
    },
};

struct Text {
    many: bool,
    colour: bool,
    width: usize,
    /// It is that of a terminal: lines for scripts are not wrapped.
    terminal: bool,
    zone: TimeZone,
    /// Nothing has been written yet.
    first: bool,
}

impl Report<Findings> for Text {
    fn put(&mut self, item: &FindingItem<'_>, out: &mut Vec<u8>) {
        match *item {
            FindingItem::Finding { capture, finding } => self.finding(capture, finding, out),
            FindingItem::Interval(interval, result) => self.interval(interval, result, out),
            FindingItem::Capture(result) => self.capture(result, out),
        }
    }
}

impl Text {
    fn finding(&mut self, capture: &str, finding: &Finding, out: &mut Vec<u8>) {
        self.first = false;
        let mut text = format!("{} ", self.time(finding.time));
        if self.many {
            text += &format!("{}: ", escape::visible(capture));
        }
        text += &self.fitted(heading(finding));
        text += "\n";
        self.put_finding(finding, &mut text);
        out.extend_from_slice(text.as_bytes());
    }

    fn interval(&mut self, interval: Interval, result: &CaptureResult, out: &mut Vec<u8>) {
        let mut text = String::new();
        if !std::mem::take(&mut self.first) {
            text += "\n";
        }
        text += &format!("{} ", self.time(interval.to));
        self.summary(result, &mut text);
        self.tally(result, &mut text);
        text += "\n";
        out.extend_from_slice(text.as_bytes());
        // The interval is already followed by an empty line.
        self.first = true;
    }

    fn capture(&mut self, result: &CaptureResult, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.first) {
            out.push(b'\n');
        }
        let mut text = String::new();
        self.summary(result, &mut text);
        self.tally(result, &mut text);
        let of_part = |finding: &&Finding| {
            finding.connection.is_none() && finding.verdict.reason() == Some(Reason::Shard)
        };
        let (undecided, mut findings): (Vec<&Finding>, Vec<_>) =
            result.findings.iter().partition(of_part);
        // What concerns the capture comes last.
        findings.sort_by_key(|found| {
            let connection = found.connection.unwrap_or(u64::MAX);
            (connection, found.time, found.packets.last().copied())
        });
        for of_connection in findings.chunk_by(|one, other| one.connection == other.connection) {
            // Findings about the CONNECT itself may lack the client identifier.
            let named = of_connection.iter().find(|it| it.client_id.is_some());
            text += "\n";
            text += &self.fitted(heading(named.unwrap_or(&of_connection[0])));
            text += "\n";
            for finding in of_connection {
                self.put_finding(finding, &mut text);
            }
        }
        if let Some(part) = &result.summary.part
            && !undecided.is_empty()
        {
            self.undecided(part, &undecided, &mut text);
        }
        out.extend_from_slice(text.as_bytes());
    }

    /// The rules that only all shards decide.
    fn undecided(&self, part: &str, findings: &[&Finding], text: &mut String) {
        let style = style(Verdict::CannotTell(Reason::Shard));
        *text += &format!("\n{}\n  ", escape::visible(part));
        *text += &self.paint(style, "CANNOT TELL");
        *text += &format!(
            ": {} about sessions and messages\n",
            counted(findings.len() as u64, "rule")
        );
        let because = Reason::Shard.because();
        wrap(
            &format!("cannot tell (shard), because {because}"),
            4,
            self.width,
            text,
        );
        let rules: Vec<&str> = findings.iter().map(|finding| finding.rule.id).collect();
        let mut lines = String::new();
        wrap(&rules.join(", "), 4, self.width, &mut lines);
        for line in lines.lines() {
            *text += &self.paint(Style::new().dimmed(), line);
            *text += "\n";
        }
    }

    fn paint(&self, style: Style, text: &str) -> String {
        match self.colour {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    fn summary(&self, result: &CaptureResult, text: &mut String) {
        let summary = &result.summary;
        let mut parts = Vec::new();
        for (count, what, verdict) in [
            (summary.violations, "violation", Verdict::Violation),
            (summary.warnings, "warning", Verdict::Warning),
            (summary.notes, "note", Verdict::Note),
        ] {
            if count > 0 {
                parts.push((counted(count, what), style(verdict)));
            }
        }
        if summary.cannot_tell > 0 {
            let count = format!("{} cannot tell", summary.cannot_tell);
            parts.push((count, Style::new()));
        }
        if parts.is_empty() {
            parts.push(match summary.frames {
                0 => ("nothing to check".to_owned(), Style::new()),
                _ => ("ok".to_owned(), AnsiColor::Green.on_default()),
            });
        }
        let name = escape::visible(&result.name);
        let plain: Vec<&str> = parts.iter().map(|(part, _)| &**part).collect();
        let plain = format!("{name}: {}", plain.join(", "));
        let painted: Vec<String> = parts
            .iter()
            .map(|(part, style)| self.paint(*style, part))
            .collect();
        let columns = |text: &str| escape::columns(text.as_bytes());
        let own_line = self.terminal && columns(&plain) > self.width;
        let between = if own_line { "\n  " } else { " " };
        let head = format!("{name}:{between}{}", painted.join(", "));
        let mut rest = format!(
            "({} on {}, {} applied",
            counted(summary.frames, "message"),
            counted(summary.connections, "connection"),
            counted(summary.rules_evaluated, "rule"),
        );
        if summary.suppressed > 0 {
            rest += &format!("; {} known or allowed", summary.suppressed);
        }
        let mut dropped = String::new();
        if summary.dropped > 0 {
            let packets = counted(summary.dropped, "packet");
            dropped = format!("; {packets} dropped before they could be captured");
        }
        rest += &dropped;
        rest.push(')');
        let mut lines = String::new();
        match self.terminal && columns(&plain) + 1 + columns(&rest) > self.width {
            true => {
                lines += "\n";
                wrap(&rest, 2, self.width, &mut lines);
            }
            false => lines = format!(" {rest}\n"),
        }
        if !dropped.is_empty() {
            let painted = self.paint(AnsiColor::Magenta.on_default(), &dropped);
            lines = lines.replacen(&dropped, &painted, 1);
        }
        *text += &head;
        *text += &lines;
        if summary.more > 0 {
            *text += &format!(
                "{} more were counted only: limit reached\n",
                counted(summary.more, "finding")
            );
        }
    }

    /// `10:15:00.000005`, local time.
    fn time(&self, time: Timestamp) -> String {
        let nanos = time.nanos().into();
        let time = jiff::Timestamp::from_nanosecond(nanos).unwrap_or_default();
        let time = time.to_zoned(self.zone.clone());
        time.strftime("%H:%M:%S%.6f").to_string()
    }

    /// Counts of each broken rule, the most severe first.
    fn tally(&self, result: &CaptureResult, text: &mut String) {
        let mut counts: Vec<_> = result.tally.iter().flat_map(Tally::iter).collect();
        counts.sort_by_key(|counted| std::cmp::Reverse((counted.verdict, counted.times)));
        for counted in counts {
            let name = counted.verdict.name().replace('_', " ").to_uppercase();
            *text += &format!(
                "  {} {}",
                self.paint(style(counted.verdict), &name),
                counted.rule.id
            );
            if let Some(side) = counted.by {
                *text += &format!(" by {}", side.name());
            }
            if let Some(reason) = counted.verdict.reason() {
                *text += &format!(" ({reason})");
            }
            *text += &format!(": {}\n", often(counted.times, counted.connections));
        }
    }

    /// A line that fits the terminal, and ends as it did.
    fn fitted(&self, line: String) -> String {
        match self.terminal {
            true => shortened(&line, self.width, self.width - 2),
            false => line,
        }
    }

    fn put_finding(&self, finding: &Finding, text: &mut String) {
        let name = finding.verdict.name().replace('_', " ").to_uppercase();
        let by = finding.by.map(|side| format!(" by {}", side.name()));
        let by = by.unwrap_or_default();
        let mut title = String::new();
        let head = format!("{name}{by}: {}", finding.rule.title);
        wrap(&head, 2, self.width, &mut title);
        // Only the verdict is coloured.
        let painted = self.paint(style(finding.verdict), &name);
        *text += &title.replacen(&name, &painted, 1);
        let words = sentence(finding);
        let words = escape::visible(&words);
        match self.terminal {
            true => wrap(&shorten_words(&words, self.width - 4), 4, self.width, text),
            false => wrap(&words, 4, self.width, text),
        }
        let reference = finding.rule.id.to_owned() + &clauses(finding) + &packets(finding);
        let mut lines = String::new();
        wrap(&reference, 4, self.width, &mut lines);
        for line in lines.lines() {
            *text += &self.paint(Style::new().dimmed(), line);
            *text += "\n";
        }
        for rung in &finding.ladder {
            self.rung(rung, text);
        }
    }

    /// `    *     7 10:15:00.000005 > PUBLISH id 3 qos1 dup "plant/7/temp"`
    fn rung(&self, rung: &Rung, text: &mut String) {
        let header = FixedHeader {
            first: rung.first,
            length_bytes: 1,
            remaining_length: 0,
        };
        let mark = if rung.marked { '*' } else { ' ' };
        let arrow = match rung.direction {
            Direction::Up => '>',
            Direction::Down => '<',
        };
        let mut line = format!(
            "    {mark}{:>6} {} {arrow} {}",
            rung.packet.number,
            self.time(rung.time),
            header.packet_type().name()
        );
        if let Some(id) = rung.packet_id {
            line += &format!(" id {id}");
        }
        let mut rest = String::new();
        if header.packet_type() == PacketType::Publish {
            line += &format!(" qos{}", header.qos());
            for (is, word) in [(header.dup(), " dup"), (header.retain(), " retain")] {
                if is {
                    rest += word;
                }
            }
        }
        let least = rung
            .topic
            .as_ref()
            .map_or(0, |topic| topic.len().min(SHORTEST_TOPIC) + 4);
        if line.len() + rest.len() + least > self.width {
            line += "\n";
            line += &" ".repeat(11);
        }
        line += &rest;
        if let Some(topic) = &rung.topic {
            let used = line.lines().last().map_or(0, str::len);
            // Two quotes and the ellipsis.
            let room = self.width.saturating_sub(used + 4).max(1);
            let mut quoted = Vec::new();
            escape::quoted_within(topic, escape::Within::Quotes, room, &mut quoted);
            line.push(' ');
            line += &String::from_utf8_lossy(&quoted);
        }
        *text += &match rung.marked {
            true => self.paint(Style::new().bold(), &line),
            false => line,
        };
        *text += "\n";
    }
}

/// Columns of a topic below which it goes to the next line.
const SHORTEST_TOPIC: usize = 8;

fn heading(finding: &Finding) -> String {
    let Some(number) = finding.connection else {
        return "the capture".to_owned();
    };
    match &finding.client_id {
        Some(id) => format!("connection {number}, client \"{}\"", escaped(id)),
        None => format!("connection {number}"),
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    escape::escaped(bytes, escape::Within::Cell, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Violation => AnsiColor::Red.on_default().bold(),
        // Yellow is not legible on white, and grey not on all backgrounds.
        Verdict::Warning => AnsiColor::Magenta.on_default().bold(),
        Verdict::Note => AnsiColor::Cyan.on_default().bold(),
        Verdict::CannotTell(_) => Style::new().bold(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::report::Options;

    fn written(options: &Options, result: &CaptureResult) -> String {
        let mut out = Vec::new();
        let mut report = (TEXT.new)(options);
        report.put(&FindingItem::Capture(result), &mut out);
        report.finish(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn by_connection() {
        let text = written(&Options::default(), &sample::result());
        let expected = "a b.pcap: 1 violation, 1 cannot tell (120 messages on 4 connections, 3 rules applied)\n\
             \n\
             connection 3, client \"sensor-7\\x1b\"\n  \
               VIOLATION by client: A PUBLISH of QoS 0 has DUP 0\n    \
                 PUBLISH: expected DUP 0 with QoS 0, found <DUP> 1 (topic \"plant/7/temp\") (12 times)\n    \
                 dup-with-qos-0 [3.1.1 MQTT-3.3.1-2, 3.1.1 MQTT-4.3.1-1], packets 4 7\n          \
                       4 10:15:00.000000 > CONNECT\n          \
                       5 10:15:00.000000 < CONNACK\n    \
                 *     7 10:15:00.000000 > PUBLISH id 3 qos1 dup \"plant/7/temp\"\n  \
               CANNOT TELL by client: A new packet has a Packet Identifier that is not in use\n    \
                 expected an unused Packet Identifier, found 1 (topic \"plant/7/temp\"); cannot tell (gap), because\n    \
                 the capture lacks bytes of the connection\n    \
                 id-in-use [3.1.1 MQTT-2.3.1-2], packets 4 7\n";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn ladders_and_colour() {
        let options = Options {
            colour: true,
            ..Options::default()
        };
        let text = written(&options, &sample::result());
        assert!(text.contains("\x1b[1m\x1b[31mVIOLATION"), "{text}");
        assert!(
            text.contains(
                "\x1b[1m    *     7 10:15:00.000000 > PUBLISH id 3 qos1 dup \"plant/7/temp\"\x1b[0m\n"
            ),
            "{text}"
        );
        let clean = CaptureResult {
            name: "x".into(),
            ..CaptureResult::default()
        };
        let text = written(&Options::default(), &clean);
        assert!(text.starts_with("x: nothing to check ("), "{text}");
    }
}

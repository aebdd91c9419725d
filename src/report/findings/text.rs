//! Findings for a reader.
//!
//! ```text
//! line.pcap: 1 violation, 1 cannot tell (120 messages on 4 connections, 87 rules had something to judge)
//!
//! connection 3, client "sensor-7"
//!   VIOLATION dup-with-qos-0 by client, packets 4 7 [3.1.1 MQTT-3.3.1-2, 3.1.1 MQTT-4.3.1-1]
//!     PUBLISH: expected DUP 0 with QoS 0, found DUP 1 (12 times)
//! ```
//!
//! As they arise, each with its time; then how often each came comes last:
//!
//! ```text
//! 10:15:00.000005 connection 3, client "sensor-7"
//!   VIOLATION dup-with-qos-0 by client, packets 4 7 [3.1.1 MQTT-3.3.1-2, 3.1.1 MQTT-4.3.1-1]
//!     PUBLISH: expected DUP 0 with QoS 0, found DUP 1
//!
//! 10:15:10.000000 eth0: 1 violation (120 messages on 4 connections, 87 rules had something to judge)
//!   VIOLATION dup-with-qos-0 by client: 12 times on 1 connection
//! ```

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;

use super::super::escape;
use super::{
    CaptureResult, FindingsFormat, FindingsReport, Interval, counted, often, sentence, statements,
};
use crate::frame::Direction;
use crate::mqtt::FixedHeader;
use crate::rules::{Finding, Rung, Tally, Verdict};
use crate::time::Timestamp;

/// `check --format text`
pub(super) static TEXT: FindingsFormat = FindingsFormat {
    name: "text",
    help: "a summary and the findings by connection, for reading",
    new: |options| {
        Box::new(Text {
            verbose: options.verbose,
            many: options.many,
            colour: options.colour,
            width: options.width.unwrap_or(100).max(40),
            zone: options.zone.clone(),
            live: options.live,
            first: true,
        })
    },
};

struct Text {
    verbose: bool,
    many: bool,
    colour: bool,
    width: usize,
    zone: TimeZone,
    live: bool,
    /// Nothing was written yet.
    first: bool,
}

impl FindingsReport for Text {
    fn streams(&self) -> bool {
        self.live
    }

    fn finding(&mut self, capture: &str, finding: &Finding, out: &mut Vec<u8>) {
        self.first = false;
        let mut text = format!("{} ", self.time(finding.time));
        if self.many {
            text += &format!("{capture}: ");
        }
        text += &heading(finding);
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
        // What follows is set off already.
        self.first = true;
    }

    fn capture(&mut self, result: &CaptureResult, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.first) {
            out.push(b'\n');
        }
        let mut text = String::new();
        self.summary(result, &mut text);
        self.tally(result, &mut text);
        let mut findings: Vec<&Finding> = result.findings.iter().collect();
        findings.sort_by_key(|found| (found.connection, found.time, found.packets.last().copied()));
        let mut connection = None;
        for finding in findings {
            if connection != Some(finding.connection) {
                connection = Some(finding.connection);
                text += "\n";
                text += &heading(finding);
                text += "\n";
            }
            self.put_finding(finding, &mut text);
        }
        out.extend_from_slice(text.as_bytes());
    }

    fn finish(&mut self, _out: &mut Vec<u8>) {}
}

impl Text {
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
                parts.push(self.paint(style(verdict), &counted(count, what)));
            }
        }
        if summary.cannot_tell > 0 {
            parts.push(format!("{} cannot tell", summary.cannot_tell));
        }
        if parts.is_empty() {
            parts.push(match summary.frames {
                0 => "nothing to judge".to_owned(),
                _ => self.paint(AnsiColor::Green.on_default(), "ok"),
            });
        }
        *text += &format!(
            "{}: {} ({} on {}, {} had something to judge",
            result.name,
            parts.join(", "),
            counted(summary.frames, "message"),
            counted(summary.connections, "connection"),
            counted(summary.rules_evaluated, "rule"),
        );
        if summary.suppressed > 0 {
            *text += &format!("; {} known or allowed", summary.suppressed);
        }
        if summary.dropped > 0 {
            let dropped = counted(summary.dropped, "packet");
            *text += &self.paint(
                AnsiColor::Yellow.on_default(),
                &format!("; {dropped} dropped before they could be captured"),
            );
        }
        *text += ")\n";
        if summary.more > 0 {
            *text += &format!(
                "{} more were only counted, because there were too many\n",
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

    /// How often each rule was broken; the worst first.
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

    fn put_finding(&self, finding: &Finding, text: &mut String) {
        let name = finding.verdict.name().replace('_', " ").to_uppercase();
        *text += "  ";
        *text += &self.paint(style(finding.verdict), &name);
        *text += &format!(" {}", finding.rule.id);
        if let Some(side) = finding.by {
            *text += &format!(" by {}", side.name());
        }
        let packets: Vec<_> = finding
            .packets
            .iter()
            .map(|p| p.number.to_string())
            .collect();
        if !packets.is_empty() {
            let what = if packets.len() == 1 {
                "packet"
            } else {
                "packets"
            };
            *text += &format!(", {what} {}", packets.join(" "));
        }
        let statements = statements(finding);
        if !statements.is_empty() {
            *text += &format!(" [{}]", statements.join(", "));
        }
        *text += "\n";
        let words = sentence(finding);
        wrap(&escaped(words.as_bytes()), self.width, text);
        if self.verbose {
            for rung in &finding.ladder {
                ladder(rung, text);
            }
        }
    }
}

/// `    *   7 > MQTTFrame { type: PUBLISH, qos: AT_MOST_ONCE, dup:true } id 3`
fn ladder(rung: &Rung, text: &mut String) {
    let header = FixedHeader {
        first: rung.first,
        length_bytes: 1,
        remaining_length: 0,
    };
    let mark = if rung.marked { '*' } else { ' ' };
    let way = match rung.direction {
        Direction::Up => '>',
        Direction::Down => '<',
    };
    *text += &format!("    {mark}{:>5} {way} {header}", rung.packet.number);
    if let Some(id) = rung.packet_id {
        *text += &format!(" id {id}");
    }
    *text += "\n";
}

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
        Verdict::Warning => AnsiColor::Yellow.on_default().bold(),
        Verdict::Note => AnsiColor::Cyan.on_default(),
        Verdict::CannotTell(_) => AnsiColor::BrightBlack.on_default(),
    }
}

/// Words in lines of at most `width` columns, indented by four.
fn wrap(words: &str, width: usize, text: &mut String) {
    const INDENT: &str = "    ";
    let mut column = 0;
    for word in words.split(' ') {
        let long = unicode_width::UnicodeWidthStr::width(word);
        if column == 0 {
            *text += INDENT;
            column = INDENT.len();
        } else if column + 1 + long > width {
            *text += "\n";
            *text += INDENT;
            column = INDENT.len();
        } else {
            *text += " ";
            column += 1;
        }
        *text += word;
        column += long;
    }
    *text += "\n";
}

#[cfg(test)]
mod tests {
    use super::super::{FindingsOptions, sample};
    use super::*;

    fn written(options: &FindingsOptions, result: &CaptureResult) -> String {
        let mut out = Vec::new();
        let mut report = (TEXT.new)(options);
        report.capture(result, &mut out);
        report.finish(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn by_connection() {
        let text = written(&FindingsOptions::default(), &sample::result());
        assert_eq!(
            text,
            "a b.pcap: 1 violation, 1 cannot tell (120 messages on 4 connections, 3 rules had something to judge)\n\
             \n\
             connection 3, client \"sensor-7\\x1b\"\n  \
               VIOLATION dup-with-qos-0 by client, packets 4 7 [3.1.1 MQTT-3.3.1-2, 3.1.1 MQTT-4.3.1-1]\n    \
                 PUBLISH: expected DUP 0 with QoS 0, found <DUP> 1 (12 times)\n  \
               CANNOT TELL id-in-use by client, packets 4 7 [3.1.1 MQTT-2.3.1-2]\n    \
                 expected an unused Packet Identifier, found 1; cannot tell (gap), because the capture lacks\n    \
                 bytes of the connection\n"
        );
    }

    #[test]
    fn ladders_and_colour() {
        let options = FindingsOptions {
            verbose: true,
            colour: true,
            ..FindingsOptions::default()
        };
        let text = written(&options, &sample::result());
        assert!(text.contains("\x1b[1m\x1b[31mVIOLATION"), "{text}");
        assert!(
            text.contains(
                "    *    7 > MQTTFrame { type: PUBLISH, qos: AT_MOST_ONCE, dup:true }\n"
            ),
            "{text}"
        );
        let clean = CaptureResult {
            name: "x".into(),
            ..CaptureResult::default()
        };
        let text = written(&FindingsOptions::default(), &clean);
        assert!(text.starts_with("x: nothing to judge ("), "{text}");
    }
}

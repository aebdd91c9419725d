//! Findings as JSON: one document, or one object per line.
//!
//! The keys are documented in `docs/formats.md`. With more than one capture a
//! finding has the key `file`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::super::utc::Utc;
use super::super::{Format, Report, json};
use super::{
    CaptureResult, CheckSummary, FindingItem, FindingNeeds, Findings, Interval, Streaming,
    statements,
};
use crate::rules::{Counted, Finding};
use crate::time::Timestamp;

/// `check --format json`
pub(super) static JSON: Format<Findings> = Format {
    name: "json",
    help: "one JSON document: a summary and the findings",
    needs: FindingNeeds {
        streaming: Streaming::Never,
        ladders: false,
        session_uids: true,
    },
    new: |options| {
        Box::new(Document {
            many: options.many,
            document: Whole::default(),
        })
    },
};

/// `check --format ndjson`
pub(super) static NDJSON: Format<Findings> = Format {
    name: "ndjson",
    help: "one JSON object per finding, then one with the summary",
    needs: FindingNeeds {
        streaming: Streaming::Always,
        ladders: false,
        session_uids: true,
    },
    new: |options| Box::new(Lines { many: options.many }),
};

struct Document {
    many: bool,
    document: Whole,
}

struct Lines {
    many: bool,
}

/// The whole document.
#[derive(Default, Serialize)]
struct Whole {
    summary: Summary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    captures: Vec<Capture>,
    findings: Vec<Found>,
    #[serde(skip)]
    sum: CheckSummary,
}

#[derive(Serialize)]
struct Capture {
    file: String,
    #[serde(flatten)]
    summary: Summary,
}

#[derive(Default, Serialize)]
struct Summary {
    frames: u64,
    connections: u64,
    violations: u64,
    warnings: u64,
    notes: u64,
    cannot_tell: u64,
    rules_evaluated: u64,
    #[serde(skip_serializing_if = "is_zero")]
    suppressed: u64,
    #[serde(skip_serializing_if = "is_zero")]
    more: u64,
    #[serde(skip_serializing_if = "is_zero")]
    dropped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<String>,
    /// Present if findings were reported as they arose.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Vec<Often>>,
}

/// How many times a rule was broken.
#[derive(Serialize)]
struct Often {
    rule: &'static str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    connections: u64,
    count: u64,
}

#[derive(Serialize)]
struct Passed {
    from: String,
    to: String,
}

#[derive(Serialize)]
struct Found {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    rule: &'static str,
    statements: Vec<String>,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_base64: Option<String>,
    packets: Vec<u64>,
    count: u64,
    time: String,
    message: String,
}

#[derive(Serialize)]
struct Last {
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<Passed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    summary: Summary,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Report<Findings> for Document {
    fn put(&mut self, item: &FindingItem<'_>, _out: &mut Vec<u8>) {
        if let FindingItem::Capture(result) = item {
            self.capture(result);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        json::pretty(&self.document, out);
        out.push(b'\n');
    }
}

impl Document {
    fn capture(&mut self, result: &CaptureResult) {
        let document = &mut self.document;
        document.sum.add(&result.summary);
        document.summary = Summary::new(&document.sum, &[]);
        if self.many {
            document.captures.push(Capture {
                file: result.name.clone(),
                summary: Summary::new(&result.summary, &result.errors),
            });
        } else {
            document.summary.errors.clone_from(&result.errors);
        }
        let file = self.many.then_some(result.name.as_str());
        let findings = result.findings.iter();
        document
            .findings
            .extend(findings.map(|finding| Found::new(finding, file)));
    }
}

impl Report<Findings> for Lines {
    fn put(&mut self, item: &FindingItem<'_>, out: &mut Vec<u8>) {
        match *item {
            FindingItem::Finding { capture, finding } => self.finding(capture, finding, out),
            FindingItem::Interval(interval, result) => self.summary(Some(interval), result, out),
            FindingItem::Capture(result) => {
                for finding in &result.findings {
                    self.finding(&result.name, finding, out);
                }
                self.summary(None, result, out);
            }
        }
    }
}

impl Lines {
    fn finding(&self, capture: &str, finding: &Finding, out: &mut Vec<u8>) {
        json::compact(&Found::new(finding, self.many.then_some(capture)), out);
        out.push(b'\n');
    }

    fn summary(&self, interval: Option<Interval>, result: &CaptureResult, out: &mut Vec<u8>) {
        let last = Last {
            interval: interval.map(|interval| Passed {
                from: rfc3339(interval.from),
                to: rfc3339(interval.to),
            }),
            file: self.many.then(|| result.name.clone()),
            summary: Summary {
                rules: result
                    .tally
                    .as_ref()
                    .map(|tally| tally.iter().map(Often::new).collect()),
                ..Summary::new(&result.summary, &result.errors)
            },
        };
        json::compact(&last, out);
        out.push(b'\n');
    }
}

impl Often {
    fn new(counted: &Counted) -> Self {
        Self {
            rule: counted.rule.id,
            verdict: counted.verdict.name(),
            reason: counted.verdict.reason().map(|reason| reason.name()),
            by: counted.by.map(|side| side.name()),
            connections: counted.connections,
            count: counted.times,
        }
    }
}

fn rfc3339(time: Timestamp) -> String {
    let mut text = Vec::new();
    Utc::default().put(time, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

impl Summary {
    fn new(summary: &CheckSummary, errors: &[String]) -> Self {
        Self {
            frames: summary.frames,
            connections: summary.connections,
            violations: summary.violations,
            warnings: summary.warnings,
            notes: summary.notes,
            cannot_tell: summary.cannot_tell,
            rules_evaluated: summary.rules_evaluated,
            suppressed: summary.suppressed,
            more: summary.more,
            dropped: summary.dropped,
            complete: summary.damaged.then_some(false),
            part: summary.part.clone(),
            errors: errors.to_vec(),
            rules: None,
        }
    }
}

impl Found {
    fn new(finding: &Finding, file: Option<&str>) -> Self {
        let (client_id, client_id_base64) = text(finding.client_id.as_deref());
        let (topic, topic_base64) = text(finding.topic.as_deref());
        Self {
            file: file.map(str::to_owned),
            rule: finding.rule.id,
            statements: statements(finding),
            verdict: finding.verdict.name(),
            reason: finding.verdict.reason().map(|reason| reason.name()),
            severity: finding.rule.severity.name(),
            by: finding.by.map(|side| side.name()),
            connection: finding.connection,
            connection_uid: finding.connection_id.map(|id| id.uid()),
            session_uid: finding.session_uid.as_deref().map(Into::into),
            exchange_uid: finding.exchange_uid(),
            client_id,
            client_id_base64,
            topic,
            topic_base64,
            packets: finding.packets.iter().map(|packet| packet.number).collect(),
            count: finding.count,
            time: rfc3339(finding.time),
            message: finding.message.clone(),
        }
    }
}

/// Text with U+FFFD for bytes that are not UTF-8; in that case also the exact bytes.
fn text(bytes: Option<&[u8]>) -> (Option<String>, Option<String>) {
    let exact = bytes
        .filter(|bytes| std::str::from_utf8(bytes).is_err())
        .map(|bytes| STANDARD.encode(bytes));
    (
        bytes.map(|b| String::from_utf8_lossy(b).into_owned()),
        exact,
    )
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::report::Options;

    fn written(format: &Format<Findings>, many: bool) -> String {
        let mut out = Vec::new();
        let mut report = (format.new)(&Options {
            many,
            ..Options::default()
        });
        report.put(&FindingItem::Capture(&sample::result()), &mut out);
        report.finish(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn lines() {
        let text = written(&NDJSON, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            r#"{"rule":"dup-with-qos-0","statements":["3.1.1 MQTT-3.3.1-2","3.1.1 MQTT-4.3.1-1"],"verdict":"violation","severity":"fatal","by":"client","connection":3,"connection_uid":"1:Nd+knZ5Ut6reVRkhn22ijevAOK0=-0.000000000","client_id":"sensor-7\u001b","topic":"plant/7/temp","packets":[4,7],"count":12,"time":"2014-06-30T10:15:00.000005000Z","message":"PUBLISH: expected DUP 0 with QoS 0, found <DUP> 1"}"#
        );
        assert!(
            lines[1].contains(r#""verdict":"cannot_tell","reason":"gap""#),
            "{}",
            lines[1]
        );
        assert_eq!(
            lines[2],
            r#"{"summary":{"frames":120,"connections":4,"violations":1,"warnings":0,"notes":0,"cannot_tell":1,"rules_evaluated":3}}"#
        );
    }

    #[test]
    fn a_document() {
        let one: serde_json::Value = serde_json::from_str(&written(&JSON, false)).expect("JSON");
        assert_eq!(one["summary"]["violations"], 1);
        assert_eq!(one["findings"][0]["rule"], "dup-with-qos-0");
        assert!(one["findings"][0]["file"].is_null() && one["captures"].is_null());
        let many: serde_json::Value = serde_json::from_str(&written(&JSON, true)).expect("JSON");
        assert_eq!(many["findings"][1]["file"], "a b.pcap");
        assert_eq!(many["captures"][0]["frames"], 120);
    }
}

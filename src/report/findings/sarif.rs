//! Findings as SARIF 2.1.0, for code scanning.
//!
//! A capture has no lines, so a location is the capture itself and, as a
//! logical location, the connection; packet numbers are properties. An
//! inconclusive finding is a result of kind `open`.

use serde_json::{Value, json};

use super::super::{Format, Report, json as safe};
use super::{CaptureResult, FindingItem, FindingNeeds, Findings, Streaming, sentence, statements};
use crate::rules::{Finding, RULES, Rule, Severity, Verdict, fingerprint};

/// `check --format sarif`
pub(super) static SARIF: Format<Findings> = Format {
    name: "sarif",
    help: "SARIF 2.1.0, for code scanning",
    needs: FindingNeeds {
        streaming: Streaming::Never,
        ladders: false,
        session_uids: true,
    },
    new: |_| Box::new(Sarif::default()),
};

#[derive(Default)]
struct Sarif {
    results: Vec<Value>,
    notifications: Vec<Value>,
}

impl Sarif {
    fn capture(&mut self, result: &CaptureResult) {
        let uri = uri(&result.name);
        let findings = result.findings.iter();
        self.results
            .extend(findings.map(|finding| of(finding, &uri)));
        self.notifications.extend(result.errors.iter().map(|error| {
            json!({
                "level": "error",
                "message": {"text": error},
                "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}}}],
            })
        }));
    }
}

impl Report<Findings> for Sarif {
    fn put(&mut self, item: &FindingItem<'_>, _out: &mut Vec<u8>) {
        if let FindingItem::Capture(result) = item {
            self.capture(result);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let document = json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": {
                    "name": "mqttdump",
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": RULES.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
                }},
                "invocations": [{
                    "executionSuccessful": self.notifications.is_empty(),
                    "toolExecutionNotifications": self.notifications,
                }],
                "results": self.results,
            }],
        });
        safe::pretty(&document, out);
        out.push(b'\n');
    }
}

fn descriptor(rule: &Rule) -> Value {
    let clauses: Vec<_> = rule
        .clauses
        .iter()
        .map(|clause| rule.clause_name(clause))
        .collect();
    json!({
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": format!("{}. {} Clauses: {}", rule.title, rule.why, clauses.join(", "))},
        "defaultConfiguration": {"level": match rule.severity {
            Severity::Fatal | Severity::Error => "error",
            Severity::Warn => "warning",
            Severity::Info => "note",
        }},
    })
}

fn of(finding: &Finding, uri: &str) -> Value {
    // 3.27.10: only results of kind `fail` have a level.
    let (kind, level) = match finding.verdict {
        Verdict::Violation => ("fail", "error"),
        Verdict::Warning => ("fail", "warning"),
        Verdict::Note => ("informational", "none"),
        Verdict::CannotTell(_) => ("open", "none"),
    };
    let index = RULES
        .iter()
        .position(|rule| std::ptr::eq(*rule, finding.rule));
    let mut location = json!({"physicalLocation": {"artifactLocation": {"uri": uri}}});
    if let Some(connection) = finding.connection {
        location["logicalLocations"] = json!([{
            "fullyQualifiedName": format!("connection/{connection}"),
            "kind": "resource",
        }]);
    }
    let packets: Vec<u64> = finding.packets.iter().map(|packet| packet.number).collect();
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    json!({
        "ruleId": finding.rule.id,
        "ruleIndex": index,
        "kind": kind,
        "level": level,
        "message": {"text": sentence(finding)},
        "locations": [location],
        "occurrenceCount": finding.count,
        "partialFingerprints": {"mqttdump/v1": fingerprint(finding)},
        "properties": {
            "statements": statements(finding),
            "packets": packets,
            "by": finding.by.map(|side| side.name()),
            "connectionUid": finding.connection_id.map(|id| id.uid()),
            "sessionUid": finding.session_uid.as_deref(),
            "exchangeUid": finding.exchange_uid(),
            "clientId": finding.client_id.as_deref().map(lossy),
            "topic": finding.topic.as_deref().map(lossy),
            "reason": finding.verdict.reason().map(|reason| reason.name()),
        },
    })
}

/// A path as a URI reference: characters that RFC 3986 does not allow are
/// percent-encoded.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(byte.into());
            }
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::report::Options;

    #[test]
    fn results() {
        let mut out = Vec::new();
        let mut report = (SARIF.new)(&Options::default());
        let mut result = sample::result();
        result.errors.push("cut".into());
        report.put(&FindingItem::Capture(&result), &mut out);
        report.finish(&mut out);
        let document: Value = serde_json::from_slice(&out).expect("JSON");
        let run = &document["runs"][0];
        let one = &run["results"][0];
        assert_eq!(
            (&one["kind"], &one["level"]),
            (&json!("fail"), &json!("error"))
        );
        assert_eq!(
            one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            "a%20b.pcap"
        );
        let index = one["ruleIndex"].as_u64().expect("an index") as usize;
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], one["ruleId"]);
        assert_eq!(run["results"][1]["kind"], "open");
        assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    }
}

//! Findings as JUnit XML: a suite for each capture with a case for each rule that
//! was applied. A finding that makes the exit status 1 (`--fail-on`) fails its case,
//! an inconclusive one skips it, all others are printed in its output.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::super::{Format, Report, escape};
use super::{
    CaptureResult, FindingItem, FindingNeeds, Findings, Streaming, clauses, packets, sentence,
};
use crate::rules::{FailOn, Finding, Rule};

/// `check --format junit`
pub(super) static JUNIT: Format<Findings> = Format {
    name: "junit",
    help: "JUnit XML: a test case per capture and rule",
    needs: FindingNeeds {
        streaming: Streaming::Never,
        ladders: false,
        session_uids: false,
    },
    new: |options| {
        Box::new(JUnit {
            fail_on: options.fail_on.clone(),
            suites: Vec::new(),
        })
    },
};

struct JUnit {
    fail_on: FailOn,
    suites: Vec<Suite>,
}

struct Suite {
    name: String,
    cases: Vec<Case>,
}

struct Case {
    name: String,
    outcome: Outcome,
    output: String,
}

enum Outcome {
    Passed,
    Failed {
        verdict: &'static str,
        message: String,
        body: String,
    },
    Skipped(String),
    Error(String),
}

impl Report<Findings> for JUnit {
    fn put(&mut self, item: &FindingItem<'_>, _out: &mut Vec<u8>) {
        if let FindingItem::Capture(result) = item {
            self.capture(result);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let mut writer = Writer::new_with_indent(&mut *out, b' ', 2);
        // Writing to memory cannot fail.
        let _ = self.write(&mut writer);
        out.push(b'\n');
    }
}

impl JUnit {
    fn capture(&mut self, result: &CaptureResult) {
        let mut rules = result.judged.clone();
        for finding in &result.findings {
            if !rules.iter().any(|rule| std::ptr::eq(*rule, finding.rule)) {
                rules.push(finding.rule);
            }
        }
        let mut cases: Vec<Case> = rules
            .iter()
            .map(|rule| case(rule, &result.findings, &self.fail_on))
            .collect();
        cases.extend(result.errors.iter().map(|error| Case {
            name: "input".into(),
            outcome: Outcome::Error(error.clone()),
            output: String::new(),
        }));
        self.suites.push(Suite {
            name: result.name.clone(),
            cases,
        });
    }
}

fn case(rule: &'static Rule, findings: &[Finding], fail_on: &FailOn) -> Case {
    let of: Vec<&Finding> = findings
        .iter()
        .filter(|finding| std::ptr::eq(finding.rule, rule))
        .collect();
    let lines = |wanted: &dyn Fn(&Finding) -> bool| -> String {
        let lines = of.iter().filter(|f| wanted(f)).map(|f| line(f));
        lines.collect::<Vec<_>>().join("\n")
    };
    let failed = of.iter().find(|finding| fail_on.fails(finding));
    let unknown = of.iter().find(|finding| finding.verdict.reason().is_some());
    let outcome = match (failed, unknown) {
        (Some(first), _) => Outcome::Failed {
            verdict: first.verdict.name(),
            message: sentence(first),
            body: lines(&|finding| fail_on.fails(finding)),
        },
        (None, Some(first)) => Outcome::Skipped(sentence(first)),
        (None, None) => Outcome::Passed,
    };
    Case {
        name: rule.id.to_owned(),
        outcome,
        output: lines(&|finding| !fail_on.fails(finding) && finding.verdict.reason().is_none()),
    }
}

/// A line of the body: message, clauses, connection and packets.
fn line(finding: &Finding) -> String {
    let connection = finding.connection.map(|n| format!(", connection {n}"));
    format!(
        "{}: {}{}{}{}",
        finding.verdict.name(),
        escape::visible(&sentence(finding)),
        clauses(finding),
        connection.unwrap_or_default(),
        packets(finding),
    )
}

impl JUnit {
    fn write(&self, writer: &mut Writer<&mut Vec<u8>>) -> std::io::Result<()> {
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let counts = self.suites.iter().map(Suite::counts);
        let all = counts.fold([0; 4], |sum, counts| {
            std::array::from_fn(|i| sum[i] + counts[i])
        });
        let mut root = BytesStart::new("testsuites");
        root.push_attribute(("name", "mqttdump check"));
        push_counts(&mut root, all);
        writer.write_event(Event::Start(root))?;
        for suite in &self.suites {
            let mut start = BytesStart::new("testsuite");
            start.push_attribute(("name", &*escape::visible(&suite.name)));
            push_counts(&mut start, suite.counts());
            writer.write_event(Event::Start(start))?;
            for case in &suite.cases {
                case.write(&suite.name, writer)?;
            }
            writer.write_event(Event::End(BytesEnd::new("testsuite")))?;
        }
        writer.write_event(Event::End(BytesEnd::new("testsuites")))
    }
}

impl Suite {
    /// Tests, failures, errors, skipped.
    fn counts(&self) -> [usize; 4] {
        let count = |is: fn(&Outcome) -> bool| self.cases.iter().filter(|c| is(&c.outcome)).count();
        [
            self.cases.len(),
            count(|outcome| matches!(outcome, Outcome::Failed { .. })),
            count(|outcome| matches!(outcome, Outcome::Error(_))),
            count(|outcome| matches!(outcome, Outcome::Skipped(_))),
        ]
    }
}

fn push_counts(element: &mut BytesStart<'_>, counts: [usize; 4]) {
    for (name, count) in ["tests", "failures", "errors", "skipped"]
        .into_iter()
        .zip(counts)
    {
        element.push_attribute((name, count.to_string().as_str()));
    }
}

impl Case {
    fn write(&self, suite: &str, writer: &mut Writer<&mut Vec<u8>>) -> std::io::Result<()> {
        let mut start = BytesStart::new("testcase");
        start.push_attribute(("classname", &*escape::visible(suite)));
        start.push_attribute(("name", self.name.as_str()));
        writer.write_event(Event::Start(start))?;
        let (name, message, body) = match &self.outcome {
            Outcome::Passed => ("", "", ""),
            Outcome::Failed { message, body, .. } => ("failure", message.as_str(), body.as_str()),
            Outcome::Skipped(message) => ("skipped", message.as_str(), ""),
            Outcome::Error(message) => ("error", message.as_str(), ""),
        };
        if !name.is_empty() {
            let mut element = BytesStart::new(name);
            element.push_attribute(("message", &*escape::visible(message)));
            if let Outcome::Failed { verdict, .. } = self.outcome {
                element.push_attribute(("type", verdict));
            }
            text(element, body, writer)?;
        }
        if !self.output.is_empty() {
            text(BytesStart::new("system-out"), &self.output, writer)?;
        }
        writer.write_event(Event::End(BytesEnd::new("testcase")))
    }
}

fn text(
    element: BytesStart<'_>,
    text: &str,
    writer: &mut Writer<&mut Vec<u8>>,
) -> std::io::Result<()> {
    if text.is_empty() {
        return writer.write_event(Event::Empty(element));
    }
    let end = element.to_end().into_owned();
    writer.write_event(Event::Start(element))?;
    writer.write_event(Event::Text(BytesText::new(text)))?;
    writer.write_event(Event::End(end))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::report::Options;

    #[test]
    fn a_suite_per_capture() {
        let mut out = Vec::new();
        let mut report = (JUNIT.new)(&Options::default());
        let mut result = sample::result();
        result.findings[0].message += "\u{1}";
        result.errors.push("cut <here>".into());
        report.put(&FindingItem::Capture(&result), &mut out);
        report.finish(&mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(
            text,
            r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="mqttdump check" tests="4" failures="1" errors="1" skipped="1">
  <testsuite name="a b.pcap" tests="4" failures="1" errors="1" skipped="1">
    <testcase classname="a b.pcap" name="dup-with-qos-0">
      <failure message="PUBLISH: expected DUP 0 with QoS 0, found &lt;DUP&gt; 1\x01 (topic &quot;plant/7/temp&quot;) (12 times)" type="violation">violation: PUBLISH: expected DUP 0 with QoS 0, found &lt;DUP&gt; 1\x01 (topic &quot;plant/7/temp&quot;) (12 times) [3.1.1 MQTT-3.3.1-2, 3.1.1 MQTT-4.3.1-1], connection 3, packets 4 7</failure>
    </testcase>
    <testcase classname="a b.pcap" name="id-in-use">
      <skipped message="expected an unused Packet Identifier, found 1 (topic &quot;plant/7/temp&quot;); cannot tell (gap), because the capture lacks bytes of the connection"/>
    </testcase>
    <testcase classname="a b.pcap" name="packet-id-zero">
    </testcase>
    <testcase classname="a b.pcap" name="input">
      <error message="cut &lt;here&gt;"/>
    </testcase>
  </testsuite>
</testsuites>
"#
        );
    }
}

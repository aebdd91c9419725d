//! Annotations in the log of a GitHub job.

use super::super::{Format, Report, escape};
use super::{
    CaptureResult, CheckSummary, FindingItem, FindingNeeds, Findings, Streaming, clauses, counted,
    often, packets, sentence,
};
use crate::rules::{Finding, Tally, Verdict};

/// `check --format github`
pub(super) static GITHUB: Format<Findings> = Format {
    name: "github",
    help: "annotations for a GitHub Actions log",
    needs: FindingNeeds {
        streaming: Streaming::Live,
        ladders: false,
        session_uids: false,
    },
    new: |_| Box::new(GitHub::default()),
};

#[derive(Default)]
struct GitHub {
    sum: CheckSummary,
}

impl Report<Findings> for GitHub {
    fn put(&mut self, item: &FindingItem<'_>, out: &mut Vec<u8>) {
        match *item {
            FindingItem::Finding { capture, finding } => self.finding(capture, finding, out),
            FindingItem::Interval(_, result) => sum(&result.summary, out),
            FindingItem::Capture(result) => self.capture(result, out),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        sum(&self.sum, out);
    }
}

impl GitHub {
    fn finding(&mut self, capture: &str, finding: &Finding, out: &mut Vec<u8>) {
        let level = match finding.verdict {
            Verdict::Violation => "error",
            Verdict::Warning => "warning",
            Verdict::Note | Verdict::CannotTell(_) => "notice",
        };
        let mut text = sentence(finding);
        text += &clauses(finding);
        if let Some(number) = finding.connection {
            text += &format!(", connection {number}");
        }
        text += &packets(finding);
        line(level, capture, finding.rule.id, &text, out);
    }

    fn capture(&mut self, result: &CaptureResult, out: &mut Vec<u8>) {
        self.sum.add(&result.summary);
        for finding in &result.findings {
            self.finding(&result.name, finding, out);
        }
        for counted in result.tally.iter().flat_map(Tally::iter) {
            let text = format!(
                "{} {}: {}\n",
                counted.verdict.name(),
                counted.rule.id,
                often(counted.times, counted.connections)
            );
            out.extend_from_slice(text.as_bytes());
        }
        for error in &result.errors {
            line("error", &result.name, "input", error, out);
        }
    }
}

fn sum(sum: &CheckSummary, out: &mut Vec<u8>) {
    let text = format!(
        "{}, {}, {} cannot tell in {}\n",
        counted(sum.violations, "violation"),
        counted(sum.warnings, "warning"),
        sum.cannot_tell,
        counted(sum.frames, "message"),
    );
    out.extend_from_slice(text.as_bytes());
}

fn line(level: &str, file: &str, title: &str, message: &str, out: &mut Vec<u8>) {
    let text = format!(
        "::{level} file={},title={}::{}\n",
        property(file),
        property(title),
        data(message)
    );
    out.extend_from_slice(text.as_bytes());
}

/// Escapes text so that the runner finds no command in it: a line feed becomes
/// `\n`, and `%`, with which the runner's own escapes start, is escaped.
fn data(text: &str) -> String {
    escape::visible(text).replace('%', "%25")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::report::Options;

    #[test]
    fn annotations() {
        let mut out = Vec::new();
        let mut report = (GITHUB.new)(&Options::default());
        let mut result = sample::result();
        result.name = "a,b:c.pcap".into();
        result.findings[0].message = "100 %\nof it".into();
        report.put(&FindingItem::Capture(&result), &mut out);
        report.finish(&mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(
            text.lines().next(),
            Some(
                "::error file=a%2Cb%3Ac.pcap,title=dup-with-qos-0::100 %25\\nof it (topic \"plant/7/temp\") (12 times) \
                 [3.1.1 MQTT-3.3.1-2, 3.1.1 MQTT-4.3.1-1], connection 3, packets 4 7"
            )
        );
        assert!(text.contains("\n::notice "), "{text}");
        assert!(text.ends_with("1 violation, 0 warnings, 1 cannot tell in 120 messages\n"));
    }
}

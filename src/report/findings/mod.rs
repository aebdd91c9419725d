//! Reports of the findings of `check`.
//!
//! ```text
//! Finding, CaptureResult ─┬─ text    for a reader
//!                         ├─ json    one document
//!                         ├─ ndjson  one object per line, as it is found
//!                         ├─ junit   a test case per capture and rule
//!                         ├─ sarif   for code scanning
//!                         └─ github  annotations in a log
//! ```
//!
//! Like all reports, they format values and make no decisions. A format is a file
//! here and an entry in [`FINDINGS_REPORTS`].

mod github;
mod json;
mod junit;
#[cfg(test)]
mod sample;
mod sarif;
mod text;

use super::{Format, Subject, escape};
use crate::rules::{Finding, Rule, Tally, Verdict};
use crate::time::Timestamp;

/// The result of one capture.
#[derive(Debug, Default)]
pub struct CaptureResult {
    /// Name of the capture, as given.
    pub name: String,
    /// Its parts, by the index in `PacketRef::file`.
    pub files: Vec<String>,
    /// Counts.
    pub summary: CheckSummary,
    /// Findings not yet reported by [`FindingItem::Finding`].
    pub findings: Vec<Finding>,
    /// The rules that were applied at least once.
    pub judged: Vec<&'static Rule>,
    /// Errors in the input.
    pub errors: Vec<String>,
    /// Counts for each rule, if findings were reported as they arose.
    pub tally: Option<Tally>,
}

/// A range of capture time that has passed.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// Start.
    pub from: Timestamp,
    /// End.
    pub to: Timestamp,
}

/// Counts of one capture. A finding counts once, however many times it occurred.
#[derive(Clone, Debug, Default)]
pub struct CheckSummary {
    /// Control packets.
    pub frames: u64,
    /// Connections with control packets.
    pub connections: u64,
    /// Findings that are violations.
    pub violations: u64,
    /// Findings that are warnings.
    pub warnings: u64,
    /// Findings that are notes.
    pub notes: u64,
    /// Findings that are inconclusive.
    pub cannot_tell: u64,
    /// Rules that were applied at least once.
    pub rules_evaluated: u64,
    /// Findings that were allowed or are in the baseline.
    pub suppressed: u64,
    /// Findings counted only, because a limit was reached.
    pub more: u64,
    /// Packets dropped before they could be captured.
    pub dropped: u64,
    /// The input was damaged.
    pub damaged: bool,
    /// What of the capture was read, of some of its shards: `shard-001 of 4`.
    pub part: Option<String>,
}

impl CheckSummary {
    /// Counts a finding.
    pub fn count(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Violation => &mut self.violations,
            Verdict::Warning => &mut self.warnings,
            Verdict::Note => &mut self.notes,
            Verdict::CannotTell(_) => &mut self.cannot_tell,
        } += 1;
    }

    /// Adds the result of another capture.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.connections += other.connections;
        self.violations += other.violations;
        self.warnings += other.warnings;
        self.notes += other.notes;
        self.cannot_tell += other.cannot_tell;
        self.rules_evaluated = self.rules_evaluated.max(other.rules_evaluated);
        self.suppressed += other.suppressed;
        self.more += other.more;
        self.dropped += other.dropped;
        self.damaged |= other.damaged;
        self.part = self.part.take().or_else(|| other.part.clone());
    }
}

/// The findings of captures: the subject of `check`.
#[derive(Debug)]
pub enum Findings {}

impl Subject for Findings {
    type Item<'a> = FindingItem<'a>;
    type Needs = FindingNeeds;
}

/// Results of checking captures.
#[derive(Clone, Copy, Debug)]
pub enum FindingItem<'a> {
    /// A finding, before the end of its capture, for formats that
    /// [stream](Streaming).
    Finding {
        /// Name of the capture, as given.
        capture: &'a str,
        /// The finding.
        finding: &'a Finding,
    },
    /// Interim results of a capture, after an interval.
    Interval(Interval, &'a CaptureResult),
    /// Final results of a capture.
    Capture(&'a CaptureResult),
}

/// What a format of findings needs from the command.
#[derive(Clone, Copy, Debug)]
pub struct FindingNeeds {
    /// When it prints findings one by one.
    pub streaming: Streaming,
    /// It prints the frames around a finding.
    pub ladders: bool,
    /// It prints identities of sessions.
    pub session_uids: bool,
}

/// When a format prints findings one by one instead of together with their
/// capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// Never: it is one document.
    Never,
    /// When findings are reported as they arise
    /// ([`Options::live`](super::Options::live)).
    Live,
    /// Always.
    Always,
}

impl Streaming {
    /// Whether findings are printed one by one.
    pub fn is_on(self, live: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Live => live,
            Self::Always => true,
        }
    }
}

/// All formats; the first is the default.
pub static FINDINGS_REPORTS: &[&Format<Findings>] = &[
    &text::TEXT,
    &json::JSON,
    &json::NDJSON,
    &junit::JUNIT,
    &sarif::SARIF,
    &github::GITHUB,
];

/// `2 violations`, `1 warning`.
fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// The clauses of a finding, ` [3.1.1 MQTT-2.3.1-2]`; nothing if it has none.
fn clauses(finding: &Finding) -> String {
    match &statements(finding)[..] {
        [] => String::new(),
        statements => format!(" [{}]", statements.join(", ")),
    }
}

/// The packets of a finding, `, packets 4 7`; nothing if it has none.
fn packets(finding: &Finding) -> String {
    let packets = finding
        .packets
        .iter()
        .map(|packet| packet.number.to_string());
    match &packets.collect::<Vec<_>>()[..] {
        [] => String::new(),
        [one] => format!(", packet {one}"),
        all => format!(", packets {}", all.join(" ")),
    }
}

/// The message with its topic, the number of occurrences and the reason if
/// inconclusive.
fn sentence(finding: &Finding) -> String {
    let mut text = finding.message.clone();
    if let Some(topic) = &finding.topic {
        let what = match topic.contains(&b'+') || topic.contains(&b'#') {
            true => "filter",
            false => "topic",
        };
        let quoted = format!("{:?}", String::from_utf8_lossy(topic));
        if !text.contains(&quoted) {
            let mut quoted = Vec::new();
            escape::quoted(topic, &mut quoted);
            text += &format!(" ({what} {})", String::from_utf8_lossy(&quoted));
        }
    }
    if let Some(reason) = finding.verdict.reason() {
        text += &format!("; cannot tell ({reason}), because {}", reason.because());
    }
    if finding.count > 1 {
        text += &format!(" ({} times)", finding.count);
    }
    text
}

/// `12 times on 3 connections`.
fn often(times: u64, connections: u64) -> String {
    format!(
        "{} on {}",
        counted(times, "time"),
        counted(connections, "connection")
    )
}

/// The clauses as a list.
fn statements(finding: &Finding) -> Vec<String> {
    finding
        .clauses
        .iter()
        .map(|clause| finding.rule.clause_name(clause))
        .collect()
}

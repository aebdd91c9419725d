//! Reports of what `check` found.
//!
//! ```text
//! Finding, CheckSummary ─→ trait FindingsReport ─┬─ text    for a reader
//!                                                ├─ json    one document
//!                                                ├─ ndjson  one object per line, as it is found
//!                                                ├─ junit   a test case per capture and rule
//!                                                ├─ sarif   for code scanning
//!                                                └─ github  annotations in a log
//! ```
//!
//! Like the reports of frames they turn values into bytes and decide nothing.
//! A format is a file here and an entry in [`FINDINGS_REPORTS`].

mod github;
mod json;
mod junit;
#[cfg(test)]
mod sample;
mod sarif;
mod text;

use jiff::tz::TimeZone;

use crate::rules::{FailOn, Finding, Rule, Tally, Verdict};
use crate::time::Timestamp;

/// What one capture came to.
#[derive(Debug, Default)]
pub struct CaptureResult {
    /// The capture as it was named.
    pub name: String,
    /// Its parts, by the index in `PacketRef::file`.
    pub files: Vec<String>,
    /// The numbers.
    pub summary: CheckSummary,
    /// What was found and not reported by [`FindingsReport::finding`] before.
    pub findings: Vec<Finding>,
    /// The rules that had anything to judge.
    pub judged: Vec<&'static Rule>,
    /// What is wrong with the input.
    pub errors: Vec<String>,
    /// How often each rule was broken, when findings were told as they arose.
    pub tally: Option<Tally>,
}

/// A stretch of capture time that has passed.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// When it began.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
}

/// What one capture came to, in numbers. Findings count once, however often
/// they occurred.
#[derive(Clone, Debug, Default)]
pub struct CheckSummary {
    /// Control packets.
    pub frames: u64,
    /// Connections that carried any.
    pub connections: u64,
    /// Findings that are violations.
    pub violations: u64,
    /// Findings that are warnings.
    pub warnings: u64,
    /// Findings that are notes.
    pub notes: u64,
    /// Findings that nobody can tell.
    pub cannot_tell: u64,
    /// Rules that had anything to judge.
    pub rules_evaluated: u64,
    /// Findings that were allowed, or are in the baseline.
    pub suppressed: u64,
    /// Findings that were only counted, because there were too many.
    pub more: u64,
    /// Packets that were lost before they could be captured.
    pub dropped: u64,
    /// The input was damaged.
    pub damaged: bool,
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

    /// Adds what another capture came to.
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
    }
}

/// What the formats are told.
#[derive(Clone, Debug)]
pub struct FindingsOptions {
    /// Show the frames around each finding.
    pub verbose: bool,
    /// Colour by verdict.
    pub colour: bool,
    /// Columns of the terminal, if the output is one.
    pub width: Option<usize>,
    /// Where "local time" is.
    pub zone: TimeZone,
    /// There is more than one capture.
    pub many: bool,
    /// Findings are told as they arise, where the format can.
    pub live: bool,
    /// What fails.
    pub fail_on: FailOn,
}

impl Default for FindingsOptions {
    fn default() -> Self {
        Self {
            verbose: false,
            colour: false,
            width: None,
            zone: TimeZone::UTC,
            many: false,
            live: false,
            fail_on: FailOn::default(),
        }
    }
}

/// A format of findings at work.
pub trait FindingsReport {
    /// Whether findings are wanted as soon as they are known
    /// ([`FindingsReport::finding`]) rather than with their capture.
    fn streams(&self) -> bool {
        false
    }

    /// A finding, before its capture has ended.
    fn finding(&mut self, _capture: &str, _finding: &Finding, _out: &mut Vec<u8>) {}

    /// So far: what the capture has come to when an interval has passed.
    fn interval(&mut self, _interval: Interval, _result: &CaptureResult, _out: &mut Vec<u8>) {}

    /// A capture was judged.
    fn capture(&mut self, result: &CaptureResult, out: &mut Vec<u8>);

    /// That was all.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// A format of findings that can be asked for by name.
pub struct FindingsFormat {
    /// The name, as in `check --format NAME`.
    pub name: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// Makes a report of this format.
    pub new: fn(&FindingsOptions) -> Box<dyn FindingsReport>,
}

/// All formats; the first is the default.
pub static FINDINGS_REPORTS: &[&FindingsFormat] = &[
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

/// The message with what a reader needs besides: how often, and why nobody can
/// tell.
fn sentence(finding: &Finding) -> String {
    let mut text = finding.message.clone();
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
        .map(|clause| clause.name(finding.rule))
        .collect()
}

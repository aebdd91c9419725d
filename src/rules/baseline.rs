//! Baselines of known findings: a text file with one fingerprint per line.

use std::collections::BTreeSet;

use super::Finding;
use super::fingerprint::fingerprint;

/// The first line of every baseline.
const HEADER: &str = "# mqttdump baseline";

/// A set of findings, by their fingerprints.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    marks: BTreeSet<String>,
}

impl Baseline {
    /// Whether a file that starts with this text is a baseline.
    pub fn is_one(beginning: &[u8]) -> bool {
        beginning.starts_with(HEADER.as_bytes())
    }

    /// Parses the text of a file; `None` if it is not a baseline.
    pub fn parse(text: &str) -> Option<Self> {
        Self::is_one(text.as_bytes()).then(|| Self {
            marks: text
                .lines()
                .filter(|line| !line.starts_with('#') && !line.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }

    /// The text of a file.
    pub fn text(&self) -> String {
        let mut text = format!("{HEADER}: findings that are known, one a line\n");
        for mark in &self.marks {
            text += mark;
            text.push('\n');
        }
        text
    }

    /// Whether a finding is in it.
    pub fn contains(&self, finding: &Finding) -> bool {
        self.marks.contains(&fingerprint(finding))
    }

    /// Adds a finding.
    pub fn insert(&mut self, finding: &Finding) {
        self.marks.insert(fingerprint(finding));
    }

    /// How many findings it has.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let text = "# mqttdump baseline: findings that are known, one a line\na\nb\n";
        let baseline = Baseline::parse(text).expect("a baseline");
        assert_eq!((baseline.len(), baseline.text().as_str()), (2, text));
        assert!(Baseline::parse("a\nb\n").is_none());
        assert!(!Baseline::is_one(b"\xd4\xc3\xb2\xa1"));
    }
}

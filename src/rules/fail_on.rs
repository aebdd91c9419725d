//! Which findings make `check` exit with 1.

use super::{Finding, Rule, Verdict};

/// The lowest verdict that fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FailLevel {
    /// Proven violations.
    #[default]
    Violation,
    /// Also findings that depend on configuration, timing or other connections.
    Warning,
    /// Also inconclusive findings.
    CannotTell,
    /// Nothing.
    Never,
}

impl FailLevel {
    /// All levels.
    pub const ALL: [Self; 4] = [
        Self::Violation,
        Self::Warning,
        Self::CannotTell,
        Self::Never,
    ];

    /// `violation`, `warning`, `cannot-tell` or `never`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Violation => "violation",
            Self::Warning => "warning",
            Self::CannotTell => "cannot-tell",
            Self::Never => "never",
        }
    }

    fn fails(self, verdict: Verdict) -> bool {
        match (self, verdict) {
            (Self::Never, _) | (_, Verdict::Note) => false,
            (_, Verdict::Violation) => true,
            (Self::Violation, _) => false,
            (Self::Warning, verdict) => verdict == Verdict::Warning,
            (Self::CannotTell, _) => true,
        }
    }
}

/// The lowest verdict that fails, in general and for some rules.
///
/// ```
/// use mqttdump::rules::{FailLevel, FailOn};
/// let fail_on = FailOn::parse("warning,qos-raised=never").unwrap();
/// assert_eq!(fail_on.level, FailLevel::Warning);
/// assert_eq!(fail_on.rules.len(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct FailOn {
    /// For rules that are not listed.
    pub level: FailLevel,
    /// For these rules.
    pub rules: Vec<(&'static Rule, FailLevel)>,
}

/// Why `--fail-on` was not understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FailOnError {
    /// A verdict of another name.
    #[error("expected one of {}, found {_0:?}", FailLevel::ALL.map(FailLevel::name).join(", "))]
    Verdict(String),
    /// A rule of another name.
    #[error("there is no rule '{_0}'")]
    Rule(String),
}

impl FailOn {
    /// Parses `VERDICT[,RULE=VERDICT…]`.
    ///
    /// # Errors
    /// What was expected, when a verdict or a rule is unknown.
    pub fn parse(text: &str) -> Result<Self, FailOnError> {
        let level = |name: &str| {
            FailLevel::ALL
                .into_iter()
                .find(|level| level.name() == name)
                .ok_or_else(|| FailOnError::Verdict(name.to_owned()))
        };
        let mut parsed = Self::default();
        for part in text.split(',') {
            match part.split_once('=') {
                None => parsed.level = level(part)?,
                Some((id, name)) => {
                    let rule = super::find(id);
                    let rule = rule.ok_or_else(|| FailOnError::Rule(id.to_owned()))?;
                    parsed.rules.push((rule, level(name)?));
                }
            }
        }
        Ok(parsed)
    }

    /// Whether a finding fails. The last entry of a rule counts.
    pub fn fails(&self, finding: &Finding) -> bool {
        let own = |(rule, _): &&(&Rule, FailLevel)| std::ptr::eq(*rule, finding.rule);
        let level = self.rules.iter().rev().find(own);
        level
            .map_or(self.level, |(_, level)| *level)
            .fails(finding.verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Reason;

    #[test]
    fn verdicts_by_level() {
        let unknown = Verdict::CannotTell(Reason::Gap);
        for (level, fails) in FailLevel::ALL.into_iter().zip([
            [true, false, false, false],
            [true, true, false, false],
            [true, true, true, false],
            [false; 4],
        ]) {
            let verdicts = [Verdict::Violation, Verdict::Warning, unknown, Verdict::Note];
            assert_eq!(verdicts.map(|verdict| level.fails(verdict)), fails);
        }
    }

    #[test]
    fn mistakes_name_what_was_expected() {
        assert!(
            FailOn::parse("always")
                .unwrap_err()
                .to_string()
                .contains("violation, warning")
        );
        assert!(
            FailOn::parse("no-such=never")
                .unwrap_err()
                .to_string()
                .contains("no-such")
        );
        let parsed = FailOn::parse("qos-raised=never").unwrap();
        assert_eq!(parsed.level, FailLevel::Violation);
    }
}

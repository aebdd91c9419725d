//! [`Tables`]: which rules a fact triggers.

use super::super::RULES;
use super::super::allowance::Budgets;
use super::super::rule::{Check, Rule, Wrong};
use super::super::verdict::Judged;
use crate::facts::FrameFacts;
use crate::frame::{Direction, PerDirection};
use crate::mqtt::{PacketType, Version};
use std::sync::LazyLock;

/// The rules by trigger.
pub(super) struct Tables {
    /// By sender, packet type and version: rules with a function.
    pub(super) frame: PerDirection<Vec<Vec<FrameRule>>>,
    /// The same, of rules for WebSocket.
    pub(super) websocket: Vec<Vec<FrameRule>>,
    /// By packet type and version: all rules that apply.
    pub(super) judge: Vec<RuleSet>,
    /// By packet type: budgets.
    pub(super) budget: Vec<Vec<(usize, BudgetCheck)>>,
    /// Each defect and the rules that it breaks.
    pub(super) format: Vec<(&'static Wrong, usize)>,
}

pub(super) static TABLES: LazyLock<Tables> = LazyLock::new(Tables::new);

/// A rule that is applied to control packets.
#[derive(Clone, Copy)]
pub(super) struct FrameRule {
    /// Its index in [`RULES`].
    pub(super) at: usize,
    /// It is about exchanges: [`Check::Exchange`].
    pub(super) in_exchange: bool,
    pub(super) check: fn(&FrameFacts<'_>) -> Judged,
}

pub(super) type BudgetCheck = fn(&FrameFacts<'_>, &Budgets) -> Judged;

pub(super) const VERSIONS: [Version; 3] = [Version::V3_1, Version::V3_1_1, Version::V5];

/// Whether a rule is applied to packets of a sender. A rule of a security review about
/// one side may apply to the answer of the other.
fn is_sent_by(rule: &Rule, sender: Direction) -> bool {
    matches!(rule.check, Check::Security(..)) || rule.binds.includes(sender.sender())
}

pub(super) fn place(kind: PacketType, version: Version) -> usize {
    kind as usize * VERSIONS.len() + version as usize
}

impl Tables {
    fn new() -> Self {
        let places = PacketType::ALL.len() * VERSIONS.len();
        let mut tables = Self {
            frame: PerDirection::from_fn(|_| vec![Vec::new(); places]),
            websocket: vec![Vec::new(); places],
            judge: vec![RuleSet::default(); places],
            budget: vec![Vec::new(); PacketType::ALL.len()],
            format: Vec::new(),
        };
        for (at, rule) in RULES.iter().enumerate() {
            if let Check::Format(wrongs) = rule.check {
                tables.format.extend(wrongs.iter().map(|wrong| (wrong, at)));
            }
            if let Check::Budget(types, check, _) = rule.check {
                for kind in types {
                    tables.budget[*kind as usize].push((at, check));
                }
            }
            for version in VERSIONS.into_iter().filter(|v| rule.applies_to(*v)) {
                for kind in PacketType::ALL {
                    let place = place(kind, version);
                    match rule.check {
                        Check::Frame(types, check)
                        | Check::Exchange(types, check)
                        | Check::Security(types, check)
                            if types.contains(&kind) =>
                        {
                            let in_exchange = matches!(rule.check, Check::Exchange(..));
                            for sender in Direction::ALL {
                                if is_sent_by(rule, sender) {
                                    tables.frame[sender][place].push(FrameRule {
                                        at,
                                        in_exchange,
                                        check,
                                    });
                                }
                            }
                            tables.judge[place].add(at);
                        }
                        Check::OverWebSocket(types, check) if types.contains(&kind) => {
                            tables.websocket[place].push(FrameRule {
                                at,
                                in_exchange: false,
                                check,
                            });
                        }
                        Check::Format(wrongs)
                            if wrongs.iter().any(|wrong| {
                                wrong.types.is_empty() || wrong.types.contains(&kind)
                            }) =>
                        {
                            tables.judge[place].add(at);
                        }
                        _ => {}
                    }
                }
            }
        }
        tables
    }
}

/// A set of rules, by their index in [`RULES`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RuleSet([u64; 4]);

impl RuleSet {
    /// Maximum number of rules.
    const MOST: usize = 256;

    /// # Panics
    ///
    /// Of more rules than [`RuleSet::MOST`]: then it needs another word.
    pub(super) fn add(&mut self, at: usize) {
        assert!(at < Self::MOST, "RuleSet has no room for rule {at}");
        self.0[at / 64] |= 1 << (at % 64);
    }

    pub(super) fn add_all(&mut self, other: Self) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    pub(super) fn has(&self, at: usize) -> bool {
        self.0
            .get(at / 64)
            .is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_every_rule() {
        let mut set = RuleSet::default();
        for at in 0..RULES.len() {
            assert!(!set.has(at));
            set.add(at);
            assert!(set.has(at));
        }
    }

    #[test]
    #[should_panic(expected = "no room for rule 256")]
    fn a_rule_too_many_fails_loudly() {
        RuleSet::default().add(RuleSet::MOST);
    }
}

//! Of what a capture has to be whole so that a rule can be decided.
//!
//! A shard has all packets of its connections. The other connections of a session, or
//! the clients from which and to which a server passes messages, may be in other
//! shards: there, what looks wrong may be right, and what looks right may be wrong.

use std::sync::LazyLock;

use super::RULES;
use super::rule::Rule;

/// What a rule is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// One connection.
    Connection,
    /// All connections of a client: what a session keeps.
    Session,
    /// All connections of a server: messages that pass through it.
    Message,
}

/// Rules about sessions.
const SESSION: &[&str] = &[
    "ack-order",
    "client-id-moves",
    "client-keeps-lost-session",
    "delivered-qos",
    "delivery-after-unsubscribe",
    "dup-on-first",
    "foreign-subscription-id",
    "id-in-use",
    "missing-dup",
    "missing-pubrel",
    "missing-resend",
    "missing-subscription-id",
    "no-subscription",
    "publish-after-pubrel",
    "pubrel-without-pubrec",
    "receive-maximum",
    "resend-after-failure",
    "resend-order",
    "session-lost",
    "session-present-impossible",
    "state-mismatch",
    "takeover",
    "unknown-ack",
];

/// Scopes of [`RULES`], by index.
static SCOPES: LazyLock<Vec<Scope>> = LazyLock::new(|| {
    let scope = |rule: &&Rule| {
        let messages = super::delivery::RULES;
        if messages.iter().any(|it| std::ptr::eq(*it, *rule)) {
            Scope::Message
        } else if SESSION.contains(&rule.id) {
            Scope::Session
        } else {
            Scope::Connection
        }
    };
    RULES.iter().map(scope).collect()
});

/// The scope of the rule with this index in [`RULES`].
pub(super) fn scope_at(at: usize) -> Scope {
    SCOPES.get(at).copied().unwrap_or(Scope::Message)
}

impl Rule {
    /// What has to be captured to decide it.
    pub fn scope(&self) -> Scope {
        let at = RULES.iter().position(|rule| rule.id == self.id);
        at.map_or(Scope::Message, scope_at)
    }
}

/// What is checked is a part of a capture.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name in messages, such as `shard-001 of 4`.
    pub name: String,
    /// It has all connections of its clients.
    pub keeps_sessions: bool,
}

impl Part {
    /// Whether it has all that rules of this scope depend on.
    pub(super) fn decides(&self, scope: Scope) -> bool {
        match scope {
            Scope::Connection => true,
            Scope::Session => self.keeps_sessions,
            Scope::Message => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_named_exists() {
        for id in SESSION {
            assert!(crate::rules::find(id).is_some(), "{id}");
        }
    }
}

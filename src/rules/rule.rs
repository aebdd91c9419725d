//! [`Rule`]: a static with documentation, clauses and examples, and one small
//! function.

use std::fmt;

use crate::event::Side;
use crate::mqtt::{DefectCode, PacketType, Version};

use super::allowance::Budgets;
use super::clause::Clause;
use super::verdict::Judged;
use crate::facts::{FrameFacts, Overdue, Silence, StillOpen, Stream, Undelivered};

/// A rule of the protocol that is visible on the wire.
#[derive(Debug)]
pub struct Rule {
    /// Short and stable, in kebab case, such as `dup-with-qos-0`.
    pub id: &'static str,
    /// The requirement, in one sentence without a full stop.
    pub title: &'static str,
    /// Why it matters in practice.
    pub why: &'static str,
    /// The side that has to obey it.
    pub binds: Binds,
    /// How bad it is.
    pub severity: Severity,
    /// The statements it covers, by version.
    pub clauses: &'static [Clause],
    /// Conversations in the notation of `docs/transcripts.md`: one that keeps
    /// the rule, one that breaks it, and one that breaks it where the capture
    /// cannot prove it.
    pub examples: Examples,
    /// How it is checked.
    pub check: Check,
}

/// Conversations that show a rule.
#[derive(Clone, Copy, Debug)]
pub struct Examples {
    /// A conversation that obeys the rule.
    pub good: &'static str,
    /// It is broken.
    pub bad: &'static str,
    /// A conversation that breaks it, but whose capture lacks the proof. Empty for a
    /// rule that a single packet decides.
    pub cut: &'static str,
}

/// The side that has to obey a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Binds {
    Client,
    Server,
    Both,
}

/// How bad breaking a rule is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Not wrong, but worth knowing.
    Info,
    /// Provable only under conditions, or subject to configuration.
    Warn,
    /// A requirement was broken.
    Error,
    /// Malformed Packet or Protocol Error: the receiver has to close.
    Fatal,
}

/// Trigger of a rule, and its function.
#[derive(Clone, Copy)]
pub enum Check {
    /// Bytes that break the packet format.
    Format(&'static [Wrong]),
    /// Control packets of these types.
    Frame(&'static [PacketType], fn(&FrameFacts<'_>) -> Judged),
    /// The same, of those that have a step in an exchange: not of a PUBLISH with QoS 0,
    /// which is spared 300 instructions.
    Exchange(&'static [PacketType], fn(&FrameFacts<'_>) -> Judged),
    /// Control packets of these types, where MQTT travels over WebSocket.
    OverWebSocket(&'static [PacketType], fn(&FrameFacts<'_>) -> Judged),
    /// Control packets of these types, for a security review: one note for the whole
    /// capture.
    Security(&'static [PacketType], fn(&FrameFacts<'_>) -> Judged),
    /// A request without an answer, at the end.
    Overdue(fn(&Overdue<'_>) -> Judged),
    /// A missing delivery, at the end.
    Undelivered(fn(&Undelivered<'_>) -> Judged),
    /// A connection that one side had to close, and that is still open.
    StillOpen(fn(&StillOpen<'_>) -> Judged),
    /// A pause of a client, or a connection that outlived it.
    Silence(fn(&Silence<'_>) -> Judged),
    /// Control packets of these types, if the user has set the budget; and requests
    /// without an answer.
    Budget(
        &'static [PacketType],
        fn(&FrameFacts<'_>, &Budgets) -> Judged,
        Option<fn(&Overdue<'_>, &Budgets) -> Judged>,
    ),
    /// Bytes that cannot be framed as MQTT.
    Stream(fn(&Stream<'_>) -> Judged),
}

/// A defect of the decoder that breaks a rule.
#[derive(Clone, Copy, Debug)]
pub struct Wrong {
    /// The defect.
    pub code: DefectCode,
    /// In which packet types; empty for all.
    pub types: &'static [PacketType],
    /// In which field; empty for any.
    pub field: &'static str,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format(_) => "Format",
            Self::Frame(..) => "Frame",
            Self::Exchange(..) => "Exchange",
            Self::OverWebSocket(..) => "OverWebSocket",
            Self::Security(..) => "Security",
            Self::Overdue(_) => "Overdue",
            Self::Undelivered(_) => "Undelivered",
            Self::StillOpen(_) => "StillOpen",
            Self::Silence(_) => "Silence",
            Self::Budget(..) => "Budget",
            Self::Stream(_) => "Stream",
        })
    }
}

impl Rule {
    /// One of its clauses as findings name it: `5.0 MQTT-3.3.1-2`, and `3.1
    /// dup-with-qos-0` where there are no numbers.
    pub fn clause_name(&self, clause: &Clause) -> String {
        let id = match clause.id {
            "" => self.id,
            id => id,
        };
        format!("{} {id}", clause.version)
    }

    /// Whether it applies in a version.
    pub fn applies_to(&self, version: Version) -> bool {
        // Budgets are no statement of any version.
        self.clauses.is_empty() || self.clauses.iter().any(|clause| clause.version == version)
    }
}

impl Binds {
    /// Whether a side has to obey the rule.
    pub fn includes(self, side: Side) -> bool {
        match self {
            Self::Client => side == Side::Client,
            Self::Server => side == Side::Server,
            Self::Both => true,
        }
    }

    /// `client`, `server` or `both`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Both => "both",
        }
    }
}

impl Severity {
    /// `info`, `warn`, `error` or `fatal`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

/// A defect of any packet, in any field.
pub(super) const fn wrong(code: DefectCode) -> Wrong {
    Wrong {
        code,
        types: &[],
        field: "",
    }
}

impl Wrong {
    /// In packets of these types only.
    pub(super) const fn of(self, types: &'static [PacketType]) -> Self {
        Self { types, ..self }
    }

    /// In this field only.
    pub(super) const fn on(self, field: &'static str) -> Self {
        Self { field, ..self }
    }
}

//! Statements of the specifications, and which of a rule's are meant by one of
//! its findings.

use std::fmt;

use crate::event::Side;
use crate::mqtt::{DefectCode, PacketType, Version};

/// A statement of the specification.
///
/// One without conditions is meant by every finding of its rule; one with some
/// by those that fulfil all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clause {
    /// Of which version.
    pub version: Version,
    /// Its number, such as `MQTT-3.3.1-2`, or ours (`U-2.1-4`) where it has
    /// none; empty for 3.1, which has no numbers at all.
    pub id: &'static str,
    /// The side that broke it.
    pub by: Option<Side>,
    /// The type of the control packet.
    pub packet: Option<PacketType>,
    /// The field, in the specification's words.
    pub field: Option<&'static str>,
    /// Which of the cases that the rule tells apart.
    pub case: Option<Case>,
}

/// A case that a rule tells apart, because each breaks a statement of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Case {
    Reauthentication,
    Qos1,
    Qos2,
    /// A Packet Identifier whose exchange that packet had ended, or continued.
    AfterPuback,
    AfterPubrec,
    AfterPubrel,
    AfterPubcomp,
    /// What a CONNACK refused.
    Version,
    Identifier,
    EmptyIdentifier,
    Credentials,
    Authentication,
    AuthenticationMethod,
    /// A DISCONNECT with a Reason Code of an error.
    Error,
    /// A session, by the interval of CONNECT, and of CONNACK.
    Expired,
    ExpiredByServer,
    /// A subscription that had ended.
    Unsubscribed,
    /// A message that was published while its subscriber was connected.
    Live,
    /// One that had to wait for its subscriber.
    Queued,
    RetainAsPublished,
    /// A retained message that another one has replaced.
    Replaced,
    /// One that a message without payload has removed.
    Cleared,
    Retain0,
    Will,
    UserPropertyOfWill,
    RetainHandling2,
    Shared,
    OneCopy,
    SentAgain,
    /// A Message Expiry Interval that was not reduced.
    Countdown,
    Disconnected,
    CameBack,
    DollarTopic,
    OneIdentifier,
    Copies,
    /// A Topic Alias where none is allowed.
    NoAlias,
    /// One above the maximum.
    AboveMaximum,
    /// Bytes after the last field.
    Trailing,
    /// A defect of this kind.
    Defect(DefectCode),
}

/// What a finding is about, beyond the frame that shows it: chooses among the
/// clauses of its rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum About {
    /// Nothing else.
    #[default]
    Frame,
    /// Control packets of another type.
    Packet(PacketType),
    /// A field, in the specification's words.
    Field(&'static str),
    /// A case.
    Case(Case),
}

impl From<PacketType> for About {
    fn from(packet: PacketType) -> Self {
        Self::Packet(packet)
    }
}

impl From<&'static str> for About {
    fn from(field: &'static str) -> Self {
        Self::Field(field)
    }
}

impl From<Case> for About {
    fn from(case: Case) -> Self {
        Self::Case(case)
    }
}

impl<T: Into<Self>> From<Option<T>> for About {
    fn from(about: Option<T>) -> Self {
        about.map_or(Self::Frame, Into::into)
    }
}

/// What a clause is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub(super) by: Option<Side>,
    pub(super) packet: Option<PacketType>,
    /// Empty for none.
    pub(super) field: &'static str,
    pub(super) about: About,
}

const fn clause(version: Version, id: &'static str) -> Clause {
    Clause {
        version,
        id,
        by: None,
        packet: None,
        field: None,
        case: None,
    }
}

/// A rule of 3.1, which has no numbers.
pub(super) const fn v31() -> Clause {
    clause(Version::V3_1, "")
}

/// A statement of 3.1.1.
pub(super) const fn v311(id: &'static str) -> Clause {
    clause(Version::V3_1_1, id)
}

/// A statement of 5.0.
pub(super) const fn v5(id: &'static str) -> Clause {
    clause(Version::V5, id)
}

impl Clause {
    /// Meant only when this side broke it.
    pub(super) const fn by(self, side: Side) -> Self {
        Self {
            by: Some(side),
            ..self
        }
    }

    /// Meant only of packets of this type.
    pub(super) const fn packet(self, packet: PacketType) -> Self {
        Self {
            packet: Some(packet),
            ..self
        }
    }

    /// Meant only of this field.
    pub(super) const fn field(self, field: &'static str) -> Self {
        Self {
            field: Some(field),
            ..self
        }
    }

    /// Meant only in this case.
    pub(super) const fn when(self, case: Case) -> Self {
        Self {
            case: Some(case),
            ..self
        }
    }

    /// Whether it is meant under these circumstances.
    pub(super) fn is_meant(&self, c: &Circumstances) -> bool {
        self.by.is_none_or(|side| c.by == Some(side))
            && self
                .packet
                .is_none_or(|packet| c.packet == Some(packet) || c.about == About::Packet(packet))
            && self
                .field
                .is_none_or(|field| c.field == field || c.about == About::Field(field))
            && self.case.is_none_or(|case| c.about == About::Case(case))
    }

    /// What it is meant of, in words: `CONNACK Reason String`, `client`; empty
    /// for everything.
    pub fn scope(&self) -> String {
        let words = [
            self.by.map(Side::name),
            self.packet.map(PacketType::name),
            self.field,
            self.case.map(Case::name),
        ];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        words.join(" ")
    }
}

impl Case {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reauthentication => "re-authentication",
            Self::Qos1 => "QoS 1",
            Self::Qos2 => "QoS 2",
            Self::Version => "version",
            Self::Unsubscribed => "unsubscribed",
            Self::Identifier => "identifier",
            Self::EmptyIdentifier => "empty identifier",
            Self::Expired => "expired",
            Self::ExpiredByServer => "expired as the server said",
            Self::Credentials => "credentials",
            Self::Authentication => "authentication",
            Self::AuthenticationMethod => "authentication method",
            Self::AfterPubrec => "after PUBREC",
            Self::AfterPubcomp => "after PUBCOMP",
            Self::AfterPuback => "after PUBACK",
            Self::AfterPubrel => "after PUBREL",
            Self::Error => "error",
            Self::Live => "live",
            Self::Queued => "queued",
            Self::RetainAsPublished => "Retain As Published",
            Self::Replaced => "replaced",
            Self::Cleared => "cleared",
            Self::Retain0 => "RETAIN 0",
            Self::Will => "will",
            Self::UserPropertyOfWill => "User Property of a will",
            Self::RetainHandling2 => "Retain Handling 2",
            Self::Shared => "shared",
            Self::OneCopy => "one copy",
            Self::SentAgain => "sent again",
            Self::Countdown => "countdown",
            Self::Disconnected => "disconnected",
            Self::CameBack => "came back",
            Self::DollarTopic => "$ topic",
            Self::OneIdentifier => "one identifier",
            Self::Copies => "copies",
            Self::NoAlias => "none",
            Self::AboveMaximum => "above",
            Self::Trailing => "trailing",
            Self::Defect(code) => code.name(),
        }
    }
}

impl fmt::Display for Clause {
    /// Its number, and in parentheses what it is meant of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.id.is_empty() {
            return f.write_str("no numbered statement");
        }
        f.write_str(self.id)?;
        match self.scope() {
            scope if scope.is_empty() => Ok(()),
            scope => write!(f, " ({scope})"),
        }
    }
}

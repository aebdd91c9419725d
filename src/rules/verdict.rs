//! The result of a rule's function, built with a fluent interface.
//!
//! ```ignore
//! let earlier = facts.exchange()?;                       // nothing to judge: pass
//! violation("expected an unused Packet Identifier, found …")
//!     .unless(facts.doubt(Direction::Down))              // else: cannot tell, because
//!     .at(earlier.first)
//! ```

use crate::event::Side;
use crate::facts::{Delivery, Doubt, Reason};
use crate::packet::PacketRef;

use super::clause::About;

/// How sure a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// Something looks wrong, but a doubt about the capture could explain it.
    CannotTell(Reason),
    /// Legal but unusual.
    Note,
    /// It rests on configuration, timing or other connections.
    Warning,
    /// The proof is complete.
    Violation,
}

impl Verdict {
    /// `violation`, `warning`, `note` or `cannot_tell`, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CannotTell(_) => "cannot_tell",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Violation => "violation",
        }
    }

    /// Reason of an inconclusive verdict.
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::CannotTell(reason) => Some(reason),
            _ => None,
        }
    }
}

/// The result: `None` if nothing is wrong.
pub type Judged = Option<Box<Fault>>;

/// Something that a rule reports.
#[derive(Debug)]
pub struct Fault {
    /// How sure.
    pub verdict: Verdict,
    /// What was expected and what was found.
    pub message: String,
    /// Packets of the evidence besides the offending one.
    pub packets: Vec<PacketRef>,
    /// The side at fault, if it is not the sender of the frame.
    pub by: Option<Side>,
    /// The subject, which selects the clauses.
    pub about: About,
    /// It applies in every version, so that an unknown version does not matter.
    pub any_version: bool,
    /// It is in how a fault was answered, so that this fault does not excuse it.
    pub answers_fault: bool,
    /// It rests on which publication this message was taken for.
    pub rests_on: Option<u64>,
}

fn fault(verdict: Verdict, message: String) -> Box<Fault> {
    Box::new(Fault {
        verdict,
        message,
        packets: Vec::new(),
        by: None,
        about: About::Frame,
        any_version: false,
        answers_fault: false,
        rests_on: None,
    })
}

/// The proof is complete, unless [`Fault::unless`] names a doubt.
pub(super) fn violation(message: impl Into<String>) -> Box<Fault> {
    fault(Verdict::Violation, message.into())
}

/// It rests on configuration, timing or other connections.
pub(super) fn warning(message: impl Into<String>) -> Box<Fault> {
    fault(Verdict::Warning, message.into())
}

/// Legal but unusual.
pub(super) fn note(message: impl Into<String>) -> Box<Fault> {
    fault(Verdict::Note, message.into())
}

impl Fault {
    /// Inconclusive if there is this doubt.
    #[must_use]
    pub fn unless(mut self: Box<Self>, doubt: Doubt) -> Box<Self> {
        if let (Some(reason), None) = (doubt, self.verdict.reason()) {
            self.verdict = Verdict::CannotTell(reason);
        }
        self
    }

    /// Inconclusive for this reason, if `condition`.
    #[must_use]
    pub fn unless_when(self: Box<Self>, so: bool, reason: Reason) -> Box<Self> {
        self.unless(so.then_some(reason))
    }

    /// At most a warning, if that is so.
    #[must_use]
    pub fn only_warning_if(mut self: Box<Self>, so: bool) -> Box<Self> {
        if so && self.verdict == Verdict::Violation {
            self.verdict = Verdict::Warning;
        }
        self
    }

    /// It is so in every version.
    #[must_use]
    pub fn in_any_version(mut self: Box<Self>) -> Box<Self> {
        self.any_version = true;
        self
    }

    /// It is in how a fault was answered, so that this fault does not excuse it.
    #[must_use]
    pub fn in_answer_to_a_fault(mut self: Box<Self>) -> Box<Self> {
        self.answers_fault = true;
        self
    }

    /// It rests on which publication a delivery was taken for, and proves nothing if the
    /// server may have got the same message once more.
    #[must_use]
    pub fn resting_on(mut self: Box<Self>, delivery: &Delivery) -> Box<Self> {
        self.rests_on = Some(delivery.key);
        self.unless(delivery.missed)
    }

    /// Names another packet of the evidence.
    #[must_use]
    pub fn at(mut self: Box<Self>, packet: PacketRef) -> Box<Self> {
        self.packets.push(packet);
        self
    }

    /// Sets the side at fault.
    #[must_use]
    pub fn by(mut self: Box<Self>, side: Side) -> Box<Self> {
        self.by = Some(side);
        self
    }

    /// Sets the subject.
    #[must_use]
    pub fn about(mut self: Box<Self>, about: impl Into<About>) -> Box<Self> {
        self.about = about.into();
        self
    }
}

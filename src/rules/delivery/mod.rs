//! Deliveries: what a server sends to subscribers for a publication.
//!
//! Servers may be configured, have plug-ins, and get messages from connections that
//! were not captured. So all findings are warnings, and only for deliveries that
//! match exactly one publication.

mod copies;
mod forwarded;
mod retained;
mod will;

use std::time::Duration;

use crate::facts::{Delivery, Ending, FrameFacts, Publication, Reason, Undelivered};
use crate::mqtt::Version;

use super::rule::Rule;
use super::verdict::warning;

pub(super) static RULES: &[&Rule] = &[
    &forwarded::QOS_RAISED,
    &forwarded::PROPERTIES_ALTERED,
    &forwarded::RETAIN_FORWARDED,
    &retained::RETAINED_WITHOUT_FLAG,
    &retained::RETAINED_STALE,
    &retained::EMPTY_RETAINED,
    &retained::RETAIN_HANDLING,
    &copies::NO_LOCAL,
    &copies::ORDER,
    &copies::DELIVERED_TWICE,
    &forwarded::EXPIRED,
    &will::DROPPED_WILL,
    &will::WILL_FLAGS,
    &forwarded::LOST_DELIVERY,
    &retained::MISSING_RETAINED,
    &will::MISSING_WILL,
    &copies::OVERLAP_COPY,
    &copies::SHARED_TWICE,
];

/// Events closer in time than this may have happened in any order; a later one may be
/// another message with the same bytes.
const APART: Duration = Duration::from_secs(1);

/// The publication that a delivery matches, if it is unambiguous.
fn single<'a>(f: &FrameFacts<'a>) -> Option<(&'a Delivery, &'a Publication)> {
    let delivery = f.delivery?;
    Some((delivery, delivery.publication.as_ref()?))
}

/// Whether a subscription requests Retain As Published.
fn as_published(f: &FrameFacts<'_>) -> bool {
    f.frame.version == Version::V5 && f.matching().any(|s| s.options & 8 != 0)
}

/// A missing delivery.
fn missing(f: &Undelivered<'_>, what: &str) -> Box<super::Fault> {
    let topic = String::from_utf8_lossy(&f.publication.topic);
    let fault = warning(format!("expected {what} (topic {topic:?}), found none"))
        .at(f.of.packet)
        .unless(f.connection.any_doubt())
        .unless_when(f.connection.unidentified.down, Reason::Clipped)
        .unless_when(f.connection.session.elsewhere, Reason::SessionUnknown);
    if let Some(by) = f.overtaken_by {
        // It should have arrived before that one.
        return fault.at(by.packet);
    }
    fault
        .unless_when(f.ending == Ending::Unseen, Reason::CaptureEnd)
        .unless_when(f.ending == Ending::Reset, Reason::Reset)
        .unless_when(f.unacknowledged, Reason::Tolerance)
        .unless_when(f.waited < f.connection.patience, Reason::Tolerance)
}

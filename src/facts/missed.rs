//! Publications that were missed: never captured, or captured after their deliveries.
//!
//! ```text
//! > PUBLISH "on"            the server got it, and the capture lacks it
//!            < PUBLISH "on"   its delivery
//! > PUBLISH "on"            captured
//!            < PUBLISH "on"   its delivery, or the second one of the first?
//! ```
//! Equal messages are told apart by nothing but their order, so a delivery is evidence
//! about a publication only if no other may be missing. That one is missing shows later:
//! when TCP acknowledges its bytes, or when it is captured after all.

use std::time::Duration;

use crate::net::Endpoint;
use crate::time::Timestamp;

use super::doubt::Reason;

/// Packets of two connections that were captured closer in time than this may have been
/// on the wire in the other order: host queues and two taps differ by less.
pub(super) const PRECISION: Duration = Duration::from_millis(50);

/// What a server delivered may be another message than it was taken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Missed {
    /// The server.
    pub server: Endpoint,
    /// The message, if it is known: [`Publication::key`](super::Publication::key).
    pub key: Option<u64>,
    /// What was delivered since then.
    pub since: Timestamp,
    /// Why.
    pub reason: Reason,
}

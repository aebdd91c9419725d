//! Packets that were captured twice, by a mirror port or on a bridge. They are no
//! retransmissions.

use std::time::Duration;

use crate::net::{Segment, TcpFlags};
use crate::time::Timestamp;

/// What the last few packets of a connection looked like, to distinguish
/// a packet captured twice from a retransmission.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecentDuplicates {
    marks: [(u64, Timestamp); 4],
    next: u8,
}

/// A duplicate of a packet follows within this time; the shortest retransmission
/// time-out in use is 200 ms.
pub(super) const DUPLICATE: Duration = Duration::from_millis(100);
/// The same for packets without an IPv4 identification.
pub(super) const DUPLICATE_UNMARKED: Duration = Duration::from_millis(2);

impl RecentDuplicates {
    /// Whether a packet that looks the same was captured a moment ago. If not, it is
    /// remembered.
    pub(super) fn is_duplicate(&mut self, segment: &Segment<'_>) -> bool {
        let mark = mark(segment);
        let found = self.marks.iter().any(|&(m, time)| {
            m == mark
                && if segment.copy_marks.0 != 0 {
                    segment.time.since(time) <= DUPLICATE
                } else {
                    segment.time.since(time) <= DUPLICATE_UNMARKED
                        && (!segment.payload.is_empty()
                            || segment.flags.0 & (TcpFlags::SYN.0 | TcpFlags::FIN.0) != 0)
                }
        });
        if !found {
            self.keep(mark, segment.time);
        }
        found
    }

    /// Remembers a packet that cannot be a duplicate, because its bytes are new.
    #[inline]
    pub(super) fn remember(&mut self, segment: &Segment<'_>) {
        self.keep(mark(segment), segment.time);
    }

    #[inline]
    fn keep(&mut self, mark: u64, time: Timestamp) {
        self.marks[usize::from(self.next % 4)] = (mark, time);
        self.next = self.next.wrapping_add(1);
    }
}

/// What a packet looks like.
#[inline]
fn mark(segment: &Segment<'_>) -> u64 {
    let (ip_id, checksum) = segment.copy_marks;
    let a = u64::from(segment.seq) << 32 | u64::from(segment.ack);
    let b = (segment.payload.len() as u64) << 40
        ^ u64::from(segment.flags.0) << 32
        ^ u64::from(segment.window) << 16
        ^ u64::from(checksum)
        ^ u64::from(ip_id) << 48;
    (a ^ b.rotate_left(21)).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b
}

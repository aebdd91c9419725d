//! Puts ranges of one direction into the order of the stream.
//!
//! ```text
//! reported    │record│        │end│record│      │frame header│ …
//! later          │ frame header, cut │
//! passed on          … as they lie, once all before them is there
//! ```
//! A layer reports the kind of a byte when it is known. A higher layer may still buffer
//! the bytes before it: an incomplete frame header, or first bytes that are not
//! recognised yet.

use std::collections::BTreeMap;

use super::SpanKind;
use crate::layer::ByteRange;
use crate::limits;

/// Ranges waiting for earlier ones, in one direction.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Everything before it was passed on, or is missing.
    next: Option<u64>,
    /// By their start; `None` for missing bytes.
    waiting: BTreeMap<u64, (ByteRange, Option<SpanKind>)>,
}

impl Order {
    /// The stream starts or continues here.
    pub(super) fn begin(&mut self, at: u64) {
        self.next.get_or_insert(at);
    }

    /// Another range; no kind if it is not there.
    pub(super) fn push(&mut self, range: ByteRange, kind: Option<SpanKind>) {
        if !range.is_empty() {
            self.waiting.insert(range.start, (range, kind));
        }
    }

    /// The next range that can be passed on. At the end, and when too many are
    /// waiting, any can.
    pub(super) fn pop(&mut self, at_end: bool) -> Option<(ByteRange, SpanKind)> {
        loop {
            let any = at_end || self.is_full();
            let next = self.next.unwrap_or_default();
            let first = self
                .waiting
                .first_entry()
                .filter(|first| any || *first.key() <= next)?;
            let (range, kind) = first.remove();
            self.next = Some(next.max(range.end));
            // Ranges that were skipped are no longer reported.
            if let Some(kind) = kind
                && range.start >= next
            {
                return Some((range, kind));
            }
        }
    }

    /// As many wait as may.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= limits::UNORDERED_SPANS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::LayerBytes;
    use proptest::prelude::*;

    const KIND: SpanKind = SpanKind::Own(LayerBytes::WsFrame);

    proptest! {
        /// Whatever the order in which ranges are reported, and whatever is
        /// missing, they are passed on in the order of the stream.
        #[test]
        fn in_the_order_of_the_stream(
            lens in prop::collection::vec((1..20_u64, any::<bool>()), 1..60),
            begin in 0..100_u64,
            delays in prop::collection::vec(0..8_usize, 60),
        ) {
            let mut at = begin;
            let ranges: Vec<(ByteRange, Option<SpanKind>)> = lens
                .iter()
                .map(|&(len, is_there)| {
                    let range = ByteRange { start: at, end: at + len };
                    at = range.end;
                    (range, is_there.then_some(KIND))
                })
                .collect();
            let mut reported: Vec<(usize, usize)> = (0..ranges.len()).map(|i| (i + delays[i], i)).collect();
            reported.sort_unstable();
            let mut order = Order::default();
            order.begin(begin);
            let mut passed = Vec::new();
            for &(_, index) in &reported {
                let (range, kind) = ranges[index];
                order.push(range, kind);
                passed.extend(std::iter::from_fn(|| order.pop(false)));
            }
            let expected: Vec<_> = ranges
                .iter()
                .filter_map(|&(range, kind)| kind.map(|kind| (range, kind)))
                .collect();
            prop_assert_eq!(passed, expected);
        }
    }

    #[test]
    fn what_never_comes_is_waited_for_no_longer_than_the_bound() {
        let mut order = Order::default();
        order.begin(0);
        for at in 1..2 * limits::UNORDERED_SPANS as u64 {
            order.push(
                ByteRange {
                    start: at,
                    end: at + 1,
                },
                Some(KIND),
            );
            let first = order.pop(false).map(|(range, _)| range.start);
            assert_eq!(
                first.is_some(),
                at >= limits::UNORDERED_SPANS as u64,
                "{at}"
            );
        }
        // The first comes too late.
        order.push(ByteRange { start: 0, end: 1 }, Some(KIND));
        let rest = std::iter::from_fn(|| order.pop(true));
        let starts: Vec<_> = rest.map(|(range, _)| range.start).collect();
        let left = limits::UNORDERED_SPANS as u64 + 1..2 * limits::UNORDERED_SPANS as u64;
        assert!(starts.iter().copied().eq(left), "{starts:?}");
    }
}

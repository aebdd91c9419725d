//! Delta debugging: a small part of a whole that still has a property.

use std::ops::ControlFlow;

/// Leaves out as many of the `kept` as possible so that they still have the property:
/// first half of them at a time, then quarters, and so on, in the end single ones until
/// none can be left out.
///
/// `has` tells whether some of them, in order, have the property, or breaks off. All
/// together are taken to have it.
pub fn minimise<T: Clone>(
    mut kept: Vec<T>,
    has: &mut dyn FnMut(&[T]) -> ControlFlow<(), bool>,
) -> Vec<T> {
    let mut chunk = kept.len();
    while chunk > 0 {
        let before = kept.len();
        let mut at = 0;
        while at < kept.len() {
            let end = (at + chunk).min(kept.len());
            let without = [&kept[..at], &kept[end..]].concat();
            match has(&without) {
                ControlFlow::Break(()) => return kept,
                ControlFlow::Continue(true) => kept = without,
                ControlFlow::Continue(false) => at = end,
            }
        }
        let removed = kept.len() < before;
        chunk = match chunk {
            1 if removed => 1,
            _ => chunk / 2,
        };
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_property_needs_is_left() {
        for needed in [vec![], vec![0], vec![99], vec![3, 4, 77], vec![0, 50, 99]] {
            let mut tries = 0;
            let kept = minimise((0..100).collect(), &mut |some| {
                tries += 1;
                ControlFlow::Continue(needed.iter().all(|it| some.contains(it)))
            });
            assert_eq!(kept, needed);
            assert!(tries < 60, "{tries}");
        }
    }

    /// Leaving out one makes another superfluous.
    #[test]
    fn none_of_the_rest_can_be_left_out() {
        let odd_or_last = |some: &[u32]| some.contains(&9) || some.len() > 6;
        let kept = minimise((0..9).collect(), &mut |some| {
            ControlFlow::Continue(odd_or_last(some))
        });
        assert_eq!(kept.len(), 7);
    }

    #[test]
    fn breaking_off_keeps_what_has_the_property() {
        let mut tries = 0;
        let kept = minimise((0..64).collect(), &mut |some| {
            tries += 1;
            match tries {
                5.. => ControlFlow::Break(()),
                _ => ControlFlow::Continue(some.contains(&7)),
            }
        });
        assert!(kept.contains(&7) && kept.len() < 64, "{kept:?}");
    }
}

//! Integers that add up: dividing a total by weights.

use std::cmp::Reverse;

/// Divides `total` in proportion to `weights` by the largest remainder method
/// (Hamilton): each share is the integer part of its quota, and the rest goes one
/// each to the largest remainders, ties to the earlier. The shares add up to
/// `total`. If all weights are zero, they count alike; without weights the result is
/// empty.
///
/// ```
/// use mqttdump::overhead::apportion;
///
/// assert_eq!(apportion(66, &[14, 18, 22, 26]), [12, 15, 18, 21]);
/// assert_eq!(apportion(2, &[0, 0, 0]), [1, 1, 0]);
/// ```
pub fn apportion(total: u64, weights: &[u64]) -> Vec<u64> {
    let mut parts = Vec::new();
    apportion_into(total, weights, &mut parts);
    parts
}

/// The same, into a vector that is used again.
pub(super) fn apportion_into(total: u64, weights: &[u64], parts: &mut Vec<u64>) {
    parts.clear();
    let sum = weights.iter().try_fold(0_u64, |sum, &w| sum.checked_add(w));
    match sum {
        Some(0) => distribute(total, weights, parts, |_| {
            let n = weights.len() as u64;
            (total / n, total % n)
        }),
        // Messages in a frame: a third of the instructions that a vector of remainders
        // takes.
        Some(sum) if is_small(total, sum, weights.len()) => {
            divide_few(total, sum, weights, parts);
        }
        // Bytes of frames: this spares the division of 128 bits, which took a
        // third of the time of `overhead` on many messages in a frame.
        Some(sum) if total.checked_mul(sum).is_some() => {
            distribute(total, weights, parts, |weight| {
                let quota = total * weight;
                (quota / sum, quota % sum)
            });
        }
        _ => {
            let sum: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
            distribute(total, weights, parts, |weight| {
                let quota = u128::from(total) * u128::from(weight);
                ((quota / sum) as u64, quota % sum)
            });
        }
    }
}

/// Whether a remainder of `sum`, and `total` times it, fit where [`divide_few`] puts
/// them.
fn is_small(total: u64, sum: u64, weights: usize) -> bool {
    weights <= FEW && sum <= u64::MAX / FEW as u64 && total.checked_mul(sum).is_some()
}

/// As many weights as there are messages in nearly every frame, or acknowledged by
/// one.
const FEW: usize = 64;

/// Divides among few weights, whose `sum` is above 0 and times `total` fits.
fn divide_few(total: u64, sum: u64, weights: &[u64], parts: &mut Vec<u64>) {
    if total == 1 {
        // All to the greatest weight; of equal ones `max_by_key` returns the last.
        let most = (0..weights.len()).rev().max_by_key(|&i| weights[i]);
        parts.resize(weights.len(), 0);
        parts[most.unwrap_or(0)] = 1;
        return;
    }
    // Each remainder above the index from the end: the greatest is first in line.
    let mut order = [0; FEW];
    let order = &mut order[..weights.len()];
    let mut left = total;
    for (i, (weight, place)) in weights.iter().zip(&mut *order).enumerate() {
        let quota = total * weight;
        let part = quota / sum;
        left -= part;
        parts.push(part);
        *place = (quota % sum) << FEW.ilog2() | (FEW - 1 - i) as u64;
    }
    if left > 0 {
        let most = order.len() - left as usize;
        order.select_nth_unstable(most);
        for place in &order[most..] {
            parts[FEW - 1 - (place % FEW as u64) as usize] += 1;
        }
    }
}

fn distribute<R: Ord + Copy>(
    total: u64,
    weights: &[u64],
    parts: &mut Vec<u64>,
    quota: impl Fn(u64) -> (u64, R),
) {
    parts.extend(weights.iter().map(|&weight| quota(weight).0));
    let left = (total - parts.iter().sum::<u64>().min(total)) as usize;
    let remainder = |i: usize| quota(weights[i]).1;
    match left {
        _ if parts.is_empty() => {}
        0 => {}
        1 => {
            // Of equal ones `max_by_key` returns the last.
            let most = (0..parts.len()).rev().max_by_key(|&i| remainder(i));
            parts[most.unwrap_or(0)] += 1;
        }
        _ => {
            let mut order: Vec<(Reverse<R>, usize)> = (0..parts.len())
                .map(|i| (Reverse(remainder(i)), i))
                .collect();
            order.select_nth_unstable(left - 1);
            order[..left].iter().for_each(|&(_, i)| parts[i] += 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_add_up_and_are_within_one_of_their_quota(
            total in 0u64..1_000_000,
            weights in prop::collection::vec(0u64..10_000, 1..20),
        ) {
            let parts = apportion(total, &weights);
            prop_assert_eq!(parts.iter().sum::<u64>(), total);
            let sum: u64 = weights.iter().sum();
            for (part, weight) in parts.iter().zip(&weights).filter(|_| sum > 0) {
                let floor = u128::from(total) * u128::from(*weight) / u128::from(sum);
                prop_assert!((floor..=floor + 1).contains(&u128::from(*part)));
            }
        }

        // The rest goes to the largest remainders, ties to the earlier.
        #[test]
        fn like_a_stable_sort(
            total in 0u64..1_000,
            weights in prop::collection::vec(0u64..8, 1..50),
        ) {
            let sum = u128::from(weights.iter().sum::<u64>());
            prop_assume!(sum > 0);
            let quota = |i: usize| u128::from(total) * u128::from(weights[i]);
            let mut expected: Vec<u64> =
                (0..weights.len()).map(|i| (quota(i) / sum) as u64).collect();
            let left = total - expected.iter().sum::<u64>();
            let mut order: Vec<usize> = (0..weights.len()).collect();
            order.sort_by_key(|&i| Reverse(quota(i) % sum));
            order.iter().take(left as usize).for_each(|&i| expected[i] += 1);
            prop_assert_eq!(apportion(total, &weights), expected);
        }
    }

    #[test]
    fn no_weights_no_parts() {
        assert!(apportion(5, &[]).is_empty());
        assert_eq!(apportion(u64::MAX, &[u64::MAX, 0]), [u64::MAX, 0]);
        assert_eq!(
            apportion(u64::MAX, &[u64::MAX, u64::MAX]),
            [u64::MAX / 2 + 1, u64::MAX / 2]
        );
    }
}

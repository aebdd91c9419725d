//! Integers that add up: dividing a total by weights.

/// Divides `total` in proportion to `weights` by the method of largest
/// remainders (Hamilton): everyone gets the whole part of their quota, and
/// what is left goes one each to the largest remainders, ties to the earlier.
/// The parts add up to `total`. If all weights are zero they count alike;
/// without weights nothing is given.
///
/// ```
/// use mqttdump::overhead::apportion;
///
/// assert_eq!(apportion(66, &[14, 18, 22, 26]), [12, 15, 18, 21]);
/// assert_eq!(apportion(2, &[0, 0, 0]), [1, 1, 0]);
/// ```
pub fn apportion(total: u64, weights: &[u64]) -> Vec<u64> {
    let sum: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    if sum == 0 {
        return match weights {
            [] => Vec::new(),
            _ => apportion(total, &vec![1; weights.len()]),
        };
    }
    let quota = |weight: u64| u128::from(total) * u128::from(weight);
    let mut parts: Vec<u64> = weights
        .iter()
        .map(|&weight| (quota(weight) / sum) as u64)
        .collect();
    let mut left = total - parts.iter().sum::<u64>();
    if left > 0 {
        let mut order: Vec<usize> = (0..weights.len()).collect();
        // The sort is stable: ties stay in order.
        order.sort_by_key(|&i| std::cmp::Reverse(quota(weights[i]) % sum));
        for i in order {
            if left == 0 {
                break;
            }
            parts[i] += 1;
            left -= 1;
        }
    }
    parts
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
    }

    #[test]
    fn no_weights_no_parts() {
        assert!(apportion(5, &[]).is_empty());
        assert_eq!(apportion(u64::MAX, &[u64::MAX, 0]), [u64::MAX, 0]);
    }
}

//! How numbers are spread: least, mean, median, greatest.

/// Maximum number of distinct values; beyond that, values are rounded to three
/// digits.
const DISTINCT: usize = 1024;
/// The same where less will do: two digits.
const COARSE: usize = 64;

/// Counts of values. Exact as long as there are few distinct ones, as is usual for
/// costs of messages; otherwise quantiles are within 0.5 %.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// Values in order, and their counts.
    counts: Vec<(u64, u64)>,
    /// How many values.
    pub n: u64,
    /// Their sum.
    pub sum: u64,
    min: u64,
    max: u64,
    rounded: bool,
    coarse: bool,
}

impl Distribution {
    /// One that keeps fewer values, and quantiles within 5 %.
    pub fn coarse() -> Self {
        Self {
            coarse: true,
            ..Self::default()
        }
    }

    /// Adds a value `n` times.
    pub fn add(&mut self, value: u64, n: u64) {
        self.add_run(value, n, value * n);
    }

    /// Adds `n` values that are about `value` each, and `sum` together.
    pub(super) fn add_run(&mut self, value: u64, n: u64, sum: u64) {
        if n == 0 {
            return;
        }
        (self.min, self.max) = match self.n {
            0 => (value, value),
            _ => (self.min.min(value), self.max.max(value)),
        };
        self.n += n;
        self.sum += sum;
        let (most, unit) = match self.coarse {
            true => (COARSE, 100),
            false => (DISTINCT, 1000),
        };
        let value = if self.rounded {
            round(value, unit)
        } else {
            value
        };
        self.count(value, n);
        if self.counts.len() > most && !self.rounded {
            self.rounded = true;
            for (value, n) in std::mem::take(&mut self.counts) {
                self.count(round(value, unit), n);
            }
        }
    }

    fn count(&mut self, value: u64, n: u64) {
        match self
            .counts
            .binary_search_by_key(&value, |&(value, _)| value)
        {
            Ok(at) => self.counts[at].1 += n,
            Err(at) => {
                // Many have a single value.
                if self.counts.is_empty() {
                    self.counts.reserve_exact(1);
                }
                self.counts.insert(at, (value, n));
            }
        }
    }

    /// Adds the values of another, each greater by `more`.
    pub fn merge_shifted(&mut self, other: &Self, more: u64) {
        for &(value, n) in &other.counts {
            self.add(value + more, n);
        }
    }

    /// The least value.
    pub fn min(&self) -> Option<u64> {
        (self.n > 0).then_some(self.min)
    }

    /// The greatest value.
    pub fn max(&self) -> Option<u64> {
        (self.n > 0).then_some(self.max)
    }

    /// Sum by count.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum as f64 / self.n as f64)
    }

    /// The least value that at least `share` of all values (0 to 1) do not
    /// exceed.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let rank = ((share * self.n as f64).ceil() as u64).clamp(1, self.n.max(1));
        let mut seen = 0;
        self.counts.iter().find_map(|&(value, n)| {
            seen += n;
            (seen >= rank).then(|| value.clamp(self.min, self.max))
        })
    }

    /// The values and their counts.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.counts.iter().copied()
    }
}

/// A value as those beyond [`DISTINCT`] are counted.
pub(super) fn to_three_digits(value: u32) -> u32 {
    u32::try_from(round(value.into(), 1000)).unwrap_or(u32::MAX)
}

/// To as many digits as numbers below `below` have.
fn round(value: u64, below: u64) -> u64 {
    let mut unit = 1;
    while value / unit >= below {
        unit *= 10;
    }
    (value + unit / 2) / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_few_values_are_exact() {
        let mut costs = Distribution::default();
        assert_eq!(
            (costs.min(), costs.quantile(0.5), costs.mean()),
            (None, None, None)
        );
        for value in [306, 392, 306, 306] {
            costs.add(value, 1);
        }
        assert_eq!((costs.min(), costs.max()), (Some(306), Some(392)));
        assert_eq!(
            (costs.quantile(0.5), costs.quantile(0.99)),
            (Some(306), Some(392))
        );
        assert_eq!(costs.mean(), Some(327.5));
    }

    #[test]
    fn many_values_are_rounded_and_sums_stay_exact() {
        let mut costs = Distribution::default();
        (0..100_000).for_each(|value| costs.add(value, 1));
        assert!(costs.counts.len() <= 5 * DISTINCT);
        assert_eq!((costs.n, costs.sum), (100_000, 4_999_950_000));
        let median = costs.quantile(0.5).unwrap();
        assert!((49_750..=50_250).contains(&median), "{median}");
        assert_eq!(costs.max(), Some(99_999));
    }
}

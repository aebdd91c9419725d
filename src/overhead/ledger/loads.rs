//! Costs of the messages of a connection that is not kept individually.

use std::collections::BTreeMap;

use super::super::Map;
use super::super::account::{Account, Charged};
use super::super::distribution::to_three_digits;
use super::super::message::GroupKey;
use super::open::Open;
use crate::limits;

/// The cost of each message, until the connection ends and its fixed bytes are
/// known: then each message gets its share of them.
#[derive(Debug, Default)]
pub(super) struct Loads {
    runs: BTreeMap<(GroupKey, u32), Run>,
    sums: Charged,
    /// There are many distinct costs: they are rounded to three digits.
    rounded: bool,
}

/// Messages of a group that cost the same.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    n: u64,
    /// Their costs, not rounded.
    sum: u64,
}

/// The sums of each group, over all connections that are not kept individually.
pub(super) type GroupSums = Map<GroupKey, Charged>;

/// Distinct costs of one connection; beyond that, they are rounded.
const DISTINCT: usize = 1024;

impl Loads {
    /// Entries, of which [`limits::ACCOUNTED_GROUPS`] are kept in all.
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Adds a message to its own sums and to those of its group. `entries` is the
    /// number of entries of all connections.
    pub(super) fn add(
        &mut self,
        mut key: GroupKey,
        open: &Open,
        groups: &mut GroupSums,
        entries: &mut usize,
    ) {
        let marginal = open.marginal();
        let cost = u32::try_from(marginal).unwrap_or(u32::MAX);
        let mut cost = match self.rounded {
            true => to_three_digits(cost),
            false => cost,
        };
        if *entries >= limits::ACCOUNTED_GROUPS && !self.runs.contains_key(&(key, cost)) {
            key.topic = 0;
            cost = to_three_digits(cost);
        }
        let before = self.len();
        let run = self.runs.entry((key, cost)).or_default();
        run.n += 1;
        run.sum += marginal;
        if self.len() > DISTINCT && !self.rounded {
            self.rounded = true;
            for ((key, cost), run) in std::mem::take(&mut self.runs) {
                let rounded = self.runs.entry((key, to_three_digits(cost))).or_default();
                rounded.n += run.n;
                rounded.sum += run.sum;
            }
        }
        *entries = (*entries + self.len()).saturating_sub(before);
        let charged = open.charged();
        self.sums.add(&charged);
        groups.entry(key).or_default().add(&charged);
    }

    /// Adds them to the account, each with `share` of the connection's fixed bytes:
    /// to the client, and to the groups all but the sums, which are added for all
    /// connections together.
    pub(super) fn enter(&self, id: Box<[u8]>, share: u64, account: &mut Account) {
        for (&(key, cost), run) in &self.runs {
            let group = account.groups.entry(key).or_default();
            group.costs.load_run(cost.into(), run.n, run.sum, share);
        }
        let client = account.client(id);
        client.charge(&self.sums);
        for (&(_, cost), run) in &self.runs {
            client.load_run(cost.into(), run.n, run.sum, share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::open::{Beginning, First, OpenMessages};
    use super::*;
    use crate::frame::Direction;

    #[test]
    fn topics_beyond_the_limit_of_all_connections_count_as_one() {
        let (mut messages, mut first) = (OpenMessages::default(), First::default());
        let beginning = Beginning {
            topic: 0,
            payload: 10,
            packet: 20,
            direction: Direction::Up,
            qos: 0,
            by_alias: false,
            detail: None,
            cost: None,
        };
        let slot = messages.begin(&mut first, beginning);
        let key = |topic: u32| GroupKey {
            topic,
            qos: 0,
            direction: Direction::Up,
        };
        let (mut loads, mut groups) = (Loads::default(), GroupSums::default());
        let mut entries = limits::ACCOUNTED_GROUPS - 1;
        for (topic, cost) in [(1, 101), (2, 1234), (3, 1231), (1, 101)] {
            messages[slot].bytes.up = cost;
            loads.add(key(topic), &messages[slot], &mut groups, &mut entries);
        }
        // Costs of the others are rounded to three digits.
        assert_eq!((loads.len(), entries), (2, limits::ACCOUNTED_GROUPS + 1));
        assert_eq!(groups[&key(1)].bytes.up, 202);
        assert_eq!(groups[&key(0)].bytes.up, 1234 + 1231);
        let mut account = Account::default();
        loads.enter(Box::default(), 0, &mut account);
        assert_eq!(account.groups[&key(0)].costs.n(), 2);
    }
}

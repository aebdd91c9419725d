//! Topics as a tree: a branch has the sums of what is below it. Levels that have one
//! branch alone are joined.
//!
//! ```text
//! plant/                  5 messages
//!   7/temp                2
//!   8/                    3
//!     humidity            1
//!     temp                2
//! ```

use super::visible;
use crate::sessions::TopicCount;

/// One line of the tree.
pub(super) struct Branch {
    /// How many branches it is below.
    pub(super) depth: usize,
    /// The levels that it adds, ending in `/` if there are topics below it.
    pub(super) name: String,
    /// Its messages, with those below it.
    pub(super) count: TopicCount,
}

/// The tree of topics in byte order, from the root.
pub(super) fn tree(topics: &[(&[u8], &TopicCount)]) -> Vec<Branch> {
    let mut split: Vec<(Vec<&[u8]>, &TopicCount)> = topics
        .iter()
        .map(|(topic, count)| (topic.split(|byte| *byte == b'/').collect(), *count))
        .collect();
    // A topic comes right before those below it.
    split.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut out = Vec::new();
    grow(&split, 0, 0, &mut out);
    out
}

/// Adds the branches of `topics`, which share their first `level` levels.
fn grow(topics: &[(Vec<&[u8]>, &TopicCount)], level: usize, depth: usize, out: &mut Vec<Branch>) {
    let mut rest = topics;
    while let Some((first, _)) = rest.first() {
        let Some(name) = first.get(level) else {
            // The topic of the branch itself.
            rest = &rest[1..];
            continue;
        };
        let same = |(levels, _): &(Vec<&[u8]>, &TopicCount)| levels.get(level) == Some(name);
        let end = rest.iter().take_while(|topic| same(topic)).count();
        let (branch, others) = rest.split_at(end);
        rest = others;
        // As long as all of them go on in the same way.
        let mut next = level + 1;
        while let Some(level_name) = first.get(next)
            && branch
                .iter()
                .all(|(levels, _)| levels.get(next) == Some(level_name))
        {
            next += 1;
        }
        let mut count = TopicCount::default();
        for (_, one) in branch {
            count.merge(one);
        }
        let mut name = visible(&first[level..next].join(&b'/'));
        if branch.len() > 1 {
            name.push('/');
        }
        out.push(Branch { depth, name, count });
        if branch.len() > 1 {
            // A topic that is a branch as well has a line of its own.
            if branch[0].0.len() == next {
                out.push(Branch {
                    depth: depth + 1,
                    name: "(itself)".to_owned(),
                    count: *branch[0].1,
                });
            }
            grow(branch, next, depth + 1, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_have_sums_and_single_ones_are_joined() {
        let one = |n| {
            let mut count = TopicCount::default();
            count.messages.up = n;
            count
        };
        let counts = [one(1), one(2), one(4), one(8)];
        let topics: [&[u8]; 4] = [b"a/b", b"a/b/c", b"a/b-x", b"z/y"];
        let topics: Vec<_> = topics.into_iter().zip(&counts).collect();
        let lines: Vec<String> = tree(&topics)
            .iter()
            .map(|b| format!("{}{} {}", " ".repeat(b.depth), b.name, b.count.messages.up))
            .collect();
        assert_eq!(
            lines,
            ["a/ 7", " b/ 3", "  (itself) 1", "  c 2", " b-x 4", "z/y 8"]
        );
    }
}

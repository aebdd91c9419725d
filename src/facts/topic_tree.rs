//! A tree of topic levels, so that finding the filters that match a topic, or
//! the topics that match a filter, does not scan all of them.
//!
//! ```text
//! plant/+/temp    root ─plant─ o ─+─ o ─temp─ o  [0]
//! plant/#                      └──#─ o           [1]
//! ```
//!
//! A node represents a sequence of levels and holds the values inserted under it.
//! Wildcards of a filter are levels like others; the two searches interpret them.

use std::collections::HashMap;

/// Maximum number of levels of a topic or filter in the tree. Each level costs a node,
/// and `/` is one byte on the wire.
pub(super) const LEVELS: usize = 64;

type Children = HashMap<Box<[u8]>, u32, foldhash::fast::FixedState>;

/// Values by the levels of a topic or filter.
#[derive(Clone, Debug)]
pub(super) struct TopicTree<T> {
    nodes: Vec<Node<T>>,
}

#[derive(Clone, Debug)]
struct Node<T> {
    children: Children,
    values: Vec<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self {
            children: Children::default(),
            values: Vec::new(),
        }
    }
}

impl<T> Default for TopicTree<T> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

impl<T: Copy + PartialEq> TopicTree<T> {
    /// Whether `text` has few enough levels for [`TopicTree::insert`].
    pub(super) fn takes(text: &[u8]) -> bool {
        text.iter().filter(|byte| **byte == b'/').count() < LEVELS
    }

    /// Whether it is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.len() == 1 && self.nodes[0].values.is_empty()
    }

    /// Adds a value under a topic or filter, which the tree must accept.
    pub(super) fn insert(&mut self, text: &[u8], value: T) {
        let mut at = 0;
        for level in levels(text) {
            at = match self.nodes[at].children.get(level) {
                Some(child) => *child as usize,
                None => {
                    let new = self.nodes.len();
                    self.nodes[at].children.insert(level.into(), new as u32);
                    self.nodes.push(Node::default());
                    new
                }
            };
        }
        self.nodes[at].values.push(value);
    }

    /// The values whose filter matches a Topic Name, each once.
    pub(super) fn matching(&self, topic: &[u8], mut visit: impl FnMut(T)) {
        // Wildcards at the first level match no topic that starts with `$`.
        let dollar = topic.first() == Some(&b'$');
        let mut open: Vec<(u32, Option<&[u8]>)> = vec![(0, Some(topic))];
        while let Some((at, rest)) = open.pop() {
            let node = &self.nodes[at as usize];
            let wild = !(dollar && at == 0);
            if wild && let Some(child) = node.children.get(&b"#"[..]) {
                // `a/#` matches `a` as well as the levels below it.
                let node = &self.nodes[*child as usize];
                node.values.iter().copied().for_each(&mut visit);
            }
            let Some(rest) = rest else {
                node.values.iter().copied().for_each(&mut visit);
                continue;
            };
            let (level, rest) = split(rest);
            if let Some(child) = node.children.get(level) {
                open.push((*child, rest));
            }
            if wild && let Some(child) = node.children.get(&b"+"[..]) {
                open.push((*child, rest));
            }
        }
    }

    /// The values whose topic is matched by a filter, each once, until `visit`
    /// returns `false`.
    pub(super) fn matched_by(&self, filter: &[u8], mut visit: impl FnMut(T) -> bool) {
        let mut open: Vec<(u32, Option<&[u8]>)> = vec![(0, Some(filter))];
        while let Some((at, rest)) = open.pop() {
            let node = &self.nodes[at as usize];
            // Below the first level `$` is a character like others.
            let seen = |level: &[u8]| at != 0 || level.first() != Some(&b'$');
            let Some(rest) = rest else {
                if !node.values.iter().copied().all(&mut visit) {
                    return;
                }
                continue;
            };
            let (level, after) = split(rest);
            match level {
                b"#" => {
                    if at != 0 && !node.values.iter().copied().all(&mut visit) {
                        return;
                    }
                    let below = node.children.iter().filter(|(level, _)| seen(level));
                    open.extend(below.map(|(_, child)| (*child, Some(rest))));
                }
                b"+" => {
                    let below = node.children.iter().filter(|(level, _)| seen(level));
                    open.extend(below.map(|(_, child)| (*child, after)));
                }
                level => open.extend(node.children.get(level).map(|child| (*child, after))),
            }
        }
    }
}

fn levels(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'/')
}

/// The first level, and the rest after its `/`, if there is one.
fn split(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == b'/') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::topic;
    use proptest::prelude::*;

    fn filter() -> impl Strategy<Value = String> {
        "(\\$?[ab]?|\\+)(/([ab]?|\\+)){0,3}(/#)?|#"
    }

    fn name() -> impl Strategy<Value = String> {
        "\\$?[ab]?(/[ab]?){0,3}"
    }

    proptest! {
        #[test]
        fn finds_what_a_scan_finds(
            filters in prop::collection::vec(filter(), 0..12),
            names in prop::collection::vec(name(), 0..12),
        ) {
            let (mut of_filters, mut of_names) = (TopicTree::default(), TopicTree::default());
            for (at, filter) in filters.iter().enumerate() {
                of_filters.insert(filter.as_bytes(), at);
            }
            for (at, name) in names.iter().enumerate() {
                of_names.insert(name.as_bytes(), at);
            }
            for name in &names {
                let mut found = Vec::new();
                of_filters.matching(name.as_bytes(), |at| found.push(at));
                found.sort_unstable();
                let scanned: Vec<usize> = (0..filters.len())
                    .filter(|at| topic::matches(filters[*at].as_bytes(), name.as_bytes()))
                    .collect();
                prop_assert_eq!(found, scanned, "{}", name);
            }
            for filter in &filters {
                let mut found = Vec::new();
                of_names.matched_by(filter.as_bytes(), |at| { found.push(at); true });
                found.sort_unstable();
                let scanned: Vec<usize> = (0..names.len())
                    .filter(|at| topic::matches(filter.as_bytes(), names[*at].as_bytes()))
                    .collect();
                prop_assert_eq!(found, scanned, "{}", filter);
            }
        }

        #[test]
        fn levels_are_counted(text in "[ab/]{0,200}") {
            prop_assert_eq!(
                TopicTree::<u8>::takes(text.as_bytes()),
                levels(text.as_bytes()).count() <= LEVELS
            );
        }
    }
}

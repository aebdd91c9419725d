//! Topic Names and Topic Filters (3.1.1: 4.7; 5.0: 4.7 and 4.8.2).
//!
//! ```text
//! filter  sport/+/player1   sport/#   #          $share/group/sport/#
//! matches sport/a/player1   sport     all but $  what sport/# matches
//! ```
//! Matching is byte for byte and case-sensitive; levels may be empty. Nothing
//! here allocates but [`TopicFilter`], which keeps its bytes.

use std::fmt;

use super::text::Text;

/// A Topic Filter that obeys the rules for wildcards.
///
/// ```
/// use mqttdump::mqtt::{Text, TopicFilter};
/// let filter = TopicFilter::parse(b"vdm/+/engineOff").unwrap();
/// assert!(filter.matches(Text(b"vdm/123/engineOff")));
/// assert!(!filter.matches(Text(b"vdm/engineOff")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFilter {
    /// The filter without a `$share/{name}/` in front.
    levels: Box<[u8]>,
}

/// What is wrong with a Topic Name or Filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicFault {
    /// A wildcard in a Topic Name.
    Wildcard {
        /// Bytes before it.
        at: usize,
    },
    /// A filter of no characters.
    Empty,
    /// `#` before the last level, or beside other characters of its level.
    MultiLevel {
        /// Bytes before it.
        at: usize,
    },
    /// `+` beside other characters of its level.
    SingleLevel {
        /// Bytes before it.
        at: usize,
    },
    /// `$share/` without a share name, with a wildcard in it, or without a
    /// filter after it (5.0: 4.8.2).
    Share,
}

impl TopicFault {
    /// The code of the defect it makes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Wildcard { .. } => "wildcard-in-topic",
            Self::Empty => "empty-filter",
            Self::MultiLevel { .. } | Self::SingleLevel { .. } => "bad-filter",
            Self::Share => "bad-share",
        }
    }

    /// Bytes before the fault.
    pub const fn at(self) -> usize {
        match self {
            Self::Wildcard { at } | Self::MultiLevel { at } | Self::SingleLevel { at } => at,
            Self::Empty | Self::Share => 0,
        }
    }
}

impl fmt::Display for TopicFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wildcard { at } => {
                write!(f, "expected no wildcard, found one at byte {at}")
            }
            Self::Empty => f.write_str("expected at least one character, found none"),
            Self::MultiLevel { at } => write!(
                f,
                "expected # alone in the last level, found it elsewhere at byte {at}"
            ),
            Self::SingleLevel { at } => write!(
                f,
                "expected + alone in its level, found it beside others at byte {at}"
            ),
            Self::Share => f.write_str(
                "expected $share/, a share name without wildcards, / and a Topic Filter",
            ),
        }
    }
}

/// That a Topic Name holds no wildcard.
#[inline]
pub fn check_wildcards(topic: &[u8]) -> Result<(), TopicFault> {
    match topic.iter().position(|b| matches!(b, b'+' | b'#')) {
        Some(at) => Err(TopicFault::Wildcard { at }),
        None => Ok(()),
    }
}

/// That a Topic Filter obeys the rules for wildcards; with `shared` also those
/// of shared subscriptions.
pub fn check_filter(filter: &[u8], shared: bool) -> Result<(), TopicFault> {
    if filter.is_empty() {
        return Err(TopicFault::Empty);
    }
    let mut rest = filter;
    if shared && let Some(tail) = filter.strip_prefix(b"$share/") {
        let Some(slash) = tail.iter().position(|&b| b == b'/') else {
            return Err(TopicFault::Share);
        };
        let (name, after) = tail.split_at(slash);
        if name.is_empty() || check_wildcards(name).is_err() || after.len() < 2 {
            return Err(TopicFault::Share);
        }
        rest = &after[1..];
    }
    let mut at = filter.len() - rest.len();
    let end = filter.len();
    for level in rest.split(|&b| b == b'/') {
        if let Some(i) = level.iter().position(|&b| b == b'#')
            && (level.len() > 1 || at + 1 != end)
        {
            return Err(TopicFault::MultiLevel { at: at + i });
        }
        if let Some(i) = level.iter().position(|&b| b == b'+')
            && level.len() > 1
        {
            return Err(TopicFault::SingleLevel { at: at + i });
        }
        at += level.len() + 1;
    }
    Ok(())
}

/// Whether a filter is one of a shared subscription.
pub fn is_shared(filter: &[u8]) -> bool {
    filter.starts_with(b"$share/")
}

impl TopicFilter {
    /// Takes a filter as a client writes it; `$share/{name}/` is taken off.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(filter: &[u8]) -> Result<Self, TopicFault> {
        check_filter(filter, true)?;
        let levels = match filter.strip_prefix(b"$share/") {
            Some(tail) => {
                let slash = tail.iter().position(|&b| b == b'/').unwrap_or(0);
                &tail[slash + 1..]
            }
            None => filter,
        };
        Ok(Self {
            levels: levels.into(),
        })
    }

    fn levels(&self) -> impl Iterator<Item = &[u8]> {
        self.levels.split(|&b| b == b'/')
    }

    /// Whether a topic matches. A leading wildcard matches no topic that
    /// begins with `$` (4.7.2).
    pub fn matches(&self, topic: Text<'_>) -> bool {
        let topic = topic.bytes();
        if topic.is_empty()
            || (topic[0] == b'$' && matches!(self.levels.first(), Some(b'+' | b'#')))
        {
            return false;
        }
        let mut names = topic.split(|&b| b == b'/');
        for level in self.levels() {
            if level == b"#" {
                return true;
            }
            match names.next() {
                Some(name) if level == b"+" || level == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }

    /// Whether some topic matches both filters.
    pub fn overlaps(&self, other: &Self) -> bool {
        let wild = |f: &Self| matches!(f.levels.first(), Some(b'+' | b'#'));
        let dollar = |f: &Self| f.levels.first() == Some(&b'$');
        if (wild(self) && dollar(other)) || (dollar(self) && wild(other)) {
            return false;
        }
        let (mut a, mut b) = (self.levels(), other.levels());
        loop {
            match (a.next(), b.next()) {
                (Some(b"#"), _) | (_, Some(b"#")) | (None, None) => return true,
                (Some(x), Some(y)) if x == b"+" || y == b"+" || x == y => {}
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn matching_as_the_specification_has_it() {
        for (f, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/ranking",
                true,
            ),
            ("sport/#", "sport", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/monitor", false),
            ("+/monitor", "$SYS/monitor", false),
            ("$SYS/#", "$SYS/monitor", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("$share/group/sport/#", "sport/tennis", true),
            ("ACCOUNTS", "Accounts", false),
            ("a//b", "a//b", true),
        ] {
            assert_eq!(
                filter(f).matches(Text(topic.as_bytes())),
                expected,
                "{f} {topic}"
            );
        }
    }

    #[test]
    fn faults() {
        for (f, expected) in [
            ("", TopicFault::Empty),
            ("a/#/b", TopicFault::MultiLevel { at: 2 }),
            ("a#", TopicFault::MultiLevel { at: 1 }),
            ("a+", TopicFault::SingleLevel { at: 1 }),
            ("$share//a", TopicFault::Share),
            ("$share/g", TopicFault::Share),
            ("$share/g/", TopicFault::Share),
            ("$share/g+/a", TopicFault::Share),
        ] {
            assert_eq!(check_filter(f.as_bytes(), true), Err(expected), "{f}");
        }
        for f in ["#", "+", "/", "a/+/#", "$share/g/#", "+/+"] {
            assert_eq!(check_filter(f.as_bytes(), true), Ok(()), "{f}");
        }
        // Before 5.0 a shared subscription is a filter like any other.
        assert_eq!(check_filter(b"$share/g", false), Ok(()));
    }

    fn naive(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            ([f, fs @ ..], [t, ts @ ..]) => (*f == "+" || f == t) && naive(fs, ts),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_twin(
            f in prop::collection::vec(prop_oneof!["a", "b", "", Just("+".to_string())], 1..5),
            multi in any::<bool>(),
            other in prop::collection::vec(prop_oneof!["a", "b", "", Just("+".to_string())], 1..5),
            topic in prop::collection::vec(prop_oneof!["a", "b", ""], 1..5),
        ) {
            let mut f = f.join("/");
            if multi { f.push_str("/#"); }
            let (topic, other) = (topic.join("/"), other.join("/"));
            prop_assume!(!f.is_empty() && !topic.is_empty() && !other.is_empty());
            let levels: Vec<&str> = f.split('/').collect();
            let names: Vec<&str> = topic.split('/').collect();
            let matches = filter(&f).matches(Text(topic.as_bytes()));
            prop_assert_eq!(matches, naive(&levels, &names));
            if matches && filter(&other).matches(Text(topic.as_bytes())) {
                prop_assert!(filter(&f).overlaps(&filter(&other)));
            }
            prop_assert_eq!(filter(&f).overlaps(&filter(&other)), filter(&other).overlaps(&filter(&f)));
        }
    }
}

//! Topic Names and Topic Filters (3.1.1: 4.7; 5.0: 4.7 and 4.8.2): validation,
//! matching, and whether two filters have a name in common.
//!
//! All of it works on bytes, level by level between the `/`:
//!
//! ```text
//! plant/+/temp/#    matches   plant/7/temp   plant//temp/a/b
//!                   but not   plant/temp     Plant/7/temp     plant/7/8/temp
//! #                 matches   everything but names that start with $
//! ```

use std::fmt;

use super::defect::DefectCode;
use super::text::has_none;

/// A Topic Filter that was found well-formed, to match Topic Names with. A
/// shared subscription, `$share/{name}/{filter}`, matches by its filter.
///
/// ```
/// use mqttdump::mqtt::topic::TopicFilter;
///
/// let filter = TopicFilter::parse(b"plant/+/temp").unwrap();
/// assert!(filter.matches(b"plant/7/temp"));
/// assert!(filter.overlaps(b"plant/7/#"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TopicFilter {
    filter: Box<[u8]>,
}

/// The violation of a Topic Name or Topic Filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TopicFault {
    /// A name that contains `+` or `#`.
    Wildcard {
        /// Bytes before it.
        at: usize,
    },
    /// A filter of no characters.
    EmptyFilter,
    /// A `#` that has other characters beside it, or levels after it.
    Hash {
        /// Bytes before it.
        at: usize,
    },
    /// A `+` that has other characters beside it.
    Plus {
        /// Bytes before it.
        at: usize,
    },
    /// A shared subscription whose share name is empty or contains a wildcard.
    ShareName,
    /// A shared subscription without a filter after the share name.
    ShareFilter,
}

impl TopicFilter {
    /// A filter as in a SUBSCRIBE of 5.0.
    pub fn parse(bytes: &[u8]) -> Result<Self, TopicFault> {
        check_filter(bytes, true)?;
        Ok(Self {
            filter: without_share(bytes).into(),
        })
    }

    /// The filter, without the share name.
    pub fn bytes(&self) -> &[u8] {
        &self.filter
    }

    /// Whether it matches a Topic Name.
    pub fn matches(&self, topic: &[u8]) -> bool {
        matches(&self.filter, topic)
    }

    /// Whether some Topic Name is matched by both this and the filter of a
    /// subscription, shared or not.
    pub fn overlaps(&self, filter: &[u8]) -> bool {
        overlaps(&self.filter, without_share(filter))
    }
}

/// Whether a well-formed `filter`, not shared, matches the Topic Name `topic`.
pub fn matches(filter: &[u8], topic: &[u8]) -> bool {
    if topic.first() == Some(&b'$') && begins_with_wildcard(filter) {
        return false;
    }
    let (mut filter, mut topic) = (Some(filter), Some(topic));
    loop {
        match (filter.map(split), topic.map(split)) {
            // `a/#` matches `a` as well as the levels below it.
            (Some((b"#", _)), _) => return true,
            (Some((level, filter_rest)), Some((name, topic_rest))) => {
                if level != b"+" && level != name {
                    return false;
                }
                (filter, topic) = (filter_rest, topic_rest);
            }
            (None, None) => return true,
            (Some(_), None) | (None, Some(_)) => return false,
        }
    }
}

/// Whether some Topic Name is matched by both of two well-formed filters,
/// neither of them shared.
///
/// ```
/// use mqttdump::mqtt::topic::overlaps;
///
/// assert!(overlaps(b"plant/#", b"plant/+/x"));
/// assert!(!overlaps(b"plant/7", b"plant/+/x"));
/// ```
pub fn overlaps(one: &[u8], other: &[u8]) -> bool {
    let dollar = |filter: &[u8]| filter.first() == Some(&b'$');
    if dollar(one) && begins_with_wildcard(other) || dollar(other) && begins_with_wildcard(one) {
        return false;
    }
    let (mut one, mut other) = (Some(one), Some(other));
    loop {
        match (one.map(split), other.map(split)) {
            (Some((b"#", _)), _) | (_, Some((b"#", _))) => return true,
            (Some((a, a_rest)), Some((b, b_rest))) => {
                if a != b && a != b"+" && b != b"+" {
                    return false;
                }
                (one, other) = (a_rest, b_rest);
            }
            (None, None) => return true,
            (Some(_), None) | (None, Some(_)) => return false,
        }
    }
}

/// Whether a Topic Name is ASCII without U+0000 and wildcards, as nearly all
/// are: then it is valid.
///
/// Eight bytes at a time by arithmetic, the last eight again: 250 instructions
/// less a PUBLISH than two passes over the bytes.
#[inline]
pub(super) fn is_plain_name(name: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    // They differ in one bit.
    const WILDCARD: u64 = ONES * (b'+' & b'#') as u64;
    const OTHER: u64 = ONES * !(b'+' ^ b'#') as u64;
    has_none(name, |word| {
        let wildcards = (word & OTHER ^ WILDCARD).wrapping_sub(ONES);
        word | word.wrapping_sub(ONES) | wildcards
    })
}

/// That a Topic Name holds no wildcard, as in a PUBLISH, a will or a Response
/// Topic. An empty one passes: a Topic Alias may stand for it.
#[inline]
pub fn check_wildcards(name: &[u8]) -> Result<(), TopicFault> {
    // Most names have none: one pass without branches says so.
    if name
        .iter()
        .fold(false, |found, &byte| found | is_wildcard(byte))
    {
        let at = name.iter().position(|&byte| is_wildcard(byte)).unwrap_or(0);
        return Err(TopicFault::Wildcard { at });
    }
    Ok(())
}

/// That a Topic Filter is well-formed. Only 5.0 knows shared subscriptions; to
/// 3.1 and 3.1.1 `$share` is a level like others.
pub fn check_filter(filter: &[u8], shared: bool) -> Result<(), TopicFault> {
    match filter.strip_prefix(SHARE) {
        Some(rest) if shared => {
            let (name, filter) = split(rest);
            if name.is_empty() || name.iter().any(|&byte| is_wildcard(byte)) {
                return Err(TopicFault::ShareName);
            }
            let filter = filter.filter(|filter| !filter.is_empty());
            let filter = filter.ok_or(TopicFault::ShareFilter)?;
            check_levels(filter, rest.len() + SHARE.len() - filter.len())
        }
        _ if filter.is_empty() => Err(TopicFault::EmptyFilter),
        _ => check_levels(filter, 0),
    }
}

/// The share name and the filter of a well-formed shared subscription of 5.0.
pub fn shared(filter: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, filter) = split(filter.strip_prefix(SHARE)?);
    Some((name, filter?))
}

impl TopicFault {
    /// The field that a filter is wrong in, as defects name it.
    pub(super) const fn field(self) -> &'static str {
        match self {
            Self::Hash { .. } => "Topic Filter #",
            Self::Plus { .. } => "Topic Filter +",
            _ => "Topic Filter",
        }
    }

    /// The code of the defect it makes.
    pub const fn code(self) -> DefectCode {
        match self {
            Self::Wildcard { .. } => DefectCode::WildcardInTopic,
            Self::EmptyFilter => DefectCode::EmptyFilter,
            Self::Hash { .. } | Self::Plus { .. } => DefectCode::BadFilter,
            Self::ShareName | Self::ShareFilter => DefectCode::BadShare,
        }
    }

    /// Bytes before the fault.
    pub const fn at(self) -> usize {
        match self {
            Self::Wildcard { at } | Self::Hash { at } | Self::Plus { at } => at,
            Self::EmptyFilter => 0,
            Self::ShareName | Self::ShareFilter => SHARE.len(),
        }
    }
}

impl fmt::Display for TopicFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wildcard { at } => {
                write!(f, "expected no wildcard, found + or # at byte {at}")
            }
            Self::EmptyFilter => f.write_str("expected at least one character, found none"),
            Self::Hash { at } => write!(
                f,
                "expected # alone in the last level, found it elsewhere at byte {at}"
            ),
            Self::Plus { at } => write!(
                f,
                "expected + alone in its level, found it beside others at byte {at}"
            ),
            Self::ShareName => f.write_str(
                "expected a share name without wildcards after $share/, found none or another",
            ),
            Self::ShareFilter => {
                f.write_str("expected / and a filter after the share name, found none")
            }
        }
    }
}

const SHARE: &[u8] = b"$share/";

pub(crate) fn without_share(filter: &[u8]) -> &[u8] {
    shared(filter).map_or(filter, |(_, filter)| filter)
}

/// The first level and what follows its `/`.
fn split(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    match bytes.iter().position(|&byte| byte == b'/') {
        Some(at) => {
            let (level, rest) = bytes.split_at(at);
            (level, rest.get(1..))
        }
        None => (bytes, None),
    }
}

fn begins_with_wildcard(filter: &[u8]) -> bool {
    filter.first().copied().is_some_and(is_wildcard)
}

const fn is_wildcard(byte: u8) -> bool {
    matches!(byte, b'+' | b'#')
}

/// `start` is the position of `filter` in the text that the fault is reported for.
fn check_levels(filter: &[u8], start: usize) -> Result<(), TopicFault> {
    let mut at = start;
    let mut rest = Some(filter);
    while let Some((level, next)) = rest.map(split) {
        if let Some(place) = level.iter().position(|&byte| is_wildcard(byte)) {
            let hash = level.get(place) == Some(&b'#');
            if hash && (level.len() > 1 || next.is_some()) {
                return Err(TopicFault::Hash { at: at + place });
            }
            if level.len() > 1 {
                return Err(TopicFault::Plus { at: at + place });
            }
        }
        at += level.len() + 1;
        rest = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_specifications_examples() {
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/ranking",
                true,
            ),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/score/wimbledon",
                true,
            ),
            ("sport/tennis/player1/#", "sport/tennis/player12", false),
            ("sport/#", "sport", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/monitor/Clients", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/monitor/Clients", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("#", "a/b/c", true),
            ("#", "/", true),
            ("a/+/c", "a//c", true),
            ("ACCOUNTS", "Accounts", false),
            ("a/#", "ab", false),
            ("a", "a/", false),
            ("$share/consumer/sport/+", "sport/tennis", true),
            ("$share/consumer//finance", "/finance", true),
            ("$share/c/#", "$SYS/x", false),
            ("$shared/c/#", "$shared/c/x", true),
        ] {
            let parsed = TopicFilter::parse(filter.as_bytes()).unwrap();
            assert_eq!(
                parsed.matches(topic.as_bytes()),
                expected,
                "{filter} {topic}"
            );
        }
    }

    #[test]
    fn what_is_well_formed() {
        use TopicFault as F;
        for (filter, expected) in [
            ("#", Ok(())),
            ("+", Ok(())),
            ("/", Ok(())),
            ("+/tennis/#", Ok(())),
            ("a//b", Ok(())),
            ("", Err(F::EmptyFilter)),
            ("sport/tennis#", Err(F::Hash { at: 12 })),
            ("sport/tennis/#/ranking", Err(F::Hash { at: 13 })),
            ("##", Err(F::Hash { at: 0 })),
            ("#+", Err(F::Hash { at: 0 })),
            ("sport+", Err(F::Plus { at: 5 })),
            ("a/+b", Err(F::Plus { at: 2 })),
            ("+#", Err(F::Plus { at: 0 })),
            ("$share/g/a/+", Ok(())),
            ("$share/g//", Ok(())),
            ("$share", Ok(())),
            ("$shared/x", Ok(())),
            ("$share/", Err(F::ShareName)),
            ("$share//a", Err(F::ShareName)),
            ("$share/+/a", Err(F::ShareName)),
            ("$share/g#/a", Err(F::ShareName)),
            ("$share/g", Err(F::ShareFilter)),
            ("$share/g/", Err(F::ShareFilter)),
            ("$share/g/a+", Err(F::Plus { at: 10 })),
        ] {
            assert_eq!(check_filter(filter.as_bytes(), true), expected, "{filter}");
        }
        assert_eq!(check_filter(b"$share/", false), Ok(()));
        assert_eq!(check_wildcards(b""), Ok(()));
        assert_eq!(check_wildcards(b"a/b+"), Err(F::Wildcard { at: 3 }));
    }

    #[test]
    fn filters_that_overlap() {
        for (one, other, expected) in [
            ("plant/#", "plant/+/x", true),
            ("plant/#", "plant", true),
            ("plant/#", "+", true),
            ("plant/#", "#", true),
            ("plant/7", "plant/+", true),
            ("plant/7", "plant/8", false),
            ("plant/+", "plant", false),
            ("plant/+/x", "+/7/y", false),
            ("+/7/+", "plant/+/y", true),
            ("#", "$SYS/#", false),
            ("+/x", "$SYS/+", false),
            ("$SYS/+", "$SYS/x", true),
            ("a/b/#", "a", false),
            ("a/#", "a/b/#", true),
        ] {
            for (one, other) in [(one, other), (other, one)] {
                assert_eq!(
                    overlaps(one.as_bytes(), other.as_bytes()),
                    expected,
                    "{one} {other}"
                );
            }
        }
        let filter = TopicFilter::parse(b"plant/#").unwrap();
        assert!(filter.overlaps(b"$share/group/plant/7"));
        assert!(!filter.overlaps(b"$share/plant/7"));
    }

    /// The rules as a sentence: levels as lists, recursion over them.
    fn naive(filter: &str, topic: &str) -> bool {
        fn levels(filter: &[&str], topic: &[&str]) -> bool {
            match (filter, topic) {
                (["#"], _) => true,
                ([], []) => true,
                ([level, filter @ ..], [name, topic @ ..]) => {
                    (*level == "+" || level == name) && levels(filter, topic)
                }
                _ => false,
            }
        }
        let hidden = topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'));
        let filter: Vec<_> = filter.split('/').collect();
        let topic: Vec<_> = topic.split('/').collect();
        !hidden && levels(&filter, &topic)
    }

    fn filter() -> impl Strategy<Value = String> {
        ("(\\$?[ab]?|\\+)(/([ab]?|\\+)){0,3}", any::<bool>()).prop_map(|(filter, hash)| {
            match (filter.as_str(), hash) {
                ("", _) => "#".into(),
                (_, true) => format!("{filter}/#"),
                (_, false) => filter,
            }
        })
    }

    /// Every topic of up to five levels that are empty, `a` or `b`, with and
    /// without a `$` before it. Filters of four levels and a `#` that overlap
    /// have one of these in common.
    fn topics() -> Vec<String> {
        let mut all = vec![vec![]];
        let mut longest = all.clone();
        for _ in 0..5 {
            longest = longest
                .iter()
                .flat_map(|topic: &Vec<&str>| {
                    ["", "a", "b"].map(|level| [topic.as_slice(), &[level]].concat())
                })
                .collect();
            all.extend(longest.iter().cloned());
        }
        let names: Vec<_> = all.iter().skip(1).map(|levels| levels.join("/")).collect();
        let dollar = names.iter().map(|name| format!("${name}"));
        names
            .iter()
            .cloned()
            .chain(dollar)
            .filter(|name| !name.is_empty())
            .collect()
    }

    proptest! {
        #[test]
        fn matches_as_the_naive_twin(filter in filter(), topic in "\\$?[ab]?(/[ab]?){0,4}") {
            prop_assert_eq!(check_filter(filter.as_bytes(), true), Ok(()));
            prop_assert_eq!(matches(filter.as_bytes(), topic.as_bytes()), naive(&filter, &topic));
        }

        #[test]
        fn overlaps_if_a_topic_is_in_both(one in filter(), other in filter()) {
            let both = topics().iter().any(|topic| naive(&one, topic) && naive(&other, topic));
            prop_assert_eq!(overlaps(one.as_bytes(), other.as_bytes()), both, "{} {}", one, other);
        }

        #[test]
        fn any_bytes_are_judged(filter in any::<Vec<u8>>(), topic in any::<Vec<u8>>()) {
            let _ = (check_filter(&filter, true), matches(&filter, &topic), overlaps(&filter, &topic));
        }
    }
}

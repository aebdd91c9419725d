//! The compiled filter, and its evaluation: the hot path.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use memchr::memmem::Finder;
use regex::bytes::Regex;

use super::field::Access;
use super::syntax::Quantifier;
use super::value::{Subject, Value};
use crate::mqtt::TopicFilter;
use crate::payload::{self, Number};
use crate::time::Timestamp;

/// A question to one control packet.
#[derive(Debug)]
pub(super) enum Node {
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Not(Box<Node>),
    Present(Operand),
    /// Some occurrence passes the test.
    Any(Operand, Test),
    /// There are occurrences, and all pass the test.
    All(Operand, Test),
    /// Two fields compared with each other.
    Pair {
        left: Operand,
        right: Operand,
        relation: Relation,
        quantifier: Quantifier,
    },
}

/// A field, and operations on each of its values before the test.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) access: Access,
    /// Count the occurrences instead.
    pub(super) count: bool,
    pub(super) steps: Box<[Step]>,
}

#[derive(Debug)]
pub(super) enum Step {
    Len,
    /// Changes the case of ASCII letters, in this buffer.
    Case {
        upper: bool,
        buffer: Buffer,
    },
    /// Slices bytes; several slices are joined in this buffer.
    Slice {
        parts: Box<[Slice]>,
        buffer: Buffer,
    },
    /// Bitwise and.
    Mask(u64),
}

/// A buffer that is used again; one filter may serve several threads.
#[derive(Debug, Default)]
pub(super) struct Buffer(Mutex<Vec<u8>>);

impl Buffer {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, buffer: Vec<u8>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = buffer;
    }
}

/// A range of bytes; negative positions count from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) start: i64,
    pub(super) end: SliceEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SliceEnd {
    /// A number of bytes.
    Len(u64),
    /// Up to and including this position.
    At(i64),
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

/// Comparison of two fields.
#[derive(Clone, Copy, Debug)]
pub(super) enum Relation {
    Compare(Compare),
    Contains,
}

/// Test of a value. A value of another type passes only `Ne`.
#[derive(Debug)]
pub(super) enum Test {
    Flag(Compare, bool),
    Number(Compare, u64),
    Real(Compare, f64),
    Bytes(Compare, Box<[u8]>),
    Contains(Box<Finder<'static>>),
    Matches(Box<Regex>),
    /// A Topic Name that this filter matches.
    Topic(TopicFilter),
    /// A Topic Filter that has a name in common with this one.
    Overlaps(TopicFilter),
    Address(Compare, IpAddr),
    Network(Network),
    NotNetwork(Network),
    Endpoint {
        network: Network,
        port: Option<u16>,
        equal: bool,
    },
    Time(Compare, Timestamp),
    Elapsed(Compare, i64),
    Item(Compare, ItemLiteral),
    /// One of these, or between both ends of one.
    OneOf(Box<[(Test, Option<Test>)]>),
}

/// An address with a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) addr: IpAddr,
    pub(super) prefix: u32,
}

/// The literal for values in a payload, by their type.
#[derive(Debug)]
pub(super) enum ItemLiteral {
    Number(Number),
    Bool(bool),
    Null,
    Bytes(Box<[u8]>),
}

impl Node {
    pub(super) fn holds(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::And(nodes) => nodes.iter().all(|node| node.holds(subject)),
            Self::Or(nodes) => nodes.iter().any(|node| node.holds(subject)),
            Self::Not(node) => !node.holds(subject),
            Self::Present(operand) => operand.any(subject, |_| true),
            Self::Any(operand, test) => operand.any(subject, |value| test.holds(value)),
            Self::All(operand, test) => {
                let mut there = false;
                let failed = operand.any(subject, |value| {
                    there = true;
                    !test.holds(value)
                });
                there && !failed
            }
            Self::Pair {
                left,
                right,
                relation,
                quantifier,
            } => pair(subject, left, right, *relation, *quantifier),
        }
    }
}

/// Any pair of occurrences, or all pairs, as in Wireshark.
fn pair(
    subject: &Subject<'_>,
    left: &Operand,
    right: &Operand,
    relation: Relation,
    quantifier: Quantifier,
) -> bool {
    let all = quantifier == Quantifier::All;
    let mut there = false;
    let found = left.any(subject, |one| {
        right.any(subject, |other| {
            there = true;
            relation.holds(one, other) != all
        })
    });
    if all { there && !found } else { found }
}

impl Operand {
    /// Visits the values until the visitor returns true; returns whether it did.
    #[inline]
    fn any(&self, subject: &Subject<'_>, mut visit: impl FnMut(Value<'_>) -> bool) -> bool {
        if self.count {
            let mut count = 0;
            self.access.any(subject, |_| {
                count += 1;
                false
            });
            return count > 0 && apply(&self.steps, Value::Number(count), &mut visit);
        }
        if self.steps.is_empty() {
            return self.access.any(subject, visit);
        }
        self.access
            .any(subject, |value| apply(&self.steps, value, &mut visit))
    }
}

fn apply(steps: &[Step], value: Value<'_>, visit: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        return visit(value);
    };
    match step {
        Step::Len => {
            let len = match value {
                Value::Item(payload::Value::List(items)) => items.len(),
                Value::Item(payload::Value::Map(entries)) => entries.len(),
                value => match value.bytes() {
                    Some(bytes) => bytes.len(),
                    None => return false,
                },
            };
            apply(rest, Value::Number(len as u64), visit)
        }
        Step::Mask(mask) => match value {
            Value::Number(number) => apply(rest, Value::Number(number & mask), visit),
            _ => false,
        },
        Step::Case { upper, buffer } => {
            let Some(bytes) = value.bytes() else {
                return false;
            };
            let mut taken = buffer.take();
            taken.clear();
            taken.extend_from_slice(bytes);
            match upper {
                true => taken.make_ascii_uppercase(),
                false => taken.make_ascii_lowercase(),
            }
            let found = apply(rest, Value::Text(&taken), visit);
            buffer.put(taken);
            found
        }
        Step::Slice { parts, buffer } => {
            let Some(bytes) = value.bytes() else {
                return false;
            };
            if let [only] = **parts {
                let part = only.of(bytes);
                return part.is_some_and(|part| apply(rest, Value::Bytes(part), visit));
            }
            let mut taken = buffer.take();
            taken.clear();
            let whole = parts.iter().all(|slice| {
                slice.of(bytes).is_some_and(|part| {
                    taken.extend_from_slice(part);
                    true
                })
            });
            let found = whole && apply(rest, Value::Bytes(&taken), visit);
            buffer.put(taken);
            found
        }
    }
}

impl Slice {
    /// The slice of `bytes`; `None` if it starts beyond them. It is cut off at
    /// their end.
    fn of(self, bytes: &[u8]) -> Option<&[u8]> {
        let position = |at: i64| match usize::try_from(at) {
            Ok(at) => Some(at),
            Err(_) => bytes.len().checked_sub(at.unsigned_abs() as usize),
        };
        let start = position(self.start).filter(|start| *start < bytes.len())?;
        let end = match self.end {
            SliceEnd::Len(len) => start.checked_add(usize::try_from(len).ok()?)?,
            SliceEnd::At(at) => position(at)?.checked_add(1)?,
            SliceEnd::Open => bytes.len(),
        };
        bytes.get(start..end.min(bytes.len()))
    }
}

impl Compare {
    #[inline]
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
        }
    }

    /// For values that may have no order, such as NaN or a text and a number.
    fn partial(self, order: Option<Ordering>) -> bool {
        order.map_or(self == Self::Ne, |order| self.holds(order))
    }
}

impl Test {
    #[inline]
    pub(super) fn holds(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Number(compare, wanted), Value::Number(number)) => {
                compare.holds(number.cmp(wanted))
            }
            (Self::Bytes(compare @ (Compare::Eq | Compare::Ne), wanted), value) => {
                let equal = value.bytes().is_some_and(|bytes| bytes == &**wanted);
                equal == (*compare == Compare::Eq)
            }
            (Self::Bytes(compare, wanted), value) => {
                order(value, Value::Bytes(wanted)).is_some_and(|order| compare.holds(order))
            }
            // As in Wireshark, the empty string is contained in nothing.
            (Self::Contains(finder), value) => value
                .bytes()
                .is_some_and(|bytes| !finder.needle().is_empty() && finder.find(bytes).is_some()),
            (Self::Matches(regex), value) => {
                value.bytes().is_some_and(|bytes| regex.is_match(bytes))
            }
            (Self::Topic(filter), value) => {
                value.bytes().is_some_and(|topic| filter.matches(topic))
            }
            (Self::Overlaps(filter), value) => {
                value.bytes().is_some_and(|other| filter.overlaps(other))
            }
            (Self::Flag(compare, wanted), Value::Flag(flag)) => compare.holds(flag.cmp(wanted)),
            (Self::Real(compare, wanted), Value::Real(real)) => {
                compare.partial(real.partial_cmp(wanted))
            }
            (Self::Address(compare, wanted), Value::Address(addr)) => {
                compare.holds(addr.cmp(wanted))
            }
            (Self::Network(network), Value::Address(addr)) => network.contains(addr),
            (Self::NotNetwork(network), Value::Address(addr)) => !network.contains(addr),
            (
                Self::Endpoint {
                    network,
                    port,
                    equal,
                },
                Value::Endpoint(end),
            ) => {
                let same = network.contains(end.addr) && port.is_none_or(|port| port == end.port);
                same == *equal
            }
            (Self::Time(compare, wanted), Value::Time(time)) => compare.holds(time.cmp(wanted)),
            (Self::Elapsed(compare, wanted), Value::Elapsed(nanos)) => {
                compare.holds(nanos.cmp(wanted))
            }
            (Self::Item(compare, wanted), Value::Item(item)) => {
                compare.partial(wanted.order_of(item))
            }
            (Self::OneOf(members), value) => members.iter().any(|(low, high)| {
                low.holds(value) && high.as_ref().is_none_or(|high| high.holds(value))
            }),
            _ => false,
        }
    }
}

impl ItemLiteral {
    /// Order of the value and the literal, if they can be compared.
    fn order_of(&self, item: &payload::Value) -> Option<Ordering> {
        match self {
            Self::Number(wanted) => item.number()?.partial_cmp(wanted),
            Self::Bool(wanted) => match item {
                payload::Value::Bool(flag) => Some(flag.cmp(wanted)),
                _ => None,
            },
            Self::Null => matches!(item, payload::Value::Null).then_some(Ordering::Equal),
            Self::Bytes(wanted) => Some(item.bytes()?.cmp(wanted)),
        }
    }
}

impl Relation {
    fn holds(self, one: Value<'_>, other: Value<'_>) -> bool {
        match self {
            Self::Contains => match (one.bytes(), other.bytes()) {
                (Some(bytes), Some(part)) => {
                    !part.is_empty() && memchr::memmem::find(bytes, part).is_some()
                }
                _ => false,
            },
            Self::Compare(compare) => compare.partial(order(one, other)),
        }
    }
}

/// Order of two values, if they can be compared.
fn order(one: Value<'_>, other: Value<'_>) -> Option<Ordering> {
    if let (Some(left), Some(right)) = (one.bytes(), other.bytes()) {
        // Wireshark 4.0 orders text as one would expect, and bytes by length first.
        return Some(match one {
            Value::Bytes(_) => left.len().cmp(&right.len()).then(left.cmp(right)),
            _ => left.cmp(right),
        });
    }
    match (one, other) {
        (Value::Flag(one), Value::Flag(other)) => Some(one.cmp(&other)),
        (Value::Address(one), Value::Address(other)) => Some(one.cmp(&other)),
        (Value::Endpoint(one), Value::Endpoint(other)) => Some(one.cmp(&other)),
        (Value::Time(one), Value::Time(other)) => Some(one.cmp(&other)),
        (Value::Elapsed(one), Value::Elapsed(other)) => Some(one.cmp(&other)),
        (one, other) => number(one)?.partial_cmp(&number(other)?),
    }
}

fn number(value: Value<'_>) -> Option<Number> {
    match value {
        Value::Number(number) => Some(Number::Integer(number.into())),
        Value::Real(real) => Some(Number::Float(real)),
        Value::Item(item) => item.number(),
        _ => None,
    }
}

impl Network {
    #[inline]
    fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr) {
            (IpAddr::V4(network), IpAddr::V4(addr)) => {
                let differ = network.to_bits() ^ addr.to_bits();
                differ.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(network), IpAddr::V6(addr)) => {
                let differ = network.to_bits() ^ addr.to_bits();
                differ.leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }
}

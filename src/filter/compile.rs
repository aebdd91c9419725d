//! Resolves a parsed expression: names become fields, literals values of the field's
//! type; anything that does not fit is an error.

use std::borrow::Cow;
use std::ops::Range;

use jiff::tz::TimeZone;
use memchr::memmem::Finder;
use regex::bytes::RegexBuilder;

use super::Needs;
use super::error::FilterError;
use super::field::{Access, Field, Kind, PathStep};
use super::fields;
use super::literal;
use super::node::{Buffer, Compare, Node, Operand, Relation, Slice, SliceEnd, Step, Test};
use super::syntax::{self, Base, Bracket, Expr, Form, Literal, Op, Quantifier, Right, Spanned};
use crate::mqtt::TopicFilter;

const FUNCTIONS: &str = "len, count, lower and upper";

pub(super) struct Compiler<'a> {
    text: &'a str,
    zone: &'a TimeZone,
    pub(super) needs: Needs,
}

/// An operand and its properties.
struct Typed {
    operand: Operand,
    field: Cow<'static, Field>,
    kind: Kind,
    span: Range<usize>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(text: &'a str, zone: &'a TimeZone) -> Self {
        Self {
            text,
            zone,
            needs: Needs::default(),
        }
    }

    pub(super) fn expr(&mut self, expr: &Expr) -> Result<Node, FilterError> {
        Ok(match expr {
            Expr::And(terms) => Node::And(self.all(terms)?),
            Expr::Or(terms) => Node::Or(self.all(terms)?),
            Expr::Not(inner) => Node::Not(Box::new(self.expr(inner)?)),
            Expr::Present(operand) => {
                let typed = self.operand(operand)?;
                match typed.operand.steps.last() {
                    // A bare `f & mask` asks for the bits, not for the field.
                    Some(Step::Mask(_)) => Node::Any(typed.operand, Test::Number(Compare::Ne, 0)),
                    _ => Node::Present(typed.operand),
                }
            }
            Expr::Compare {
                quantifier,
                left,
                op,
                right,
            } => self.compare(*quantifier, left, op, right)?,
            Expr::In {
                quantifier,
                left,
                members,
            } => {
                let typed = self.operand(left)?;
                let members = members
                    .iter()
                    .map(|(low, high)| self.member(&typed, low, high.as_ref()))
                    .collect::<Result<_, _>>()?;
                quantified(
                    quantifier.unwrap_or(Quantifier::Any),
                    typed.operand,
                    Test::OneOf(members),
                )
            }
        })
    }

    fn all(&mut self, terms: &[Expr]) -> Result<Box<[Node]>, FilterError> {
        terms.iter().map(|term| self.expr(term)).collect()
    }

    fn fail(&self, span: &Range<usize>, message: impl Into<String>) -> FilterError {
        FilterError::new(self.text, span.clone(), message)
    }

    fn member(
        &self,
        left: &Typed,
        low: &Literal,
        high: Option<&Literal>,
    ) -> Result<(Test, Option<Test>), FilterError> {
        Ok(match high {
            None => (self.test(left, Compare::Eq, low)?, None),
            Some(high) => (
                self.test(left, Compare::Ge, low)?,
                Some(self.test(left, Compare::Le, high)?),
            ),
        })
    }

    fn test(&self, left: &Typed, compare: Compare, right: &Literal) -> Result<Test, FilterError> {
        literal::test(&left.field, left.kind, compare, &right.form, self.zone)
            .map_err(|error| self.fail(&right.span, error.to_string()))
    }

    fn compare(
        &mut self,
        quantifier: Option<Quantifier>,
        left: &syntax::Operand,
        op: &Spanned<Op>,
        right: &Right,
    ) -> Result<Node, FilterError> {
        let left = self.operand(left)?;
        let (compare, usual) = match op.value {
            Op::Eq(usual) => (Some(Compare::Eq), usual),
            Op::Ne(usual) => (Some(Compare::Ne), usual),
            Op::Gt => (Some(Compare::Gt), Quantifier::Any),
            Op::Ge => (Some(Compare::Ge), Quantifier::Any),
            Op::Lt => (Some(Compare::Lt), Quantifier::Any),
            Op::Le => (Some(Compare::Le), Quantifier::Any),
            Op::Contains | Op::Matches | Op::Tilde => (None, Quantifier::Any),
        };
        let quantifier = quantifier.unwrap_or(usual);
        let literal = match right {
            Right::Operand(operand) => {
                let right = self.operand(operand)?;
                return self.pair(left, op, compare, right, quantifier);
            }
            Right::Literal(literal) => literal,
        };
        // A dotted word that is a field is one; as text it needs quotes. Words
        // without a dot are text: `transport == tcp`, `type == CONNECT`.
        if let Form::Word(word) = &literal.form
            && word.contains('.')
            && !matches!(op.value, Op::Matches | Op::Tilde)
            && let Some(field) = fields::find(word)
        {
            let right = self.typed(field, &literal.span);
            return self.pair(left, op, compare, right, quantifier);
        }
        let test = match compare {
            Some(compare) => self.test(&left, compare, literal)?,
            None => self.search(&left, op, literal)?,
        };
        Ok(quantified(quantifier, left.operand, test))
    }

    /// `contains`, `matches` and `~`.
    fn search(&self, left: &Typed, op: &Spanned<Op>, right: &Literal) -> Result<Test, FilterError> {
        let searchable = left.kind.is_text() || matches!(left.kind, Kind::Bytes | Kind::Any);
        if !searchable {
            let message = format!(
                "{} is of type {}: only text and bytes can be searched",
                left.field.name,
                left.kind.name()
            );
            return Err(self.fail(&left.span, message));
        }
        if op.value == Op::Contains {
            let needle = match left.kind {
                Kind::Bytes => literal::bytes(&right.form)
                    .map_err(|error| self.fail(&right.span, error.to_string()))?,
                _ => literal::text(&right.form),
            };
            return Ok(Test::Contains(Box::new(Finder::new(&needle).into_owned())));
        }
        let Form::Quoted(pattern) = &right.form else {
            return Err(self.fail(
                &right.span,
                "the right side has to be text in double quotes",
            ));
        };
        match left.kind {
            Kind::Topic | Kind::TopicFilter if op.value == Op::Tilde => {
                let filter = TopicFilter::parse(pattern)
                    .map_err(|fault| self.fail(&right.span, fault.to_string()))?;
                Ok(match left.kind {
                    Kind::Topic => Test::Topic(filter),
                    _ => Test::Overlaps(filter),
                })
            }
            _ => self.regex(pattern, &right.span),
        }
    }

    fn regex(&self, pattern: &[u8], span: &Range<usize>) -> Result<Test, FilterError> {
        let pattern = match std::str::from_utf8(pattern) {
            Ok(pattern) => Cow::Borrowed(pattern),
            // Bytes that are no UTF-8, by the escapes of regular expressions.
            Err(_) => Cow::Owned(
                pattern
                    .iter()
                    .map(|byte| match byte {
                        0..0x80 => char::from(*byte).to_string(),
                        _ => format!("\\x{byte:02x}"),
                    })
                    .collect(),
            ),
        };
        RegexBuilder::new(&pattern)
            .unicode(false)
            .case_insensitive(true)
            .build()
            .map(|regex| Test::Matches(Box::new(regex)))
            .map_err(|error| {
                // The last line is the error; those before it draw the pattern.
                let error = error.to_string();
                let line = error.lines().last().unwrap_or_default();
                let reason = line.trim_start_matches("error: ");
                self.fail(
                    span,
                    format!("this regular expression cannot be read: {reason}"),
                )
            })
    }

    fn pair(
        &self,
        left: Typed,
        op: &Spanned<Op>,
        compare: Option<Compare>,
        right: Typed,
        quantifier: Quantifier,
    ) -> Result<Node, FilterError> {
        let relation = match (compare, op.value) {
            (Some(compare), _) => Relation::Compare(compare),
            (None, Op::Contains) => Relation::Contains,
            (None, _) => {
                return Err(self.fail(
                    &right.span,
                    "the right side has to be text in double quotes",
                ));
            }
        };
        if !comparable(left.kind, right.kind) {
            let message = format!(
                "{} is of type {}, {} of type {}: they cannot be compared",
                left.field.name,
                left.kind.name(),
                right.field.name,
                right.kind.name()
            );
            return Err(self.fail(&right.span, message));
        }
        Ok(Node::Pair {
            left: left.operand,
            right: right.operand,
            relation,
            quantifier,
        })
    }

    fn operand(&mut self, operand: &syntax::Operand) -> Result<Typed, FilterError> {
        let mut typed = match &operand.base {
            Base::Field(name) => {
                let end = operand.span.start + name.len();
                let span = operand.span.start..end;
                let Some(field) = fields::find(name) else {
                    let message = match fields::nearest(name) {
                        Some(nearest) => format!("unknown field {name}; the nearest is {nearest}"),
                        None => format!("unknown field {name}; mqttdump fields lists all"),
                    };
                    return Err(self.fail(&span, message));
                };
                self.typed(field, &span)
            }
            Base::Function(name, inner) => {
                let inner = self.operand(inner)?;
                self.function(name, inner)?
            }
        };
        for bracket in &operand.brackets {
            self.bracket(&mut typed, bracket)?;
        }
        if let Some(mask) = &operand.mask {
            let bits = literal::integer(&mask.form)
                .filter(|_| typed.kind == Kind::Number)
                .ok_or_else(|| self.fail(&mask.span, "& takes a number on both sides"))?;
            typed.push(Step::Mask(bits));
        }
        typed.span = operand.span.clone();
        Ok(typed)
    }

    fn typed(&mut self, field: Cow<'static, Field>, span: &Range<usize>) -> Typed {
        match &*field.name {
            "latency_ms" => self.needs.exchange = true,
            "acked" => (self.needs.exchange, self.needs.acked) = (true, true),
            "finding" => self.needs.findings = true,
            _ => {}
        }
        self.needs.payload |= matches!(field.access, Access::Payload(_));
        Typed {
            operand: Operand {
                access: field.access.clone(),
                count: false,
                steps: Box::default(),
            },
            kind: field.kind,
            field,
            span: span.clone(),
        }
    }

    fn function(&self, name: &Spanned<String>, mut inner: Typed) -> Result<Typed, FilterError> {
        let has_bytes = inner.kind.is_text() || matches!(inner.kind, Kind::Bytes | Kind::Any);
        let wrong_type = |takes: &str| {
            let message = format!(
                "{}() takes {takes}; {} is of type {}",
                name.value,
                inner.field.name,
                inner.kind.name()
            );
            Err(self.fail(&inner.span, message))
        };
        match name.value.as_str() {
            "len" if has_bytes => {
                inner.push(Step::Len);
                inner.kind = Kind::Number;
            }
            "len" => return wrong_type("text or bytes"),
            "lower" | "upper" if inner.kind.is_text() || inner.kind == Kind::Any => {
                inner.push(Step::Case {
                    upper: name.value == "upper",
                    buffer: Buffer::default(),
                });
                inner.kind = Kind::Text;
            }
            "lower" | "upper" => return wrong_type("text"),
            "count" if inner.operand.steps.is_empty() && !inner.operand.count => {
                inner.operand.count = true;
                inner.kind = Kind::Number;
            }
            "count" => return wrong_type("a field"),
            other => {
                let message = format!("unknown function {other}; expected one of {FUNCTIONS}");
                return Err(self.fail(&name.span, message));
            }
        }
        Ok(inner)
    }

    /// A step down into a payload, or bytes cut out of a value.
    fn bracket(&self, typed: &mut Typed, bracket: &Spanned<Bracket>) -> Result<(), FilterError> {
        let down = typed.operand.steps.is_empty() && !typed.operand.count;
        if let (Access::Payload(path), true) = (&typed.operand.access, down) {
            let mut path = path.to_vec();
            match &bracket.value {
                Bracket::Name(names) => {
                    path.extend(names.split('.').map(|name| PathStep::Name(name.into())));
                }
                Bracket::Key(key) => {
                    path.push(PathStep::Name(String::from_utf8_lossy(key).into()));
                }
                Bracket::Slices(slices) => {
                    let index = match &slices[..] {
                        [one] => one.parse().ok(),
                        _ => None,
                    };
                    let index = index.ok_or_else(|| {
                        self.fail(
                            &bracket.span,
                            "expected an index such as [0], or a name in quotes",
                        )
                    })?;
                    path.push(PathStep::Index(index));
                }
            }
            typed.operand.access = Access::Payload(path.into());
            return Ok(());
        }
        let sliceable = typed.kind.is_text() || typed.kind == Kind::Bytes;
        let (Bracket::Slices(slices), true) = (&bracket.value, sliceable) else {
            let message = format!(
                "{} is of type {}: only text and bytes can be sliced",
                typed.field.name,
                typed.kind.name()
            );
            return Err(self.fail(&bracket.span, message));
        };
        let parts: Option<Box<[Slice]>> = slices.iter().map(|text| slice(text)).collect();
        let parts = parts.ok_or_else(|| {
            self.fail(
                &bracket.span,
                "expected ranges such as [0:2] (offset and length), [1-3] (both ends), [-1], [2:]",
            )
        })?;
        typed.push(Step::Slice {
            parts,
            buffer: Buffer::default(),
        });
        typed.kind = Kind::Bytes;
        Ok(())
    }
}

impl Typed {
    fn push(&mut self, step: Step) {
        let mut steps = std::mem::take(&mut self.operand.steps).into_vec();
        steps.push(step);
        self.operand.steps = steps.into_boxed_slice();
    }
}

fn quantified(quantifier: Quantifier, operand: Operand, test: Test) -> Node {
    match quantifier {
        Quantifier::Any => Node::Any(operand, test),
        Quantifier::All => Node::All(operand, test),
    }
}

/// Whether values of two fields can be compared with each other.
fn comparable(one: Kind, other: Kind) -> bool {
    let group = |kind: Kind| match kind {
        Kind::Text | Kind::Topic | Kind::TopicFilter | Kind::Bytes => Some(0),
        Kind::Number | Kind::Real => Some(1),
        Kind::Flag => Some(2),
        Kind::Ipv4 | Kind::Ipv6 => Some(3),
        Kind::Endpoint => Some(4),
        Kind::Time => Some(5),
        Kind::Elapsed => Some(6),
        Kind::Any | Kind::Presence => None,
    };
    match (one, other) {
        (Kind::Presence, _) | (_, Kind::Presence) => false,
        (Kind::Any, other) | (other, Kind::Any) => {
            matches!(group(other), None | Some(0 | 1))
        }
        _ => group(one) == group(other),
    }
}

/// `offset:length`, `first-last`, `offset`, `offset:`, `:length`.
fn slice(text: &str) -> Option<Slice> {
    if let Some((start, len)) = text.split_once(':') {
        return Some(Slice {
            start: if start.is_empty() {
                0
            } else {
                start.parse().ok()?
            },
            end: match len {
                "" => SliceEnd::Open,
                len => SliceEnd::Len(len.parse().ok().filter(|len| *len > 0)?),
            },
        });
    }
    // A minus after the first character is between two positions.
    let dash = text.get(1..)?.find('-').map(|at| at + 1);
    if let Some(dash) = dash {
        let (first, last) = (text.get(..dash)?, text.get(dash + 1..)?);
        return Some(Slice {
            start: first.parse().ok()?,
            end: SliceEnd::At(last.parse().ok()?),
        });
    }
    Some(Slice {
        start: text.parse().ok()?,
        end: SliceEnd::Len(1),
    })
}

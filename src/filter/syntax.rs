//! The grammar: from tokens to a syntax tree.
//!
//! ```text
//! or       = and { ("or" | "||") and }
//! and      = not { ("and" | "&&") not }
//! not      = ("not" | "!") not | "(" or ")" | test
//! test     = ["any" | "all"] operand [ comparison right | ["not"] "in" "{" member { "," member } "}" ]
//! operand  = (field | function "(" operand ")") { "[" slices "]" } [ "&" number ]
//! member   = literal [ ".." literal ]
//! right    = operand | literal
//! ```

use std::ops::Range;

use super::error::FilterError;
use super::token::{Token, TokenKind, tokens};

/// Parentheses, functions and `not` within each other.
const DEEPEST: usize = 64;

#[derive(Debug)]
pub(super) enum Expr {
    Or(Vec<Expr>),
    And(Vec<Expr>),
    Not(Box<Expr>),
    /// A field or function alone: it is there.
    Present(Operand),
    Compare {
        quantifier: Option<Quantifier>,
        left: Operand,
        op: Spanned<Op>,
        right: Right,
    },
    In {
        quantifier: Option<Quantifier>,
        left: Operand,
        /// Single values, or ranges with both ends.
        members: Vec<(Literal, Option<Literal>)>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A field, a function of one, or a slice of one.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) base: Base,
    /// `[…]`, as written.
    pub(super) brackets: Vec<Spanned<Bracket>>,
    /// `& mask`.
    pub(super) mask: Option<Literal>,
    pub(super) span: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Base {
    Field(String),
    Function(Spanned<String>, Box<Operand>),
}

#[derive(Debug, PartialEq)]
pub(super) enum Bracket {
    /// `[0:2]`, `[1-3]`, `[-1]`, several with commas.
    Slices(Vec<String>),
    /// `["a key"]`.
    Key(Vec<u8>),
    /// `.name` after a bracket.
    Name(String),
}

#[derive(Debug)]
pub(super) enum Right {
    Literal(Literal),
    /// `len(…)` and the like.
    Operand(Operand),
}

/// A value as written; its meaning depends on the field.
#[derive(Clone, Debug)]
pub(super) struct Literal {
    pub(super) form: Form,
    pub(super) span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    Word(String),
    Quoted(Vec<u8>),
    Char(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    Any,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Any occurrence, or all.
    Eq(Quantifier),
    Ne(Quantifier),
    Gt,
    Ge,
    Lt,
    Le,
    Contains,
    Matches,
    /// `~`: MQTT's topic matching on topic fields of NDJSON, `matches` elsewhere.
    Tilde,
}

pub(super) fn parse(text: &str) -> Result<Expr, FilterError> {
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    if parser.tokens.len() == 1 {
        return Err(parser.fail("the filter is empty"));
    }
    let expr = parser.or()?;
    match parser.peek() {
        TokenKind::End => Ok(expr),
        TokenKind::Symbol(")") => Err(parser.fail("unmatched parenthesis")),
        _ => Err(parser.fail("expected and, or, or the end of the filter")),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn token(&self) -> &Token {
        // The last token is the end, and is never consumed.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &TokenKind {
        &self.token().kind
    }

    fn span(&self) -> Range<usize> {
        self.token().span.clone()
    }

    fn advance(&mut self) {
        self.at += 1;
    }

    fn fail(&self, message: impl Into<String>) -> FilterError {
        FilterError::new(self.text, self.span(), message)
    }

    /// Consumes a word or symbol, if it comes next.
    fn take(&mut self, spellings: &[&str]) -> bool {
        let found = match self.peek() {
            TokenKind::Word(word) => spellings.contains(&word.as_str()),
            TokenKind::Symbol(symbol) => spellings.contains(symbol),
            _ => false,
        };
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), FilterError> {
        match self.take(&[symbol]) {
            true => Ok(()),
            false => Err(self.fail(format!("expected {symbol}"))),
        }
    }

    fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, FilterError>,
    ) -> Result<T, FilterError> {
        if self.depth == DEEPEST {
            return Err(self.fail(format!("nested more than {DEEPEST} deep")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn or(&mut self) -> Result<Expr, FilterError> {
        let mut terms = vec![self.and()?];
        while self.take(&["or", "||"]) {
            terms.push(self.and()?);
        }
        Ok(single_or(terms, Expr::Or))
    }

    fn and(&mut self) -> Result<Expr, FilterError> {
        let mut terms = vec![self.not()?];
        while self.take(&["and", "&&"]) {
            terms.push(self.not()?);
        }
        Ok(single_or(terms, Expr::And))
    }

    fn not(&mut self) -> Result<Expr, FilterError> {
        if self.take(&["not", "!"]) {
            return Ok(Expr::Not(Box::new(self.nested(Self::not)?)));
        }
        if self.take(&["("]) {
            let inner = self.nested(Self::or)?;
            self.expect(")")?;
            return Ok(inner);
        }
        self.test()
    }

    fn test(&mut self) -> Result<Expr, FilterError> {
        let quantifier = if self.take(&["any"]) {
            Some(Quantifier::Any)
        } else if self.take(&["all"]) {
            Some(Quantifier::All)
        } else {
            None
        };
        let left = self.operand()?;
        let negated = self.take(&["not"]);
        if self.take(&["in"]) {
            let members = self.set()?;
            let found = Expr::In {
                quantifier,
                left,
                members,
            };
            return Ok(match negated {
                true => Expr::Not(Box::new(found)),
                false => found,
            });
        }
        if negated {
            return Err(self.fail("expected in after not"));
        }
        let span = self.span();
        let Some(op) = self.operator() else {
            return match quantifier {
                Some(_) => Err(self.fail("expected a comparison after any or all")),
                None => Ok(Expr::Present(left)),
            };
        };
        let right = self.right()?;
        Ok(Expr::Compare {
            quantifier,
            left,
            op: Spanned { value: op, span },
            right,
        })
    }

    fn operator(&mut self) -> Option<Op> {
        let spelling = match self.peek() {
            TokenKind::Word(word) => word.as_str(),
            TokenKind::Symbol(symbol) => symbol,
            _ => return None,
        };
        let op = match spelling {
            "==" | "eq" | "any_eq" => Op::Eq(Quantifier::Any),
            "===" | "all_eq" => Op::Eq(Quantifier::All),
            "!=" | "ne" | "all_ne" => Op::Ne(Quantifier::All),
            "!==" | "~=" | "any_ne" => Op::Ne(Quantifier::Any),
            ">" | "gt" => Op::Gt,
            ">=" | "ge" => Op::Ge,
            "<" | "lt" => Op::Lt,
            "<=" | "le" => Op::Le,
            "contains" => Op::Contains,
            "matches" => Op::Matches,
            "~" => Op::Tilde,
            _ => return None,
        };
        self.advance();
        Some(op)
    }

    fn operand(&mut self) -> Result<Operand, FilterError> {
        let start = self.span();
        let name = match self.peek() {
            TokenKind::Word(word) => word.clone(),
            TokenKind::End => return Err(self.fail("the filter ends where a field should be")),
            TokenKind::Quoted(_) | TokenKind::Char(_) => {
                return Err(self.fail("the left side of a comparison is a field, not a value"));
            }
            TokenKind::Symbol(_) => return Err(self.fail("expected a field")),
        };
        self.advance();
        let base = if self.take(&["("]) {
            let inner = self.nested(Self::operand)?;
            self.expect(")")?;
            let span = start.clone();
            Base::Function(Spanned { value: name, span }, Box::new(inner))
        } else {
            Base::Field(name)
        };
        let brackets = self.brackets()?;
        let mask = match self.take(&["&"]) {
            true => Some(self.literal()?),
            false => None,
        };
        let end = self
            .tokens
            .get(self.at - 1)
            .map_or(start.end, |t| t.span.end);
        Ok(Operand {
            base,
            brackets,
            mask,
            span: start.start..end,
        })
    }

    fn brackets(&mut self) -> Result<Vec<Spanned<Bracket>>, FilterError> {
        let mut brackets = Vec::new();
        loop {
            let span = self.span();
            let value = if self.take(&["["]) {
                self.bracket()?
            } else {
                // `.name` directly after a bracket.
                match self.peek() {
                    TokenKind::Word(word) if !brackets.is_empty() && word.starts_with('.') => {
                        let name = word.trim_start_matches('.').to_owned();
                        self.advance();
                        Bracket::Name(name)
                    }
                    _ => return Ok(brackets),
                }
            };
            let end = self
                .tokens
                .get(self.at - 1)
                .map_or(span.end, |t| t.span.end);
            brackets.push(Spanned {
                value,
                span: span.start..end,
            });
        }
    }

    fn bracket(&mut self) -> Result<Bracket, FilterError> {
        if let TokenKind::Quoted(key) = self.peek() {
            let key = key.clone();
            self.advance();
            self.expect("]")?;
            return Ok(Bracket::Key(key));
        }
        let mut slices = Vec::new();
        loop {
            let TokenKind::Word(word) = self.peek() else {
                return Err(self.fail("expected a range such as 0:2, 1-3 or -1"));
            };
            slices.push(word.clone());
            self.advance();
            if !self.take(&[",", ";"]) {
                self.expect("]")?;
                return Ok(Bracket::Slices(slices));
            }
        }
    }

    fn set(&mut self) -> Result<Vec<(Literal, Option<Literal>)>, FilterError> {
        self.expect("{")?;
        let mut members = Vec::new();
        loop {
            let low = self.literal()?;
            let high = match self.take(&[".."]) {
                true => Some(self.literal()?),
                false => None,
            };
            members.push((low, high));
            if !self.take(&[","]) {
                self.expect("}")?;
                return Ok(members);
            }
        }
    }

    fn right(&mut self) -> Result<Right, FilterError> {
        let is_function = matches!(self.peek(), TokenKind::Word(_))
            && matches!(
                self.tokens.get(self.at + 1).map(|token| &token.kind),
                Some(TokenKind::Symbol("(" | "[" | "&"))
            );
        match is_function {
            true => Ok(Right::Operand(self.operand()?)),
            false => Ok(Right::Literal(self.literal()?)),
        }
    }

    fn literal(&mut self) -> Result<Literal, FilterError> {
        let span = self.span();
        let form = match self.peek() {
            TokenKind::Word(word) => Form::Word(word.clone()),
            TokenKind::Quoted(bytes) => Form::Quoted(bytes.clone()),
            TokenKind::Char(byte) => Form::Char(*byte),
            TokenKind::End => return Err(self.fail("the filter ends where a value should be")),
            TokenKind::Symbol(_) => return Err(self.fail("expected a value")),
        };
        self.advance();
        Ok(Literal { form, span })
    }
}

fn single_or(mut terms: Vec<Expr>, many: fn(Vec<Expr>) -> Expr) -> Expr {
    match terms.pop() {
        Some(only) if terms.is_empty() => only,
        Some(last) => {
            terms.push(last);
            many(terms)
        }
        None => many(terms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn and_binds_tighter_than_or_and_not_tighter_than_both() {
        let expr = parse("a or not b and c").expect("it parses");
        let Expr::Or(terms) = expr else {
            panic!("{expr:?}")
        };
        let [Expr::Present(_), Expr::And(right)] = &terms[..] else {
            panic!("{terms:?}")
        };
        assert!(matches!(right[..], [Expr::Not(_), Expr::Present(_)]));
    }

    #[test]
    fn errors_point_at_the_column() {
        for (text, column) in [
            ("", 1),
            ("a ==", 5),
            ("a and", 6),
            ("a b", 3),
            ("(a", 3),
            ("a)", 2),
            ("a in 1", 6),
            ("a in {1", 8),
            ("a in {1,}", 9),
            ("\"a\" == b", 1),
            ("a[] == 1", 3),
            ("a not == 1", 7),
            ("len(a == 1", 7),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.column(), column, "{error}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        assert!(parse(&format!("{}a{}", "(".repeat(60), ")".repeat(60))).is_ok());
        assert!(parse(&format!("{}a", "(".repeat(100_000))).is_err());
        assert!(parse(&format!("{}a", "!".repeat(100_000))).is_err());
        assert!(parse(&format!("{}a", "len(".repeat(100_000))).is_err());
    }
}

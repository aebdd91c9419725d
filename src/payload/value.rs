//! A decoded payload: one tree for all formats, with exact numbers.

use std::fmt::{self, Write};

/// A value inside a payload. Nothing is rounded: an integer is an integer in every
/// format, and a number that fits no numeric type keeps its digits.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Null, nil, undefined.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer of up to 64 bits with its sign.
    Integer(i128),
    /// A binary floating-point number of 64 bits.
    Double(f64),
    /// A binary floating-point number of 32 bits or fewer.
    Single(f32),
    /// A number as its digits were written: a JSON number with a fraction or an
    /// exponent, or an integer of more than 64 bits.
    Decimal(Box<str>),
    /// Text.
    Text(Box<str>),
    /// Bytes that are no text.
    Bytes(Box<[u8]>),
    /// A list.
    List(Vec<Value>),
    /// Names and values in the order of the payload. A name that occurs twice is
    /// there twice.
    Map(Vec<(Box<str>, Value)>),
}

impl Value {
    /// The number, rounded to 64 bits of floating point where it is no integer.
    pub fn number(&self) -> Option<Number> {
        match self {
            Self::Integer(value) => Some(Number::Integer(*value)),
            Self::Double(value) => Some(Number::Float(*value)),
            Self::Single(value) => Some(Number::Float(f64::from(*value))),
            Self::Decimal(digits) => digits.parse().ok().map(Number::Float),
            _ => None,
        }
    }

    /// The bytes of text and of bytes.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// A number to compare with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Exactly this integer.
    Integer(i128),
    /// A floating-point number.
    Float(f64),
}

impl PartialOrd for Number {
    /// Exact between an integer and a floating-point number, too.
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (*self, *other) {
            (Self::Integer(a), Self::Integer(b)) => a.partial_cmp(&b),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Integer(a), Self::Float(b)) => compare(a, b),
            (Self::Float(a), Self::Integer(b)) => compare(b, a).map(std::cmp::Ordering::reverse),
        }
    }
}

fn compare(integer: i128, float: f64) -> Option<std::cmp::Ordering> {
    use std::cmp::Ordering;
    if float.is_nan() {
        return None;
    }
    // `as` saturates; the truncated part decides between equals.
    let whole = float.trunc();
    let order = integer.cmp(&(whole as i128));
    Some(match order {
        Ordering::Equal if float > whole => Ordering::Less,
        Ordering::Equal if float < whole => Ordering::Greater,
        order => order,
    })
}

impl Value {
    /// A value as the key of an entry: text unchanged, anything else as printed.
    pub(super) fn into_name(self) -> Box<str> {
        match self {
            Self::Text(text) => text,
            other => other.to_string().into(),
        }
    }
}

/// JSON without blanks, for reading: bytes are hexadecimal digits.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(flag) => flag.fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Double(number) => number.fmt(f),
            Self::Single(number) => number.fmt(f),
            Self::Decimal(digits) => f.write_str(digits),
            Self::Text(text) => quoted(text, f),
            Self::Bytes(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::List(items) => {
                f.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        f.write_char(',')?;
                    }
                    item.fmt(f)?;
                }
                f.write_char(']')
            }
            Self::Map(entries) => {
                f.write_char('{')?;
                for (index, (name, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        f.write_char(',')?;
                    }
                    quoted(name, f)?;
                    f.write_char(':')?;
                    value.fmt(f)?;
                }
                f.write_char('}')
            }
        }
    }
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for char in text.chars() {
        match char {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            char if u32::from(char) < 0x20 => write!(f, "\\u{:04x}", u32::from(char))?,
            char => f.write_char(char)?,
        }
    }
    f.write_char('"')
}

/// Longer bignums stay bytes: conversion to decimal is quadratic in their length.
const LONGEST_BIGNUM: usize = 1024;

/// A big-endian magnitude as a number; negative ones are `-1 - magnitude`, as in
/// CBOR.
pub(super) fn big_integer(bytes: &[u8], negative: bool) -> Value {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = bytes.get(zeros..).unwrap_or_default();
    if bytes.len() < 16 {
        let magnitude = bytes
            .iter()
            .fold(0_i128, |sum, byte| sum << 8 | i128::from(*byte));
        return Value::Integer(if negative { -1 - magnitude } else { magnitude });
    }
    if bytes.len() > LONGEST_BIGNUM {
        return Value::Bytes(bytes.into());
    }
    // Nine decimal digits a limb, the lowest first.
    const BASE: u64 = 1_000_000_000;
    let mut limbs = vec![0_u64];
    for byte in bytes {
        let mut carry = u64::from(*byte);
        for limb in &mut limbs {
            let sum = *limb * 256 + carry;
            (*limb, carry) = (sum % BASE, sum / BASE);
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let mut carry = u64::from(negative);
    for limb in &mut limbs {
        let sum = *limb + carry;
        (*limb, carry) = (sum % BASE, sum / BASE);
    }
    if carry > 0 {
        limbs.push(carry);
    }
    let mut digits = String::from(if negative { "-" } else { "" });
    let mut high_first = limbs.iter().rev();
    if let Some(first) = high_first.next() {
        let _ = write!(digits, "{first}");
    }
    for limb in high_first {
        let _ = write!(digits, "{limb:09}");
    }
    Value::Decimal(digits.into())
}

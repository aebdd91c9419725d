//! A decoded payload: one tree for all formats, with exact numbers.

/// A value inside a payload. Nothing is rounded: an integer is an integer in
/// every format, and a number that no type here holds keeps its digits.
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
    // `as` saturates; what it cuts off decides between equals.
    let whole = float.trunc();
    let order = integer.cmp(&(whole as i128));
    Some(match order {
        Ordering::Equal if float > whole => Ordering::Less,
        Ordering::Equal if float < whole => Ordering::Greater,
        order => order,
    })
}

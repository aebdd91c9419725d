//! CBOR (RFC 8949), read token by token with `minicbor`.
//!
//! Tags are ignored, except for bignums, which become numbers. Map keys that are not
//! text are written as they are printed.

use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};

use super::fault::{Budget, Fault};
use super::value::{Value, big_integer};

const SELF_DESCRIBED: &[u8] = b"\xd9\xd9\xf7";
const POSITIVE_BIGNUM: u64 = 2;
const NEGATIVE_BIGNUM: u64 = 3;

/// Decodes bytes that are one CBOR value.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, Fault> {
    let mut reader = Reader {
        decoder: Decoder::new(bytes),
        budget: Budget::new(),
    };
    let value = reader.value()?;
    match reader.decoder.position() {
        at if at == bytes.len() => Ok(value),
        at => Err(Fault::new(
            at,
            format!("expected the end, found {} bytes more", bytes.len() - at),
        )),
    }
}

/// Whether bytes that are valid CBOR are very likely meant as CBOR: they have the
/// self-described tag, or are a map with only text keys. Numbers, strings and lists in
/// CBOR are too often something else, such as one byte of a sensor, or MessagePack.
pub(super) fn is_telling(bytes: &[u8], value: &Value) -> bool {
    let is_map = matches!(bytes.first(), Some(0xa1..=0xbf));
    bytes.starts_with(SELF_DESCRIBED)
        || is_map
            && matches!(value, Value::Map(entries) if !entries.is_empty())
            && text_names(bytes)
}

/// Whether the names of a map are text. The bytes were decoded before.
fn text_names(bytes: &[u8]) -> bool {
    let mut decoder = Decoder::new(bytes);
    let Ok(len) = decoder.map() else {
        return false;
    };
    let mut left = len;
    loop {
        match (left, decoder.datatype()) {
            (Some(0), _) | (None, Ok(Type::Break)) => return true,
            (_, Ok(Type::String)) => {}
            _ => return false,
        }
        left = left.map(|left| left - 1);
        if decoder.skip().is_err() || decoder.skip().is_err() {
            return false;
        }
    }
}

/// A floating-point number of 16 bits (RFC 8949, appendix D), exactly.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (bits >> 10 & 0x1f, f32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        exponent => (fraction + 1024.0) * 2_f32.powi(i32::from(exponent) - 25),
    };
    if bits & 0x8000 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

struct Reader<'a> {
    decoder: Decoder<'a>,
    budget: Budget,
}

impl Reader<'_> {
    fn fault(at: usize, error: &Error) -> Fault {
        let message = match error.is_end_of_input() {
            true => "expected more bytes, found the end".to_owned(),
            false => error.to_string(),
        };
        Fault::new(at, message)
    }

    fn value(&mut self) -> Result<Value, Fault> {
        let at = self.decoder.position();
        self.budget.value(at)?;
        let wrong = |error: Error| Self::fault(at, &error);
        let decoder = &mut self.decoder;
        Ok(match decoder.datatype().map_err(wrong)? {
            Type::Bool => Value::Bool(decoder.bool().map_err(wrong)?),
            Type::Null => {
                decoder.null().map_err(wrong)?;
                Value::Null
            }
            Type::Undefined => {
                decoder.undefined().map_err(wrong)?;
                Value::Null
            }
            Type::U8
            | Type::U16
            | Type::U32
            | Type::U64
            | Type::I8
            | Type::I16
            | Type::I32
            | Type::I64
            | Type::Int => Value::Integer(decoder.int().map_err(wrong)?.into()),
            Type::F16 => {
                let bits = decoder.input().get(at + 1..at + 3);
                let bits = bits.and_then(|bits| bits.try_into().ok());
                let bits = bits.ok_or_else(|| wrong(Error::end_of_input()))?;
                decoder.set_position(at + 3);
                Value::Single(half(u16::from_be_bytes(bits)))
            }
            Type::F32 => Value::Single(decoder.f32().map_err(wrong)?),
            Type::F64 => Value::Double(decoder.f64().map_err(wrong)?),
            Type::Simple => {
                Value::Text(format!("simple({})", decoder.simple().map_err(wrong)?).into())
            }
            Type::Bytes | Type::BytesIndef => {
                let mut bytes = Vec::new();
                for chunk in decoder.bytes_iter().map_err(wrong)? {
                    bytes.extend_from_slice(chunk.map_err(wrong)?);
                }
                Value::Bytes(bytes.into())
            }
            Type::String | Type::StringIndef => {
                let mut text = String::new();
                for chunk in decoder.str_iter().map_err(wrong)? {
                    text.push_str(chunk.map_err(wrong)?);
                }
                Value::Text(text.into())
            }
            Type::Array | Type::ArrayIndef => {
                let len = decoder.array().map_err(wrong)?;
                self.list(at, len)?
            }
            Type::Map | Type::MapIndef => {
                let len = decoder.map().map_err(wrong)?;
                self.map(at, len)?
            }
            Type::Tag => {
                let tag = decoder.tag().map_err(wrong)?.as_u64();
                self.budget.enter(at)?;
                let inner = self.value()?;
                self.budget.leave();
                match (tag, inner) {
                    (POSITIVE_BIGNUM, Value::Bytes(bytes)) => big_integer(&bytes, false),
                    (NEGATIVE_BIGNUM, Value::Bytes(bytes)) => big_integer(&bytes, true),
                    (_, inner) => inner,
                }
            }
            other @ (Type::Break | Type::Unknown(_)) => {
                return Err(Fault::new(at, format!("expected a value, found {other}")));
            }
        })
    }

    /// Whether a container has another element.
    fn more(&mut self, left: &mut Option<u64>) -> Result<bool, Fault> {
        match left {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => {
                let at = self.decoder.position();
                let next = self.decoder.datatype();
                let over = next.map_err(|error| Self::fault(at, &error))? == Type::Break;
                if over {
                    self.decoder.set_position(at + 1);
                }
                Ok(!over)
            }
        }
    }

    fn list(&mut self, at: usize, mut left: Option<u64>) -> Result<Value, Fault> {
        self.budget.enter(at)?;
        let mut items = Vec::new();
        while self.more(&mut left)? {
            items.push(self.value()?);
        }
        self.budget.leave();
        Ok(Value::List(items))
    }

    fn map(&mut self, at: usize, mut left: Option<u64>) -> Result<Value, Fault> {
        self.budget.enter(at)?;
        let mut entries = Vec::new();
        while self.more(&mut left)? {
            let at = self.decoder.position();
            let key = self.value()?;
            let name = self.budget.name(at, key)?;
            entries.push((name, self.value()?));
        }
        self.budget.leave();
        Ok(Value::Map(entries))
    }
}

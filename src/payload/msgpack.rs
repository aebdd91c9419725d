//! MessagePack: the first byte of a value determines its type.
//!
//! <https://github.com/msgpack/msgpack/blob/master/spec.md>

use super::fault::{Budget, Fault};
use super::value::Value;

const TIMESTAMP: i8 = -1;

/// Decodes bytes that are one MessagePack value.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, Fault> {
    let mut reader = Reader {
        bytes,
        at: 0,
        budget: Budget::new(),
    };
    let value = reader.value()?;
    match bytes.len() - reader.at {
        0 => Ok(value),
        more => Err(Fault::new(
            reader.at,
            format!("expected the end, found {more} bytes more"),
        )),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    budget: Budget,
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let end = self.at + N;
        let array = self
            .bytes
            .get(self.at..end)
            .and_then(|part| part.try_into().ok());
        let array = array.ok_or_else(|| self.too_short(N))?;
        self.at = end;
        Ok(array)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.saturating_add(len);
        let part = self.bytes.get(self.at..end);
        let part = part.ok_or_else(|| self.too_short(len))?;
        self.at = end;
        Ok(part)
    }

    fn too_short(&self, wanted: usize) -> Fault {
        let left = self.bytes.len() - self.at;
        Fault::new(self.at, format!("expected {wanted} bytes, found {left}"))
    }

    /// A length of 1, 2 or 4 bytes, for 0, 1 and 2.
    fn len(&mut self, size: u8) -> Result<usize, Fault> {
        Ok(match size {
            0 => u8::from_be_bytes(self.array()?).into(),
            1 => u16::from_be_bytes(self.array()?).into(),
            _ => u32::from_be_bytes(self.array()?) as usize,
        })
    }

    fn value(&mut self) -> Result<Value, Fault> {
        let at = self.at;
        self.budget.value(at)?;
        let [marker] = self.array()?;
        Ok(match marker {
            0x00..=0x7f => Value::Integer(marker.into()),
            0x80..=0x8f => self.map(at, (marker & 0x0f).into())?,
            0x90..=0x9f => self.list(at, (marker & 0x0f).into())?,
            0xa0..=0xbf => self.text((marker & 0x1f).into())?,
            0xc0 => Value::Null,
            0xc1 => return Err(Fault::new(at, "expected a value, found 0xc1")),
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xc4..=0xc6 => {
                let len = self.len(marker - 0xc4)?;
                Value::Bytes(self.take(len)?.into())
            }
            0xc7..=0xc9 => {
                let len = self.len(marker - 0xc7)?;
                self.extension(len)?
            }
            0xca => Value::Single(f32::from_be_bytes(self.array()?)),
            0xcb => Value::Double(f64::from_be_bytes(self.array()?)),
            0xcc => Value::Integer(u8::from_be_bytes(self.array()?).into()),
            0xcd => Value::Integer(u16::from_be_bytes(self.array()?).into()),
            0xce => Value::Integer(u32::from_be_bytes(self.array()?).into()),
            0xcf => Value::Integer(u64::from_be_bytes(self.array()?).into()),
            0xd0 => Value::Integer(i8::from_be_bytes(self.array()?).into()),
            0xd1 => Value::Integer(i16::from_be_bytes(self.array()?).into()),
            0xd2 => Value::Integer(i32::from_be_bytes(self.array()?).into()),
            0xd3 => Value::Integer(i64::from_be_bytes(self.array()?).into()),
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4))?,
            0xd9..=0xdb => {
                let len = self.len(marker - 0xd9)?;
                self.text(len)?
            }
            0xdc | 0xdd => {
                let len = self.len(marker - 0xdb)?;
                self.list(at, len)?
            }
            0xde | 0xdf => {
                let len = self.len(marker - 0xdd)?;
                self.map(at, len)?
            }
            0xe0..=0xff => Value::Integer((marker as i8).into()),
        })
    }

    /// Old writers put bytes into text that is not UTF-8.
    fn text(&mut self, len: usize) -> Result<Value, Fault> {
        let bytes = self.take(len)?;
        Ok(match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.into()),
            Err(_) => Value::Bytes(bytes.into()),
        })
    }

    fn list(&mut self, at: usize, len: usize) -> Result<Value, Fault> {
        self.budget.enter(at)?;
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(self.value()?);
        }
        self.budget.leave();
        Ok(Value::List(items))
    }

    fn map(&mut self, at: usize, len: usize) -> Result<Value, Fault> {
        self.budget.enter(at)?;
        let mut entries = Vec::new();
        for _ in 0..len {
            let at = self.at;
            let key = self.value()?;
            let name = self.budget.name(at, key)?;
            entries.push((name, self.value()?));
        }
        self.budget.leave();
        Ok(Value::Map(entries))
    }

    /// A timestamp as its parts; any other extension as its type and bytes.
    fn extension(&mut self, len: usize) -> Result<Value, Fault> {
        let kind = i8::from_be_bytes(self.array()?);
        let data = self.take(len)?;
        let time = (kind == TIMESTAMP).then(|| timestamp(data)).flatten();
        let entries: [(&str, Value); 2] = match time {
            Some((seconds, nanoseconds)) => [
                ("seconds", Value::Integer(seconds.into())),
                ("nanoseconds", Value::Integer(nanoseconds.into())),
            ],
            None => [
                ("type", Value::Integer(kind.into())),
                ("data", Value::Bytes(data.into())),
            ],
        };
        Ok(Value::Map(
            entries.map(|(name, value)| (name.into(), value)).into(),
        ))
    }
}

fn timestamp(data: &[u8]) -> Option<(i64, u32)> {
    if let Ok(seconds) = <[u8; 4]>::try_from(data) {
        return Some((u32::from_be_bytes(seconds).into(), 0));
    }
    if let Ok(both) = <[u8; 8]>::try_from(data) {
        let both = u64::from_be_bytes(both);
        return Some(((both & 0x3_ffff_ffff) as i64, (both >> 34) as u32));
    }
    let (nanos, seconds) = data.split_first_chunk::<4>()?;
    let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
    Some((seconds, u32::from_be_bytes(*nanos)))
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn keys_in_keys_have_a_limit() {
        let nested = |levels| [vec![0x81; levels], vec![0; levels + 1]].concat();
        assert!(decode(&nested(8)).is_ok());
        let fault = decode(&nested(30)).expect_err("a gigabyte of quotes");
        assert!(fault.message.contains("a key that is not text"), "{fault}");
    }
}

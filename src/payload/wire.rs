//! The wire format of Protocol Buffers, without a schema: numbered fields of
//! five kinds. Protobuf by descriptor and Sparkplug B read it.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

use super::fault::Fault;

/// A field as it is on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    pub(super) value: Raw<'a>,
    /// Offset of its value in the whole payload.
    pub(super) offset: usize,
}

/// The value of a field by its wire type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Raw<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// A group's fields, without its end.
    Group(&'a [u8]),
    Fixed32(u32),
}

impl Raw<'_> {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Varint(_) => "a varint",
            Self::Fixed64(_) => "8 bytes",
            Self::Bytes(_) => "bytes with their length",
            Self::Group(_) => "a group",
            Self::Fixed32(_) => "4 bytes",
        }
    }
}

/// The fields of a message, in order, up to the first fault. `base` is the offset of
/// the message in the payload.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    base: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], base: usize) -> Self {
        Self { bytes, at: 0, base }
    }

    /// Whether there is another field.
    pub(super) fn is_over(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn fault<T>(&self, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::new(self.base + self.at, message))
    }

    /// The next field; requires that there is one.
    pub(super) fn next(&mut self) -> Result<Field<'a>, Fault> {
        let key = self.varint()?;
        let number = (key >> 3) as u32;
        if key >> 3 == 0 || key >> 3 > 0x1fff_ffff {
            return self.fault(format!("expected a field number, found {}", key >> 3));
        }
        let offset = self.base + self.at;
        let value = match key & 7 {
            0 => Raw::Varint(self.varint()?),
            1 => Raw::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let len = self.varint()?;
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let left = self.bytes.len() - self.at;
                if len > left {
                    return self.fault(format!(
                        "expected {len} bytes of field {number}, found {left}"
                    ));
                }
                Raw::Bytes(self.take(len))
            }
            3 => Raw::Group(self.group(number)?),
            5 => Raw::Fixed32(u32::from_le_bytes(self.array()?)),
            other => return self.fault(format!("expected a wire type, found {other}")),
        };
        Ok(Field {
            number,
            value,
            offset,
        })
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let taken = self.bytes.get(self.at..self.at + len).unwrap_or_default();
        self.at += taken.len();
        taken
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        match <[u8; N]>::try_from(self.take(N)) {
            Ok(array) => Ok(array),
            Err(_) => self.fault(format!("expected {N} bytes, found the end")),
        }
    }

    /// Up to 64 bits; higher bits are dropped, as in other implementations.
    fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let Some(&byte) = self.bytes.get(self.at) else {
                return self.fault("expected a varint, found the end");
            };
            self.at += 1;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        self.fault("expected a varint, found more than 10 bytes")
    }

    /// The content of a group, nested groups included.
    fn group(&mut self, number: u32) -> Result<&'a [u8], Fault> {
        let start = self.at;
        let mut open = vec![number];
        loop {
            let before = self.at;
            let key = self.varint()?;
            let inner = (key >> 3) as u32;
            match key & 7 {
                0 => {
                    self.varint()?;
                }
                1 => {
                    self.array::<8>()?;
                }
                2 => {
                    let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                    if self.take(len.min(self.bytes.len())).len() < len {
                        return self.fault(format!("expected {len} bytes, found the end"));
                    }
                }
                3 if open.len() >= crate::limits::PAYLOAD_DEPTH => {
                    return self.fault("groups are nested too deeply");
                }
                3 => open.push(inner),
                4 if open.pop() == Some(inner) => {
                    if open.is_empty() {
                        return Ok(self.bytes.get(start..before).unwrap_or_default());
                    }
                }
                5 => {
                    self.array::<4>()?;
                }
                other => return self.fault(format!("expected a wire type, found {other}")),
            }
        }
    }
}

/// Packed numbers in one field.
pub(super) fn packed_varints(bytes: &[u8], base: usize) -> Result<Vec<u64>, Fault> {
    let mut fields = Fields::new(bytes, base);
    let mut values = Vec::new();
    while !fields.is_over() {
        values.push(fields.varint()?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u32, Raw<'_>)>, Fault> {
        let mut fields = Fields::new(bytes, 0);
        let mut found = Vec::new();
        while !fields.is_over() {
            let field = fields.next()?;
            found.push((field.number, field.value));
        }
        Ok(found)
    }

    #[test]
    fn every_wire_type() {
        let bytes =
            b"\x08\x96\x01\x12\x02hi\x1d\x01\0\0\0\x21\x02\0\0\0\0\0\0\0\x2b\x08\x05\x33\x34\x2c";
        assert_eq!(
            all(bytes).expect("it is well-formed"),
            [
                (1, Raw::Varint(150)),
                (2, Raw::Bytes(b"hi")),
                (3, Raw::Fixed32(1)),
                (4, Raw::Fixed64(2)),
                (5, Raw::Group(b"\x08\x05\x33\x34")),
            ]
        );
    }

    #[test]
    fn faults_say_where() {
        for (bytes, offset) in [
            (&b"\x08"[..], 1),
            (b"\x00\x01", 1),
            (b"\x12\x05hi", 2),
            (b"\x0e", 1),
            (b"\x0c", 1),
            (b"\x2b\x08\x05", 3),
            (b"\x2b\x34", 2),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11),
            (b"\x1d\x01", 1),
        ] {
            assert_eq!(all(bytes).expect_err("faulty").offset, offset, "{bytes:x?}");
        }
        assert!(all(&[0x0b].repeat(1000)).is_err());
    }
}

//! Why bytes are not in a format, and the limits of decoding.

use std::fmt;

use super::value::Value;
use crate::limits;

/// Where a payload departs from its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Bytes before the fault.
    pub offset: usize,
    /// What was expected and what was found.
    pub message: String,
}

impl Fault {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self {
            offset,
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.message)
    }
}

/// Limits for one payload: number of values, and nesting depth. No memory is reserved
/// for lengths claimed by a payload.
#[derive(Debug)]
pub(super) struct Budget {
    values: usize,
    depth: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            values: limits::PAYLOAD_VALUES,
            depth: limits::PAYLOAD_DEPTH,
        }
    }

    /// Another value.
    pub(super) fn value(&mut self, offset: usize) -> Result<(), Fault> {
        self.values = self.values.checked_sub(1).ok_or_else(|| {
            let most = limits::PAYLOAD_VALUES;
            Fault::new(
                offset,
                format!("more than {most} values; the rest is not decoded"),
            )
        })?;
        Ok(())
    }

    /// The name of an entry by its key, which began here.
    pub(super) fn name(&mut self, offset: usize, key: Value) -> Result<Box<str>, Fault> {
        let is_text = matches!(key, Value::Text(_));
        let name = key.into_name();
        let most = limits::PAYLOAD_NAME;
        if is_text || name.len() <= most {
            return Ok(name);
        }
        let message = format!("a key that is not text has more than {most} bytes");
        Err(Fault::new(offset, message))
    }

    /// Enters a container.
    pub(super) fn enter(&mut self, offset: usize) -> Result<(), Fault> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| {
            let most = limits::PAYLOAD_DEPTH;
            Fault::new(offset, format!("nested more than {most} deep"))
        })?;
        Ok(())
    }

    /// A container ends.
    pub(super) fn leave(&mut self) {
        self.depth += 1;
    }
}

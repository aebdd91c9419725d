//! Display filters: Wireshark's language, over MQTT control packets.
//!
//! ```text
//! mqtt.topic contains "temp" && mqtt.qos > 0
//!     │  token      words, strings, operators, with their columns
//!     ▼
//! syntax            Expr: the parsed expression, fields as names
//!     │  compile    names to fields, literals to the field's type
//!     ▼
//! Node              a small tree, evaluated for each control packet
//! ```
//!
//! Semantics are those of `tshark -Y` (4.0 and later); the tests compare both on every
//! fixture:
//!
//! - A comparison with a field that occurs more than once is true if one
//!   occurrence satisfies it; `!=` is true if the field is present and no
//!   occurrence is equal. `any`, `all`, `===` and `!==` override this.
//! - A field that is absent satisfies no comparison. `not` turns that into true.
//! - `and` binds tighter than `or`, and `not` tighter than both.
//! - `matches` ignores case and works on bytes.
//!
//! Wireshark evaluates a filter for each captured packet, which may carry
//! several control packets; this evaluates it for each control packet.
//!
//! A filter is compiled once. Evaluating it does not allocate, with two
//! exceptions: `lower()` and `upper()` reuse one buffer, and `payload.…` decodes the
//! payload.
//!
//! ```
//! use mqttdump::filter::Filter;
//!
//! let filter = Filter::new(r#"topic ~ "plant/+/temp" and qos > 0"#)?;
//! assert!(!filter.needs().payload);
//! let error = Filter::new("mqtt.topik == 1").unwrap_err();
//! assert!(error.to_string().contains("mqtt.topic"));
//! # Ok::<(), mqttdump::filter::FilterError>(())
//! ```

mod compile;
mod error;
mod field;
mod fields;
mod literal;
mod literal_error;
mod node;
mod syntax;
mod token;
mod value;

pub use error::FilterError;
pub use field::{Field, Kind};
pub use fields::{all as fields, markdown};
pub use literal_error::LiteralError;
pub use value::{Exchange, Subject};

use jiff::tz::TimeZone;

use crate::time::Timestamp;
use node::Node;

/// A compiled display filter.
#[derive(Debug)]
pub struct Filter {
    root: Node,
    needs: Needs,
}

/// Parses a time in a filter: `2026-01-31 10:15:00` in `zone`, RFC 3339, or seconds
/// since 1970. The error names what was expected.
pub fn time(text: &str, zone: &TimeZone) -> Result<Timestamp, LiteralError> {
    literal::time(&syntax::Form::Word(text.to_owned()), zone)
}

/// What a filter needs beyond the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Decoded payloads: [`Subject::payload`].
    pub payload: bool,
    /// The exchange of the frame: [`Subject::exchange`].
    pub exchange: bool,
    /// Whether exchanges complete, which is unknown at the packets that open them.
    pub acked: bool,
    /// The findings about the frame: [`Subject::findings`].
    pub findings: bool,
}

impl Filter {
    /// Compiles an expression; times without a zone are UTC.
    pub fn new(text: &str) -> Result<Self, FilterError> {
        Self::with_zone(text, &TimeZone::UTC)
    }

    /// Compiles an expression; times without a zone are in `zone`.
    pub fn with_zone(text: &str, zone: &TimeZone) -> Result<Self, FilterError> {
        let expr = syntax::parse(text)?;
        let mut compiler = compile::Compiler::new(text, zone);
        let root = compiler.expr(&expr)?;
        Ok(Self {
            root,
            needs: compiler.needs,
        })
    }

    /// Whether the filter selects a control packet.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.root.holds(subject)
    }

    /// What [`Subject`] has to hold beyond the frame.
    pub fn needs(&self) -> Needs {
        self.needs
    }
}

//! Why a literal cannot be compared with a field.

use std::borrow::Cow;

/// Why a literal cannot be compared with a field.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LiteralError {
    /// The field only is there or not.
    #[error("{0} is there or not; it has no value to compare")]
    NoValue(Cow<'static, str>),
    /// Networks have no order.
    #[error("a network has no order; leave out the prefix length")]
    NetworkOrder,
    /// Endpoints have no order.
    #[error("an address with a port has no order")]
    EndpointOrder,
    /// It is not one of the field's values.
    #[error("{field} is one of {names}, found {found:?}")]
    OneOf {
        /// Name of the field.
        field: Cow<'static, str>,
        /// Its values.
        names: String,
        /// As typed.
        found: String,
    },
    /// It has another form.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What was expected.
        expected: Cow<'static, str>,
        /// As typed, quoted where it can hold blanks.
        found: String,
    },
}

impl LiteralError {
    pub(super) fn expected(expected: impl Into<Cow<'static, str>>, found: &str) -> Self {
        Self::Expected {
            expected: expected.into(),
            found: format!("{found:?}"),
        }
    }
}

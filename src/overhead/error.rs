//! What cannot be read of the options and files of `overhead`.

/// An option that was not understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OptionError {
    /// A value of another form.
    #[error("{text:?}: expected {expected}")]
    Form {
        /// As typed.
        text: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A key with a value of another form.
    #[error("{key}={value}: expected {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value as typed.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
}

impl OptionError {
    pub(super) fn form(text: &str, expected: &'static str) -> Self {
        Self::Form {
            text: text.to_owned(),
            expected,
        }
    }

    pub(super) fn value(key: &'static str, value: &str, expected: &'static str) -> Self {
        Self::Value {
            key,
            value: value.to_owned(),
            expected,
        }
    }
}

/// Profiles of links that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is no TOML of this form; the message names the line.
    #[error("{}", .0.to_string().trim_end())]
    Toml(#[from] toml::de::Error),
    /// It counts something else.
    #[error(
        "[{profile}] counts = \"{counts}\": expected l2, l3, l3+N, tcp, mqtt, app, message+N or broker"
    )]
    Counts {
        /// Name of the profile.
        profile: String,
        /// What it counts.
        counts: String,
    },
    /// It rounds, and does not say to what.
    #[error("[{0}] needs an increment of at least one byte")]
    Increment(String),
}

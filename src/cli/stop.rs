//! Why a command ends early.

use mqttdump::capture;

use super::output::Ended;

/// Reason for an early end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The reader of standard output is gone. That is success.
    ReaderGone,
    /// An error, with the message for standard error.
    Failed(String),
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

impl From<Ended> for Stop {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::ReaderGone => Self::ReaderGone,
            Ended::Failed(error) => Self::Failed(format!("standard output: {error}")),
        }
    }
}

impl From<capture::Error> for Stop {
    fn from(error: capture::Error) -> Self {
        match error.is_closed_pipe() {
            true => Self::ReaderGone,
            false => Self::Failed(error.to_string()),
        }
    }
}

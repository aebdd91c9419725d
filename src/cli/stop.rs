//! Why a command ends before its end.

use mqttdump::capture;

use super::output::Ended;

/// Why not everything was done.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The reader of our output has gone: nothing is left to do, and that is
    /// success.
    ReaderGone,
    /// With the message for standard error.
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

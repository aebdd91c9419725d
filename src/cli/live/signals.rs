//! What a running capture can be told from outside: to stop, and to say how it
//! is getting on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGUSR1;
use signal_hook::flag;

use super::super::signals;

/// Flags that signals set.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    /// Ctrl-C or SIGTERM: what was captured is still shown.
    pub(crate) stop: Arc<AtomicBool>,
    /// SIGUSR1: the counts are wanted, as of tcpdump.
    counts: Arc<AtomicBool>,
}

impl Signals {
    /// Listens from now on. A second Ctrl-C or SIGTERM ends the program at once.
    pub(crate) fn listen() -> Result<Self, String> {
        let signals = Self {
            stop: signals::stop()?,
            counts: Arc::default(),
        };
        flag::register(SIGUSR1, Arc::clone(&signals.counts))
            .map_err(|error| format!("signals: {error}"))?;
        Ok(signals)
    }

    /// Whether somebody has asked for the counts since the last time.
    pub(crate) fn wants_counts(&self) -> bool {
        self.counts.swap(false, Ordering::Relaxed)
    }
}

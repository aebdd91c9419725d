//! Signals to a running capture: stop, and report the counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGUSR1;
use signal_hook::flag;

use super::super::signals;

/// Flags that signals set.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    /// SIGINT or SIGTERM: stop reading, then finish the output.
    pub(crate) stop: Arc<AtomicBool>,
    /// SIGUSR1: report the counts, as tcpdump does.
    counts: Arc<AtomicBool>,
}

impl Signals {
    /// Installs the handlers. A second SIGINT or SIGTERM ends the program at once.
    pub(crate) fn listen() -> Result<Self, String> {
        let signals = Self {
            stop: signals::stop()?,
            counts: Arc::default(),
        };
        flag::register(SIGUSR1, Arc::clone(&signals.counts))
            .map_err(|error| format!("signals: {error}"))?;
        Ok(signals)
    }

    /// Whether the counts were requested since the last call.
    pub(crate) fn wants_counts(&self) -> bool {
        self.counts.swap(false, Ordering::Relaxed)
    }
}

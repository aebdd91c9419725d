//! What a running capture can be told from outside: to stop, and to say how it
//! is getting on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

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
        const KILLED: i32 = 2;
        let told = |error: std::io::Error| format!("signals: {error}");
        let signals = Self {
            stop: Arc::default(),
            counts: Arc::default(),
        };
        for signal in [SIGINT, SIGTERM] {
            let stop = &signals.stop;
            flag::register_conditional_shutdown(signal, KILLED, Arc::clone(stop)).map_err(told)?;
            flag::register(signal, Arc::clone(stop)).map_err(told)?;
        }
        flag::register(SIGUSR1, Arc::clone(&signals.counts)).map_err(told)?;
        Ok(signals)
    }

    /// Whether somebody has asked for the counts since the last time.
    pub(crate) fn wants_counts(&self) -> bool {
        self.counts.swap(false, Ordering::Relaxed)
    }
}

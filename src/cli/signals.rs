//! Ctrl-C and SIGTERM: an end, not an accident.
//!
//! | what is read | at the first signal | at the second |
//! |---|---|---|
//! | an interface, a growing file | what is there is read, then everything ends as at the end of a file | the program ends at once |
//! | files and pipes, with `-w` | the same, after the current packet; while a pipe has nothing, everything saved is on disk, and the program just ends | the program ends at once |
//! | files and pipes | the program just ends: nothing is lost | |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Set by the first signal. A second one ends the program at once.
pub(super) fn stop() -> Result<Arc<AtomicBool>, String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let registered = flag::register_conditional_shutdown(signal, 2, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)));
        registered.map_err(told)?;
    }
    Ok(stop)
}

/// For saving from files and pipes: a read that waits cannot be told to stop.
#[derive(Debug)]
pub(super) struct Patience {
    stop: Arc<AtomicBool>,
    waiting: Arc<AtomicBool>,
}

impl Patience {
    pub(super) fn new() -> Result<Self, String> {
        let waiting = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_default(signal, Arc::clone(&waiting)).map_err(told)?;
        }
        Ok(Self {
            stop: stop()?,
            waiting,
        })
    }

    /// Everything is saved, and may be left as it is.
    pub(super) fn wait(&self) {
        self.waiting.store(true, Ordering::SeqCst);
    }

    /// There is something to finish.
    #[inline]
    pub(super) fn work(&self) {
        self.waiting.store(false, Ordering::SeqCst);
    }

    /// Whether a signal has come.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn told(error: std::io::Error) -> String {
    format!("signals: {error}")
}

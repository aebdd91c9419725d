//! Ctrl-C and SIGTERM: an end, not an accident.
//!
//! | what is read | at the first signal | at the second |
//! |---|---|---|
//! | an interface, a growing file | what is there is read, then everything ends as at the end of a file | the program ends at once |
//! | files, with `-w` | the same, after the current packet | the program ends at once |
//! | pipes, with `-w` | the pipe is read to its end, for a second at most: its writer got the same Ctrl-C and hands over what it still has; then the same, or, while the pipe brings nothing, the program just ends, for everything saved is on disk | the program ends at once |
//! | files and pipes | the program just ends: nothing is lost | |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::emulate_default_handler;

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

/// How long a pipe may bring the rest.
const REST: Duration = Duration::from_secs(1);
/// How soon a signal is noticed, and a wait that has begun too late.
const TURN: Duration = Duration::from_millis(50);

/// For saving from files and pipes: a read that waits cannot be told to stop.
#[derive(Debug)]
pub(super) struct Patience {
    over: Arc<AtomicBool>,
    state: Arc<AtomicU8>,
}

/// Packets may be unsaved.
const WORKING: u8 = 0;
/// Everything is saved, and may be left as it is.
const WAITING: u8 = 1;
/// The program is about to end.
const ENDING: u8 = 2;

impl Patience {
    /// Of `files`, or of a pipe.
    pub(crate) fn new(files: bool) -> Result<Self, String> {
        match files {
            true => Self::of_files(),
            false => Self::of_pipe(),
        }
    }

    /// Of files: a signal is the end.
    fn of_files() -> Result<Self, String> {
        Ok(Self {
            over: stop()?,
            state: Arc::default(),
        })
    }

    /// Of a pipe: some time after a signal is.
    fn of_pipe() -> Result<Self, String> {
        let patience = Self {
            over: Arc::default(),
            state: Arc::default(),
        };
        let asked = Arc::new(AtomicUsize::new(0));
        stop()?;
        for signal in [SIGINT, SIGTERM] {
            let value = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&asked), value).map_err(told)?;
        }
        let (over, state) = (Arc::clone(&patience.over), Arc::clone(&patience.state));
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || end_after(&asked, &over, &state))
            .map_err(told)?;
        Ok(patience)
    }

    /// Everything is saved, and may be left as it is.
    pub(super) fn wait(&self) {
        self.turn(WAITING);
    }

    /// There is something to finish.
    #[inline]
    pub(super) fn work(&self) {
        self.turn(WORKING);
    }

    #[inline]
    fn turn(&self, to: u8) {
        if self.state.load(Ordering::Relaxed) == to {
            return;
        }
        if self.state.swap(to, Ordering::SeqCst) == ENDING {
            // Nothing that is begun now would be completed.
            loop {
                std::thread::park();
            }
        }
    }

    /// Whether it is time to stop reading.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Waits for a signal and then for the rest of the pipe. Ends the program once
/// its reader waits in vain.
fn end_after(asked: &AtomicUsize, over: &AtomicBool, state: &AtomicU8) {
    while asked.load(Ordering::Relaxed) == 0 {
        std::thread::sleep(TURN);
    }
    std::thread::sleep(REST);
    over.store(true, Ordering::SeqCst);
    while state
        .compare_exchange(WAITING, ENDING, Ordering::SeqCst, Ordering::SeqCst)
        .is_err()
    {
        std::thread::sleep(TURN);
    }
    let signal = i32::try_from(asked.load(Ordering::Relaxed)).unwrap_or(SIGTERM);
    // As if it had never been caught.
    let _ = emulate_default_handler(signal);
}

fn told(error: std::io::Error) -> String {
    format!("signals: {error}")
}

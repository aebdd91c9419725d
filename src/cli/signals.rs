//! SIGINT (Ctrl-C) and SIGTERM end reading and finish the output.
//!
//! | input | first signal | second signal |
//! |---|---|---|
//! | an interface, a growing file | captured packets are read, then everything ends as at the end of a file | ends at once |
//! | files, with `-w` | the same, after the current packet | ends at once |
//! | pipes, with `-w` | the pipe is read to its end, for at most a second, because its writer got the same Ctrl-C and flushes its buffer; then the same. If the read blocks, the program ends: everything saved is on disk | ends at once |
//! | pipes, with a report at the end | the rest of the pipe is read, for at most a second; then the report is printed | ends at once |
//! | files, and pipes whose lines are printed as they come | the program ends: nothing is lost | |
//!
//! SIGXFSZ (`ulimit -f`) does not end the program: writing fails, and that is reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::emulate_default_handler;

/// A flag set by the first signal. A second one ends the program at once.
pub(super) fn stop() -> Result<Arc<AtomicBool>, String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let registered = flag::register_conditional_shutdown(signal, 2, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)));
        registered.map_err(error)?;
    }
    Ok(stop)
}

/// A file that may grow no further fails like a full disk.
#[cfg(unix)]
pub(super) fn keep_on_at_the_size_limit() {
    // The flag is not read: with any handler, `write` returns an error.
    let _ = flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// How long a pipe is read after a signal.
const REST: Duration = Duration::from_secs(1);
/// Interval at which signals and blocked reads are checked.
const POLL: Duration = Duration::from_millis(50);

/// Signal handling while saving from files and pipes, where a blocked read
/// cannot be interrupted.
#[derive(Debug)]
pub(super) struct Interrupt {
    over: Arc<AtomicBool>,
    state: Arc<AtomicU8>,
}

/// Packets may be unsaved.
const WORKING: u8 = 0;
/// Everything is saved; the program may end.
const WAITING: u8 = 1;
/// The program is about to end.
const ENDING: u8 = 2;

impl Interrupt {
    /// For `files`, or for a pipe.
    pub(crate) fn new(files: bool) -> Result<Self, String> {
        match files {
            true => Self::of_files(),
            false => Self::of_pipe(),
        }
    }

    /// For files: a signal stops reading.
    fn of_files() -> Result<Self, String> {
        Ok(Self {
            over: stop()?,
            state: Arc::default(),
        })
    }

    /// For a pipe: reading stops some time after a signal.
    fn of_pipe() -> Result<Self, String> {
        let interrupt = Self {
            over: Arc::default(),
            state: Arc::default(),
        };
        let asked = Arc::new(AtomicUsize::new(0));
        stop()?;
        for signal in [SIGINT, SIGTERM] {
            let value = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&asked), value).map_err(error)?;
        }
        let (over, state) = (Arc::clone(&interrupt.over), Arc::clone(&interrupt.state));
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || end_after(&asked, &over, &state))
            .map_err(error)?;
        Ok(interrupt)
    }

    /// Everything is saved; the program may end.
    pub(super) fn wait(&self) {
        self.set(WAITING);
    }

    /// There is unsaved work.
    #[inline]
    pub(super) fn work(&self) {
        self.set(WORKING);
    }

    #[inline]
    fn set(&self, to: u8) {
        if self.state.load(Ordering::Relaxed) == to {
            return;
        }
        if self.state.swap(to, Ordering::SeqCst) == ENDING {
            // Work started now would not be completed.
            loop {
                std::thread::park();
            }
        }
    }

    /// Whether to stop reading.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Waits for a signal, then gives the pipe time to deliver its rest. Ends the
/// program if the reader is blocked.
fn end_after(asked: &AtomicUsize, over: &AtomicBool, state: &AtomicU8) {
    while asked.load(Ordering::Relaxed) == 0 {
        std::thread::sleep(POLL);
    }
    std::thread::sleep(REST);
    over.store(true, Ordering::SeqCst);
    while state
        .compare_exchange(WAITING, ENDING, Ordering::SeqCst, Ordering::SeqCst)
        .is_err()
    {
        std::thread::sleep(POLL);
    }
    let signal = i32::try_from(asked.load(Ordering::Relaxed)).unwrap_or(SIGTERM);
    // The exit status is that of an uncaught signal.
    let _ = emulate_default_handler(signal);
}

fn error(error: std::io::Error) -> String {
    format!("signals: {error}")
}

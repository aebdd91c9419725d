//! Several captures at once, with the output of one after the other.
//!
//! ```text
//! thread 1   capture 1 ────────┤report├  capture 3 ───────────┤report├
//! thread 2   capture 2 ───┄┄┄ waits ┄┄┄┤report├  capture 4 ──┄┄┤report├
//! ```
//! Each capture is read by one thread. What captures share (the report, standard
//! output, the baseline) belongs to one capture at a time, in the order in which
//! they were given: a capture takes its [`Turn`] when it first has something to
//! report, and ends it when it is done. So output, messages and exit status are the
//! same for any number of threads, and no more results wait than there are threads.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::console;
use super::driver::Driver;
use super::reading::Reading;
use super::source::Source;
use super::stop::Stop;
use super::unmatched;
use mqttdump::select::Unmatched;

/// What captures share, and whose turn it is.
struct InOrder<T> {
    state: Mutex<State<T>>,
    /// It is another one's turn.
    passed: Condvar,
    /// A capture ended the run: later ones report nothing.
    over: AtomicBool,
}

struct State<T> {
    /// Index of the capture whose turn it is.
    next: usize,
    shared: T,
    /// Criteria that selected nothing so far; `None` if that is accepted.
    unmatched: Option<Unmatched>,
    stop: Option<Stop>,
}

impl<T> State<T> {
    /// Adds what was selected in another capture.
    fn absorb(&mut self, other: Option<Unmatched>) {
        let both = self.unmatched.take().zip(other);
        self.unmatched = both.map(|(mut ours, theirs)| {
            ours.absorb(theirs);
            ours
        });
    }
}

/// The turn of a capture, now or later.
pub(crate) struct Turn<'a, T> {
    all: &'a InOrder<T>,
    index: usize,
    guard: Option<MutexGuard<'a, State<T>>>,
}

impl<'a, T> Turn<'a, T> {
    /// What captures share. Waits until it is the capture's turn.
    pub(crate) fn take(&mut self) -> Result<&mut T, Stop> {
        let (all, index) = (self.all, self.index);
        let guard = self.guard.get_or_insert_with(|| {
            let guard = all.state.lock().unwrap_or_else(PoisonError::into_inner);
            let waits = |state: &mut State<T>| state.next != index && state.stop.is_none();
            let mine = all.passed.wait_while(guard, waits);
            mine.unwrap_or_else(PoisonError::into_inner)
        });
        match guard.stop.is_some() {
            true => Err(Stop::ReaderGone),
            false => {
                console::deliver();
                Ok(&mut guard.shared)
            }
        }
    }

    /// What captures share, if its turn was taken.
    pub(crate) fn taken(&mut self) -> Option<&mut T> {
        self.guard.as_mut().map(|guard| &mut guard.shared)
    }

    /// Ends the turn: the next capture's begins.
    fn end(mut self, result: Result<(), Stop>, unmatched: Option<Unmatched>) {
        let was_over = self.take().is_err();
        if let Some(mut guard) = self.guard.take() {
            guard.absorb(unmatched);
            if let (false, Err(stop)) = (was_over, result) {
                guard.stop = Some(stop);
                self.all.over.store(true, Ordering::Relaxed);
            }
            guard.next += 1;
        }
        self.all.passed.notify_all();
    }
}

/// A bug must not keep the others waiting.
impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.all.over.store(true, Ordering::Relaxed);
            if let Some(guard) = &mut self.guard {
                guard.stop = Some(Stop::ReaderGone);
            } else if let Ok(mut guard) = self.all.state.lock() {
                guard.stop = Some(Stop::ReaderGone);
            }
            self.all.passed.notify_all();
        }
    }
}

/// Calls `work` for each capture, on as many threads as were asked for. Returns what
/// the captures share, and whether every criterion of the selection selected
/// something.
///
/// # Errors
///
/// Those of the first capture that has one.
pub(crate) fn read_all<T: Send>(
    reading: &Reading,
    shared: T,
    work: impl Fn(&mut Driver<'_>, &Source, &mut Turn<'_, T>) -> Result<(), Stop> + Sync,
) -> Result<(T, bool), Stop> {
    let mut driver = Driver::new(reading)?;
    if !reading.captures.iter().any(Source::is_live) {
        // Before there are threads.
        reading.sandbox.enter();
    }
    let all = InOrder {
        state: Mutex::new(State {
            next: 0,
            shared,
            unmatched: driver.begin(),
            stop: None,
        }),
        passed: Condvar::new(),
        over: AtomicBool::new(false),
    };
    let turn = |index| Turn {
        all: &all,
        index,
        guard: None,
    };
    let threads = threads(reading);
    if threads == 1 {
        for (index, source) in reading.captures.iter().enumerate() {
            let mut turn = turn(index);
            turn.take()?;
            work(&mut driver, source, &mut turn)?;
            turn.end(Ok(()), driver.begin());
        }
    } else {
        let begun = AtomicUsize::new(0);
        let read = || {
            while !all.over.load(Ordering::Relaxed) {
                let index = begun.fetch_add(1, Ordering::Relaxed);
                let Some(source) = reading.captures.get(index) else {
                    return;
                };
                console::defer();
                let mut turn = turn(index);
                let mut driver = Driver::beside(reading, &all.over);
                let result = work(&mut driver, source, &mut turn);
                turn.end(result, driver.begin());
            }
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(read);
            }
        });
    }
    let state = all.state.into_inner();
    let state = state.unwrap_or_else(PoisonError::into_inner);
    match state.stop {
        Some(stop) => Err(stop),
        None => Ok((state.shared, unmatched::report(state.unmatched.as_ref()))),
    }
}

/// How many captures are read at once. A capture that grows is read alone.
fn threads(reading: &Reading) -> usize {
    if reading.watch.endless {
        return 1;
    }
    let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = reading
        .threads
        .map_or_else(cores, |n| usize::try_from(n).unwrap_or(usize::MAX));
    threads.clamp(1, reading.captures.len())
}

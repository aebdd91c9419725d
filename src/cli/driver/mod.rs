//! The main loop: packets in, facts to a command, packets to files.
//!
//! ```text
//! captures ─item→ gate ─packet→ Facts ─Fact→ sink of the Job ─settle→ lines
//!                   │                     └→ metrics
//!                   └─────packet──→ saver ←── selected connections
//! ```
//! A command is a [`Job`]: a sink of facts, and what is written between packets.
//! Everything else is common to all commands and done here: opening, the BPF
//! expression, keys, privileges, intervals, lost packets, progress, signals and
//! saving.
//!
//! Damaged input does not end the run: everything readable is processed, then
//! the errors are reported.

mod job;
mod pass;
mod replay;
mod saving;

use std::sync::atomic::AtomicBool;

use mqttdump::capture::{Capture, Merge};
use mqttdump::engine::Summary;
use mqttdump::facts::{Facts, GivenUp};
use mqttdump::select::Unmatched;

use super::closing;
use super::console::{complain, counted};
use super::counts::Counts;
use super::gate::Gate;
use super::progress::Progress;
use super::reading::Reading;
use super::records;
use super::sandbox::Sandbox;
use super::save::{Saved, Saver};
use super::signals::Interrupt;
use super::source::{Opened, Source};
use super::state::{Rotation, State};
use super::stop::Stop;
use super::watch::Watch;

use pass::Pass;
use saving::saver;

pub(crate) use job::{Job, Select, Trouble};

/// The criteria of the selection, unless it may select nothing.
fn unmatched_of(reading: &Reading) -> Option<Unmatched> {
    match reading.allow_empty {
        true => None,
        false => Unmatched::new(&reading.selection),
    }
}

/// Result of reading one capture.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Everything could be opened and read, except what the job accepts.
    pub(crate) whole: bool,
    /// At least one part could be opened.
    pub(crate) opened: bool,
    /// Counts of the engine, if facts were needed.
    pub(crate) summary: Option<Summary>,
    /// What was evicted because a table was full.
    pub(crate) evicted: GivenUp,
    /// Reading stopped before the end, as requested.
    pub(crate) stopped: bool,
    /// Packets that matched the BPF expression.
    pub(crate) passed: u64,
    /// Packets that did not match it, although the IP packet inside them does.
    pub(crate) hidden: u64,
    /// Packets of selected connections that were dropped before they were saved.
    pub(crate) unsaved: u64,
    /// Losses of the live capture.
    pub(crate) counts: Option<Counts>,
}

impl Outcome {
    /// Control packets that were read.
    pub(crate) fn frames(&self) -> u64 {
        self.summary.as_ref().map_or(0, |summary| summary.frames)
    }
}

/// Reads captures, one after another.
pub(crate) struct Driver<'a> {
    reading: &'a Reading,
    watch: Watch,
    progress: Progress,
    /// Criteria that selected nothing so far; `None` if that is accepted.
    unmatched: Option<Unmatched>,
    /// Set when the results are not wanted any more.
    over: Option<&'a AtomicBool>,
}

impl<'a> Driver<'a> {
    /// Binds the address of `--listen`. Opens nothing else.
    pub(crate) fn new(reading: &'a Reading) -> Result<Self, Stop> {
        Ok(Self {
            reading,
            watch: Watch::new(&reading.watch)?,
            progress: Progress::new(reading.progress),
            unmatched: unmatched_of(reading),
            over: None,
        })
    }

    /// One that reads a capture beside others, until `over` is set.
    pub(crate) fn beside(reading: &'a Reading, over: &'a AtomicBool) -> Self {
        Self {
            reading,
            watch: Watch::default(),
            progress: Progress::new(false),
            unmatched: unmatched_of(reading),
            over: Some(over),
        }
    }

    /// Another capture begins. Returns the criteria that selected nothing in the one
    /// before; `None` if that is accepted.
    pub(crate) fn begin(&mut self) -> Option<Unmatched> {
        std::mem::replace(&mut self.unmatched, unmatched_of(self.reading))
    }

    /// Reads a capture and passes its facts to the job.
    pub(crate) fn read<J: Job>(&mut self, source: &Source, job: &mut J) -> Result<Outcome, Stop> {
        if !source.is_live() {
            self.reading.sandbox.enter();
        }
        if let Source::Facts(paths) = source {
            return self.replay(paths, job);
        }
        let mut opened = source.open(job.reports() && job.saving().is_none())?;
        let mut outcome = Outcome {
            whole: true,
            opened: !opened.captures.is_empty(),
            ..Outcome::default()
        };
        for error in &opened.errors {
            outcome.whole &= job.trouble(&Trouble::from(error));
        }
        if !outcome.opened {
            return Ok(outcome);
        }
        if self.reading.chatty && !source.is_live() {
            opened.captures.iter().for_each(report_opened);
        }
        let mut gate = self.gate(&opened)?;
        let keys = self.reading.keys.open()?;
        let rotation = job.rotation();
        let state = State::begin(&self.reading.state, rotation, source, &opened.captures)?;
        if let Some(message) = state.as_ref().and_then(State::lacking) {
            match rotation {
                Rotation::None => {}
                Rotation::New => complain(&message),
                // The report is about all files.
                Rotation::Whole => {
                    outcome.whole &= job.trouble(&Trouble {
                        message,
                        is_truncation: false,
                    });
                }
            }
        }
        let may_hold_keys = opened.captures.iter().any(Capture::may_hold_keys);
        let is_shard = |capture: &Capture| capture.origin().is_some_and(|it| it.shard.is_some());
        let is_shard = opened.captures.iter().any(is_shard);
        let portion = records::portion(opened.captures.iter());
        if !portion.is_whole() {
            job.only_part(&portion)?;
        }
        // Last, because it creates a file.
        let (saver, later) = saver(job, source, &opened.captures)?;
        let saves = saver.is_some();
        let interrupt = match &saver {
            Some(_) if !source.is_endless() => {
                let files = opened.captures.iter().all(|it| it.size().is_some());
                Some(Interrupt::new(files)?)
            }
            _ => None,
        };
        let sandbox = &self.reading.sandbox;
        if let Err(stop) = begin(
            (source, &opened),
            job,
            saver.as_ref(),
            &mut self.watch,
            sandbox,
        ) {
            if let Some(series) = saver.and_then(Saver::into_series).or(later) {
                series.take_back();
            }
            return Err(stop);
        }
        let mut merge = Merge::new(std::mem::take(&mut opened.captures));
        let besides = (&mut self.watch, &mut self.unmatched);
        let mut pass = Pass::new(self.reading, keys, saver, job, besides);
        pass.interrupt = interrupt;
        pass.may_hold_keys = may_hold_keys;
        pass.is_shard = is_shard;
        pass.state = state;
        pass.endless = source.is_endless();
        pass.over = self.over;
        let mut failure = None;
        let errors = pass
            .read(&mut merge, &mut gate, &mut self.progress, Some(&opened))
            .unwrap_or_else(|stop| {
                failure = Some(stop);
                Vec::new()
            });
        outcome.stopped = pass.is_done() || gate.is_closed();
        if outcome.stopped || source.is_growing() {
            // The unread rest may have matched.
            *pass.unmatched = None;
        }
        pass.work();
        if let Err(stop) = pass.finish() {
            failure.get_or_insert(stop);
        }
        if failure.is_none()
            && let Some(state) = pass.state.take()
        {
            state.finish(pass.facts.as_ref().map(Facts::summary).as_ref())?;
        }
        outcome.summary = pass.summary();
        outcome.evicted = pass
            .facts
            .as_ref()
            .map_or_else(GivenUp::default, Facts::given_up);
        // Finish the saved file even if writing to standard output failed.
        let exceeded = pass.memory.exceeded;
        let saved = match pass.saver.take().map(Saver::finish).transpose() {
            Ok(saved) => saved.unwrap_or_default(),
            Err(error) => return Err(failure.unwrap_or(error.into())),
        };
        let failure = failure.filter(|stop| !(saves && matches!(stop, Stop::ReaderGone)));
        let Saved {
            wanted,
            unsaved,
            failed,
        } = saved;
        outcome.unsaved = unsaved;
        outcome.whole &= !failed;
        if let (Some(wanted), Some(series)) = (wanted, later) {
            outcome.whole &= self.save_selected(source, wanted, series)?;
        }
        self.progress.clear();
        if let Some(stop) = failure {
            return Err(stop);
        }
        for error in &errors {
            outcome.whole &= job.trouble(&Trouble::from(error));
        }
        for error in &gate.refused {
            let message = error.to_string();
            outcome.whole &= job.trouble(&Trouble {
                message,
                is_truncation: false,
            });
        }
        if rotation != Rotation::None
            && let Some(summary) = &outcome.summary
        {
            closing::undecodable(summary).for_each(|note| complain(&note));
            outcome.whole &= !closing::is_undecodable(summary);
        }
        let limit = self.reading.max_memory >> 20;
        if outcome.evicted.connections > 0 {
            // One that goes on may be evicted again.
            complain(&format!(
                "connections were evicted: more memory than --max-memory {limit}M was needed ({})",
                counted(outcome.evicted.connections, "eviction")
            ));
        }
        if exceeded {
            complain(&format!(
                "the result needs more memory than --max-memory {limit}M"
            ));
        }
        outcome.passed = gate.passed;
        outcome.hidden = gate.hidden;
        outcome.counts = opened.counts();
        Ok(outcome)
    }

    fn gate(&self, opened: &Opened) -> Result<Gate, Stop> {
        Gate::new(
            self.reading.expression.as_deref(),
            self.reading.range,
            self.reading.max_packets,
            &opened.link_types(),
        )
        .map_err(|error| Stop::Failed(error.to_string()))
    }
}

/// Reports the opened file, as tcpdump does.
fn report_opened(capture: &Capture) {
    let name = capture.name();
    match capture.interface() {
        Some(interface) => complain(&format!(
            "reading from file {name}, link-type {}, snapshot length {}",
            interface.link_type, interface.snap_length
        )),
        None => complain(&format!("reading from file {name}, pcapng")),
    }
}

/// Drops privileges, after checking that later writes are possible without
/// them.
fn begin(
    (source, opened): (&Source, &Opened),
    job: &mut impl Job,
    saver: Option<&Saver>,
    watch: &mut Watch,
    sandbox: &Sandbox,
) -> Result<(), Stop> {
    #[cfg(feature = "live")]
    if let (Some(path), Some(target_user)) = (saver.and_then(Saver::path), opened.target_user()) {
        target_user.give_file(path)?;
    }
    opened.begin(|| {
        job.may_begin()?;
        match saver {
            Some(saver) if source.is_live() => saver.may_continue(),
            _ => Ok(()),
        }
    })?;
    // An interface is opened with privileges.
    sandbox.enter();
    Ok(watch.start(opened)?)
}

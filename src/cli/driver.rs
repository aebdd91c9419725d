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

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mqttdump::capture::{self, Block, Capture, Dropped, Item, Merge, Packet};
use mqttdump::clock::Clock;
use mqttdump::engine::{Output, Placed, Summary};
use mqttdump::facts::record::{Records, Unmerged};
use mqttdump::facts::{self, Before, Fact, Facts, GivenUp, Needs, SessionFact, Sink};
use mqttdump::limits;
use mqttdump::packet::{CapturedPacket, PacketRef};
use mqttdump::rules::Tally;
use mqttdump::select::Unmatched;
use mqttdump::shard::Portion;
use mqttdump::time::Timestamp;

use super::console::{complain, were};
use super::counts::Counts;
use super::gate::Gate;
use super::keylog::{self, KeyLogFile};
use super::memory::Memory;
use super::progress::Progress;
use super::range::Place;
use super::reading::Reading;
use super::records;
use super::sandbox::Sandbox;
use super::save::{Connections, Save, Saved, Saver, Series, Wanted, is_same, now};
use super::signals::Interrupt;
use super::source::{self, Opened, Source};
use super::state::{Rotation, State};
use super::stop::Stop;
use super::watch::{Interval, Watch};

/// What a command does with one capture.
pub(crate) trait Job {
    /// The sink of the facts.
    type Sink: Sink;

    /// The sink of the facts.
    fn sink(&mut self) -> &mut Self::Sink;

    /// Options of the facts stage.
    fn options(&self) -> facts::Options {
        facts::Options::default()
    }

    /// Whether facts are needed at all; `false` if packets are only copied.
    fn needs_facts(&self) -> bool {
        true
    }

    /// Whether its output comes at the end.
    fn reports(&self) -> bool {
        true
    }

    /// Where packets are saved, and of which connections; `None` without `-w`.
    fn saving(&self) -> Option<(&Save, Select)> {
        None
    }

    /// Connections that were selected or closed since the last call.
    fn connections(&mut self) -> Option<&mut Connections> {
        None
    }

    /// Privileges were given up: whether the job can still do what it has to do
    /// later.
    fn may_begin(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// The following facts come from this packet; `None` at the end.
    fn before(&mut self, packet: Option<&CapturedPacket<'_>>) {
        let _ = packet;
    }

    /// The following facts come from the clock of the whole capture, in a shard of it:
    /// from this packet, of another shard.
    fn clock(&mut self, packet: PacketRef, time: Timestamp) {
        let _ = (packet, time);
    }

    /// The whole capture had no packet between these times, in a shard of it; this packet,
    /// of any shard, ended that.
    fn pause(&mut self, packet: PacketRef, from: Timestamp, until: Timestamp) {
        let _ = (packet, from, until);
    }

    /// The packet was read, and belongs there.
    #[inline]
    fn after(&mut self, placed: Placed<'_>) {
        let _ = placed;
    }

    /// Called between two packets: writes output that is due.
    fn settle(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    /// Memory that it needs for a moment when room is made.
    fn reserved(&self) -> usize {
        0
    }

    /// Writes all output, before a wait for input.
    fn flush(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    /// An interval of `--every` has passed.
    fn interval(&mut self, interval: Interval, summary: &Summary) -> Result<(), Stop> {
        let _ = (interval, summary);
        Ok(())
    }

    /// Packets were lost by the capture.
    fn dropped(&mut self, packets: u64) {
        let _ = packets;
    }

    /// Whether files of `check --facts-out` are enough, which have no packets.
    fn takes_records(&self) -> bool {
        false
    }

    /// What is read are shards of a capture, without the others.
    fn only_part(&mut self, portion: &Portion) -> Result<(), Stop> {
        let _ = portion;
        Ok(())
    }

    /// Counts of findings, for metrics.
    fn tally(&self) -> Option<&Tally> {
        None
    }

    /// The input is damaged. Returns whether the job accepts that.
    fn trouble(&mut self, trouble: &Trouble) -> bool {
        complain(&trouble.message);
        false
    }

    /// Whether the job needs no more packets.
    fn is_done(&self) -> bool {
        false
    }

    /// How it uses the state of an earlier run (`--state-in`, `--state-out`).
    fn rotation(&self) -> Rotation {
        Rotation::None
    }

    /// Whether it writes to standard output, so that reading ends when the reader
    /// is gone.
    fn writes_to_stdout(&self) -> bool {
        true
    }
}

/// The criteria of the selection, unless it may select nothing.
fn unmatched_of(reading: &Reading) -> Option<Unmatched> {
    match reading.allow_empty {
        true => None,
        false => Unmatched::new(&reading.selection),
    }
}

/// Which connections are saved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Select {
    /// All.
    All,
    /// Those that [`Job::connections`] names.
    Some,
    /// Of those, the packets that [`Connections::exchanges`] names.
    Exchanges,
}

/// An error in the input.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// What is wrong, and where.
    pub(crate) message: String,
    /// The file ends in the middle of a packet.
    pub(crate) is_truncation: bool,
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
        let limit = self.reading.max_memory >> 20;
        if outcome.evicted.connections > 0 {
            complain(&format!(
                "{} evicted: more memory than --max-memory {limit}M was needed",
                were(outcome.evicted.connections, "connection")
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

    /// Reads the records of shards instead of packets.
    fn replay<J: Job>(&mut self, paths: &[PathBuf], job: &mut J) -> Result<Outcome, Stop> {
        let failed = |error: Unmerged| Stop::Failed(error.to_string());
        let inputs = paths.iter().map(|path| records::open(path));
        let mut records = Records::new(inputs.collect::<Result<_, _>>()?).map_err(failed)?;
        if !records.portion().is_whole() {
            job.only_part(records.portion())?;
        }
        let options = job.options();
        if !job.takes_records() {
            return Err(Stop::Failed(
                "files of --facts-out have no packets: they are for check without --level, \
                 sessions --deliveries, and tables --table findings,deliveries"
                    .into(),
            ));
        }
        let sinks = (job.sink(), &mut self.unmatched);
        let mut facts = Facts::new(self.reading.engine.clone(), options, &sinks);
        if records.lacks_packets() {
            // Whatever depends on absence is inconclusive.
            let sinks = &mut (job.sink(), &mut self.unmatched);
            facts.dropped(0, Timestamp::MAX, sinks);
        }
        loop {
            let sinks = &mut (job.sink(), &mut self.unmatched);
            let mut replay = |output: Output<'_>| facts.replay(output, sinks);
            if !records.next(&mut replay).map_err(failed)? {
                break;
            }
            for (from, until) in records.take_pauses() {
                facts.pause(from, until);
            }
            job.settle()?;
        }
        match records.counts().dropped {
            0 => {}
            dropped => job.dropped(dropped),
        }
        job.before(None);
        facts.finish(&mut (job.sink(), &mut self.unmatched));
        job.settle()?;
        let counts = records.counts();
        let mut outcome = Outcome {
            whole: counts.whole,
            opened: true,
            summary: Some(Summary {
                packets: counts.packets,
                frames: counts.frames,
                duplicates: counts.duplicates,
                mqtt_connections: counts.mqtt_connections,
                other_connections: counts.other_connections,
                ..Summary::default()
            }),
            evicted: facts.given_up(),
            ..Outcome::default()
        };
        if !counts.whole && records.problems().is_empty() {
            outcome.whole = job.trouble(&Trouble {
                message: "a capture of these shards is damaged".into(),
                is_truncation: false,
            });
        }
        for problem in records.problems() {
            job.trouble(&Trouble {
                message: problem.clone(),
                is_truncation: false,
            });
            outcome.whole = false;
        }
        job.flush()?;
        Ok(outcome)
    }

    /// Reads the files a second time and writes the selected connections. Errors in
    /// the input have been reported by the first reading.
    fn save_selected(
        &mut self,
        source: &Source,
        wanted: Wanted,
        series: Series,
    ) -> Result<bool, Stop> {
        let opened = source.open(false)?;
        let mut gate = self.gate(&opened)?;
        let keys = self.reading.keys.open()?;
        let (mut watch, mut unmatched) = (Watch::default(), None);
        let saver = Saver::second_pass(wanted, series);
        let mut job = Renumber(());
        let besides = (&mut watch, &mut unmatched);
        let mut pass = Pass::new(self.reading, keys, Some(saver), &mut job, besides);
        let mut merge = Merge::new(opened.captures);
        pass.read(&mut merge, &mut gate, &mut self.progress, None)?;
        match pass.saver.take() {
            Some(saver) => Ok(!saver.finish()?.failed),
            None => Ok(true),
        }
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

/// Numbers the connections as in the first reading. It needs the same input,
/// keys included, because decrypted content decides which connections are kept.
struct Renumber(());

impl Job for Renumber {
    type Sink = ();

    fn sink(&mut self) -> &mut () {
        &mut self.0
    }
}

/// State of reading one capture.
struct Pass<'a, J: Job> {
    /// `None` if packets are only copied.
    facts: Option<Facts>,
    keys: KeyLogFile,
    job: &'a mut J,
    saver: Option<Saver>,
    watch: &'a mut Watch,
    unmatched: &'a mut Option<Unmatched>,
    clock: Clock,
    /// The capture is still growing: capture time has to be tracked.
    growing: bool,
    /// Overdue answers are reported when their time is up, not at the end.
    live: bool,
    /// Signal handling, unless the source handles signals itself.
    interrupt: Option<Interrupt>,
    /// The source has no end.
    endless: bool,
    /// What was read before the range of time that was asked for.
    before: Summary,
    /// The state of an earlier run, and for a later one.
    state: Option<State>,
    /// A part may hold keys of TLS connections.
    may_hold_keys: bool,
    /// Set when the results are not wanted any more.
    over: Option<&'a AtomicBool>,
    memory: Memory,
    /// A part is a shard, with marks of the clock.
    is_shard: bool,
}

/// After this time without a packet, the engine declares gaps.
const PAUSE: Duration = Duration::from_millis(limits::GAP_MILLIS + 50);

impl<'a, J: Job> Pass<'a, J> {
    fn new(
        reading: &Reading,
        keys: KeyLogFile,
        saver: Option<Saver>,
        job: &'a mut J,
        (watch, unmatched): (&'a mut Watch, &'a mut Option<Unmatched>),
    ) -> Self {
        let needs_facts = job.needs_facts()
            || saver.as_ref().is_some_and(Saver::selects)
            || reading.watch.needs_frames()
            || reading.state.is_used();
        let options = job.options();
        let reserved = job.reserved().min(reading.max_memory / 2);
        let facts = needs_facts.then(|| {
            let sinks = (job.sink(), &mut *watch, &mut *unmatched);
            Facts::new(reading.engine.clone(), options.clone(), &sinks)
        });
        Self {
            facts,
            keys,
            job,
            saver,
            watch,
            unmatched,
            clock: Clock::default(),
            growing: reading.watch.endless,
            live: options.live,
            interrupt: None,
            endless: false,
            before: Summary::default(),
            state: None,
            may_hold_keys: true,
            over: None,
            memory: Memory::new(reading.max_memory - reserved),
            is_shard: false,
        }
    }

    /// Reads to the end, or until the gate or the job is done. Returns the errors in
    /// the input.
    fn read(
        &mut self,
        merge: &mut Merge,
        gate: &mut Gate,
        progress: &mut Progress,
        opened: Option<&Opened>,
    ) -> Result<Vec<capture::Error>, Stop> {
        let mut errors = Vec::new();
        self.read_keys();
        while !gate.is_closed() && !self.is_done() {
            if merge.may_wait() {
                self.before_waiting()?;
            }
            match merge.next() {
                Ok(Some(Item::Packet(ref packet))) => match gate.place(&packet.packet) {
                    Place::Inside if self.is_known(packet)? => {
                        self.earlier(packet, packet.packet.time);
                    }
                    Place::Inside => self.packet(packet)?,
                    Place::Before(from) => self.earlier(packet, from),
                    Place::Outside => {}
                },
                Ok(Some(Item::Block(block))) => self.block(&block)?,
                Ok(Some(Item::Tick(now))) => {
                    self.tick(now)?;
                    if let Some(opened) = opened {
                        self.look_around(opened, gate.passed)?;
                    }
                }
                Ok(Some(Item::Dropped(dropped))) => self.dropped(&dropped)?,
                Ok(None) => break,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            }
            if self.memory.is_short() {
                self.make_room()?;
            }
            progress.step(|| (merge.position(), merge.size()));
        }
        Ok(errors)
    }

    /// Called regularly while a source grows, with or without packets: prints the
    /// counts after SIGUSR1, and checks that the reader is still there.
    fn look_around(&self, opened: &Opened, captured: u64) -> Result<(), Stop> {
        if opened.wants_counts()
            && let Some(counts) = opened.counts()
        {
            complain(&counts.in_short(captured));
        }
        match self.job.writes_to_stdout() && source::reader_is_gone() {
            true => Err(Stop::ReaderGone),
            false => Ok(()),
        }
    }

    #[cold]
    fn make_room(&mut self) -> Result<(), Stop> {
        let Some(facts) = &mut self.facts else {
            return Ok(());
        };
        let mut settled = Ok(());
        self.memory.make_room(|| {
            let sinks = &mut (self.job.sink(), &mut *self.watch, &mut *self.unmatched);
            let any = facts.make_room(sinks);
            settled = self.job.settle();
            any && settled.is_ok()
        });
        settled
    }

    fn read_keys(&mut self) {
        if let Some(facts) = &mut self.facts {
            self.keys.read_on(facts);
        }
    }

    /// From now on there is unsaved work.
    #[inline]
    fn work(&self) {
        if let Some(interrupt) = &self.interrupt {
            interrupt.work();
        }
    }

    /// No input is available at the moment: the next read may block.
    fn before_waiting(&mut self) -> Result<(), Stop> {
        self.read_keys();
        self.settle(true)?;
        self.job.flush()?;
        if let Some(saver) = &mut self.saver {
            saver.flush()?;
        }
        if let Some(interrupt) = &self.interrupt {
            interrupt.wait();
        }
        Ok(())
    }

    /// A block that is not a packet.
    fn block(&mut self, block: &Block<'_>) -> Result<(), Stop> {
        self.work();
        if let Some(facts) = &mut self.facts
            && self.may_hold_keys
        {
            keylog::from_block(block, facts);
        }
        if self.is_shard
            && let Some(facts) = &mut self.facts
            && let Some((packet, time)) = capture::clock_of(block)
        {
            self.job.clock(packet, time);
            let sinks = &mut (self.job.sink(), &mut *self.watch, &mut *self.unmatched);
            facts.clock(packet, time, sinks);
        }
        if self.is_shard
            && let Some((packet, from, until)) = capture::pause_of(block)
        {
            self.job.pause(packet, from, until);
        }
        if !self.is_shard
            && let Some(origin) = capture::origin_of(block)
        {
            // A pipe, whose description is not waited for.
            let mut portion = Portion::default();
            records::add_shard(&mut portion, &origin);
            if !portion.is_whole() {
                self.job.only_part(&portion)?;
            }
        }
        if let Some(saver) = &mut self.saver {
            saver.block(block)?;
        }
        if let Some(state) = &mut self.state {
            state.block(block);
        }
        Ok(())
    }

    /// Whether an earlier run has shown this packet.
    #[inline]
    fn is_known(&mut self, packet: &Packet<'_>) -> Result<bool, Stop> {
        match &mut self.state {
            Some(state) => state.is_known(&packet.packet),
            None => Ok(false),
        }
    }

    /// A packet from before the range of time that was asked for.
    fn earlier(&mut self, packet: &Packet<'_>, from: Timestamp) {
        if let Some(facts) = &mut self.facts {
            let sink = self.job.sink();
            let placed = facts.push(&packet.packet, &mut Before { sink, from });
            if let Some(state) = &mut self.state {
                state.packet(packet, placed);
            }
            self.before = facts.summary();
        }
    }

    /// A packet that passed the gate.
    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Stop> {
        self.work();
        if let Some(saver) = &mut self.saver {
            saver.at(packet.packet.time)?;
            if saver.is_over() {
                return Ok(());
            }
        }
        if self.growing {
            let before = self.clock.now();
            let now = self.clock.packet(packet.packet.time);
            self.pass_time(before, now)?;
        }
        self.job.before(Some(&packet.packet));
        let placed = match &mut self.facts {
            Some(facts) => facts.push(
                &packet.packet,
                &mut (self.job.sink(), &mut *self.watch, &mut *self.unmatched),
            ),
            None => Placed::default(),
        };
        if let Some(state) = &mut self.state {
            state.packet(packet, placed);
        }
        self.job.after(placed);
        if let Some(saver) = &mut self.saver {
            saver.packet(packet, placed)?;
            self.pass_connections()?;
        }
        self.settle(false)
    }

    /// Capture time has reached `now` without packets: see [`Item::Tick`].
    fn tick(&mut self, now: Timestamp) -> Result<(), Stop> {
        self.job.before(None);
        self.read_keys();
        let before = self.clock.now();
        let now = self.clock.tick(now);
        self.pass_time(before, now)?;
        if let Some(facts) = &mut self.facts {
            facts.tick(
                now,
                &mut (self.job.sink(), &mut *self.watch, &mut *self.unmatched),
            );
        }
        self.pass_connections()?;
        if let Some(saver) = &mut self.saver {
            saver.tick(now)?;
        }
        self.before_waiting()
    }

    /// The capture lost packets.
    fn dropped(&mut self, dropped: &Dropped) -> Result<(), Stop> {
        self.job.dropped(dropped.packets);
        if let Some(facts) = &mut self.facts {
            let sinks = &mut (self.job.sink(), &mut *self.watch, &mut *self.unmatched);
            facts.dropped(dropped.packets, dropped.until, sinks);
        }
        self.settle(false)
    }

    /// Advances capture time.
    fn pass_time(&mut self, before: Option<Timestamp>, now: Timestamp) -> Result<(), Stop> {
        let Some(facts) = &mut self.facts else {
            return Ok(());
        };
        let sinks = &mut (self.job.sink(), &mut *self.watch, &mut *self.unmatched);
        if let Some(before) = before
            && self.live
            && now.since(before) > PAUSE
        {
            // Declare gaps before the pause counts as silence of an
            // endpoint.
            facts.tick(before.after(PAUSE), sinks);
        }
        if let Some(interval) = sinks.1.time(now) {
            if self.live {
                facts.settle(interval.to, sinks);
            }
            self.job.interval(interval, &facts.summary())?;
        }
        Ok(())
    }

    /// What was read in the range of time that was asked for; of connections, all.
    fn summary(&self) -> Option<Summary> {
        let mut summary = self.facts.as_ref()?.summary();
        summary.packets -= self.before.packets;
        summary.frames -= self.before.frames;
        summary.duplicates -= self.before.duplicates;
        Some(summary)
    }

    /// Called after each item.
    #[inline]
    fn settle(&mut self, at_once: bool) -> Result<(), Stop> {
        if let Some(facts) = &mut self.facts
            && let Some(now) = self.clock.now()
        {
            if self.live {
                facts.settle(
                    now,
                    &mut (self.job.sink(), &mut *self.watch, &mut *self.unmatched),
                );
            }
            let (now, tally) = (Some(now), self.job.tally());
            match at_once {
                true => self.watch.settle_now(now, facts, tally),
                false => self.watch.settle(now, facts, tally),
            }
        }
        self.job.settle()
    }

    /// The capture has ended, or the gate or the job is done.
    fn finish(&mut self) -> Result<(), Stop> {
        self.job.before(None);
        if self.state.as_ref().is_some_and(State::continues) {
            // What is still open goes on in the next file.
            self.pass_connections()?;
            return self.job.flush();
        }
        if let Some(facts) = &mut self.facts {
            facts.finish(&mut Relieved {
                sink: &mut (self.job.sink(), &mut *self.watch, &mut *self.unmatched),
                memory: &mut self.memory,
            });
            let now = self.clock.now();
            self.watch.settle_now(now, facts, self.job.tally());
            self.job.settle()?;
            if let Some(interval) = now.and_then(|now| self.watch.rest(now)) {
                self.job.interval(interval, &facts.summary())?;
            }
        }
        self.pass_connections()?;
        self.job.flush()
    }

    /// Passes selected and closed connections to the saver.
    fn pass_connections(&mut self) -> Result<(), Stop> {
        if let Some(saver) = &mut self.saver
            && let Some(connections) = self.job.connections()
        {
            for connection in connections.selected.drain(..) {
                saver.select(connection)?;
            }
            if let Some(exchanges) = &mut connections.exchanges {
                for span in exchanges.spans.drain(..) {
                    saver.select_span(span);
                }
            }
            for connection in connections.closed.drain(..) {
                saver.closed(connection);
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        if self.over.is_some_and(|over| over.load(Ordering::Relaxed)) {
            return true;
        }
        let Some(saver) = &self.saver else {
            return self.job.is_done();
        };
        // Without output, a saver that cannot save leaves nothing to do.
        let hopeless = self.endless && self.facts.is_none() && saver.is_hopeless();
        self.job.is_done()
            || saver.is_over()
            || hopeless
            || self.interrupt.as_ref().is_some_and(Interrupt::is_over)
    }
}

/// Makes room as connections end with the capture: their results take memory.
struct Relieved<'a, S> {
    sink: &'a mut S,
    memory: &'a mut Memory,
}

impl<S: Sink> Sink for Relieved<'_, S> {
    fn needs(&self) -> Needs {
        self.sink.needs()
    }

    fn fact(&mut self, fact: Fact<'_>) {
        let is_end = matches!(fact, Fact::Ended(_) | Fact::Session(SessionFact::Closed(_)));
        self.sink.fact(fact);
        if is_end && self.memory.is_short() {
            self.memory.make_room(|| self.sink.make_room());
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.sink.tick(now);
    }

    fn make_room(&mut self) -> bool {
        self.sink.make_room()
    }

    fn finish(&mut self) {
        self.sink.finish();
    }
}

impl From<&capture::Error> for Trouble {
    fn from(error: &capture::Error) -> Self {
        Self {
            message: error.to_string(),
            is_truncation: error.is_truncation(),
        }
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

/// The saver for the first reading, and the files that a second reading
/// writes.
fn saver(
    job: &impl Job,
    source: &Source,
    captures: &[Capture],
) -> Result<(Option<Saver>, Option<Series>), Stop> {
    let Some((save, select)) = job.saving() else {
        return Ok((None, None));
    };
    let series = series(save, source, captures)?;
    let is_read_again = source.is_files() && captures.iter().all(|it| it.size().is_some());
    Ok(match select {
        Select::All => (Some(Saver::All(Box::new(series))), None),
        Select::Some | Select::Exchanges if is_read_again => {
            (Some(Saver::first_pass(save.rotation)), Some(series))
        }
        Select::Some => (Some(Saver::buffering(series)), None),
        Select::Exchanges => {
            series.take_back();
            return Err(Stop::Failed(
                "--save exchanges reads its files twice, which a pipe or an interface cannot \
                 do: save the connections, and then read that file"
                    .into(),
            ));
        }
    })
}

/// Creates the first file of `-w`, unless it would overwrite an input file.
fn series(save: &Save, source: &Source, captures: &[Capture]) -> Result<Series, Stop> {
    if let Some(read) = source.paths().iter().find(|it| is_same(it, &save.path)) {
        return Err(Stop::Failed(format!(
            "-w {} would overwrite what -r {} reads",
            save.path.display(),
            read.display()
        )));
    }
    let mut file = capture::Plan::new(&save.path, captures);
    file.look_ahead(source.paths());
    file.flush = save.packet_buffered;
    // For files, the first packet sets the start time.
    let start = source.is_live().then(now);
    let sources = (source.paths(), source.is_files());
    Ok(Series::open(save, file, sources, start)?)
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

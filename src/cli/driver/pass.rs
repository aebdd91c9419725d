//! [`Pass`]: one reading of a capture: packets, ticks, intervals, and lost packets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mqttdump::capture::{self, Block, Dropped, Item, Merge, Packet};
use mqttdump::clock::Clock;
use mqttdump::engine::{Placed, Summary};
use mqttdump::facts::{Before, Fact, Facts, Needs, SessionFact, Sink};
use mqttdump::limits;
use mqttdump::select::Unmatched;
use mqttdump::shard::Portion;
use mqttdump::time::Timestamp;

use super::super::console::complain;
use super::super::gate::Gate;
use super::super::keylog::{self, KeyLogFile};
use super::super::memory::Memory;
use super::super::progress::Progress;
use super::super::range::Place;
use super::super::reading::Reading;
use super::super::records;
use super::super::save::Saver;
use super::super::signals::Interrupt;
use super::super::source::{self, Opened};
use super::super::state::State;
use super::super::stop::Stop;
use super::super::watch::Watch;

use super::Job;

/// State of reading one capture. [`Driver::read`](super::Driver::read) sets it up, and takes
/// what is left of it.
pub(super) struct Pass<'a, J: Job> {
    /// `None` if packets are only copied.
    pub(super) facts: Option<Facts>,
    keys: KeyLogFile,
    job: &'a mut J,
    pub(super) saver: Option<Saver>,
    watch: &'a mut Watch,
    pub(super) unmatched: &'a mut Option<Unmatched>,
    clock: Clock,
    /// The capture is still growing: capture time has to be tracked.
    growing: bool,
    /// Overdue answers are reported when their time is up, not at the end.
    live: bool,
    /// Signal handling, unless the source handles signals itself.
    pub(super) interrupt: Option<Interrupt>,
    /// The source has no end.
    pub(super) endless: bool,
    /// What was read before the range of time that was asked for.
    before: Summary,
    /// The state of an earlier run, and for a later one.
    pub(super) state: Option<State>,
    /// A part may hold keys of TLS connections.
    pub(super) may_hold_keys: bool,
    /// Set when the results are not wanted any more.
    pub(super) over: Option<&'a AtomicBool>,
    pub(super) memory: Memory,
    /// A part is a shard, with marks of the clock.
    pub(super) is_shard: bool,
}

/// After this time without a packet, the engine declares gaps.
const PAUSE: Duration = Duration::from_millis(limits::GAP_MILLIS + 50);

impl<'a, J: Job> Pass<'a, J> {
    pub(super) fn new(
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
        let most = reading.max_memory - reserved;
        // Each copy grows in steps of twice as much.
        let room = most / (2 * job.copies());
        let facts = needs_facts.then(|| {
            let sinks = (job.sink(), &mut *watch, &mut *unmatched);
            let mut engine = reading.engine.clone();
            engine.kept = match engine.payload {
                u32::MAX => room,
                _ => engine.kept.min(room),
            };
            Facts::new(engine, options.clone(), &sinks)
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
            memory: Memory::new(most),
            is_shard: false,
        }
    }

    /// Reads to the end, or until the gate or the job is done. Returns the errors in
    /// the input.
    pub(super) fn read(
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
    pub(super) fn work(&self) {
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
    pub(super) fn summary(&self) -> Option<Summary> {
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
    pub(super) fn finish(&mut self) -> Result<(), Stop> {
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

    pub(super) fn is_done(&self) -> bool {
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

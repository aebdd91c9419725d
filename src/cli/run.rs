//! Carries out a plan: packets in, lines and files out.
//!
//! ```text
//! captures ─item→ gate ─packet→ engine ─frame, event→ view ─lines→ stdout
//!                   │                                   │
//!                   └──────────────packet──→ saver ←────┘ which connections
//! ```
//!
//! The loop is in [`read`]; what it is for is in its two [`Consumer`]s:
//! [`FirstPass`] does everything, [`SecondPass`] writes the connections that
//! the first found (see [`save`](super::save)).
//!
//! Trouble with the input does not end the reading: everything readable is
//! shown, then the messages come, and the exit code tells.

use mqttdump::capture::{self, Block, Capture, Dropped, Item, Merge, Packet};
use mqttdump::engine::{self, Placed};
use mqttdump::facts::{self, Facts};
use mqttdump::time::Timestamp;

use super::closing;
use super::command::Exit;
use super::console::{complain, counted};
use super::gate::Gate;
use super::keylog::{self, KeyLogFile};
use super::output::Ended;
use super::progress::Progress;
use super::read::Plan;
use super::save::{Save, Saved, Saver, Series, is_same};
use super::signals::Patience;
use super::source::{self, Describe, Opened};
use super::stop::Stop;
use super::view::View;
use super::watch::Watch;

/// Reads, prints and saves. What could not be done has been reported on
/// standard error.
pub(crate) fn run(plan: &Plan) -> Result<Exit, Stop> {
    let expression = plan.reading.expression.as_deref();
    let mut opened = open(plan, true)?;
    let mut whole = opened.errors.is_empty();
    let link_types = opened.link_types();
    let gate = |max| {
        Gate::new(expression, max, &link_types).map_err(|error| Stop::Failed(error.to_string()))
    };
    let mut first_gate = gate(plan.reading.max_packets)?;

    let selecting = !plan.selection.is_empty();
    let keys = plan.reading.keys.open().map_err(Stop::Failed)?;
    let mut watch = Watch::new(&plan.reading.watch).map_err(Stop::Failed)?;
    // Last, for it leaves a file behind.
    let (mut saver, mut later) = (None, None);
    if let Some((save, series)) = series(plan, &opened.captures)? {
        saver = Some(match selecting {
            false => Saver::All(Box::new(series)),
            true if can_be_read_again(plan, &opened.captures) => {
                later = Some(series);
                Saver::find(save.rotation)
            }
            true => Saver::hold(series),
        });
    }

    if let Err(stop) = begin(&opened, saver.as_ref(), &mut watch) {
        if let Some(series) = saver.and_then(Saver::into_series).or(later) {
            series.take_back();
        }
        return Err(stop);
    }
    let patience = patience(plan, saver.is_some(), &opened.captures)?;
    let mut merge = Merge::new(std::mem::take(&mut opened.captures));
    let mut progress = Progress::new(plan.reading.progress);
    let mut pass = FirstPass::new(plan, saver, keys, watch, patience);
    let lookout = Lookout {
        opened: &opened,
        stdout: plan.writes_to_stdout(),
    };
    let mut failure = None;
    let errors = read(
        &mut merge,
        &mut first_gate,
        &mut progress,
        &mut pass,
        &lookout,
    )
    .unwrap_or_else(|stop| {
        failure = Some(stop);
        Vec::new()
    });
    let stopped = pass.is_done() || first_gate.is_closed();
    pass.work();
    if let Err(stop) = pass.finish() {
        failure.get_or_insert(stop);
    }
    // Whether nobody looks any more or the disk of the lines is full: what is
    // saved is still completed.
    let saves = pass.saver.is_some();
    let saved = match pass.saver.take().map(Saver::finish).transpose() {
        Ok(saved) => saved,
        Err(error) => return Err(failure.unwrap_or(error.into())),
    };
    let failure = failure.filter(|stop| !(saves && matches!(stop, Stop::ReaderGone)));
    let Saved {
        wanted,
        unsaved,
        failed,
    } = saved.unwrap_or_default();
    whole &= !failed;
    if let (Some(wanted), Some(series)) = (wanted, later) {
        let again = open(plan, false)?;
        let mut second = SecondPass {
            facts: Facts::new(
                engine::Config {
                    payload: 0,
                    ..plan.reading.engine.clone()
                },
                facts::Options::default(),
                &(),
            ),
            keys: plan.reading.keys.open().map_err(Stop::Failed)?,
            wanted: wanted.into_test(),
            series,
        };
        second.keys.read_on(&mut second.facts);
        let mut merge = Merge::new(again.captures);
        let mut gate = gate(plan.reading.max_packets)?;
        // Its errors are those of the first pass again.
        read(&mut merge, &mut gate, &mut progress, &mut second, &lookout)?;
        whole &= second.series.finish()?;
    }
    progress.clear();
    if let Some(stop) = failure {
        return Err(stop);
    }

    if plan.count {
        let line = counted(pass.view.shown, "message") + "\n";
        print_last(plan, &line)?;
    }
    for error in errors {
        complain(&error.to_string());
        whole = false;
    }
    for error in &first_gate.refused {
        complain(&error.to_string());
        whole = false;
    }
    let (notes, failed) = closing::notes(&closing::Facts {
        summary: pass.facts.as_ref().map(Facts::summary),
        shown: pass.view.shown,
        selecting,
        stopped,
        expression,
        hidden: first_gate.hidden,
        forgotten: pass
            .facts
            .as_ref()
            .map_or(0, |facts| facts.given_up().exchanges),
        unsaved,
        quiet: plan.quiet,
        chatty: plan.chatty,
    });
    notes.iter().for_each(|note| complain(note));
    if let Some(counts) = opened.counts() {
        counts.say(first_gate.passed, pass.view.shown, "shown");
    }
    Ok(Exit::success(whole && !failed))
}

/// Where the items of a capture go.
pub(crate) trait Consumer {
    /// The input has nothing more to read at the moment.
    fn before_waiting(&mut self) -> Result<(), Stop>;
    /// Something that is not a packet.
    fn block(&mut self, block: &Block<'_>) -> Result<(), Stop>;
    /// A packet that the gate let through.
    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Stop>;
    /// Capture time has come to `now`, with or without packets: see
    /// [`Item::Tick`].
    fn tick(&mut self, now: Timestamp) -> Result<(), Stop>;
    /// Packets were lost to the capture.
    fn dropped(&mut self, dropped: &Dropped) -> Result<(), Stop>;
    /// Whether it wants no more.
    fn is_done(&self) -> bool;
}

/// Reads until the end, or until the gate or the consumer has enough. Returns
/// what is wrong with the input.
pub(crate) fn read(
    merge: &mut Merge,
    gate: &mut Gate,
    progress: &mut Progress,
    to: &mut impl Consumer,
    lookout: &Lookout<'_>,
) -> Result<Vec<capture::Error>, Stop> {
    let mut errors = Vec::new();
    while !gate.is_closed() && !to.is_done() {
        if merge.may_wait() {
            to.before_waiting()?;
        }
        match merge.next() {
            Ok(Some(Item::Packet(packet))) => {
                if gate.passes(&packet.packet) {
                    to.packet(&packet)?;
                }
            }
            Ok(Some(Item::Block(block))) => to.block(&block)?,
            Ok(Some(Item::Tick(now))) => {
                to.tick(now)?;
                lookout.look(gate.passed)?;
            }
            Ok(Some(Item::Dropped(dropped))) => to.dropped(&dropped)?,
            Ok(None) => break,
            Err(error) => {
                errors.push(error);
                continue;
            }
        }
        progress.step(|| (merge.position(), merge.size()));
    }
    Ok(errors)
}

/// What is looked at now and then while a source grows, with or without
/// packets.
pub(crate) struct Lookout<'a> {
    pub(crate) opened: &'a Opened,
    /// Lines or packets go to standard output.
    pub(crate) stdout: bool,
}

impl Lookout<'_> {
    /// Says the counts if somebody asks, and notices when the reader leaves.
    fn look(&self, captured: u64) -> Result<(), Stop> {
        if self.opened.wants_counts()
            && let Some(counts) = self.opened.counts()
        {
            complain(&counts.in_short(captured));
        }
        match self.stdout && source::reader_is_gone() {
            true => Err(Stop::ReaderGone),
            false => Ok(()),
        }
    }
}

/// Does everything that a single reading can do.
struct FirstPass {
    /// `None` when packets are only copied.
    facts: Option<Facts>,
    keys: KeyLogFile,
    view: View,
    saver: Option<Saver>,
    /// What is shown of the link.
    describe: Describe,
    watch: Watch,
    /// Capture time, as far as it is known.
    now: Option<Timestamp>,
    /// What to do at a signal, where the source does not know.
    patience: Option<Patience>,
    /// The source has no end.
    endless: bool,
}

impl FirstPass {
    fn new(
        plan: &Plan,
        saver: Option<Saver>,
        keys: KeyLogFile,
        watch: Watch,
        patience: Option<Patience>,
    ) -> Self {
        let selects = saver.as_ref().is_some_and(Saver::selects);
        let frames = plan.print.is_some()
            || plan.count
            || plan.max_frames.is_some()
            || selects
            || plan.reading.watch.needs_frames();
        let (mut view, mut watch) = (
            View::new(
                &plan.selection,
                plan.print.as_ref(),
                plan.source(),
                plan.max_frames,
                selects,
            ),
            watch,
        );
        let mut pass = Self {
            facts: frames.then(|| {
                let sinks = (&mut view, &mut watch);
                Facts::new(
                    plan.reading.engine.clone(),
                    facts::Options::default(),
                    &sinks,
                )
            }),
            keys,
            view,
            saver,
            describe: plan
                .source()
                .describe(plan.print.as_ref().is_some_and(|print| print.link)),
            watch,
            now: None,
            patience,
            endless: plan.source().is_endless(),
        };
        pass.read_keys();
        pass
    }

    fn read_keys(&mut self) {
        if let Some(facts) = &mut self.facts {
            self.keys.read_on(facts);
        }
    }

    /// The capture has ended, or enough of it was read.
    fn finish(&mut self) -> Result<(), Stop> {
        if let Some(report) = self.view.link_header() {
            // What comes now was completed by no packet.
            report.link_header("");
        }
        if let Some(facts) = &mut self.facts {
            facts.finish(&mut (&mut self.view, &mut self.watch));
            self.watch.settle_now(self.now, facts, None);
        }
        self.pass_on_news()?;
        self.view.flush()?;
        Ok(())
    }

    /// There is something to finish from now on.
    #[inline]
    fn work(&self) {
        if let Some(patience) = &self.patience {
            patience.work();
        }
    }

    /// Tells the saver which connections are wanted.
    fn pass_on_news(&mut self) -> Result<(), Stop> {
        let Some(saver) = &mut self.saver else {
            return Ok(());
        };
        for connection in self.view.news.selected.drain(..) {
            saver.select(connection)?;
        }
        for connection in self.view.news.closed.drain(..) {
            saver.closed(connection);
        }
        Ok(())
    }
}

impl Consumer for FirstPass {
    fn before_waiting(&mut self) -> Result<(), Stop> {
        self.read_keys();
        self.view.flush()?;
        if let Some(facts) = &self.facts {
            self.watch.settle_now(self.now, facts, None);
        }
        if let Some(saver) = &mut self.saver {
            saver.flush()?;
        }
        if let Some(patience) = &self.patience {
            patience.wait();
        }
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> Result<(), Stop> {
        self.work();
        if let Some(facts) = &mut self.facts {
            keylog::from_block(block, facts);
        }
        if let Some(saver) = &mut self.saver {
            saver.block(block)?;
        }
        Ok(())
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Stop> {
        self.work();
        if let Some(saver) = &mut self.saver {
            saver.at(packet.packet.time)?;
            if saver.is_over() {
                return Ok(());
            }
        }
        if let Some(report) = self.view.link_header() {
            report.link_header(&(self.describe)(&packet.packet));
        }
        self.now = self.now.max(Some(packet.packet.time));
        if let Some(facts) = &self.facts {
            self.watch.settle(self.now, facts, None);
        }
        let placed = match &mut self.facts {
            Some(facts) => facts.push(&packet.packet, &mut (&mut self.view, &mut self.watch)),
            None => Placed::default(),
        };
        if let Some(saver) = &mut self.saver {
            saver.packet(packet, placed)?;
            self.pass_on_news()?;
        }
        self.view.settle()?;
        Ok(())
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), Stop> {
        if let Some(report) = self.view.link_header() {
            // What comes now was completed by no packet.
            report.link_header("");
        }
        self.read_keys();
        if let Some(facts) = &mut self.facts {
            self.now = self.now.max(Some(now));
            facts.tick(now, &mut (&mut self.view, &mut self.watch));
        }
        self.pass_on_news()?;
        if let Some(saver) = &mut self.saver {
            saver.tick(now)?;
        }
        self.before_waiting()
    }

    fn dropped(&mut self, dropped: &Dropped) -> Result<(), Stop> {
        if let Some(facts) = &mut self.facts {
            let sinks = &mut (&mut self.view, &mut self.watch);
            facts.dropped(dropped.packets, dropped.until, sinks);
        }
        self.view.settle()?;
        Ok(())
    }

    fn is_done(&self) -> bool {
        let Some(saver) = &self.saver else {
            return self.view.is_full();
        };
        // Without lines, saving is all there was to do.
        let hopeless = self.endless && self.facts.is_none() && saver.is_hopeless();
        self.view.is_full()
            || saver.is_over()
            || hopeless
            || self.patience.as_ref().is_some_and(Patience::is_over)
    }
}

/// Writes the packets of the connections that are wanted.
struct SecondPass<W> {
    /// Numbers the connections as in the first pass, so it has to know all that
    /// the first knew: keys too, for what they open decides what is followed.
    facts: Facts,
    keys: KeyLogFile,
    wanted: W,
    series: Series,
}

impl<W: Fn(mqttdump::packet::PacketRef, Option<u64>) -> bool> Consumer for SecondPass<W> {
    fn before_waiting(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> Result<(), Stop> {
        keylog::from_block(block, &mut self.facts);
        Ok(self.series.block(block)?)
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Stop> {
        self.series.at(packet.packet.time)?;
        if self.series.is_over() {
            return Ok(());
        }
        let placed = self.facts.push(&packet.packet, &mut ());
        if (self.wanted)(packet.packet.id, placed.connection) {
            self.series.packet(packet)?;
        }
        Ok(())
    }

    // Files have no time of their own, and what they lack changes nothing.

    fn tick(&mut self, _: Timestamp) -> Result<(), Stop> {
        Ok(())
    }

    fn dropped(&mut self, _: &Dropped) -> Result<(), Stop> {
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.series.is_over()
    }
}

/// Opens the capture. Parts that cannot be opened are named, and the others
/// read all the same.
fn open(plan: &Plan, complaining: bool) -> Result<Opened, Stop> {
    let mut opened = plan.source().open()?;
    // The only one: its message is the whole story.
    if plan.source().paths().len() == 1
        && let Some(error) = opened.errors.pop()
    {
        return Err(error.into());
    }
    if complaining {
        for capture in opened
            .captures
            .iter()
            .filter(|_| plan.chatty && !plan.source().is_live())
        {
            say_what_is_read(capture);
        }
        for error in &opened.errors {
            complain(&error.to_string());
        }
    }
    if opened.captures.is_empty() {
        return Err(Stop::Failed("none of the files can be read".to_owned()));
    }
    Ok(opened)
}

/// As tcpdump does.
fn say_what_is_read(capture: &Capture) {
    let name = capture.name();
    match capture.interface() {
        Some(interface) => complain(&format!(
            "reading from file {name}, link-type {}, snapshot length {}",
            interface.link_type, interface.snap_length
        )),
        None => complain(&format!("reading from file {name}, pcapng")),
    }
}

/// Creates the first file of `-w`, unless that would destroy what is to be
/// read.
fn series<'a>(plan: &'a Plan, captures: &[Capture]) -> Result<Option<(&'a Save, Series)>, Stop> {
    let Some(save) = &plan.save else {
        return Ok(None);
    };
    if let Some(source) = plan
        .source()
        .paths()
        .iter()
        .find(|path| is_same(path, &save.path))
    {
        return Err(Stop::Failed(format!(
            "-w {} would overwrite what -r {} reads",
            save.path.display(),
            source.display()
        )));
    }
    let mut file = capture::Plan::new(&save.path, captures);
    file.look_ahead(plan.source().paths());
    file.flush = save.packet_buffered;
    // A file tells by its packets when it was captured.
    let start = plan.source().is_live().then(super::save::now);
    let series = Series::open(save, file, plan.source().paths(), start).map_err(Stop::Failed)?;
    Ok(Some((save, series)))
}

/// Gives up what rights there are; what has to be written later will be written
/// without them.
fn begin(opened: &Opened, saver: Option<&Saver>, watch: &mut Watch) -> Result<(), Stop> {
    #[cfg(feature = "live")]
    if let (Some(path), Some(heir)) = (saver.and_then(Saver::path), opened.heir()) {
        heir.bequeath(path).map_err(Stop::Failed)?;
    }
    opened.begin(|| saver.map_or(Ok(()), Saver::may_go_on))?;
    watch.start(opened).map_err(Stop::Failed)
}

/// What to do at a signal, if something is saved from a source that does not
/// know that itself.
fn patience(plan: &Plan, saves: bool, captures: &[Capture]) -> Result<Option<Patience>, Stop> {
    if !saves || plan.source().is_endless() {
        return Ok(None);
    }
    let patience = match captures.iter().all(|capture| capture.size().is_some()) {
        true => Patience::of_files(),
        false => Patience::of_pipe(),
    };
    patience.map(Some).map_err(Stop::Failed)
}

fn can_be_read_again(plan: &Plan, captures: &[Capture]) -> bool {
    plan.source().is_files() && captures.iter().all(|capture| capture.size().is_some())
}

/// A line after everything else, where lines go.
fn print_last(plan: &Plan, line: &str) -> Result<(), Stop> {
    use std::io::Write;
    let written = match &plan.save {
        Some(save) if save.path.as_os_str() == "-" => std::io::stderr().write_all(line.as_bytes()),
        _ => std::io::stdout().write_all(line.as_bytes()),
    };
    Ok(written.map_err(Ended::from)?)
}

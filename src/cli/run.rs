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

use std::path::Path;

use mqttdump::capture::{self, Block, Capture, Item, Merge, Packet, Writer};
use mqttdump::engine::{self, Engine, Placed};
use mqttdump::link;
use mqttdump::packet::LinkType;

use super::closing::{self, Facts};
use super::complain;
use super::config::Plan;
use super::gate::{self, Gate};
use super::output::Ended;
use super::progress::Progress;
use super::save::{Saver, Wanted};
use super::view::View;

/// Why the plan was not carried out to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// Whoever reads our output has gone: nothing is left to do, and that is
    /// well.
    ReaderGone,
    /// With the message to say.
    Failed(String),
}

/// Reads, shows and saves. Returns whether everything that was asked for could
/// be done; what could not has been said on standard error.
pub(crate) fn run(plan: &Plan) -> bool {
    match try_run(plan) {
        Ok(done) => done,
        Err(Stop::ReaderGone) => true,
        Err(Stop::Failed(message)) => {
            complain(&message);
            false
        }
    }
}

fn try_run(plan: &Plan) -> Result<bool, Stop> {
    let expression = gate::text(&plan.expression).map_err(Stop::Failed)?;
    #[cfg(feature = "live")]
    let (captures, mut whole, counter) = match &plan.live {
        Some(live) => {
            let (capture, counter) = open_live(live)?;
            (vec![capture], true, Some(counter))
        }
        None => {
            let (captures, whole) = open(plan, true)?;
            (captures, whole, None)
        }
    };
    #[cfg(not(feature = "live"))]
    let (captures, mut whole) = open(plan, true)?;
    let link_types = link_types(&captures);
    let gate = |max| {
        Gate::new(expression.as_deref(), max, &link_types)
            .map_err(|error| Stop::Failed(error.to_string()))
    };
    let mut first_gate = gate(plan.max_packets)?;

    let selecting = !plan.selection.is_empty();
    let (mut saver, mut later) = (None, None);
    if let Some(writer) = writer(plan, &captures)? {
        saver = Some(match selecting {
            false => Saver::All(writer),
            true if can_be_read_again(plan, &captures) => {
                later = Some(writer);
                Saver::Find(Wanted::default())
            }
            true => Saver::hold(writer),
        });
    }

    // Every file is open now.
    #[cfg(feature = "live")]
    if let Some(live) = &plan.live {
        super::live::drop_privileges(live).map_err(Stop::Failed)?;
    }
    let mut merge = Merge::new(captures);
    let mut progress = Progress::new(plan.progress);
    let mut pass = FirstPass::new(plan, saver);
    let errors = read(&mut merge, &mut first_gate, &mut progress, &mut pass)?;
    let stopped = pass.is_done() || first_gate.is_closed();
    pass.finish()?;

    let saved = pass.saver.take().map(Saver::finish).transpose()?;
    let (wanted, unsaved) = saved.unwrap_or_default();
    if let (Some(wanted), Some(writer)) = (wanted, later) {
        let (captures, _) = open(plan, false)?;
        let mut second = SecondPass {
            engine: Engine::new(engine::Config {
                payload: 0,
                ..plan.engine.clone()
            }),
            wanted: wanted.into_test(),
            writer,
        };
        let mut merge = Merge::new(captures);
        let mut gate = gate(plan.max_packets)?;
        // Its errors are those of the first pass again.
        read(&mut merge, &mut gate, &mut progress, &mut second)?;
        second.writer.finish()?;
    }
    progress.clear();

    if plan.count {
        let line = closing::counted(pass.view.shown, "message") + "\n";
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
    let (notes, failed) = closing::notes(&Facts {
        summary: pass.engine.as_ref().map(Engine::summary),
        shown: pass.view.shown,
        selecting,
        stopped,
        expression: expression.as_deref(),
        hidden: first_gate.hidden,
        forgotten: pass.view.forgotten(),
        unsaved,
        quiet: plan.quiet,
        chatty: plan.chatty,
    });
    notes.iter().for_each(|note| complain(note));
    #[cfg(feature = "live")]
    if let Some(counts) = counter.map(|counter| counter.get()) {
        say_counts(counts, pass.view.shown);
    }
    Ok(whole && !failed)
}

/// Where the items of a capture go.
pub(super) trait Consumer {
    /// The input has nothing more to read at the moment.
    fn before_waiting(&mut self) -> Result<(), Stop>;
    /// Something that is not a packet.
    fn block(&mut self, block: &Block<'_>) -> Result<(), Stop>;
    /// A packet that the gate let through.
    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Stop>;
    /// Whether it wants no more.
    fn is_done(&self) -> bool;
}

/// Reads until the end, or until the gate or the consumer has enough. Returns
/// what is wrong with the input.
pub(super) fn read(
    merge: &mut Merge,
    gate: &mut Gate,
    progress: &mut Progress,
    to: &mut impl Consumer,
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

/// Does everything that a single reading can do.
struct FirstPass {
    /// `None` when packets are only copied.
    engine: Option<Engine>,
    view: View,
    saver: Option<Saver>,
}

impl FirstPass {
    fn new(plan: &Plan, saver: Option<Saver>) -> Self {
        let selects = saver.as_ref().is_some_and(Saver::selects);
        let frames = plan.print.is_some() || plan.count || plan.max_frames.is_some() || selects;
        Self {
            engine: frames.then(|| Engine::new(plan.engine.clone())),
            view: View::new(plan, selects),
            saver,
        }
    }

    /// The capture has ended, or enough of it was read.
    fn finish(&mut self) -> Result<(), Stop> {
        if let Some(report) = self.view.link_header() {
            // What comes now was completed by no packet.
            report.link_header("");
        }
        if let Some(engine) = &mut self.engine {
            let view = &mut self.view;
            engine.finish(&mut |pushed| view.take(pushed));
        }
        self.pass_on_news()?;
        self.view.flush()?;
        Ok(())
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
        self.view.flush()?;
        if let Some(saver) = &mut self.saver {
            saver.flush()?;
        }
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> Result<(), Stop> {
        if let Some(saver) = &mut self.saver {
            saver.block(block)?;
        }
        Ok(())
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Stop> {
        if let Some(report) = self.view.link_header() {
            report.link_header(&link::describe(&packet.packet));
        }
        let view = &mut self.view;
        let placed = match &mut self.engine {
            Some(engine) => engine.push(&packet.packet, &mut |pushed| view.take(pushed)),
            None => Placed::default(),
        };
        if let Some(saver) = &mut self.saver {
            saver.packet(packet, placed)?;
            self.pass_on_news()?;
        }
        self.view.settle()?;
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.view.is_full()
    }
}

/// Writes the packets of the connections that are wanted.
struct SecondPass<W> {
    /// Numbers the connections as in the first pass.
    engine: Engine,
    wanted: W,
    writer: Writer,
}

impl<W: Fn(mqttdump::packet::PacketRef, Option<u64>) -> bool> Consumer for SecondPass<W> {
    fn before_waiting(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> Result<(), Stop> {
        Ok(self.writer.block(block)?)
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Stop> {
        let placed = self.engine.push(&packet.packet, &mut |_| {});
        if (self.wanted)(packet.packet.id, placed.connection) {
            self.writer.packet(packet)?;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        false
    }
}

/// Opens the interface, as whoever we are.
#[cfg(feature = "live")]
fn open_live(
    live: &super::live::LivePlan,
) -> Result<(Capture, mqttdump::capture::LiveCounter), Stop> {
    let stop = super::live::stop_on_signals().map_err(Stop::Failed)?;
    let (capture, counter) =
        Capture::live(&live.options, stop).map_err(|error| match error.problem {
            capture::Problem::NotPermitted => {
                Stop::Failed(format!("{error}: {}", super::live::how_to_be_allowed()))
            }
            _ => error.into(),
        })?;
    let link_type = capture.interface().map(|interface| interface.link_type);
    complain(&format!(
        "listening on {}, link-type {}, snapshot length {} bytes",
        capture.name(),
        link_type
            .map(|link_type| link_type.to_string())
            .unwrap_or_default(),
        live.options.snap_length
    ));
    Ok((capture, counter))
}

/// As tcpdump does.
#[cfg(feature = "live")]
fn say_counts(counts: mqttdump::capture::LiveCounts, messages: u64) {
    for (count, what, how) in [
        (counts.captured, "packet", "captured"),
        (messages, "message", "shown"),
        (counts.dropped, "packet", "dropped by kernel"),
        (
            counts.dropped_by_interface,
            "packet",
            "dropped by interface",
        ),
    ] {
        complain(&format!("{} {how}", closing::counted(count, what)));
    }
}

/// Opens the parts of the capture. Those that cannot be opened are named, and
/// the others read all the same; returns whether there were none of the former.
fn open(plan: &Plan, complaining: bool) -> Result<(Vec<Capture>, bool), Stop> {
    let mut captures = Vec::new();
    let mut whole = true;
    for (file, path) in (0..).zip(&plan.sources) {
        match Capture::open(path, file) {
            Ok(capture) => {
                if complaining && plan.chatty {
                    say_what_is_read(&capture);
                }
                captures.push(capture);
            }
            // The only one: its message is the whole story.
            Err(error) if plan.sources.len() == 1 => return Err(error.into()),
            Err(error) => {
                whole = false;
                if complaining {
                    complain(&error.to_string());
                }
            }
        }
    }
    if captures.is_empty() {
        return Err(Stop::Failed("none of the files can be read".to_owned()));
    }
    Ok((captures, whole))
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

pub(super) fn link_types(captures: &[Capture]) -> Vec<LinkType> {
    let mut link_types: Vec<_> = captures
        .iter()
        .filter_map(|capture| Some(capture.interface()?.link_type))
        .collect();
    link_types.sort_unstable_by_key(|link_type| link_type.0);
    link_types.dedup();
    link_types
}

/// Creates the file of `-w`, unless that would destroy what is to be read.
fn writer(plan: &Plan, captures: &[Capture]) -> Result<Option<Writer>, Stop> {
    let Some(save) = &plan.save else {
        return Ok(None);
    };
    if let Some(source) = plan.sources.iter().find(|path| is_same(path, &save.path)) {
        return Err(Stop::Failed(format!(
            "-w {} would overwrite what -r {} reads",
            save.path.display(),
            source.display()
        )));
    }
    let mut file = capture::Plan::new(&save.path, captures);
    file.look_ahead(&plan.sources);
    file.flush = save.packet_buffered;
    Ok(Some(Writer::create(&save.path, file)?))
}

fn is_same(source: &Path, target: &Path) -> bool {
    match (source.canonicalize(), target.canonicalize()) {
        (Ok(source), Ok(target)) => source == target && source.is_file(),
        _ => false,
    }
}

fn can_be_read_again(plan: &Plan, captures: &[Capture]) -> bool {
    plan.sources.iter().all(|path| path.as_os_str() != "-")
        && captures.iter().all(|capture| capture.size().is_some())
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

impl From<Ended> for Stop {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::ReaderGone => Self::ReaderGone,
            Ended::Failed(error) => Self::Failed(format!("standard output: {error}")),
        }
    }
}

impl From<capture::Error> for Stop {
    fn from(error: capture::Error) -> Self {
        match error.is_closed_pipe() {
            true => Self::ReaderGone,
            false => Self::Failed(error.to_string()),
        }
    }
}

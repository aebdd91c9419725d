//! A series of files, written one after another.
//!
//! ```text
//! packet, time ─→ Schedule ─next─→ Names ─→ create ─→ Writer
//!                                              └ the file before: complete ─→ Commands
//! ```
//!
//! An error on a file (a full disk, a deleted folder) ends neither reading nor
//! printing. It is reported at once, unsaved packets are counted, and saving is
//! tried again when the next file starts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mqttdump::capture::{Block, Error, Options, Packet, Plan, Writer};
use mqttdump::limits::SAVE_CARRIED_BYTES;
use mqttdump::packet::PacketRef;
use mqttdump::time::Timestamp;

use super::super::console::{complain, were};
use super::commands::Commands;
use super::names::Names;
use super::notes::Notes;
use super::output_file::{OutputFile, is_same};
use super::permission;
use super::plan::Save;
use super::schedule::{Schedule, Step};

/// The files of `-w`.
pub(crate) struct Series {
    writer: Writer,
    schedule: Schedule,
    names: Names,
    /// The file being written.
    path: PathBuf,
    commands: Option<Commands>,
    /// The input files, which must not be overwritten.
    sources: Vec<PathBuf>,
    /// The current file was created.
    created: bool,
    /// The current file on disk.
    output: OutputFile,
    /// Files get their names when they are complete.
    whole: bool,
    over: bool,
    /// Saving has failed, now or earlier.
    failed: bool,
    notes: Option<Arc<Notes>>,
    /// The warning that one file replaces another was printed.
    warned_overwriting: bool,
}

impl Series {
    /// Creates the first file; with `-G`, only if its start time is already known.
    pub(crate) fn open(
        save: &Save,
        mut plan: Plan,
        (sources, whole): (&[PathBuf], bool),
        start: Option<Timestamp>,
    ) -> Result<Self, String> {
        plan.carry = save.rotation.is_any();
        let names = Names::new(&save.path, &save.rotation, save.zone.clone())?;
        let schedule = Schedule::new(save.rotation, start);
        let mut series = Self {
            writer: Writer::later(plan),
            schedule,
            names,
            path: PathBuf::new(),
            commands: save.command.clone().map(Commands::new),
            sources: sources.to_vec(),
            created: false,
            output: OutputFile::default(),
            whole: false,
            over: false,
            failed: false,
            notes: save.notes.clone(),
            warned_overwriting: false,
        };
        series.whole = whole;
        series.may_run()?;
        if save.path.as_os_str() == "-" {
            series.writer = Writer::create(&save.path, plan).map_err(|error| error.to_string())?;
        } else if series.schedule.has_begun() {
            series.create().map_err(|error| error.to_string())?;
        }
        Ok(series)
    }

    /// For tests: writes to memory.
    #[cfg(test)]
    pub(super) fn to_writer(writer: Writer) -> Self {
        let rotation = super::schedule::Rotation::default();
        let names = Names::new(Path::new("test"), &rotation, jiff::tz::TimeZone::UTC);
        Self {
            writer,
            schedule: Schedule::new(rotation, None),
            names: names.expect("no time in it"),
            path: PathBuf::new(),
            commands: None,
            sources: Vec::new(),
            created: false,
            output: OutputFile::default(),
            whole: false,
            over: false,
            failed: false,
            notes: None,
            warned_overwriting: false,
        }
    }

    /// The file being written, if any.
    #[cfg(feature = "live")]
    pub(crate) fn path(&self) -> Option<&Path> {
        self.created.then_some(&self.path)
    }

    /// Whether the current user may write the next file and run the program of
    /// `-z`. Call it after root was dropped.
    pub(crate) fn may_continue(&self) -> Result<(), String> {
        self.may_run()?;
        match self.schedule.next_file() {
            Some((start, number)) => permission::to_write(&self.names.name(start, number)),
            None => Ok(()),
        }
    }

    fn may_run(&self) -> Result<(), String> {
        match &self.commands {
            Some(commands) => permission::to_run(commands.program())
                .map_err(|why| format!("-z {}: {why}", commands.program().display())),
            None => Ok(()),
        }
    }

    /// A packet of this time was read, whether or not it will be saved.
    #[inline]
    pub(crate) fn at(&mut self, time: Timestamp) -> Result<(), Error> {
        match self.schedule.at(time) {
            Step::Stay if self.writer.is_waiting() => self.begin(),
            Step::Stay => Ok(()),
            step => self.advance(step),
        }
    }

    /// Capture time has reached `now` without packets.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Result<(), Error> {
        if let Some(commands) = &mut self.commands {
            commands.poll();
        }
        match self.writer.is_waiting() {
            true => Ok(()),
            false => self.at(now),
        }
    }

    /// Whether all requested files are written.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether nothing more can be saved.
    pub(crate) fn is_hopeless(&self) -> bool {
        !self.writer.is_open() && self.schedule.next_file().is_none()
    }

    /// Copies a block that is not a packet.
    pub(crate) fn block(&mut self, block: &Block<'_>) -> Result<(), Error> {
        let done = self.writer.block(block);
        // Do not buffer without limit while there is no first packet.
        if self.writer.is_waiting() && self.writer.size() > SAVE_CARRIED_BYTES as u64 {
            self.begin_now()?;
        }
        self.report(done)
    }

    /// Saves a packet.
    #[inline]
    pub(crate) fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        match self.schedule.before_packet(self.writer.size()) {
            Step::Stay => {}
            step => self.advance(step)?,
        }
        let notes = self.notes.as_ref();
        let done = match notes.map_or(&[][..], |notes| notes.of(packet.packet.id)) {
            [] => self.writer.packet(packet),
            comments => {
                let comments = comments.iter().map(|comment| &**comment);
                let options = packet.options.with_comments(comments);
                self.writer.packet(&Packet {
                    // A simple packet block has no comments.
                    ticks: packet.ticks.or(Some(0)),
                    options: Options::new(&options, packet.options.order()),
                    ..*packet
                })
            }
        };
        self.report(done)
    }

    /// Flushes everything written so far.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        if let Some(commands) = &mut self.commands {
            commands.poll();
        }
        let done = self.writer.flush();
        self.report(done)
    }

    /// Completes the last file. Returns whether everything was saved; errors have
    /// been reported.
    pub(crate) fn finish(mut self) -> Result<bool, Error> {
        if self.writer.is_waiting() {
            self.begin_now()?;
        }
        if !self.over {
            self.complete()?;
        }
        if let Some(lost) = self.writer.lost() {
            complain(&format!(
                "{} not saved, starting with {}",
                were(lost.packets, "packet"),
                self.which(lost.first)
            ));
        }
        let left_behind = self.writer.left_behind();
        if left_behind > 0 {
            complain(&format!(
                "{left_behind} blocks of names or secrets are missing from the later files: \
                 limit of {SAVE_CARRIED_BYTES} bytes reached"
            ));
        }
        if let Some(commands) = self.commands.take() {
            self.failed |= !commands.finish();
        }
        Ok(!self.failed)
    }

    /// Nothing was read: removes the file unless it existed before. Errors are
    /// ignored.
    pub(crate) fn take_back(mut self) {
        if self.created {
            self.output.take_back(&self.path);
        }
    }

    /// Moves on to the next file.
    #[cold]
    fn advance(&mut self, step: Step) -> Result<(), Error> {
        if self.over || self.writer.is_waiting() {
            return Ok(());
        }
        let was_open = self.writer.is_open();
        self.complete()?;
        if step == Step::Over {
            self.over = true;
            return Ok(());
        }
        self.begin()?;
        if !was_open && self.writer.is_open() {
            complain(&format!("{}: saving resumed", self.path.display()));
        }
        Ok(())
    }

    /// Completes the current file.
    fn complete(&mut self) -> Result<(), Error> {
        let done = self.writer.finish();
        self.report(done)?;
        if self.created
            && let Err(error) = self.output.complete(self.failed)
        {
            self.failed = true;
            complain(&format!("{}: {error}", self.path.display()));
        }
        if let (true, Some(commands)) = (self.created, &mut self.commands) {
            commands.completed(self.path.clone());
        }
        Ok(())
    }

    /// Creates the next file.
    fn begin(&mut self) -> Result<(), Error> {
        let begun = self.create();
        self.report(begun)
    }

    fn create(&mut self) -> Result<(), Error> {
        let (start, number) = self.schedule.file();
        let path = self.names.name(start, number);
        self.warn_if_overwriting(&path);
        if let Some(commands) = &mut self.commands {
            commands.overwriting(&path);
        }
        let created = match self.sources.iter().find(|source| is_same(source, &path)) {
            Some(source) => Err(io::Error::other(format!(
                "this file is being read (-r {})",
                source.display()
            ))),
            None => OutputFile::create(&path, self.whole),
        };
        let created = created.map(|(output, file)| {
            self.output = output;
            file
        });
        self.created = created.is_ok();
        self.path = path;
        self.writer.next_file(&self.path, created)
    }

    /// Starts the first file of a capture that has no packets.
    fn begin_now(&mut self) -> Result<(), Error> {
        self.schedule.at(super::schedule::now());
        self.begin()
    }

    /// Warns if with `-G` the name does not change, so that each file replaces the
    /// one before, as in tcpdump.
    fn warn_if_overwriting(&mut self, path: &Path) {
        let next = self.schedule.next_period();
        let next = next.map(|(start, number)| self.names.name(start, number));
        if next.is_some_and(|next| next == path)
            && !std::mem::replace(&mut self.warned_overwriting, true)
        {
            complain(&format!(
                "-w {}: the next file of -G has the same name and replaces it; \
                 use a time format in the name, such as %Y%m%d-%H%M%S",
                path.display()
            ));
        }
    }

    /// Reports an error. Only a reader that is gone ends saving.
    fn report(&mut self, done: Result<(), Error>) -> Result<(), Error> {
        let error = match done {
            Ok(()) => return Ok(()),
            Err(error) if error.is_closed_pipe() => return Err(error),
            Err(error) => error,
        };
        let open = self.writer.is_open();
        // An error that repeats for each packet is reported once.
        if open && self.failed {
            return Ok(());
        }
        self.failed = true;
        complain(&match self.writer.lost_here() {
            _ if open => error.to_string(),
            Some(lost) => format!("{error}; not saved from {} on", self.which(lost.first)),
            None => format!("{error}; the following packets are not saved"),
        });
        Ok(())
    }

    /// Number of a packet, and its file if there are several.
    fn which(&self, packet: PacketRef) -> String {
        let source = match self.sources.len() {
            0 | 1 => None,
            _ => self.sources.get(packet.file as usize),
        };
        match source {
            Some(source) => format!("packet {} of {}", packet.number, source.display()),
            None => format!("packet {}", packet.number),
        }
    }
}

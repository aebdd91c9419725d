//! One file after another.
//!
//! ```text
//! packet, time ─→ Schedule ─next─→ Names ─→ create ─→ Writer
//!                                              └ the file before: complete ─→ Commands
//! ```
//!
//! Trouble with a file (a full disk, a folder that is gone) ends neither
//! reading nor printing. It is said at once, the packets that no file has are
//! counted, and when the next file would begin, saving is tried again.

use std::io;
use std::path::{Path, PathBuf};

use mqttdump::capture::{Block, Error, Packet, Plan, Writer};
use mqttdump::limits::SAVE_CARRIED_BYTES;
use mqttdump::packet::PacketRef;
use mqttdump::time::Timestamp;

use super::super::console::{complain, were};
use super::commands::Commands;
use super::names::Names;
use super::permission;
use super::place::{Place, is_same};
use super::plan::Save;
use super::schedule::{Schedule, Step};

/// The files of `-w`.
pub(crate) struct Series {
    writer: Writer,
    schedule: Schedule,
    names: Names,
    /// The file that is being written.
    path: PathBuf,
    commands: Option<Commands>,
    /// What is being read, and not to be overwritten.
    sources: Vec<PathBuf>,
    /// The file could be created.
    created: bool,
    /// Where the file is, until it is complete.
    place: Place,
    /// Files get their names when they are complete.
    whole: bool,
    over: bool,
    /// Saving has gone wrong, now or earlier.
    failed: bool,
    /// It was said that one file takes the place of the other.
    said_overwriting: bool,
}

impl Series {
    /// Creates the first file; with `-G`, only if its time is known already.
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
            place: Place::default(),
            whole: false,
            over: false,
            failed: false,
            said_overwriting: false,
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

    /// For tests: a single file that is no file.
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
            place: Place::default(),
            whole: false,
            over: false,
            failed: false,
            said_overwriting: false,
        }
    }

    /// The file that is being written, if there is one.
    #[cfg(feature = "live")]
    pub(crate) fn path(&self) -> Option<&Path> {
        self.created.then_some(&self.path)
    }

    /// Whether we may, as whoever we are now, write the next file and run the
    /// program of `-z`. To be asked when root was given up.
    pub(crate) fn may_go_on(&self) -> Result<(), String> {
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
            step => self.turn(step),
        }
    }

    /// The time of the capture has come to this point, without packets.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Result<(), Error> {
        if let Some(commands) = &mut self.commands {
            commands.turn();
        }
        match self.writer.is_waiting() {
            true => Ok(()),
            false => self.at(now),
        }
    }

    /// Whether all files that were asked for are written.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether there is nothing left that could be saved.
    pub(crate) fn is_hopeless(&self) -> bool {
        !self.writer.is_open() && self.schedule.next_file().is_none()
    }

    /// Something that is not a packet.
    pub(crate) fn block(&mut self, block: &Block<'_>) -> Result<(), Error> {
        let done = self.writer.block(block);
        // Nobody waits for a first packet for ever.
        if self.writer.is_waiting() && self.writer.size() > SAVE_CARRIED_BYTES as u64 {
            self.begin_now()?;
        }
        self.told(done)
    }

    /// A packet to be saved.
    #[inline]
    pub(crate) fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        match self.schedule.before_packet(self.writer.size()) {
            Step::Stay => {}
            step => self.turn(step)?,
        }
        let done = self.writer.packet(packet);
        self.told(done)
    }

    /// Hands everything written so far to the system.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        if let Some(commands) = &mut self.commands {
            commands.turn();
        }
        let done = self.writer.flush();
        self.told(done)
    }

    /// There is no more to save. Returns whether everything is saved; what is
    /// not has been said.
    pub(crate) fn finish(mut self) -> Result<bool, Error> {
        if self.writer.is_waiting() {
            self.begin_now()?;
        }
        if !self.over {
            self.complete()?;
        }
        if let Some(lost) = self.writer.lost() {
            complain(&format!(
                "{} not saved, beginning with {}",
                were(lost.packets, "packet"),
                self.which(lost.first)
            ));
        }
        let left_behind = self.writer.left_behind();
        if left_behind > 0 {
            complain(&format!(
                "{left_behind} blocks of names or secrets are not in the later files: \
                 there is room for {SAVE_CARRIED_BYTES} bytes of them"
            ));
        }
        if let Some(commands) = self.commands.take() {
            self.failed |= !commands.finish();
        }
        Ok(!self.failed)
    }

    /// Nothing was read: a file that has nothing in it, and was not there before,
    /// would only look like a capture. Nothing is lost if it stays, where we may
    /// not remove it any more.
    pub(crate) fn take_back(self) {
        if self.created {
            self.place.take_back(&self.path);
        }
    }

    /// From this file to the next.
    #[cold]
    fn turn(&mut self, step: Step) -> Result<(), Error> {
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
            complain(&format!("{}: saving goes on", self.path.display()));
        }
        Ok(())
    }

    /// Nothing more will come for the file.
    fn complete(&mut self) -> Result<(), Error> {
        let done = self.writer.finish();
        self.told(done)?;
        if self.created
            && let Err(error) = self.place.complete(self.failed)
        {
            self.failed = true;
            complain(&format!("{}: {error}", self.path.display()));
        }
        if let (true, Some(commands)) = (self.created, &mut self.commands) {
            commands.completed(self.path.clone());
        }
        Ok(())
    }

    /// Creates the file whose turn it is.
    fn begin(&mut self) -> Result<(), Error> {
        let begun = self.create();
        self.told(begun)
    }

    fn create(&mut self) -> Result<(), Error> {
        let (start, number) = self.schedule.file();
        let path = self.names.name(start, number);
        self.say_if_overwriting(&path);
        if let Some(commands) = &mut self.commands {
            commands.overwriting(&path);
        }
        let created = match self.sources.iter().find(|source| is_same(source, &path)) {
            Some(source) => Err(io::Error::other(format!(
                "-r {} reads this file",
                source.display()
            ))),
            None => Place::create(&path, self.whole),
        };
        let created = created.map(|(place, file)| {
            self.place = place;
            file
        });
        self.created = created.is_ok();
        self.path = path;
        self.writer.next_file(&self.path, created)
    }

    /// The first file of a capture that has told no time.
    fn begin_now(&mut self) -> Result<(), Error> {
        self.schedule.at(super::schedule::now());
        self.begin()
    }

    /// With `-G` and a name that says too little, each file replaces the one
    /// before. As in tcpdump, but not without a word.
    fn say_if_overwriting(&mut self, path: &Path) {
        let next = self.schedule.next_period();
        let next = next.map(|(start, number)| self.names.name(start, number));
        if next.is_some_and(|next| next == path)
            && !std::mem::replace(&mut self.said_overwriting, true)
        {
            complain(&format!(
                "-w {}: the next file of -G has the same name and takes its place; \
                 put the time into the name, such as %Y%m%d-%H%M%S",
                path.display()
            ));
        }
    }

    /// Says what went wrong. Only a reader who has gone is an end.
    fn told(&mut self, done: Result<(), Error>) -> Result<(), Error> {
        let error = match done {
            Ok(()) => return Ok(()),
            Err(error) if error.is_closed_pipe() => return Err(error),
            Err(error) => error,
        };
        let open = self.writer.is_open();
        // A packet that does not fit its file says so each time.
        if open && self.failed {
            return Ok(());
        }
        self.failed = true;
        complain(&match self.writer.lost_here() {
            _ if open => error.to_string(),
            Some(lost) => format!(
                "{error}; nothing is saved from {} on",
                self.which(lost.first)
            ),
            None => format!("{error}; what comes now is not saved"),
        });
        Ok(())
    }

    /// A packet, as it can be found.
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

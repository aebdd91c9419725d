//! What `tables` does with each capture.

use std::io::{self, BufWriter};
use std::path::Path;

use mqttdump::facts::{self, Fact, FrameFact, Needs, Sink};
use mqttdump::packet::CapturedPacket;
use mqttdump::rules::Part;
use mqttdump::shard::Portion;
use mqttdump::tables::schema::{self, Table};
use mqttdump::tables::{Batch, Error, Form, Options, Partitioning, Stream, Tables};
use mqttdump::time::Timestamp;

use super::super::command::{Command, Exit};
use super::super::console::complain;
use super::super::driver::{Driver, Job};
use super::super::in_order::{Turn, read_all};
use super::super::look_ahead::look_ahead;
use super::super::memory;
use super::super::messages::Messages;
use super::super::output::Ended;
use super::super::reading::{Reading, Verb};
use super::super::source::Source;
use super::super::state::Rotation;
use super::super::stop::Stop;
use super::super::surroundings::Surroundings;
use super::files::Files;
use super::{By, TablesArgs};

/// Memory that may be used, without `--max-memory`.
const MEMORY: usize = 256 << 20;

/// Row groups that wait, and what is made of them when they are written.
const RESERVED: usize = 40 << 20;

pub(super) fn run(args: TablesArgs, around: &Surroundings<'_>) -> Result<Exit, Stop> {
    let verb = Verb {
        command: TablesArgs::NAME,
        verb: "read",
    };
    let mut reading = Reading::of_command(
        &args.captures,
        &args.watching,
        None,
        &args.output,
        around,
        verb,
    )?;
    reading.select(&args.selecting)?;
    if args.captures.input.max_memory.is_none() {
        reading.max_memory = MEMORY;
    }
    if let Some(payload) = args.payload {
        reading.engine.payload = payload;
    }
    let tables: Vec<&'static Table> = schema::TABLES
        .iter()
        .filter(|table| args.tables.is_empty() || args.tables.iter().any(|it| it == table.name))
        .collect();
    let partitioning = Partitioning {
        hour: args.partition.contains(&By::Hour),
        server: args.partition.contains(&By::Server),
    };
    let folder = Some(args.out.as_path()).filter(|out| *out != Path::new("-"));
    reading.sandbox.confine(false, [folder]);
    let to = match (folder, &tables[..]) {
        (Some(folder), _) => To::Files(Files::new(folder.to_owned(), &tables, partitioning)?),
        (None, _) if partitioning != Partitioning::default() => {
            return Err("-o - is one stream: leave out --partition"
                .to_owned()
                .into());
        }
        (None, [table]) => To::Pipe(Box::new(
            Stream::new(table, BufWriter::new(io::stdout())).map_err(stdout)?,
        )),
        (None, _) => {
            return Err("-o - writes one table: name it with --table NAME"
                .to_owned()
                .into());
        }
    };
    let all = Written {
        to,
        whole: true,
        any: false,
    };
    let work = |driver: &mut Driver<'_>, source: &Source, turn: &mut Turn<'_, Written>| {
        let selection = &reading.selection;
        let messages = Messages::new(selection, look_ahead(driver, source, selection)?);
        let mut job = TablesJob {
            chosen: Chosen {
                messages,
                tables: Tables::new(&Options {
                    tables: tables.clone(),
                    partitioning,
                    form: match folder {
                        Some(_) => Form::Pages,
                        None => Form::Arrays,
                    },
                    files: source.names(),
                    selection: selection.clone(),
                    is_cut: reading.range.has_start(),
                }),
                unkept: 0,
            },
            is_pipe: folder.is_none(),
            turn,
        };
        let outcome = driver.read(source, &mut job)?;
        let whole = outcome.whole;
        if let Some(messages) = &job.chosen.messages {
            messages.note_if_none(&source.name(), &outcome);
        }
        job.write(Tables::take_rest)?;
        let whole = memory::report_cut(reading.engine.payload, job.chosen.unkept) && whole;
        let all = turn.take()?;
        all.whole &= whole;
        all.any |= whole || outcome.frames() > 0;
        all.to.captured(source.names(), whole);
        Ok(())
    };
    let (all, has_selected) = read_all(&reading, all, work)?;
    all.to.finish(!has_selected || !all.any)?;
    Ok(Exit::success(all.whole && has_selected))
}

/// What captures share.
struct Written {
    to: To,
    /// Everything could be read.
    whole: bool,
    /// Anything could be read.
    any: bool,
}

/// Where batches go.
enum To {
    Files(Files),
    Pipe(Box<Stream<BufWriter<io::Stdout>>>),
}

impl To {
    fn write(&mut self, batch: &mut Batch) -> Result<(), Stop> {
        match self {
            Self::Files(files) => files.write(batch).map_err(Stop::Failed),
            Self::Pipe(stream) => stream.write(batch).map_err(stdout),
        }
    }

    /// A capture was read.
    fn captured(&mut self, files: Vec<String>, whole: bool) {
        if let Self::Files(to) = self {
            to.captured(files, whole);
        }
    }

    /// Completes it. A folder is left free if `nothing` was read or selected, for the
    /// corrected command.
    fn finish(self, nothing: bool) -> Result<(), Stop> {
        match self {
            Self::Files(_) if nothing => Ok(()),
            Self::Files(files) => files.finish().map_err(Stop::Failed),
            Self::Pipe(mut stream) => stream.finish().map_err(stdout),
        }
    }
}

/// An error of standard output: that its reader is gone is none.
fn stdout(error: Error) -> Stop {
    match error.into_io() {
        Ok(error) => Ended::from(error).into(),
        Err(error) => Stop::Failed(format!("standard output: {error}")),
    }
}

/// Tables of the selected messages.
struct Chosen {
    /// `None` for all.
    messages: Option<Messages>,
    tables: Tables,
    /// Messages that were cut short, for lack of memory.
    unkept: u64,
}

impl Chosen {
    fn select(&mut self, fact: Fact<'_>, selects: fn(&mut Messages, &FrameFact<'_>) -> bool) {
        if let Fact::Event(event) = fact {
            self.unkept += u64::from(memory::is_cut(event));
        }
        let Some(messages) = &mut self.messages else {
            return;
        };
        match fact {
            Fact::Frame(fact) => self.tables.select(selects(messages, &fact)),
            Fact::Event(event) => self.tables.select(messages.shows(event)),
            _ => {}
        }
    }
}

impl Sink for Chosen {
    fn needs(&self) -> Needs {
        let own = self.messages.as_ref().map_or(Needs::NONE, Messages::needs);
        own | self.tables.needs()
    }

    fn fact(&mut self, fact: Fact<'_>) {
        self.select(fact, Messages::selects);
        self.tables.fact(fact);
    }

    fn earlier(&mut self, fact: Fact<'_>, from: Timestamp) {
        self.select(fact, Messages::matches);
        self.tables.earlier(fact, from);
    }

    fn tick(&mut self, now: Timestamp) {
        self.tables.tick(now);
    }

    fn make_room(&mut self) -> bool {
        self.tables.make_room()
    }

    fn finish(&mut self) {
        self.tables.finish();
    }
}

struct TablesJob<'a, 'b> {
    chosen: Chosen,
    is_pipe: bool,
    turn: &'a mut Turn<'b, Written>,
}

impl TablesJob<'_, '_> {
    /// Writes what `take` hands over, once it is the capture's turn.
    fn write(
        &mut self,
        take: impl FnOnce(&mut Tables, &mut dyn FnMut(&mut Batch)),
    ) -> Result<(), Stop> {
        let mut written = Ok(());
        take(&mut self.chosen.tables, &mut |batch| {
            if written.is_ok() {
                written = self.turn.take().and_then(|all| all.to.write(batch));
            }
        });
        written
    }
}

impl Job for TablesJob<'_, '_> {
    type Sink = Chosen;

    fn sink(&mut self) -> &mut Chosen {
        &mut self.chosen
    }

    fn options(&self) -> facts::Options {
        self.chosen.tables.facts()
    }

    fn before(&mut self, packet: Option<&CapturedPacket<'_>>) {
        if let (Some(packet), Some(messages)) = (packet, &mut self.chosen.messages) {
            messages.packet(packet.time);
        }
    }

    fn reserved(&self) -> usize {
        RESERVED
    }

    /// Those of the row, the page, and the compressed page.
    fn copies(&self) -> usize {
        8
    }

    fn settle(&mut self) -> Result<(), Stop> {
        self.write(Tables::take)
    }

    fn takes_records(&self) -> bool {
        self.chosen.tables.takes_records()
    }

    fn only_part(&mut self, portion: &Portion) -> Result<(), Stop> {
        let part = Part {
            name: portion.to_string(),
            keeps_sessions: portion.keeps_sessions(),
        };
        if self.chosen.tables.needs_whole() {
            complain(&format!(
                "this is {}: findings and deliveries of all shards come from their files of \
                 check --facts-out",
                part.name
            ));
        }
        self.chosen.tables.only_part(part);
        Ok(())
    }

    fn rotation(&self) -> Rotation {
        Rotation::New
    }

    fn writes_to_stdout(&self) -> bool {
        self.is_pipe
    }
}

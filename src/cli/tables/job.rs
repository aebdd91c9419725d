//! What `tables` does with each capture.

use std::io::{self, BufWriter};
use std::path::Path;

use mqttdump::facts;
use mqttdump::rules::Part;
use mqttdump::shard::Portion;
use mqttdump::tables::schema::{self, Table};
use mqttdump::tables::{Batch, Error, Options, Partitioning, Stream, Tables};

use super::super::command::{Command, Exit};
use super::super::console::complain;
use super::super::driver::{Driver, Job};
use super::super::output::Ended;
use super::super::reading::{Reading, Verb};
use super::super::state::Rotation;
use super::super::stop::Stop;
use super::super::surroundings::Surroundings;
use super::files::Files;
use super::{By, TablesArgs};

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
    let mut to = match (folder, &tables[..]) {
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
    let mut driver = Driver::new(&reading)?;
    let mut whole = true;
    for source in &reading.captures {
        let mut job = TablesJob {
            tables: Tables::new(&Options {
                tables: tables.clone(),
                partitioning,
                files: source.names(),
            }),
            to: &mut to,
            batches: Vec::new(),
        };
        whole &= driver.read(source, &mut job)?.whole;
        job.tables.take_rest(&mut job.batches);
        job.write()?;
        to.captured(source.names(), whole);
    }
    to.finish()?;
    Ok(Exit::success(whole))
}

/// Where batches go.
enum To {
    Files(Files),
    Pipe(Box<Stream<BufWriter<io::Stdout>>>),
}

impl To {
    fn write(&mut self, batch: Batch) -> Result<(), Stop> {
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

    fn finish(self) -> Result<(), Stop> {
        match self {
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

struct TablesJob<'a> {
    tables: Tables,
    to: &'a mut To,
    batches: Vec<Batch>,
}

impl TablesJob<'_> {
    fn write(&mut self) -> Result<(), Stop> {
        let mut batches = self.batches.drain(..);
        batches.try_for_each(|batch| self.to.write(batch))
    }
}

impl Job for TablesJob<'_> {
    type Sink = Tables;

    fn sink(&mut self) -> &mut Tables {
        &mut self.tables
    }

    fn options(&self) -> facts::Options {
        self.tables.facts()
    }

    fn settle(&mut self) -> Result<(), Stop> {
        self.tables.take(&mut self.batches);
        self.write()
    }

    fn takes_records(&self) -> bool {
        self.tables.takes_records()
    }

    fn only_part(&mut self, portion: &Portion) -> Result<(), Stop> {
        let part = Part {
            name: portion.to_string(),
            keeps_sessions: portion.keeps_sessions(),
        };
        if self.tables.needs_whole() {
            complain(&format!(
                "this is {}: findings and deliveries of all shards come from their files of \
                 check --facts-out",
                part.name
            ));
        }
        self.tables.only_part(part);
        Ok(())
    }

    fn rotation(&self) -> Rotation {
        Rotation::New
    }

    fn writes_to_stdout(&self) -> bool {
        matches!(self.to, To::Pipe(_))
    }
}

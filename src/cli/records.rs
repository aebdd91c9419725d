//! Files of `check --facts-out`: found among FILEs, and written.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use mqttdump::capture::{Capture, Origin};
use mqttdump::engine::{Placed, Summary};
use mqttdump::facts::record::{Counts, Header, Input, Recorder};
use mqttdump::facts::{Fact, Needs, Sink};
use mqttdump::packet::{CapturedPacket, PacketRef};
use mqttdump::shard::Portion;
use mqttdump::time::Timestamp;

use super::checksum::Checksum;
use super::save::WholeFile;
use super::stop::Stop;

/// Whether a file holds records.
pub(crate) fn is_records(path: &Path) -> bool {
    let mut beginning = [0; Header::BEGINNING.len()];
    path.is_file()
        && File::open(path)
            .and_then(|mut file| file.read_exact(&mut beginning))
            .is_ok_and(|()| beginning == Header::BEGINNING)
}

/// The files that the packets of records refer to, each once.
pub(crate) fn files(paths: &[PathBuf]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for path in paths {
        let mut line = Vec::new();
        let read =
            File::open(path).and_then(|file| BufReader::new(file).read_until(b'\n', &mut line));
        let header = read
            .ok()
            .and_then(|_| serde_json::from_slice::<Header>(&line).ok());
        for file in header.into_iter().flat_map(|header| header.files) {
            if !all.contains(&file) {
                all.push(file);
            }
        }
    }
    all
}

/// The shards among captures that are read together.
pub(crate) fn portion<'a>(captures: impl Iterator<Item = &'a Capture>) -> Portion {
    let mut portion = Portion::default();
    for origin in captures.filter_map(Capture::origin) {
        add_shard(&mut portion, origin);
    }
    portion
}

/// Adds a capture, if it is a shard.
pub(crate) fn add_shard(portion: &mut Portion, origin: &Origin) {
    if let Some(shard) = &origin.shard {
        let (of, number) = (shard.shards, shard.number);
        portion.add(&origin.files, of, shard.keeps_sessions(), number);
    }
}

/// Opens a file of records.
pub(crate) fn open(path: &Path) -> Result<Input, Stop> {
    let name = path.display().to_string();
    let read = || {
        let mut file = File::open(path)?;
        let mut end = [0; Header::END.len() + Header::CHECKSUM];
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(end.len() as u64)))?;
        file.read_exact(&mut end)?;
        file.rewind()?;
        let is_cut = !end.starts_with(Header::END);
        let summed = (&file).take(length.saturating_sub(Header::CHECKSUM as u64));
        let checksum = Checksum::of_all(summed)?.value();
        file.rewind()?;
        Ok((file, is_cut, end.ends_with(&checksum.to_le_bytes())))
    };
    let (file, is_cut, is_sound) = read().map_err(|error: io::Error| format!("{name}: {error}"))?;
    if !is_cut && !is_sound {
        return Err(format!("{name}: damaged: its checksum is another one").into());
    }
    Ok(Input {
        bytes: Box::new(BufReader::new(file)),
        name,
        is_cut,
    })
}

/// Writes records to a file.
pub(crate) struct FactsOut {
    recorder: Recorder,
    file: WholeFile,
    checksum: Checksum,
}

/// Bytes that are collected before they are written.
const CHUNK: usize = 1 << 16;

impl FactsOut {
    /// For the capture in these files.
    pub(crate) fn create(
        path: &Path,
        paths: &[PathBuf],
        names: Vec<String>,
    ) -> Result<Self, String> {
        let captures = paths.iter().filter(|path| path.is_file());
        let captures = captures.filter_map(|path| Capture::open(path, 0).ok());
        let header = Header::new(names, portion(captures.collect::<Vec<_>>().iter()));
        Ok(Self {
            recorder: Recorder::new(&header),
            file: WholeFile::create(path).map_err(|error| failed(path, &error))?,
            checksum: Checksum::default(),
        })
    }

    pub(crate) fn before(&mut self, packet: Option<&CapturedPacket<'_>>) {
        self.recorder.before(packet);
    }

    pub(crate) fn clock(&mut self, packet: PacketRef, time: Timestamp) {
        self.recorder.clock(packet, time);
    }

    pub(crate) fn pause(&mut self, packet: PacketRef, from: Timestamp, until: Timestamp) {
        self.recorder.pause(packet, from, until);
    }

    pub(crate) fn after(&mut self, placed: Placed<'_>) {
        self.recorder.after(placed);
    }

    /// Writes what has been collected, if it is much.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        match self.recorder.len() < CHUNK {
            true => Ok(()),
            false => self.write(),
        }
    }

    /// Completes the file.
    pub(crate) fn finish(
        mut self,
        summary: &Summary,
        dropped: u64,
        whole: bool,
    ) -> Result<(), String> {
        self.recorder.finish(Counts::new(summary, dropped, whole));
        self.write()?;
        let checksum = self.checksum.value().to_le_bytes();
        let done = self.file.file().write_all(&checksum);
        done.map_err(|error| failed(self.file.path(), &error))?;
        let path = self.file.path().to_owned();
        let done = self.file.complete();
        done.map_err(|error| failed(&path, &error))
    }

    fn write(&mut self) -> Result<(), String> {
        let bytes = self.recorder.take();
        self.checksum.add(&bytes);
        let done = self.file.file().write_all(&bytes);
        done.map_err(|error| failed(self.file.path(), &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("--facts-out {}: {error}", path.display())
}

impl Sink for FactsOut {
    fn needs(&self) -> Needs {
        self.recorder.needs()
    }

    fn fact(&mut self, fact: Fact<'_>) {
        self.recorder.fact(fact);
    }

    fn earlier(&mut self, fact: Fact<'_>, from: Timestamp) {
        self.recorder.earlier(fact, from);
    }
}

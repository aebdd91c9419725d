//! Files of `check --facts-out`: found among FILEs, and written.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use mqttdump::capture::Capture;
use mqttdump::engine::{Placed, Summary};
use mqttdump::facts::record::{Counts, Header, Recorder};
use mqttdump::facts::{Fact, Needs, Sink};
use mqttdump::packet::{CapturedPacket, PacketRef};
use mqttdump::time::Timestamp;

use super::save::OutputFile;

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

/// Writes records to a file.
pub(crate) struct FactsOut {
    recorder: Recorder,
    path: PathBuf,
    output: OutputFile,
    file: File,
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
        // Shards of one number, of several taps, are the shard of all.
        let mut shards = paths.iter().map(|path| {
            let origin = Capture::open(path, 0).ok()?.origin()?.shard.clone()?;
            Some((origin.number, origin.shards))
        });
        let shard = shards.next().flatten();
        let shard = shard.filter(|first| shards.all(|other| other == Some(*first)));
        let header = Header::new(names, shard);
        let (output, file) = OutputFile::create(path, true)
            .map_err(|error| format!("--facts-out {}: {error}", path.display()))?;
        Ok(Self {
            recorder: Recorder::new(&header),
            path: path.to_owned(),
            output,
            file,
        })
    }

    pub(crate) fn before(&mut self, packet: Option<&CapturedPacket<'_>>) {
        self.recorder.before(packet);
    }

    pub(crate) fn clock(&mut self, packet: PacketRef, time: Timestamp) {
        self.recorder.clock(packet, time);
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
        let done = self.output.complete(false);
        done.map_err(|error| failed(&self.path, &error))
    }

    fn write(&mut self) -> Result<(), String> {
        let done = self.file.write_all(&self.recorder.take());
        done.map_err(|error| failed(&self.path, &error))
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

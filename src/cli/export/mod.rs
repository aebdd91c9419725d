//! `--export`: writes each selected payload to a file, with a manifest.
//!
//! ```text
//! DIR/plant/7/temp/20260301T101501.123456Z-812.json
//! DIR/manifest.ndjson    {"file":"plant/7/…","packet":812,"topic":"plant/7/temp",…}
//! ```
//! Existing files are never overwritten: a name in use gets a number. Exported
//! files are readable only by their owner, as captures are.

mod name;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use mqttdump::frame::MQTTFrame;
use mqttdump::payload::{Decoded, Message};
use serde::Serialize;

use super::console::{counted, were};

pub(crate) use name::Template;

/// The name of the manifest.
const MANIFEST: &str = "manifest.ndjson";

/// Writes payloads to files.
#[derive(Debug)]
pub(crate) struct Export {
    folder: PathBuf,
    template: Template,
    /// `None` until the first payload, or [`Export::begin`].
    manifest: Option<BufWriter<File>>,
    /// How often each name was given.
    names: HashMap<PathBuf, u64>,
    /// Payloads that were written.
    payloads: u64,
    /// Those of them that are not whole.
    incomplete: u64,
    /// Bytes of payloads.
    bytes: u64,
    failure: Option<String>,
}

impl Export {
    /// Exports to a folder, which is created when it is needed.
    pub(crate) fn new(folder: PathBuf, template: Template) -> Self {
        Self {
            folder,
            template,
            manifest: None,
            names: HashMap::new(),
            payloads: 0,
            incomplete: 0,
            bytes: 0,
            failure: None,
        }
    }

    /// A summary for the user.
    pub(crate) fn summary(&self) -> String {
        let mut text = format!(
            "{} ({}) exported to {}",
            counted(self.payloads, "payload"),
            counted(self.bytes, "byte"),
            self.folder.display()
        );
        if self.incomplete > 0 {
            text += &format!(
                "; {} incomplete, because bytes were not captured or not kept",
                were(self.incomplete, "payload")
            );
        }
        text
    }

    /// Creates the folder and the manifest.
    pub(crate) fn begin(&mut self) -> Result<(), String> {
        self.open_manifest().map(|_| ())
    }

    fn open_manifest(&mut self) -> Result<&mut BufWriter<File>, String> {
        match &mut self.manifest {
            Some(manifest) => Ok(manifest),
            empty => {
                if self.folder.is_file() {
                    let name = self.folder.display();
                    return Err(format!("{name}: is a file, expected a folder"));
                }
                fs::create_dir_all(&self.folder).map_err(|error| at(&self.folder, &error))?;
                let path = self.folder.join(MANIFEST);
                let file = create(&path).map_err(|error| match error.kind() {
                    ErrorKind::AlreadyExists => format!(
                        "{} exists: --export needs a folder that holds no export",
                        path.display()
                    ),
                    _ => at(&path, &error),
                })?;
                Ok(empty.insert(BufWriter::new(file)))
            }
        }
    }

    /// Writes the payload of a PUBLISH. Errors are returned by [`Export::settle`].
    pub(crate) fn frame(
        &mut self,
        frame: &MQTTFrame<'_>,
        message: &Message<'_>,
        decoded: Option<&Decoded>,
    ) {
        if self.failure.is_none()
            && let Err(failure) = self.write(frame, message, decoded)
        {
            self.failure = Some(failure);
        }
    }

    fn write(
        &mut self,
        frame: &MQTTFrame<'_>,
        message: &Message<'_>,
        decoded: Option<&Decoded>,
    ) -> Result<(), String> {
        self.open_manifest()?;
        let ext = ext(message, decoded);
        let path = self.template.path(frame, self.payloads + 1, ext);
        let (path, mut file) = self.create(path)?;
        file.write_all(message.payload)
            .map_err(|error| at(&self.folder.join(&path), &error))?;
        self.payloads += 1;
        self.incomplete += u64::from(!message.is_whole);
        self.bytes += message.payload.len() as u64;
        let entry = Entry::new(&path, frame, message, decoded);
        let manifest = self.open_manifest()?;
        serde_json::to_writer(&mut *manifest, &entry)
            .map_err(io::Error::from)
            .and_then(|()| manifest.write_all(b"\n"))
            .map_err(|error| at(&self.folder.join(MANIFEST), &error))
    }

    /// Creates a file of that name below the folder, or of a name like it.
    fn create(&mut self, path: PathBuf) -> Result<(PathBuf, File), String> {
        let whole = self.folder.join(&path);
        if let Some(parent) = whole.parent() {
            fs::create_dir_all(parent).map_err(|error| at(parent, &error))?;
        }
        let given = self.names.entry(path.clone()).or_insert(0);
        loop {
            *given += 1;
            let name = numbered(&path, *given);
            match create(&self.folder.join(&name)) {
                Ok(file) => return Ok((name, file)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(at(&self.folder.join(&name), &error)),
            }
        }
    }

    /// Between two packets: returns an error that has occurred since the last call.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Hands the manifest to the system.
    pub(crate) fn flush(&mut self) -> Result<(), String> {
        self.settle()?;
        match &mut self.manifest {
            Some(manifest) => manifest
                .flush()
                .map_err(|error| at(&self.folder.join(MANIFEST), &error)),
            None => Ok(()),
        }
    }
}

/// `temp.json`, `temp-2.json`, `temp-3.json`.
fn numbered(path: &Path, number: u64) -> PathBuf {
    if number < 2 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(ext) = path.extension() {
        name.push(".");
        name.push(ext);
    }
    path.with_file_name(name)
}

/// Creates a file that did not exist, for its owner alone.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn at(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// File extension for the payload's format.
fn ext(message: &Message<'_>, decoded: Option<&Decoded>) -> &'static str {
    match decoded.filter(|decoded| decoded.value.is_ok()) {
        Some(decoded) => match decoded.format {
            "json" => "json",
            "cbor" => "cbor",
            "msgpack" => "msgpack",
            "protobuf" | "sparkplug" => "pb",
            "text" => "txt",
            _ => "bin",
        },
        None => match std::str::from_utf8(message.payload) {
            Ok(text) if !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => "txt",
            _ => "bin",
        },
    }
}

/// A line of the manifest.
#[derive(Serialize)]
struct Entry<'a> {
    file: Cow<'a, str>,
    packet: u64,
    time: String,
    connection: u64,
    client_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id_hex: Option<String>,
    topic: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_hex: Option<String>,
    qos: u8,
    dup: bool,
    retain: bool,
    content_type: Option<Cow<'a, str>>,
    /// Of a payload that was decoded.
    format: Option<&'static str>,
    bytes: usize,
    complete: bool,
}

impl<'a> Entry<'a> {
    fn new(
        path: &'a Path,
        frame: &'a MQTTFrame<'_>,
        message: &Message<'a>,
        decoded: Option<&Decoded>,
    ) -> Self {
        let nanos = frame.time.nanos().into();
        let time = jiff::Timestamp::from_nanosecond(nanos).unwrap_or_default();
        let client_id = frame.connection.client_id.as_deref();
        let topic = frame.topic.map(|topic| topic.0);
        Self {
            file: path.to_string_lossy(),
            packet: frame.last.number,
            time: format!("{time:.9}"),
            connection: frame.connection.number,
            client_id: client_id.map(String::from_utf8_lossy),
            client_id_hex: hex_unless_utf8(client_id),
            topic: topic.map(String::from_utf8_lossy),
            topic_hex: hex_unless_utf8(topic),
            qos: frame.header.qos(),
            dup: frame.header.dup(),
            retain: frame.header.retain(),
            content_type: message.content_type.map(String::from_utf8_lossy),
            format: decoded.map(|decoded| decoded.format),
            bytes: message.payload.len(),
            complete: message.is_whole,
        }
    }
}

fn hex_unless_utf8(bytes: Option<&[u8]>) -> Option<String> {
    let bytes = bytes.filter(|bytes| std::str::from_utf8(bytes).is_err())?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

//! `-w` and its options, validated.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::super::args::{Saving, What};
use super::notes::Notes;
use super::schedule::Rotation;

/// Where to save packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Save {
    /// The file; `-` is standard output.
    pub(crate) path: PathBuf,
    /// Flush after each packet.
    pub(crate) packet_buffered: bool,
    /// When the next file starts.
    pub(crate) rotation: Rotation,
    /// Program to run for each complete file.
    pub(crate) command: Option<OsString>,
    /// Only the packets of selected exchanges.
    pub(crate) exchanges: bool,
    /// Packets get comments.
    pub(crate) annotate: bool,
    /// The comments, once they are known.
    pub(crate) notes: Option<Arc<Notes>>,
    /// Of the times in names.
    pub(crate) zone: TimeZone,
}

impl Save {
    /// `None` without `-w`.
    pub(crate) fn new(typed: &Saving, zone: &TimeZone) -> Result<Option<Self>, String> {
        let Some(path) = typed.write.clone() else {
            return Ok(None);
        };
        let rotation = Rotation {
            bytes: typed.file_size,
            seconds: typed.file_seconds,
            count: typed.file_count,
        };
        let save = Self {
            path,
            packet_buffered: typed.packet_buffered,
            rotation,
            command: typed.command.clone(),
            exchanges: typed.save == What::Exchanges,
            annotate: typed.annotate,
            notes: None,
            zone: zone.clone(),
        };
        if save.is_stdout() && (rotation.is_any() || save.command.is_some()) {
            return Err(
                "-w - is one stream: -C, -G and -z need the name of a file, such as -w out.pcap"
                    .into(),
            );
        }
        let extension = save.path.extension();
        if save.annotate && extension.is_none_or(|it| it != "pcapng") {
            return Err(
                "--annotate needs a format with comments: name the file of -w .pcapng".into(),
            );
        }
        if rotation.count.is_some() && !rotation.is_any() {
            return Err("-W counts the files of -C or -G: give one of them too".into());
        }
        Ok(Some(save))
    }

    /// Whether packets go to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        self.path.as_os_str() == "-"
    }
}

//! [`Plan`]: the format of a file, decided before its first packet.

use super::super::interface::Interface;
use super::super::item::Item;
use super::super::source::Capture;
use crate::packet::LinkType;
use std::path::Path;

/// Format of the output, decided before the first packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The format of the file.
    pub format: FileFormat,
    /// Link type of a pcap file that will hold no packet; else that of its
    /// first packet counts.
    pub link_type: Option<LinkType>,
    /// Write a pcap file's times in nanoseconds. It also does so when its first
    /// packet comes from a clock finer than microseconds.
    pub nanoseconds: bool,
    /// Hand every packet to the system at once (`-U`).
    pub flush: bool,
    /// There may be a `Writer::next_file`, which repeats names and secrets of
    /// earlier files.
    pub carry: bool,
}

/// A format that is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileFormat {
    /// Packets of one link type, with nothing but time and lengths.
    Pcap,
    /// Everything in the inputs.
    Pcapng,
}

impl Plan {
    /// The plan for a file of this name, written from these captures: pcapng
    /// when the name ends in `.pcapng` or the captures have several link types,
    /// as far as their headers tell. Those of pcapng files tell nothing: see
    /// [`Plan::look_ahead`].
    pub fn new(path: &Path, captures: &[Capture]) -> Self {
        let named = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("pcapng"));
        let mut plan = Self {
            format: if named {
                FileFormat::Pcapng
            } else {
                FileFormat::Pcap
            },
            link_type: None,
            nanoseconds: false,
            flush: false,
            carry: false,
        };
        for interface in captures.iter().filter_map(Capture::interface) {
            plan.expect(interface);
        }
        plan
    }

    /// Reads the pcapng files among these once to learn their link types and
    /// clocks, unless all is known. Files that cannot be read, and pipes, are
    /// passed over. Costs a pass over the files, and nothing for other formats.
    pub fn look_ahead(&mut self, paths: &[impl AsRef<Path>]) {
        for (file, path) in (0..).zip(paths) {
            let path = path.as_ref();
            // A pipe could not be read a second time.
            if self.format == FileFormat::Pcapng || !path.is_file() {
                continue;
            }
            let Ok(mut capture) = Capture::open(path, file) else {
                continue;
            };
            if capture.interface().is_some() {
                continue;
            }
            while let Ok(Some(item)) = capture.next() {
                if let Item::Packet(packet) = item {
                    self.expect(packet.interface);
                }
                if self.format == FileFormat::Pcapng {
                    break;
                }
            }
        }
    }

    fn expect(&mut self, interface: &Interface) {
        let link_type = *self.link_type.get_or_insert(interface.link_type);
        if link_type != interface.link_type {
            self.format = FileFormat::Pcapng;
        }
        self.nanoseconds |= interface.clock.finer_than_microseconds();
    }
}

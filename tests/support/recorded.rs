//! The captures of `fixtures/`, and their packets in several files.

use std::fs;
use std::path::{Path, PathBuf};

use mqttdump::capture::{Block, Capture, FileFormat, Item, Plan, Writer};

use super::program::{Folder, project};

/// All captures of `fixtures/`, in order.
pub fn captures() -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![project("fixtures")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("fixtures").flatten() {
            let path = entry.path();
            let kind = path.extension().and_then(|it| it.to_str());
            match kind {
                _ if path.is_dir() => folders.push(path),
                Some("pcap" | "pcapng" | "gz" | "zst" | "lz4" | "xz" | "snoop" | "cap") => {
                    all.push(path);
                }
                _ => {}
            }
        }
    }
    all.sort();
    all
}

/// A capture that can be read, however it is stored.
pub struct Recorded {
    path: PathBuf,
    /// Time of each packet.
    times: Vec<i64>,
    /// It reports packets that were lost to it.
    lossy: bool,
}

impl Recorded {
    /// `None` for a file without packets.
    pub fn read(path: &Path) -> Option<Self> {
        let (mut times, mut lossy) = (Vec::new(), false);
        let mut capture = Capture::open(path, 0).ok()?;
        while let Ok(Some(item)) = capture.next() {
            match item {
                Item::Packet(packet) => times.push(packet.packet.time.nanos()),
                Item::Dropped(_) => lossy = true,
                Item::Block(_) | Item::Tick(_) => {}
            }
        }
        let path = path.to_owned();
        (!times.is_empty()).then_some(Self { path, times, lossy })
    }

    /// Its path.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Number of its packets.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether it reports packets that were lost to it, of any connection.
    pub fn is_lossy(&self) -> bool {
        self.lossy
    }

    /// Whether reading the packets before and after by time is reading one after the
    /// other.
    pub fn is_in_order_at(&self, cut: usize) -> bool {
        let before = self.times[..cut].iter().max();
        cut == self.len() || before <= Some(&self.times[cut])
    }

    /// Whether all packets from there on are later than those before: the order of files
    /// does not matter.
    pub fn is_later_at(&self, cut: usize) -> bool {
        self.times[..cut].iter().max() < self.times[cut..].iter().min()
    }

    /// Writes the packets into several files: a new one begins at each cut. Names and keys
    /// are in all of them from where they were on.
    pub fn cut(&self, cuts: &[usize], folder: &Folder) -> Vec<String> {
        let plan = Plan {
            format: FileFormat::Pcapng,
            link_type: None,
            nanoseconds: false,
            flush: false,
            carry: false,
        };
        let names: Vec<String> = (0..=cuts.len())
            .map(|part| folder.name(&format!("part-{part}.pcapng")))
            .collect();
        let create = |name: &String| Writer::create(Path::new(name), plan).expect("a file");
        let mut writers: Vec<Writer> = names.iter().map(create).collect();
        let mut capture = Capture::open(&self.path, 0).expect("it was read before");
        let (mut packets, mut part) = (0, 0);
        while let Ok(Some(item)) = capture.next() {
            match &item {
                Item::Packet(packet) => {
                    part = cuts.iter().filter(|cut| **cut <= packets).count();
                    packets += 1;
                    writers[part].packet(packet).expect("written");
                }
                // Counters are about the packets so far.
                Item::Block(block @ Block::Statistics { .. }) => {
                    writers[part].block(block).expect("written");
                }
                Item::Block(block) => {
                    for writer in &mut writers[part..] {
                        writer.block(block).expect("written");
                    }
                }
                Item::Tick(_) | Item::Dropped(_) => {}
            }
        }
        for mut writer in writers {
            writer.finish().expect("written");
        }
        names
    }
}

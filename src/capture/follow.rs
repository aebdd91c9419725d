//! A file that grows while it is read (`--follow`).
//!
//! ```text
//! read  → bytes, bytes, Still(0.1 s), Still(0.2 s), bytes, …     end of file: wait
//! items → packets,      Tick,         Tick,         packets, …
//! ```
//!
//! At the end of the file there are no more bytes *yet*: an incomplete record
//! is read when it is complete. The file is checked ten times a second;
//! notification by the system (inotify) differs between systems and does not
//! work on network drives.
//!
//! Capture time follows the clock from the last packet, a little behind, as
//! long as the file ends with a complete record. A writer that buffers records
//! (tcpdump without `-U`) leaves an incomplete one: then there are packets that
//! are not visible, and time stops until they arrive.
//!
//! A file that was renamed or removed (rotated) is read until it has not grown
//! for a while; a file that was truncated is a new one. Both end the reading,
//! with an error.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::meanwhile::Meanwhile;

/// How often to look.
const PAUSE: Duration = Duration::from_millis(100);
/// Interval of ticks while there are always more bytes.
const TELL: Duration = Duration::from_millis(200);
/// How long a renamed or removed file may still grow: a logger renames the file
/// first, and notifies the writer afterwards.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes before any time can pass: the header of a pcap file, and less than
/// that of a pcapng file.
const HEADER: u64 = 24;

/// Reads a growing file; it ends only when stopped.
pub(super) struct Growing {
    file: File,
    path: PathBuf,
    position: u64,
    stop: Arc<AtomicBool>,
    /// Once it is stopped: how far to read.
    end: Option<u64>,
    /// When the last bytes arrived, and when the last tick was returned.
    grown: Instant,
    last_tick: Instant,
}

impl Growing {
    pub(super) fn new(file: File, path: &Path, stop: Arc<AtomicBool>) -> Self {
        let now = Instant::now();
        Self {
            file,
            path: path.to_owned(),
            position: 0,
            stop,
            end: None,
            grown: now,
            last_tick: now,
        }
    }

    fn is_stopped(&mut self) -> io::Result<bool> {
        if self.end.is_none() && self.stop.load(Ordering::Relaxed) {
            // Bytes that are already there are read; a writer that never pauses
            // must not prevent the end.
            self.end = Some(self.file.metadata()?.len());
        }
        Ok(self.end.is_some_and(|end| self.position >= end))
    }

    /// No more bytes yet. Returns the error if there will be none.
    fn is_alive(&self) -> io::Result<()> {
        let file = self.file.metadata()?;
        if file.len() < self.position {
            return Err(io::Error::other(format!(
                "the file was cut to {} bytes while it was followed, after {} of it were read; \
                 what is written from there on is not read",
                file.len(),
                self.position
            )));
        }
        if self.grown.elapsed() >= PATIENCE && !is_named(&file, &self.path) {
            return Err(io::Error::other(
                "the file was renamed or removed while it was followed, and grows no more; \
                 a new file of this name is not read",
            ));
        }
        Ok(())
    }
}

impl Read for Growing {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_stopped()? {
                return Ok(0);
            }
            let may_tell = self.position >= HEADER;
            if may_tell && self.last_tick.elapsed() >= TELL {
                self.last_tick = Instant::now();
                return Err(Meanwhile::Still(self.grown.elapsed()).into());
            }
            let got = self.file.read(out)?;
            if got > 0 {
                self.position += got as u64;
                self.grown = Instant::now();
                return Ok(got);
            }
            self.is_alive()?;
            std::thread::sleep(PAUSE);
        }
    }
}

/// Whether the path still leads to this file.
#[cfg(unix)]
fn is_named(file: &Metadata, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let named = std::fs::metadata(path);
    named.is_ok_and(|named| (named.dev(), named.ino()) == (file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn is_named(_: &Metadata, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::sync::atomic::AtomicU32;

    use super::super::bytes::ByteOrder;
    use super::super::testing::{BOTH, Bytes, plain};
    use super::super::{Capture, Item, Merge};
    use super::*;

    /// A file that a test writes to while it is followed.
    struct Written {
        folder: PathBuf,
        file: File,
        stop: Arc<AtomicBool>,
    }

    impl Written {
        fn new(bytes: &[u8]) -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!(
                "mqttdump-follow-{}-{}",
                std::process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed)
            );
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(folder.join("f"), bytes).expect("a file");
            let file = OpenOptions::new().append(true).open(folder.join("f"));
            Self {
                folder,
                file: file.expect("a file"),
                stop: Arc::default(),
            }
        }

        fn path(&self) -> PathBuf {
            self.folder.join("f")
        }

        fn follow(&self) -> Capture {
            Capture::follow(&self.path(), 0, Arc::clone(&self.stop)).expect("a header")
        }

        fn append(&mut self, bytes: &[u8]) {
            self.file.write_all(bytes).expect("written");
        }
    }

    impl Drop for Written {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    fn pcap(order: ByteOrder) -> Bytes {
        Bytes::pcap(order, 0xa1b2_c3d4, 4, 1)
    }

    #[derive(Debug, PartialEq)]
    enum Seen {
        Packet(Vec<u8>),
        Block,
        Tick(i64),
        End,
        Error(String),
    }

    fn next(capture: &mut Capture) -> Seen {
        assert!(capture.size().is_none(), "its size is unknown");
        match capture.next() {
            Ok(Some(Item::Packet(packet))) => Seen::Packet(packet.packet.data.to_vec()),
            Ok(Some(Item::Tick(now))) => Seen::Tick(now.seconds()),
            Ok(Some(_)) => Seen::Block,
            Ok(None) => Seen::End,
            Err(error) => Seen::Error(error.to_string()),
        }
    }

    /// What comes next but time.
    fn next_but_ticks(capture: &mut Capture) -> Seen {
        loop {
            match next(capture) {
                Seen::Tick(_) => {}
                other => return other,
            }
        }
    }

    #[test]
    fn what_is_appended_comes_and_a_part_of_it_is_waited_for() {
        for order in BOTH {
            let ng = Bytes::new(order)
                .section(order, plain)
                .interface(1, 0, plain);
            for start in [pcap(order), ng] {
                let mut written = Written::new(&start.bytes);
                let mut capture = written.follow();
                let is_ng = capture.interface().is_none();
                for _ in 0..2 * usize::from(is_ng) {
                    assert_eq!(next_but_ticks(&mut capture), Seen::Block);
                }
                let record = |data: &[u8]| {
                    let len = data.len() as u32;
                    let bytes = Bytes::new(order);
                    match is_ng {
                        true => bytes.enhanced(0, 7_000_000, len, data, plain).bytes,
                        false => bytes.record(7, 0, data).bytes,
                    }
                };
                let (one, two) = (record(b"abcd"), record(b"efgh"));
                let (first, rest) = two.split_at(10);
                written.append(&[&one, first].concat());
                assert_eq!(next_but_ticks(&mut capture), Seen::Packet(b"abcd".to_vec()));
                // Within a record, time stops.
                for _ in 0..3 {
                    assert_eq!(next(&mut capture), Seen::Tick(7));
                }
                written.append(rest);
                assert_eq!(next_but_ticks(&mut capture), Seen::Packet(b"efgh".to_vec()));
                written.append(first);
                written.stop.store(true, Ordering::Relaxed);
                // No end of a file, and so no damage.
                assert_eq!(next_but_ticks(&mut capture), Seen::End);
            }
        }
    }

    #[test]
    fn time_goes_on_after_the_last_packet() {
        let file = pcap(ByteOrder::Little)
            .record(1_000, 0, b"x")
            .record(900, 0, b"y");
        let written = Written::new(&file.bytes);
        let since = Instant::now();
        let mut merge = Merge::new(vec![written.follow()]);
        let mut ticks = Vec::new();
        while since.elapsed() < Duration::from_secs(10) {
            if let Ok(Some(Item::Tick(now))) = merge.next() {
                let most = since.elapsed().as_millis() as i64 - 1_000;
                let passed = now.nanos() / 1_000_000 - 1_000_000;
                assert!((0..=most.max(0)).contains(&passed), "{passed} of {most}");
                ticks.push(passed);
                if passed > 500 {
                    break;
                }
            }
        }
        assert!(ticks.last() > Some(&500), "{ticks:?}");
        assert!(ticks.is_sorted(), "{ticks:?}");
        assert!(ticks.len() <= 60, "too busy: {}", ticks.len());
    }

    #[test]
    fn a_file_that_is_cut_is_another_one() {
        let file = pcap(ByteOrder::Little).record(1, 0, b"abcd");
        let written = Written::new(&file.bytes);
        let mut capture = written.follow();
        assert_eq!(next_but_ticks(&mut capture), Seen::Packet(b"abcd".to_vec()));
        written.file.set_len(30).expect("cut");
        let end = next_but_ticks(&mut capture);
        let Seen::Error(message) = end else {
            panic!("{end:?}")
        };
        assert!(message.contains("was cut to 30 bytes"), "{message}");
        assert_eq!(next(&mut capture), Seen::End);
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let refused = |bytes: &[u8]| {
            let written = Written::new(bytes);
            let refused = Capture::follow(&written.path(), 0, Arc::clone(&written.stop));
            refused.err().expect("refused").to_string()
        };
        let gzip = refused(b"\x1f\x8b\x08\x00 and so on, it is long enough");
        assert!(gzip.contains("is compressed with gzip"), "{gzip}");
        let text = refused(b"Hello, world, this is no capture\n");
        assert!(text.contains("is text"), "{text}");
        let device = Capture::follow(Path::new("/dev/null"), 0, Arc::default());
        let device = device.err().expect("refused").to_string();
        assert!(device.contains("no regular file"), "{device}");
    }

    #[test]
    fn a_file_may_begin_later() {
        let mut written = Written::new(b"");
        let (path, stop) = (written.path(), Arc::clone(&written.stop));
        let reader = std::thread::spawn(move || {
            let mut capture = Capture::follow(&path, 0, stop).expect("a header");
            next_but_ticks(&mut capture)
        });
        for bytes in pcap(ByteOrder::Big).record(1, 0, b"abcd").bytes.chunks(9) {
            written.append(bytes);
            std::thread::sleep(Duration::from_millis(20));
        }
        let seen = reader.join().expect("no panic");
        assert_eq!(seen, Seen::Packet(b"abcd".to_vec()));
    }
}

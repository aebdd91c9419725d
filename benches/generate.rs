//! Writes a synthetic capture, the same bytes every time.
//!
//! ```sh
//! cargo run --release --example generate -- a 1000000 /tmp/a.pcap
//! cargo run --release --example generate -- h 2000000 /tmp/taps 3 8
//! ```
//!
//! The kinds are those of [`traffic`]. With numbers of taps and files, it writes the
//! packets to `tap1-01.pcap` and so on in a folder: each client is captured by one tap,
//! every tenth by two of them, and each tap begins another file several times.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

mod traffic;

use traffic::Kind;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let parsed = |kind: &str, packets: &str| Kind::from_name(kind).zip(packets.parse().ok());
    let done = match args[..] {
        [kind, packets, file] => {
            parsed(kind, packets).map(|(kind, packets)| (write(kind, packets, file), file))
        }
        [kind, packets, folder, taps, files] => parsed(kind, packets)
            .zip(taps.parse().ok().zip(files.parse().ok()))
            .map(|(what, division)| (write_taps(what, folder.as_ref(), division), folder)),
        _ => None,
    };
    match done {
        Some((Ok(()), _)) => ExitCode::SUCCESS,
        Some((Err(error), to)) => {
            eprintln!("generate: {to}: {error}");
            ExitCode::from(2)
        }
        None => {
            eprintln!("usage: generate a|b|c|d|e|f|g|h PACKETS FILE.pcap|FOLDER TAPS FILES");
            ExitCode::from(2)
        }
    }
}

/// A pcap file.
struct Pcap(BufWriter<File>);

/// A tap: its file, and packets that it captures later than others.
struct Tap {
    file: Pcap,
    later: VecDeque<(u64, Vec<u8>)>,
}

impl Tap {
    fn packet(&mut self, time: u64, packet: &[u8]) -> io::Result<()> {
        self.flush(time)?;
        self.file.packet(time, packet)
    }

    /// Writes what was captured before this time.
    fn flush(&mut self, time: u64) -> io::Result<()> {
        let due = self.later.partition_point(|(at, _)| *at <= time);
        for (at, packet) in self.later.drain(..due) {
            self.file.packet(at, &packet)?;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.flush(u64::MAX)?;
        self.file.0.flush()
    }
}

impl Pcap {
    fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        file.write_all(b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0")?;
        Ok(Self(file))
    }

    fn packet(&mut self, time: u64, packet: &[u8]) -> io::Result<()> {
        let micros = time / 1_000;
        let length = (packet.len() as u32).to_le_bytes();
        let mut header = [0; 16];
        header[..4].copy_from_slice(&((micros / 1_000_000) as u32).to_le_bytes());
        header[4..8].copy_from_slice(&((micros % 1_000_000) as u32).to_le_bytes());
        header[8..12].copy_from_slice(&length);
        header[12..].copy_from_slice(&length);
        self.0.write_all(&header)?;
        self.0.write_all(packet)
    }
}

fn write(kind: Kind, packets: u64, file: &str) -> io::Result<()> {
    let mut file = Pcap::create(file.as_ref())?;
    let mut result = Ok(());
    traffic::generate(kind, packets, &mut |time, packet| {
        if result.is_ok() {
            result = file.packet(time, packet);
        }
    });
    result.and_then(|()| file.0.flush())
}

fn write_taps(
    (kind, packets): (Kind, u64),
    folder: &Path,
    (taps, files): (u64, u64),
) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut open: Vec<Tap> = Vec::new();
    let (mut number, mut result) = (0, Ok(()));
    traffic::generate(kind, packets, &mut |time, packet| {
        let mut put = || {
            if number % packets.div_ceil(files) == 0 {
                let part = number / packets.div_ceil(files) + 1;
                open.iter_mut().try_for_each(Tap::end)?;
                let create = |tap| {
                    let path = folder.join(format!("tap{}-{part:02}.pcap", tap + 1));
                    let (file, later) = (Pcap::create(&path)?, VecDeque::new());
                    Ok(Tap { file, later })
                };
                open = (0..taps).map(create).collect::<io::Result<_>>()?;
            }
            number += 1;
            // The address of the client, which is not that of the server.
            let [src, dst] = [26, 30].map(|at| &packet[at..at + 4]);
            let client = if src == [10, 255, 0, 1] { dst } else { src };
            let client = client
                .iter()
                .fold(0, |sum, byte| sum * 256 + u64::from(*byte));
            open[(client % taps) as usize].packet(time, packet)?;
            if client % 10 == 0 {
                // The other tap is some metres further.
                let other = &mut open[((client + 1) % taps) as usize];
                other.later.push_back((time + 15_000, packet.to_vec()));
            }
            Ok(())
        };
        if result.is_ok() {
            result = put();
        }
    });
    result.and_then(|()| open.iter_mut().try_for_each(Tap::end))
}

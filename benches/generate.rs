//! Writes a synthetic capture, the same bytes every time.
//!
//! ```sh
//! cargo run --release --example generate -- a 1000000 /tmp/a.pcap
//! ```
//!
//! The kinds are those of [`traffic`].

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

mod traffic;

use traffic::Kind;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match args.as_slice() {
        [kind, packets, file] => Kind::from_name(kind)
            .zip(packets.parse().ok())
            .zip(Some(file)),
        _ => None,
    };
    let Some(((kind, packets), file)) = parsed else {
        eprintln!("usage: generate a|b|c|d|e|f|g PACKETS FILE.pcap");
        return ExitCode::from(2);
    };
    match write(kind, packets, file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generate: {file}: {error}");
            ExitCode::from(2)
        }
    }
}

fn write(kind: Kind, packets: u64, file: &str) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(file)?);
    file.write_all(b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0")?;
    let mut result = Ok(());
    traffic::generate(kind, packets, &mut |time, packet| {
        let micros = time / 1_000;
        let length = (packet.len() as u32).to_le_bytes();
        let mut header = [0; 16];
        header[..4].copy_from_slice(&((micros / 1_000_000) as u32).to_le_bytes());
        header[4..8].copy_from_slice(&((micros % 1_000_000) as u32).to_le_bytes());
        header[8..12].copy_from_slice(&length);
        header[12..].copy_from_slice(&length);
        if result.is_ok() {
            result = file
                .write_all(&header)
                .and_then(|()| file.write_all(packet));
        }
    });
    result.and_then(|()| file.flush())
}

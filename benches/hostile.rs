//! Writes a capture made to cost memory or time, the same bytes every time.
//!
//! ```sh
//! cargo run --release --example hostile -- half-open 1000000 /tmp/a.pcap
//! ```
//!
//! `benches/hostile.sh` measures all kinds at two sizes, and `tests/memory.rs` reads them
//! with little memory.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

#[path = "hostile/kinds.rs"]
mod kinds;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match args.as_slice() {
        [kind, n, file] => kinds::find(kind).zip(n.parse().ok()).zip(Some(file)),
        _ => None,
    };
    let Some(((generate, n), path)) = parsed else {
        eprintln!("usage: hostile KIND N FILE.pcap");
        for (name, _, what) in kinds::KINDS {
            eprintln!("  {name:15} {what}");
        }
        return ExitCode::from(2);
    };
    match File::create(path).and_then(|file| write(BufWriter::new(file), generate, n)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hostile: {path}: {error}");
            ExitCode::from(2)
        }
    }
}

fn write(mut out: impl Write, generate: kinds::Generate, n: u32) -> std::io::Result<()> {
    let mut result = Ok(());
    kinds::write(generate, n, &mut |bytes| {
        if result.is_ok() {
            result = out.write_all(bytes);
        }
    });
    result.and_then(|()| out.flush())
}

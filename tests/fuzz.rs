//! The fuzz targets, called with their seeds, with captures, and with mutations of both.

use std::path::Path;

use crate::support::program::project;

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub)]
mod targets;

/// Seeds and regressions, each by its target; and damaged copies.
#[test]
fn seeds_and_their_mutations() {
    for (name, target) in targets::TARGETS {
        let folder = project("fuzz/corpus").join(name);
        let seeds = files(&folder);
        let takes_captures = matches!(*name, "capture_file" | "whole" | "redact");
        assert!(takes_captures || !seeds.is_empty(), "no seed for {name}");
        // Many seeds get few rounds.
        let rounds = (2000 / seeds.len().max(1) as u64).clamp(4, 50);
        for seed in &seeds {
            target(seed);
            for round in 0..rounds {
                target(&damaged(seed, round));
            }
        }
    }
}

/// Small captures, whole and damaged, by the targets that take captures.
#[test]
fn captures_and_their_mutations() {
    const SMALL: usize = 20_000;
    let captures: Vec<_> = files(&project("fixtures/captures"))
        .into_iter()
        .filter(|capture| capture.len() < SMALL)
        .collect();
    assert!(captures.len() > 20);
    for (name, target) in targets::TARGETS {
        if matches!(*name, "capture_file" | "whole" | "redact") {
            for capture in &captures {
                target(capture);
                for round in 0..4 {
                    target(&damaged(capture, round));
                }
            }
        }
    }
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let files = paths.iter().filter(|path| path.is_file());
    files
        .map(|path| std::fs::read(path).expect("a readable file"))
        .collect()
}

/// A copy with some bytes changed, and cut off now and then.
fn damaged(bytes: &[u8], round: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    // xorshift, from a fixed seed: a failure is repeatable.
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ (round + 1).wrapping_mul(0x2545_f491_4f6c_dd1d);
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    if bytes.is_empty() {
        return bytes;
    }
    for _ in 0..=random(8) {
        let at = random(bytes.len());
        bytes[at] = match random(4) {
            0 => 0xff,
            1 => 0,
            2 => bytes[at] ^ 1 << random(8),
            _ => random(256) as u8,
        };
    }
    if random(4) == 0 {
        bytes.truncate(random(bytes.len()));
    }
    bytes
}

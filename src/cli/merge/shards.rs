//! Verifies a folder of shards by its manifest.

use std::fs::{self, File};
use std::path::Path;

use mqttdump::shard::{Manifest, Part, Problem};

use crate::cli::checksum::Checksum;
use crate::cli::stop::Stop;

/// How many shards there are, and what is missing or damaged, one sentence each.
pub(super) fn verify(folder: &Path) -> Result<(usize, Vec<String>), Stop> {
    let path = folder.join(Manifest::NAME);
    let name = path.display();
    let json = fs::read(&path).map_err(|error| format!("{name}: {error}"))?;
    let manifest = Manifest::from_json(&json).map_err(|why| format!("{name}: {why}"))?;
    let mut problems: Vec<String> = Vec::new();
    if !manifest.complete {
        problems.push(format!("{name}: the files that were split are damaged"));
    }
    for part in &manifest.shards {
        if let Some(problem) = problem(&folder.join(&part.file), part) {
            let file = folder.join(&part.file);
            problems.push(format!("{}: {problem}", file.display()));
        }
    }
    Ok((manifest.shards.len(), problems))
}

fn problem(path: &Path, part: &Part) -> Option<Problem> {
    let Ok(file) = File::open(path) else {
        return Some(Problem::Missing);
    };
    let found = file.metadata().map_or(0, |metadata| metadata.len());
    if found != part.bytes {
        return Some(Problem::Size {
            expected: part.bytes,
            found,
        });
    }
    let checksum = Checksum::of_all(file).map(|checksum| checksum.text());
    (checksum.ok().as_ref() != Some(&part.xxh64)).then_some(Problem::Checksum)
}

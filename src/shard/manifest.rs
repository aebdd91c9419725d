//! The manifest of a set of shards: what there must be, so that a missing or damaged
//! shard is noticed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Shards of one run of `shard`, as `manifest.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the format.
    pub format: String,
    /// Version of the format.
    pub version: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// What is kept together: `flow` or `session`.
    pub by: String,
    /// XXH64 of the plan, with `session`: shards of several machines fit together
    /// only with the same plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The files that were split.
    pub files: Vec<SourceFile>,
    /// Packets in them that passed the filter.
    pub packets: u64,
    /// Whether they could be read to their ends.
    pub complete: bool,
    /// IP fragments that are not in the shard of their connection, because they were
    /// captured long before their first fragment, or without it.
    #[serde(default)]
    pub fragments_apart: u64,
    /// Frames of 802.11 aggregates that are not in the shard of their connection.
    #[serde(default)]
    pub aggregates_apart: u64,
    /// The shards, in order.
    pub shards: Vec<Part>,
}

/// A file that was split.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its name as typed.
    pub name: String,
    /// Its packets that passed the filter.
    pub packets: u64,
}

/// A shard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Its file, in the folder of the manifest.
    pub file: String,
    /// Its packets.
    pub packets: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// XXH64 of the file, in hexadecimal, as `xxhsum -H64` prints it. It shows damage, not
    /// malice: SHA-256 would take most of the time of splitting where the processor has
    /// no instructions for it.
    pub xxh64: String,
}

/// What is wrong with a shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// It is not there, or cannot be read.
    Missing,
    /// It has another size.
    Size {
        /// According to the manifest.
        expected: u64,
        /// On disk.
        found: u64,
    },
    /// It has other content.
    Checksum,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Size { expected, found } => {
                write!(f, "expected {expected} bytes, found {found}")
            }
            Self::Checksum => f.write_str("its checksum is not that of the manifest"),
        }
    }
}

impl Manifest {
    /// Name of the format.
    pub const FORMAT: &str = "mqttdump-shards";
    /// Version of the format that this program reads and writes.
    pub const VERSION: u32 = 2;
    /// Name of the file.
    pub const NAME: &str = "manifest.json";

    /// The manifest as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Reads a manifest. The error says what is wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        match (manifest.format.as_str(), manifest.version) {
            (Self::FORMAT, Self::VERSION) => Ok(manifest),
            (format, version) => Err(format!(
                "expected {} version {}, found {format} version {version}",
                Self::FORMAT,
                Self::VERSION
            )),
        }
    }
}

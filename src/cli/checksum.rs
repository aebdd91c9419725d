//! [`Checksum`]: XXH64 of what is written or read, so that damage is noticed.

use std::hash::Hasher;
use std::io::{self, Read};

use twox_hash::XxHash64;

/// XXH64 of bytes, and how many they are.
#[derive(Default)]
pub(super) struct Checksum {
    hash: XxHash64,
    bytes: u64,
}

impl Checksum {
    /// Of these bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut this = Self::default();
        this.add(bytes);
        this
    }

    /// Of all that can be read.
    pub(super) fn of_all(mut from: impl Read) -> io::Result<Self> {
        let mut this = Self::default();
        let mut chunk = vec![0; 1 << 16];
        loop {
            match from.read(&mut chunk)? {
                0 => return Ok(this),
                there => this.add(chunk.get(..there).unwrap_or_default()),
            }
        }
    }

    /// More bytes follow.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.hash.write(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// The XXH64.
    pub(super) fn value(&self) -> u64 {
        self.hash.finish()
    }

    /// The XXH64 in hexadecimal.
    pub(super) fn text(&self) -> String {
        format!("{:016x}", self.value())
    }

    /// How many bytes there are.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

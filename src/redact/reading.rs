//! [`Reading`]: what a capture reads as, in one number, to compare a redacted capture
//! with the original.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::engine::{Config, Engine, Output};
use crate::packet::CapturedPacket;

/// The control packets of a capture: where each lies, its fixed header, its Packet
/// Identifier, and how many defects it has.
#[derive(Debug)]
pub struct Reading {
    engine: Engine,
    hasher: DefaultHasher,
    frames: u64,
}

impl Reading {
    /// Of a capture of which nothing was read yet.
    pub fn new(config: &Config) -> Self {
        Self {
            engine: Engine::new(config.clone()),
            hasher: DefaultHasher::new(),
            frames: 0,
        }
    }

    /// Reads the next packet.
    pub fn push(&mut self, packet: &CapturedPacket<'_>) {
        let (hasher, frames) = (&mut self.hasher, &mut self.frames);
        self.engine
            .push(packet, &mut |output| take(&output, hasher, frames));
    }

    /// The capture has ended. Two that read the same give the same.
    pub fn finish(mut self) -> (u64, u64) {
        let (hasher, frames) = (&mut self.hasher, &mut self.frames);
        self.engine
            .finish(&mut |output| take(&output, hasher, frames));
        (self.frames, self.hasher.finish())
    }
}

fn take(output: &Output<'_>, hasher: &mut DefaultHasher, frames: &mut u64) {
    let Output::Frame(frame) = output else {
        return;
    };
    *frames += 1;
    frame.connection.number.hash(hasher);
    frame.direction.hash(hasher);
    frame.last.number.hash(hasher);
    frame.header.first.hash(hasher);
    frame.header.remaining_length.hash(hasher);
    frame.missing.hash(hasher);
    frame.packet.packet_id().hash(hasher);
    frame.packet.code().hash(hasher);
    frame.defects.len().hash(hasher);
}

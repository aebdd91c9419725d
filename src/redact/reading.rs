//! [`Reading`]: what a capture reads as, in one number, to compare a redacted capture
//! with the original.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::engine::{Config, Engine, Output};
use crate::packet::CapturedPacket;

/// The control packets of a capture: where each lies in its stream and in the capture, its
/// fixed header, its Packet Identifier, and how many defects it has.
///
/// It does not depend on the order in which streams are read. What is left of both
/// directions of a connection at its end is read in the order of their addresses, which
/// pseudonyms change.
#[derive(Debug)]
pub struct Reading {
    engine: Engine,
    /// Of all control packets.
    sum: u64,
    frames: u64,
}

impl Reading {
    /// Of a capture of which nothing was read yet.
    pub fn new(config: &Config) -> Self {
        Self {
            engine: Engine::new(config.clone()),
            sum: 0,
            frames: 0,
        }
    }

    /// Reads the next packet.
    pub fn push(&mut self, packet: &CapturedPacket<'_>) {
        let (sum, frames) = (&mut self.sum, &mut self.frames);
        self.engine
            .push(packet, &mut |output| take(&output, sum, frames));
    }

    /// The capture has ended. Two that read the same give the same.
    pub fn finish(mut self) -> (u64, u64) {
        let (sum, frames) = (&mut self.sum, &mut self.frames);
        self.engine.finish(&mut |output| take(&output, sum, frames));
        (self.frames, self.sum)
    }
}

fn take(output: &Output<'_>, sum: &mut u64, frames: &mut u64) {
    let Output::Frame(frame) = output else {
        return;
    };
    *frames += 1;
    let hasher = &mut DefaultHasher::new();
    frame.connection.number.hash(hasher);
    frame.direction.hash(hasher);
    frame.offset.hash(hasher);
    frame.last.number.hash(hasher);
    frame.header.first.hash(hasher);
    frame.header.remaining_length.hash(hasher);
    frame.missing.hash(hasher);
    frame.packet.packet_id().hash(hasher);
    frame.packet.code().hash(hasher);
    frame.defects.len().hash(hasher);
    *sum = sum.wrapping_add(hasher.finish());
}

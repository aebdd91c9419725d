//! One direction of a connection: what replaces its bytes, and the packets that wait
//! for that.

use std::collections::VecDeque;

use super::headers::UNREAD;
use crate::layer::ByteRange;
use crate::limits;

/// Replacements and waiting packets of a stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Replacements by position, in order.
    new: VecDeque<(u64, Vec<u8>)>,
    new_bytes: usize,
    /// Everything before this position is read.
    resolved: u64,
    /// Packets with payload: index, position, length.
    waiting: VecDeque<(u64, i64, usize)>,
    /// Whether there are layers below the MQTT stream.
    is_layered: bool,
    /// Then where its bytes are of which the control packet is not complete.
    map: VecDeque<(u64, u64, u64)>,
}

impl Stream {
    /// A packet waits for what replaces its payload.
    pub(super) fn wait(&mut self, index: u64, offset: i64, len: usize) {
        self.waiting.push_back((index, offset, len));
    }

    /// The packets that wait for bytes of this range.
    pub(super) fn waiting(&self, start: u64, end: u64) -> impl Iterator<Item = u64> {
        let overlaps = move |&&(_, offset, len): &&(u64, i64, usize)| {
            i128::from(offset) < i128::from(end)
                && i128::from(offset) + len as i128 > i128::from(start)
        };
        self.waiting
            .iter()
            .filter(overlaps)
            .map(|&(index, ..)| index)
    }

    /// Bytes of the MQTT stream from an offset on are at this range of the TCP stream.
    pub(super) fn map(&mut self, offset: u64, start: u64, end: u64) {
        self.is_layered = true;
        self.map.push_back((offset, start, end));
    }

    /// Where the first control packet that is not complete begins.
    pub(super) fn incomplete(&self) -> Option<u64> {
        self.map.front().map(|&(_, start, _)| start)
    }

    /// Where the first `len` bytes of a control packet are: offset within it, and range
    /// of the TCP stream.
    pub(super) fn places(
        &mut self,
        offset: u64,
        range: ByteRange,
        len: u64,
    ) -> Vec<(usize, u64, u64)> {
        if !self.is_layered {
            return vec![(0, range.start, range.start + len.min(range.len()))];
        }
        let mut places = Vec::new();
        for &(first, start, end) in &self.map {
            let from = first.max(offset);
            let to = (first + (end - start)).min(offset + len);
            if from < to {
                let at = start + (from - first);
                places.push(((from - offset) as usize, at, at + (to - from)));
            }
        }
        // Control packets ascend.
        while self
            .map
            .front()
            .is_some_and(|&(_, _, end)| end <= range.end)
        {
            self.map.pop_front();
        }
        places
    }

    /// Bytes that replace those from a position on.
    pub(super) fn replace(&mut self, start: u64, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.new_bytes += bytes.len();
        let at = self.new.partition_point(|&(position, _)| position <= start);
        self.new.insert(at, (start, bytes));
        // Retransmissions further back than the engine compares are not read either.
        while self.new_bytes > 2 * limits::HISTORY_BYTES && self.new.len() > 1 {
            let is_done = self
                .new
                .front()
                .is_some_and(|(at, bytes)| at + bytes.len() as u64 <= self.resolved);
            if !is_done {
                break;
            }
            let dropped = self.new.pop_front();
            self.new_bytes -= dropped.map_or(0, |(_, bytes)| bytes.len());
        }
    }

    /// Everything before a position is read: returns the packets that lie before it, with
    /// their new payload.
    pub(super) fn resolve(&mut self, position: u64) -> Vec<(u64, Vec<u8>)> {
        self.resolved = self.resolved.max(position);
        let mut done = Vec::new();
        // Packets are taken in their order, so those behind one that waits can wait.
        while let Some(&(index, offset, len)) = self.waiting.front()
            && i128::from(offset) + len as i128 <= i128::from(self.resolved)
        {
            done.push((index, self.payload(offset, len)));
            self.waiting.pop_front();
        }
        done
    }

    fn payload(&self, offset: i64, len: usize) -> Vec<u8> {
        let mut payload = vec![UNREAD; len];
        let end = i128::from(offset) + len as i128;
        let first = u64::try_from(offset).unwrap_or(0);
        let from = self
            .new
            .partition_point(|(at, bytes)| at + bytes.len() as u64 <= first);
        for (at, bytes) in self.new.range(from..) {
            if i128::from(*at) >= end {
                break;
            }
            for (position, byte) in (*at..).zip(bytes) {
                let index = i128::from(position) - i128::from(offset);
                if let Ok(index) = usize::try_from(index)
                    && index < len
                {
                    payload[index] = *byte;
                }
            }
        }
        payload
    }
}

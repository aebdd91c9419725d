//! The last bytes that were passed on, so that a retransmission with *other*
//! bytes is noticed.
//!
//! One ring serves all flows: remembering costs a copy into memory that stays
//! in the cache, and comparing is paid for only by retransmissions. What has
//! been overwritten can no longer be compared, so a conflict further back than
//! [`HISTORY_BYTES`](crate::limits::HISTORY_BYTES) of traffic goes unseen.
//!
//! ```text
//! ring   ……|  flow 7, 0..512 |  flow 9, 0..40 |  flow 7, 512..530 |……
//! entries       #1  older=-       #2 older=-        #3 older=#1
//! flow 7 keeps "newest = #3" and walks back: #3, #1, gone.
//! ```

use std::collections::VecDeque;

use crate::limits::HISTORY_BYTES;

/// Number of an entry; 0 is none.
pub(super) type Newest = u64;

#[derive(Debug)]
struct Entry {
    /// Stream offset of its first byte.
    offset: u64,
    len: u32,
    /// Position in the ring.
    at: u32,
    /// The same stream's entry before this one.
    older: Newest,
}

/// The ring and what lies where in it.
#[derive(Debug)]
pub(super) struct History {
    ring: Vec<u8>,
    /// Next position to write.
    head: usize,
    entries: VecDeque<Entry>,
    /// Number of `entries[0]`.
    first: Newest,
}

impl History {
    pub(super) fn new() -> Self {
        Self {
            ring: Vec::new(),
            head: 0,
            entries: VecDeque::new(),
            first: 1,
        }
    }

    /// Remembers bytes that were passed on; `newest` is the stream's handle.
    pub(super) fn remember(&mut self, newest: &mut Newest, offset: u64, bytes: &[u8]) {
        // Only the end of something as large as the ring could be kept anyway.
        let skip = bytes.len().saturating_sub(HISTORY_BYTES / 4);
        let (offset, bytes) = (offset + skip as u64, &bytes[skip..]);
        if bytes.is_empty() {
            return;
        }
        if self.ring.is_empty() {
            self.ring = vec![0; HISTORY_BYTES];
        }
        if self.head + bytes.len() > HISTORY_BYTES {
            self.evict(self.head, HISTORY_BYTES);
            self.head = 0;
        }
        let end = self.head + bytes.len();
        self.evict(self.head, end);
        self.ring[self.head..end].copy_from_slice(bytes);
        self.entries.push_back(Entry {
            offset,
            len: bytes.len() as u32,
            at: self.head as u32,
            older: *newest,
        });
        *newest = self.first + self.entries.len() as u64 - 1;
        self.head = end;
    }

    /// Drops the oldest entries while they lie in `from..to` of the ring.
    /// Entries stand in ring order, so the oldest is always the next in line.
    fn evict(&mut self, from: usize, to: usize) {
        while let Some(oldest) = self.entries.front() {
            let at = oldest.at as usize;
            if at < from || at >= to {
                break;
            }
            self.entries.pop_front();
            self.first += 1;
        }
    }

    /// How many of `bytes`, at `offset` of the stream, differ from what was
    /// passed on before, as far as that is still remembered.
    pub(super) fn differing(&self, newest: Newest, offset: u64, bytes: &[u8]) -> u64 {
        let end = offset + bytes.len() as u64;
        let mut count = 0;
        let mut next = newest;
        while let Some(entry) = next
            .checked_sub(self.first)
            .and_then(|i| self.entries.get(i as usize))
        {
            let from = entry.offset.max(offset);
            let to = (entry.offset + u64::from(entry.len)).min(end);
            if from < to {
                let ours = &bytes[(from - offset) as usize..(to - offset) as usize];
                let start = entry.at as usize + (from - entry.offset) as usize;
                let theirs = &self.ring[start..start + ours.len()];
                count += differing(ours, theirs);
            }
            if entry.offset <= offset {
                break;
            }
            next = entry.older;
        }
        count
    }
}

/// How many bytes of two slices of one length differ.
pub(super) fn differing(a: &[u8], b: &[u8]) -> u64 {
    if a == b {
        return 0;
    }
    a.iter().zip(b).filter(|(a, b)| a != b).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_across_segments_and_evicts_overwritten_bytes() {
        let mut history = History::new();
        let (mut seven, mut nine) = (0, 0);
        history.remember(&mut seven, 0, b"hello ");
        history.remember(&mut nine, 0, b"other");
        history.remember(&mut seven, 6, b"world");
        assert_eq!(history.differing(seven, 0, b"hello world"), 0);
        assert_eq!(history.differing(seven, 4, b"o-World"), 2);
        assert_eq!(history.differing(nine, 0, b"0ther"), 1);

        let block = vec![0xaa; HISTORY_BYTES / 8];
        for i in 0..20 {
            history.remember(&mut nine, 5 + i * block.len() as u64, &block);
        }
        assert_eq!(history.differing(seven, 0, b"HELLO WORLD"), 0);
        assert!(history.entries.len() <= 8);
    }
}

//! Several captures as one, by time: the parts of a rotated capture, or the two
//! ends of a link.
//!
//! Each capture keeps its own order, whatever its times are. Of the first
//! packets of all captures, the earliest comes next; with equal times, that of
//! the file named first. Blocks other than packets (interfaces, secrets) come
//! as soon as they are first, and so before the packets that need them; but marks of the
//! clock in shards have a time, as packets do.
//!
//! ```text
//! a: 1 4 4      →  a1 b2 b3 a4 a4 b4
//! b: 2 3 4
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::VecDeque;
use std::collections::binary_heap::PeekMut;

use crate::time::Timestamp;

use super::error::Error;
use super::item::Item;
use super::source::Capture;

/// Several captures, read as one.
pub struct Merge {
    captures: Vec<Capture>,
    /// Captures with a framed packet, by its time. Empty while there is only
    /// one capture: it needs no order.
    waiting: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// The capture whose packet was lent out last, and has to be advanced.
    lent: Option<usize>,
    /// Captures before this one have been advanced for the first time.
    begun: usize,
    /// Captures that are shards of the same files as one before: each shard reports all
    /// losses.
    repeats_losses: Vec<bool>,
    errors: VecDeque<Error>,
}

impl Merge {
    /// Merges captures, in the order in which the user named them.
    pub fn new(captures: Vec<Capture>) -> Self {
        let repeats = |(index, capture): (usize, &Capture)| {
            let origin = capture.origin().filter(|it| it.shard.is_some());
            let same = |other: &Capture| {
                let other = other.origin().filter(|it| it.shard.is_some());
                origin.is_some() && other.map(|it| &it.files) == origin.map(|it| &it.files)
            };
            captures.iter().take(index).any(same)
        };
        let repeats_losses = captures.iter().enumerate().map(repeats).collect();
        Self {
            repeats_losses,
            captures,
            waiting: BinaryHeap::new(),
            lent: None,
            begun: 0,
            errors: VecDeque::new(),
        }
    }

    /// The next packet or block of all captures; `None` at the end.
    ///
    /// An error in one capture does not stop the others. As with
    /// [`Capture::next`], errors are returned one by one at the end, and `None`
    /// after them.
    #[allow(clippy::should_implement_trait)] // An iterator could not lend.
    #[inline]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, Error> {
        if self.captures.len() == 1 {
            // A pattern would borrow for the rest of the function.
            return match self.captures.first_mut() {
                Some(only) => only.next(),
                None => Ok(None),
            };
        }
        match self.choose() {
            Some(index) => {
                let others = self.earliest_but(index);
                Ok(match self.captures.get(index).and_then(Capture::item) {
                    // One of them has come that far. The others have not.
                    Some(Item::Tick(now)) => Some(Item::Tick(now.min(others))),
                    item => item,
                })
            }
            None => match self.errors.pop_front() {
                Some(error) => Err(error),
                None => Ok(None),
            },
        }
    }

    /// The next call of [`Merge::next`] may wait for more input.
    pub fn may_wait(&self) -> bool {
        match (self.lent, self.captures.as_slice()) {
            (_, [only]) => only.may_wait(),
            (Some(lent), all) => all.get(lent).is_some_and(Capture::may_wait),
            (None, all) => all.iter().any(Capture::may_wait),
        }
    }

    /// The captures, in the order in which the user named them.
    pub fn captures(&self) -> &[Capture] {
        &self.captures
    }

    /// Bytes read of all files so far, compressed or not.
    pub fn position(&self) -> u64 {
        self.captures.iter().map(Capture::position).sum()
    }

    /// Bytes of all files, if all are regular files.
    pub fn size(&self) -> Option<u64> {
        self.captures.iter().map(Capture::size).sum()
    }

    /// The capture whose packet is next.
    fn choose(&mut self) -> Option<usize> {
        while self.begun < self.captures.len() {
            let index = self.begun;
            self.begun += 1;
            if let Some(time) = self.advance(index) {
                self.waiting.push(Reverse((time, index)));
            }
        }
        if let Some(index) = self.lent.take() {
            let time = self.advance(index);
            // It is first, because it was chosen; often it stays first.
            if let Some(mut top) = self.waiting.peek_mut() {
                match time {
                    Some(time) => *top = Reverse((time, index)),
                    None => {
                        PeekMut::pop(top);
                    }
                }
            }
        }
        let &Reverse((_, index)) = self.waiting.peek()?;
        self.lent = Some(index);
        Some(index)
    }

    /// The time of the first packet that waits in any capture but this one.
    fn earliest_but(&self, index: usize) -> Timestamp {
        let others = self.waiting.iter().filter(|Reverse((_, at))| *at != index);
        let times = others.map(|Reverse((time, _))| *time);
        times.min().unwrap_or(Timestamp::MAX)
    }

    /// Frames the next packet of one capture and returns its time.
    fn advance(&mut self, index: usize) -> Option<Timestamp> {
        let repeats_losses = self.repeats_losses.get(index) == Some(&true);
        let capture = self.captures.get_mut(index)?;
        loop {
            match capture.advance() {
                Ok(true) if repeats_losses && matches!(capture.item(), Some(Item::Dropped(_))) => {}
                Ok(true) => return Some(capture.time()),
                Ok(false) => return None,
                Err(error) => self.errors.push_back(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::bytes::ByteOrder;
    use super::super::testing::{Bytes, plain};
    use super::*;

    const MICRO: u32 = 0xa1b2_c3d4;

    fn pcap(seconds: &[u32]) -> Vec<u8> {
        let header = Bytes::pcap(ByteOrder::Little, MICRO, 4, 1);
        let file = seconds
            .iter()
            .fold(header, |file, &seconds| file.record(seconds, 0, b"x"));
        file.bytes
    }

    /// `file:number@seconds` of every packet, `file!` of every error.
    fn order(files: &[Vec<u8>]) -> String {
        let captures = (0..).zip(files).map(|(index, bytes)| {
            let input = Box::new(Cursor::new(bytes.clone()));
            Capture::from_read(input, &format!("{index}!"), index).expect("a header")
        });
        let mut merge = Merge::new(captures.collect());
        let mut order = Vec::new();
        loop {
            order.push(match merge.next() {
                Ok(Some(Item::Packet(packet))) => {
                    let id = packet.packet.id;
                    let seconds = packet.packet.time.seconds();
                    format!("{}:{}@{seconds}", id.file, id.number)
                }
                Ok(Some(Item::Block(_))) => "block".to_owned(),
                Ok(Some(Item::Tick(now))) => format!("tick@{}", now.seconds()),
                Ok(Some(Item::Dropped(_))) => "dropped".to_owned(),
                Ok(None) => return order.join(" "),
                Err(error) => error.file,
            });
        }
    }

    #[test]
    fn by_time_and_on_equal_times_by_file() {
        assert_eq!(
            order(&[pcap(&[1, 4, 4]), pcap(&[2, 3, 4]), pcap(&[]), pcap(&[4])]),
            "0:1@1 1:1@2 1:2@3 0:2@4 0:3@4 1:3@4 3:1@4"
        );
    }

    #[test]
    fn each_file_keeps_its_own_order() {
        assert_eq!(
            order(&[pcap(&[5, 1, 6]), pcap(&[2, 5])]),
            "1:1@2 0:1@5 0:2@1 1:2@5 0:3@6"
        );
        assert_eq!(order(&[pcap(&[3, 1])]), "0:1@3 0:2@1");
    }

    #[test]
    fn an_error_in_one_file_is_reported_when_the_others_are_read() {
        let whole = pcap(&[1, 4]);
        let mut cut = pcap(&[2, 3]);
        cut.pop();
        assert_eq!(order(&[cut.clone(), whole]), "1:1@1 0:1@2 1:2@4 0!");
        assert_eq!(order(&[cut]), "0:1@2 0!");
    }

    #[test]
    fn blocks_go_before_the_packets_after_them() {
        let pcapng = Bytes::new(ByteOrder::Little)
            .section(ByteOrder::Little, plain)
            .interface(1, 0, plain)
            .enhanced(0, 3_000_000, 1, b"x", plain);
        assert_eq!(
            order(&[pcap(&[1, 5]), pcapng.bytes]),
            "block block 0:1@1 1:1@3 0:2@5"
        );
    }
}

//! Cuts one direction's bytes into records.
//!
//! ```text
//! segments  ├────────────┼──────────╳ lost ╳───────┼─────────────┤
//! records   ├5┼── len ──┼5┼─── len ───────────┼5┼── len ──┼5┼────┤
//!             whole       known to be one:       found again by its
//!                         counted through        header, if need be
//! ```
//! A record that lies whole in a chunk is passed on where it lies; of others
//! the chunks are put together, and each byte keeps the packet that carried
//! it. Of a record with a gap in it the header shows where the next one
//! begins. When a header is lost, the next one is looked for ([`Chain`]).
//!
//! Nothing here knows keys, versions or the use of the records.

use super::chain::Chain;
pub(super) use super::header::{HEADER, Part, header, kind, part};
use crate::flow::At;
use crate::layer::{ByteRange, Chunk, Data, Seal};

/// Items of a direction, in order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'a> {
    /// A record.
    Record(Record<'a>),
    /// A range in which records were lost.
    Gap(&'a RecordGap),
    /// Bytes where a record should begin and none does; they are part of the
    /// gap that follows. The first of them.
    Foreign(At, u8),
}

/// A record, header included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    /// Where its first byte lies in the TCP stream.
    pub(super) start: u64,
    pub(super) bytes: &'a [u8],
    /// Who carried them, in order.
    pub(super) parts: &'a [Part],
}

/// A range of the stream in which records were lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordGap {
    /// Where it begins.
    pub(super) start: u64,
    /// Ends of its ranges, and whether the capture has the bytes.
    pub(super) ends: Vec<(u64, bool)>,
    /// Whether it is exactly one record.
    pub(super) one: bool,
}

impl Record<'_> {
    /// Type of its content, as the header has it.
    pub(super) fn kind(&self) -> u8 {
        self.bytes.first().copied().unwrap_or_default()
    }

    /// The bytes after the header.
    pub(super) fn body(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    /// Where the next one begins.
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// The packet that completed it.
    pub(super) fn at(&self) -> At {
        let ats = self.parts.iter().map(|part| part.at);
        ats.max_by_key(|at| (at.time, at.packet))
            .unwrap_or_default()
    }

    /// The seal of every byte of its content.
    pub(super) fn seal(&self) -> Seal {
        let own = Seal {
            end: self.end(),
            at: self.at(),
        };
        let below = self.parts.iter().map(|part| part.seal);
        below.fold(own, Seal::outer)
    }
}

impl RecordGap {
    fn new(start: u64) -> Self {
        Self {
            start,
            ends: Vec::new(),
            one: false,
        }
    }

    /// Where it ends.
    pub(super) fn end(&self) -> u64 {
        self.ends.last().map_or(self.start, |(end, _)| *end)
    }

    /// Lengthens it.
    fn add(&mut self, end: u64, present: bool) {
        if end <= self.end() {
            return;
        }
        match self.ends.last_mut() {
            Some((last, same)) if *same == present => *last = end,
            _ => self.ends.push((end, present)),
        }
    }

    /// Its ranges, and whether the capture has the bytes.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (ByteRange, bool)> {
        let mut start = self.start;
        self.ends.iter().map(move |(end, present)| {
            let range = ByteRange { start, end: *end };
            start = *end;
            (range, *present)
        })
    }
}

/// The records of one direction.
#[derive(Debug, Default)]
pub(super) struct Records {
    state: State,
    /// Position of the next byte.
    position: u64,
    /// The record that is not complete.
    kept: Vec<u8>,
    parts: Vec<Part>,
}

#[derive(Debug, Default)]
enum State {
    /// The next byte (or the first that is kept) begins a record.
    #[default]
    Aligned,
    /// Within a record that has a gap.
    Within(RecordGap, u64),
    /// Looking for a header.
    Lost(RecordGap, Chain),
}

impl Records {
    /// Takes the next chunk.
    pub(super) fn push(&mut self, chunk: Chunk<'_>, each: &mut dyn FnMut(Item<'_>)) {
        match chunk {
            Chunk::Data(data) => self.data(data, each),
            Chunk::Gap { range, .. } => self.gap(range, each),
        }
    }

    /// Nothing more comes: an incomplete record is a gap.
    pub(super) fn finish(&mut self, each: &mut dyn FnMut(Item<'_>)) {
        let state = std::mem::take(&mut self.state);
        let mut gap = match state {
            State::Aligned => RecordGap::new(self.kept_from()),
            State::Within(gap, _) | State::Lost(gap, _) => gap,
        };
        gap.add(self.position, true);
        self.reset();
        if !gap.ends.is_empty() {
            each(Item::Gap(&gap));
        }
    }

    /// Bytes kept.
    pub(super) fn kept(&self) -> usize {
        let searched = match &self.state {
            State::Lost(_, chain) => chain.kept(),
            _ => 0,
        };
        self.kept.len() + searched
    }

    fn kept_from(&self) -> u64 {
        self.position - self.kept.len() as u64
    }

    fn reset(&mut self) {
        self.kept.clear();
        self.kept.shrink_to(4096);
        self.parts.clear();
    }

    fn data(&mut self, mut data: Data<'_>, each: &mut dyn FnMut(Item<'_>)) {
        self.position = data.range.start;
        while !data.bytes.is_empty() {
            data = match &mut self.state {
                State::Aligned if self.kept.is_empty() => self.whole(data, each),
                State::Aligned => self.gather(data, each),
                State::Within(..) => self.within(data, each),
                State::Lost(..) => self.search(data, each),
            };
            self.position = data.range.start;
        }
    }

    /// Passes on the records that lie whole at the start of a chunk; this is
    /// the path that nearly all take.
    fn whole<'a>(&mut self, mut data: Data<'a>, each: &mut dyn FnMut(Item<'_>)) -> Data<'a> {
        while data.bytes.len() >= HEADER {
            let Some((_, len)) = header(data.bytes) else {
                self.lose(data.range.start);
                each(Item::Foreign(
                    data.at,
                    data.bytes.first().copied().unwrap_or_default(),
                ));
                return data;
            };
            if data.bytes.len() < HEADER + len {
                break;
            }
            let (record, rest) = data.split_at(HEADER + len);
            each(Item::Record(Record {
                start: record.range.start,
                bytes: record.bytes,
                parts: &[part(&record)],
            }));
            data = rest;
        }
        if !data.bytes.is_empty() {
            self.kept.extend_from_slice(data.bytes);
            self.parts.push(part(&data));
        }
        data.split_at(data.bytes.len()).1
    }

    /// Adds to the record that is not complete.
    fn gather<'a>(&mut self, data: Data<'a>, each: &mut dyn FnMut(Item<'_>)) -> Data<'a> {
        let wanted = match (self.kept.len() < HEADER, header(&self.kept)) {
            (true, _) => HEADER,
            (_, Some((_, len))) => HEADER + len,
            (_, None) => return self.foreign(data, each),
        };
        let missing = wanted.saturating_sub(self.kept.len());
        let (mine, rest) = data.split_at(missing.min(data.bytes.len()));
        if !mine.bytes.is_empty() {
            self.kept.extend_from_slice(mine.bytes);
            self.parts.push(part(&mine));
        }
        // After the header the body follows, unless it is no header.
        if self.kept.len() == HEADER && wanted == HEADER {
            return match header(&self.kept) {
                Some((_, 0)) => self.complete(rest, each),
                Some(_) => rest,
                None => self.foreign(rest, each),
            };
        }
        match self.kept.len() == wanted && wanted != HEADER {
            true => self.complete(rest, each),
            false => rest,
        }
    }

    fn complete<'a>(&mut self, rest: Data<'a>, each: &mut dyn FnMut(Item<'_>)) -> Data<'a> {
        each(Item::Record(Record {
            start: rest.range.start - self.kept.len() as u64,
            bytes: &self.kept,
            parts: &self.parts,
        }));
        self.reset();
        rest
    }

    /// The five bytes that are kept are no header.
    fn foreign<'a>(&mut self, rest: Data<'a>, each: &mut dyn FnMut(Item<'_>)) -> Data<'a> {
        let start = rest.range.start - self.kept.len() as u64;
        let (kept, parts) = (
            std::mem::take(&mut self.kept),
            std::mem::take(&mut self.parts),
        );
        self.lose(start);
        each(Item::Foreign(
            rest.at,
            kept.first().copied().unwrap_or_default(),
        ));
        self.again(start, &kept, &parts, each);
        rest
    }

    /// Takes bytes that were kept.
    fn again(
        &mut self,
        mut start: u64,
        mut bytes: &[u8],
        parts: &[Part],
        each: &mut dyn FnMut(Item<'_>),
    ) {
        for part in parts {
            let Some((mine, rest)) = bytes.split_at_checked(part.len) else {
                break;
            };
            let end = start + part.len as u64;
            self.data(
                Data {
                    bytes: mine,
                    range: ByteRange { start, end },
                    at: part.at,
                    seal: part.seal,
                },
                each,
            );
            (start, bytes) = (end, rest);
        }
    }

    fn lose(&mut self, start: u64) {
        self.reset();
        self.state = State::Lost(RecordGap::new(start), Chain::default());
    }

    fn gap(&mut self, range: ByteRange, each: &mut dyn FnMut(Item<'_>)) {
        match std::mem::take(&mut self.state) {
            State::Aligned => {
                let mut gap = RecordGap::new(range.start - self.kept.len() as u64);
                gap.add(range.start, true);
                let body = header(&self.kept).map(|(_, len)| len);
                self.reset();
                match body {
                    Some(len) => {
                        let end = gap.start + (HEADER + len) as u64;
                        self.state = State::Within(gap, end);
                        self.gap(range, each);
                        return;
                    }
                    None => {
                        gap.add(range.end, false);
                        self.state = State::Lost(gap, Chain::default());
                    }
                }
            }
            State::Within(mut gap, end) => {
                gap.add(range.end, false);
                self.state = match range.end.cmp(&end) {
                    std::cmp::Ordering::Less => State::Within(gap, end),
                    std::cmp::Ordering::Equal => {
                        gap.one = true;
                        each(Item::Gap(&gap));
                        State::Aligned
                    }
                    std::cmp::Ordering::Greater => State::Lost(gap, Chain::default()),
                };
            }
            State::Lost(mut gap, _) => {
                gap.add(range.start, true);
                gap.add(range.end, false);
                self.state = State::Lost(gap, Chain::default());
            }
        }
        self.position = range.end;
    }

    fn within<'a>(&mut self, data: Data<'a>, each: &mut dyn FnMut(Item<'_>)) -> Data<'a> {
        let State::Within(gap, end) = &mut self.state else {
            return data;
        };
        let left = usize::try_from(end.saturating_sub(data.range.start)).unwrap_or(usize::MAX);
        let (mine, rest) = data.split_at(left.min(data.bytes.len()));
        gap.add(mine.range.end, true);
        if mine.range.end >= *end {
            gap.one = true;
            each(Item::Gap(gap));
            self.state = State::Aligned;
        }
        rest
    }

    fn search<'a>(&mut self, data: Data<'a>, each: &mut dyn FnMut(Item<'_>)) -> Data<'a> {
        let State::Lost(gap, chain) = &mut self.state else {
            return data;
        };
        let (rest, found) = chain.push(data);
        let Some(found) = found else {
            return rest;
        };
        gap.add(found.start, true);
        // At the very start of a stream there may be nothing to skip.
        if !gap.ends.is_empty() {
            each(Item::Gap(gap));
        }
        self.state = State::Aligned;
        self.again(found.start, &found.bytes, &found.parts, each);
        rest
    }
}

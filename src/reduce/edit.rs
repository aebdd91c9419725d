//! Cuts bytes out of TCP streams, as if they had never been sent.
//!
//! ```text
//! seq 100  AAAAABBBBBCCCCC  ack 40      without BBBBB, and 10 bytes of the other stream:
//! seq 100  AAAAACCCCC       ack 30
//! ```
//! Sequence and acknowledgement numbers count what is left; lengths are right, and
//! checksums are right if they were. A segment of which nothing is left stays as an
//! acknowledgement.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::net::checksum::{fold, sum};

use super::Sample;
use super::script::{Message, Place, Script, StreamId, reversed};

/// Ranges that are cut out, by stream, in order.
#[derive(Debug, Default)]
pub(super) struct Cuts(BTreeMap<StreamId, Vec<Cut>>);

#[derive(Clone, Copy, Debug)]
struct Cut {
    start: u64,
    end: u64,
    /// Bytes that are cut out before it.
    before: u64,
}

const SEQUENCE: usize = 4;
const ACKNOWLEDGEMENT: usize = 8;
const CHECKSUM: usize = 16;
const OPTIONS: usize = 20;

impl Cuts {
    /// Cuts these out.
    pub(super) fn of<'a>(messages: impl Iterator<Item = &'a Message>) -> Self {
        let mut cuts = Self::default();
        for message in messages {
            let (start, end) = (message.range.start, message.range.end);
            let ranges = cuts.0.entry(message.stream).or_default();
            ranges.push(Cut {
                start,
                end,
                before: 0,
            });
        }
        for ranges in cuts.0.values_mut() {
            ranges.sort_unstable_by_key(|cut| cut.start);
            let mut total = 0;
            for cut in ranges {
                cut.before = total;
                total += cut.end - cut.start;
            }
        }
        cuts
    }

    /// Bytes that are cut out before a position.
    fn before(&self, stream: StreamId, position: i64) -> u32 {
        let position = u64::try_from(position).unwrap_or(0);
        let ranges = self.0.get(&stream).map_or(&[][..], Vec::as_slice);
        let after = ranges.partition_point(|cut| cut.start < position);
        let last = after.checked_sub(1).and_then(|at| ranges.get(at));
        let removed = last.map_or(0, |cut| cut.before + cut.end.min(position) - cut.start);
        // Sequence numbers wrap.
        removed as u32
    }

    /// The packets without these bytes.
    pub(super) fn applied(&self, script: &Script, samples: &[Sample]) -> Vec<Sample> {
        let places = script.places.iter();
        samples
            .iter()
            .zip(places)
            .map(|(sample, place)| match place {
                Some(place) if self.concerns(place) => self.applied_to(sample, place),
                _ => sample.clone(),
            })
            .collect()
    }

    fn concerns(&self, place: &Place) -> bool {
        [place.stream, reversed(place.stream)]
            .iter()
            .any(|stream| self.0.contains_key(stream))
    }

    fn applied_to(&self, sample: &Sample, place: &Place) -> Sample {
        let &Place {
            ip,
            tcp,
            payload,
            end,
            ..
        } = place;
        let old = &sample.data;
        let mut data = old[..payload].to_vec();
        data.extend_from_slice(&self.rest(place, &old[payload..end]));
        let removed = end - data.len();
        let new_end = data.len();
        // Padding of the frame.
        data.extend_from_slice(&old[end..]);

        let earlier = self.before(place.stream, place.offset);
        subtract(&mut data, tcp + SEQUENCE, earlier);
        if let Some(acked) = place.acked {
            let other = reversed(place.stream);
            let number = number_at(old, tcp + ACKNOWLEDGEMENT);
            subtract(&mut data, tcp + ACKNOWLEDGEMENT, self.before(other, acked));
            selective(&mut data[tcp + OPTIONS..payload], |edge| {
                let offset = acked + i64::from(edge.wrapping_sub(number) as i32);
                edge.wrapping_sub(self.before(other, offset))
            });
        }
        set_lengths(&mut data, ip, removed);
        put_checksums(old, &mut data, place, new_end);
        Sample {
            original_len: sample.original_len - removed as u32,
            data,
            ..*sample
        }
    }

    /// A payload without what is cut out.
    fn rest<'a>(&self, place: &Place, payload: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(ranges) = self.0.get(&place.stream) else {
            return Cow::Borrowed(payload);
        };
        let is_cut = |position: i64| {
            let Ok(position) = u64::try_from(position) else {
                return false;
            };
            let at = ranges.partition_point(|cut| cut.end <= position);
            ranges.get(at).is_some_and(|cut| cut.start <= position)
        };
        let positions = place.offset..;
        let bytes = positions.zip(payload);
        bytes
            .filter(|(position, _)| !is_cut(*position))
            .map(|(_, byte)| *byte)
            .collect::<Vec<u8>>()
            .into()
    }
}

/// Maps the edges of selective acknowledgements (RFC 2018).
fn selective(options: &mut [u8], map: impl Fn(u32) -> u32) {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const SACK: u8 = 5;
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        let len = match (kind, options.get(at + 1)) {
            (END, _) | (_, None) => return,
            (NO_OPERATION, _) => 1,
            (_, Some(&len)) if len >= 2 => usize::from(len),
            _ => return,
        };
        if kind == SACK
            && let Some(edges) = options.get_mut(at + 2..at + len)
        {
            for edge in edges.chunks_exact_mut(4) {
                let mapped = map(number_at(edge, 0));
                edge.copy_from_slice(&mapped.to_be_bytes());
            }
        }
        at += len;
    }
}

fn number_at(data: &[u8], at: usize) -> u32 {
    data.get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn subtract(data: &mut [u8], at: usize, removed: u32) {
    let number = number_at(data, at).wrapping_sub(removed);
    data[at..at + 4].copy_from_slice(&number.to_be_bytes());
}

fn is_v6(data: &[u8], ip: usize) -> bool {
    data[ip] >> 4 == 6
}

/// The length in the IP header. 0 stands for a length that segmentation offload left to
/// the interface.
fn set_lengths(data: &mut [u8], ip: usize, removed: usize) {
    let at = ip + if is_v6(data, ip) { 4 } else { 2 };
    let length = u16::from_be_bytes([data[at], data[at + 1]]);
    let length = length.saturating_sub(removed as u16);
    data[at..at + 2].copy_from_slice(&length.to_be_bytes());
}

/// Puts right checksums where they were right.
fn put_checksums(old: &[u8], data: &mut [u8], place: &Place, end: usize) {
    let &Place { ip, tcp, .. } = place;
    let v6 = is_v6(old, ip);
    let pseudo = |data: &[u8], end: usize| {
        const TCP: u32 = 6;
        let addresses = if v6 {
            ip + 8..ip + 40
        } else {
            ip + 12..ip + 20
        };
        sum(&data[addresses]) + TCP + (end - tcp) as u32
    };
    if fold(sum(&old[tcp..place.end]) + pseudo(old, place.end)) == 0xffff {
        let base = pseudo(data, end);
        put(data, tcp + CHECKSUM, tcp..end, base);
    }
    let header = ip..ip + usize::from(old[ip] & 15) * 4;
    if !v6 && fold(sum(&old[header.clone()])) == 0xffff {
        put(data, ip + 10, header, 0);
    }
}

fn put(data: &mut [u8], at: usize, over: std::ops::Range<usize>, base: u32) {
    data[at..at + 2].fill(0);
    let checksum = !fold(sum(&data[over]) + base);
    data[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

//! The rows of a column as a page of Parquet.
//!
//! | values | encoding |
//! |---|---|
//! | numbers, times | `RLE_DICTIONARY` with an entry for each run of equal ones, if runs are long; else `DELTA_BINARY_PACKED` |
//! | digests | `PLAIN` |
//! | true and false | `PLAIN` |
//! | texts | `RLE_DICTIONARY` |
//! | identities of exchanges | `DELTA_BYTE_ARRAY` |
//! | payloads | `PLAIN` |
//!
//! The `parquet` crate writes what is around the pages. Its own writers take one value
//! after the other, which costs several times as much as reading the capture does.

use parquet::basic::Encoding;
use parquet::errors::ParquetError;

use super::chunk::{Chunk, Compressor, Numbers};
use super::deltas::put_deltas;
use super::hybrid::{Hybrid, width};
use super::runs::Runs;
use super::schema::Kind;
use super::store::{Exchanges, Store};
use crate::identity::ExchangeId;

/// Rows of a run from which on, on average, a dictionary of the runs is smaller than
/// differences.
const LONG: usize = 8;

/// The values of a column in a page.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) runs: &'a Runs,
    /// Those of a dense column, one by one: then the runs say which rows have one.
    pub(super) dense: Option<&'a [u64]>,
    pub(super) store: &'a Store,
    pub(super) kind: Kind,
    pub(super) is_optional: bool,
}

/// Encodes the pages of a table, with memory that is used again.
#[derive(Debug)]
pub(super) struct PageEncoder {
    pub(super) compressor: Compressor,
    page: Vec<u8>,
    /// Numbers, and others that belong to them.
    numbers: Vec<u64>,
    others: Vec<u64>,
    bytes: Vec<u8>,
}

impl PageEncoder {
    pub(super) fn new() -> Self {
        Self {
            compressor: Compressor::new(),
            page: Vec::new(),
            numbers: Vec::new(),
            others: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        let numbers = self.numbers.capacity() + self.others.capacity();
        let bytes = self.page.capacity() + self.bytes.capacity();
        self.compressor.memory() + bytes + 8 * numbers
    }

    /// Appends `rows` rows to `chunk`, as a page. There is at least one; columns of lists
    /// have no pages.
    pub(super) fn encode(
        &mut self,
        values: Values<'_>,
        rows: u32,
        chunk: &mut Chunk,
    ) -> Result<(), ParquetError> {
        let Values {
            runs,
            dense,
            store,
            kind,
            is_optional,
        } = values;
        let Self {
            page,
            numbers,
            compressor,
            ..
        } = self;
        page.clear();
        if is_optional {
            chunk.nulls += levels(runs, rows, numbers, page);
        }
        let encoding = match store {
            Store::Texts(texts, _) => {
                let mut keys = keys(texts.len(), numbers, page);
                match dense {
                    Some(dense) => keys.put_each(dense),
                    None => runs.each_value(rows, |key, rows| keys.put(key, rows)),
                }
                keys.finish();
                Encoding::RLE_DICTIONARY
            }
            Store::Exchanges(exchanges) => {
                self.identities(runs, rows, exchanges);
                return chunk.add(
                    &self.page,
                    rows,
                    Encoding::DELTA_BYTE_ARRAY,
                    &mut self.compressor,
                );
            }
            Store::Bytes(bytes) => {
                page.extend_from_slice(bytes);
                Encoding::PLAIN
            }
            Store::Numbers if kind == Kind::Bool => {
                bound(runs, rows, kind, chunk);
                bits(runs, rows, page);
                Encoding::PLAIN
            }
            Store::Numbers => {
                // Once there is a page of differences, the others are as well.
                let may_be_keys = !chunk.has_pages() || chunk.ends_in_keys();
                let is_long = dense.is_none() && runs.len() * LONG <= rows as usize;
                if may_be_keys && is_long {
                    bound(runs, rows, kind, chunk);
                    numbered(runs, rows, kind, chunk, numbers, page);
                    Encoding::RLE_DICTIONARY
                } else if let Some(dense) = dense {
                    put_numbers(dense, kind, chunk, page)
                } else {
                    numbers.clear();
                    runs.each_value(rows, |value, rows| put_all(value, rows, numbers));
                    put_numbers(numbers, kind, chunk, page)
                }
            }
            Store::NumberLists(..) | Store::TextLists(..) => {
                return Err(ParquetError::NYI("lists".into()));
            }
        };
        chunk.add(page, rows, encoding, compressor)
    }

    /// Appends the texts of identities: how many bytes each has in common with the one
    /// before, how many others, and these.
    fn identities(&mut self, runs: &Runs, rows: u32, exchanges: &Exchanges) {
        let (common, others, bytes) = (&mut self.numbers, &mut self.others, &mut self.bytes);
        common.clear();
        others.clear();
        bytes.clear();
        let mut text = Text::default();
        runs.each_value(rows, |value, rows| {
            let (connection, id) = exchanges.get(value);
            let shared = match text.next_digit(connection, id) {
                Some(digit) => {
                    bytes.push(digit);
                    text.bytes.len() - 1
                }
                None => {
                    let shared = text.turn_to(exchanges.connection(connection), connection, id);
                    bytes.extend_from_slice(&text.bytes[shared..]);
                    shared
                }
            };
            common.push(shared as u64);
            others.push((text.bytes.len() - shared) as u64);
            if rows > 1 {
                put_all(text.bytes.len() as u64, rows - 1, common);
                put_all(0, rows - 1, others);
            }
        });
        put_deltas(common, true, &mut self.page);
        put_deltas(others, true, &mut self.page);
        self.page.extend_from_slice(bytes);
    }
}

/// Appends numbers.
fn put_numbers(numbers: &[u64], kind: Kind, chunk: &mut Chunk, page: &mut Vec<u8>) -> Encoding {
    if kind == Kind::Digest {
        let start = page.len();
        page.resize(start + 8 * numbers.len(), 0);
        let (places, _) = page[start..].as_chunks_mut();
        for (place, number) in places.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        return Encoding::PLAIN;
    }
    for number in numbers {
        chunk.bounds.add(*number ^ kind.order());
    }
    put_deltas(numbers, kind.is_narrow(), page);
    Encoding::DELTA_BINARY_PACKED
}

/// Adds `value`, `rows` times.
#[inline]
fn put_all(value: u64, rows: u32, out: &mut Vec<u64>) {
    match rows {
        1 => out.push(value),
        rows => out.resize(out.len() + rows as usize, value),
    }
}

/// Keys of a dictionary with so many entries.
fn keys<'a>(entries: usize, waiting: &'a mut Vec<u64>, page: &'a mut Vec<u8>) -> Hybrid<'a> {
    let width = width(entries);
    page.push(width);
    Hybrid::new(width, waiting, page)
}

/// Appends keys of a dictionary with an entry for each run.
fn numbered(
    runs: &Runs,
    rows: u32,
    kind: Kind,
    chunk: &mut Chunk,
    waiting: &mut Vec<u64>,
    page: &mut Vec<u8>,
) {
    let numbers = chunk.numbers.get_or_insert_with(Numbers::default);
    let mut keys = keys(numbers.count + runs.len(), waiting, page);
    runs.each_value(rows, |value, rows| {
        if numbers.last != Some(value) {
            let entry = value.to_le_bytes();
            let length = if kind.is_narrow() { 4 } else { 8 };
            numbers.entries.extend_from_slice(&entry[..length]);
            (numbers.last, numbers.count) = (Some(value), numbers.count + 1);
        }
        keys.put(numbers.count as u64 - 1, rows);
    });
    keys.finish();
}

/// Appends for each row whether it has a value. Returns how many have none.
fn levels(runs: &Runs, rows: u32, waiting: &mut Vec<u64>, page: &mut Vec<u8>) -> u64 {
    let start = page.len() + 4;
    page.extend_from_slice(&[0; 4]);
    let mut levels = Hybrid::new(1, waiting, page);
    let (mut level, mut count, mut nulls) = (1, 0, 0);
    if runs.has_nulls() {
        runs.each(rows, |value, rows| {
            let next = u64::from(value.is_some());
            if next != level {
                levels.put(level, count);
                (level, count) = (next, 0);
            }
            count += rows;
            if value.is_none() {
                nulls += u64::from(rows);
            }
        });
    } else {
        count = rows;
    }
    levels.put(level, count);
    levels.finish();
    let length = (page.len() - start) as u32;
    page[start - 4..start].copy_from_slice(&length.to_le_bytes());
    nulls
}

/// Takes notice of the least and the greatest value.
fn bound(runs: &Runs, rows: u32, kind: Kind, chunk: &mut Chunk) {
    runs.each_value(rows, |value, _| chunk.bounds.add(value ^ kind.order()));
}

/// Appends a bit for each value.
fn bits(runs: &Runs, rows: u32, page: &mut Vec<u8>) {
    let (mut byte, mut count) = (0u8, 0);
    runs.each_value(rows, |value, mut rows| {
        let whole = if value == 1 { 0xff } else { 0 };
        while rows > 0 {
            if count == 0 && rows >= 8 {
                page.resize(page.len() + rows as usize / 8, whole);
                rows %= 8;
                continue;
            }
            byte |= (whole & 1) << count;
            count += 1;
            rows -= 1;
            if count == 8 {
                page.push(std::mem::take(&mut byte));
                count = 0;
            }
        }
    });
    if count > 0 {
        page.push(byte);
    }
}

/// The text of an identity, as [`ExchangeId::uid`] has it.
#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    /// The one before.
    before: Vec<u8>,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    connection: u32,
    /// The identity whose frame is the next one.
    next: ExchangeId,
    /// Where the Packet Identifier begins.
    at: usize,
}

impl Text {
    /// Turns to this identity on a connection with this number, if only the last digit of
    /// the text changes. Returns the digit.
    #[inline]
    fn next_digit(&mut self, connection: u32, id: ExchangeId) -> Option<u8> {
        let last = self.last.as_mut()?;
        if last.connection != connection || last.next != id {
            return None;
        }
        let digit = self.bytes.last_mut()?;
        if *digit == b'9' {
            return None;
        }
        *digit += 1;
        last.next.number += 1;
        Some(*digit)
    }

    /// Turns to this identity on the connection with this identity and number. Returns how
    /// many bytes the text has in common with the one before.
    #[cold]
    fn turn_to(&mut self, uid: &str, connection: u32, id: ExchangeId) -> usize {
        let direction = id.direction;
        let last = self
            .last
            .filter(|last| last.connection == connection && last.next.direction == direction);
        let (at, shared) = match last {
            Some(Last { at, .. }) => {
                self.before.clear();
                self.before.extend_from_slice(&self.bytes[at..]);
                self.bytes.truncate(at);
                self.put(id);
                (at, at + in_common(&self.before, &self.bytes[at..]))
            }
            None => {
                std::mem::swap(&mut self.before, &mut self.bytes);
                self.bytes.clear();
                for part in [uid, "-", direction.name(), "-"] {
                    self.bytes.extend_from_slice(part.as_bytes());
                }
                let at = self.bytes.len();
                self.put(id);
                (at, in_common(&self.before, &self.bytes))
            }
        };
        let next = ExchangeId {
            number: id.number + 1,
            ..id
        };
        self.last = Some(Last {
            connection,
            next,
            at,
        });
        shared
    }

    /// Appends the Packet Identifier and the number of the frame.
    fn put(&mut self, id: ExchangeId) {
        let mut digits = itoa::Buffer::new();
        let packet_id = digits.format(id.packet_id).as_bytes();
        self.bytes.extend_from_slice(packet_id);
        self.bytes.push(b'-');
        self.bytes
            .extend_from_slice(digits.format(id.number).as_bytes());
    }
}

fn in_common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

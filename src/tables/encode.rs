//! Columns as Parquet: one page of each, after its dictionary if it has one.
//!
//! | values | encoding |
//! |---|---|
//! | numbers, times | `RLE_DICTIONARY` with an entry for each run of equal ones, else `DELTA_BINARY_PACKED` |
//! | digests | `PLAIN` |
//! | true and false | `PLAIN` |
//! | texts | `RLE_DICTIONARY` |
//! | identities of exchanges | `DELTA_BYTE_ARRAY` |
//! | payloads | `PLAIN` |
//!
//! The `parquet` crate writes what is around the pages. Its own writers take one value
//! after the other, which costs several times as much as reading the capture does.

use std::borrow::Cow;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, EncodingMask, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use snap::raw::Encoder;

use super::column::{Column, Exchanges, Store};
use super::deltas::Deltas;
use super::hybrid::{Hybrid, width};

use super::runs::Runs;
use super::schema::Kind;
use crate::identity::ExchangeId;

/// Rows of a run from which on, on average, a dictionary of the runs is smaller than
/// differences.
const LONG: usize = 8;
/// Longest text of the statistics.
const STATISTICS: usize = 64;

/// A column in a file, and what the file's metadata states of it.
pub(super) type Chunk = (Bytes, ColumnCloseResult);

/// Encodes a column that has no lists.
pub(super) fn encode(
    column: &Column,
    kind: Kind,
    described: ColumnDescPtr,
) -> Result<Chunk, ParquetError> {
    let runs = &column.runs;
    let mut page = Vec::new();
    if described.max_def_level() > 0 {
        page = levels(runs, page);
    }
    let mut dictionary = None;
    let encoding = match &column.store {
        Store::Texts(texts, _) => {
            page = keys(runs.values(), texts.len(), page);
            dictionary = Some((Cow::Borrowed(texts.bytes()), texts.len()));
            Encoding::RLE_DICTIONARY
        }
        Store::Exchanges(exchanges) => {
            identities(runs, exchanges, &mut page);
            Encoding::DELTA_BYTE_ARRAY
        }
        Store::Bytes(bytes) => {
            page.extend_from_slice(bytes);
            Encoding::PLAIN
        }
        Store::Numbers if kind == Kind::Bool => {
            bits(runs, &mut page);
            Encoding::PLAIN
        }
        Store::Numbers if kind == Kind::Digest => {
            for (value, rows) in runs.values() {
                (0..rows).for_each(|_| page.extend_from_slice(&value.to_le_bytes()));
            }
            Encoding::PLAIN
        }
        Store::Numbers if runs.len() * LONG <= runs.rows() => {
            let values = runs.values();
            let plain = values.clone().flat_map(|(value, _)| value.to_le_bytes());
            let plain: Vec<u8> = match is_narrow(kind) {
                true => values
                    .flat_map(|(value, _)| (value as u32).to_le_bytes())
                    .collect(),
                false => plain.collect(),
            };
            let count = runs.values().count();
            let numbered = (0..).zip(runs.values());
            page = keys(numbered.map(|(at, (_, rows))| (at, rows)), count, page);
            dictionary = Some((Cow::Owned(plain), count));
            Encoding::RLE_DICTIONARY
        }
        Store::Numbers => {
            let mut deltas = Deltas::new(is_narrow(kind));
            runs.values()
                .for_each(|(value, rows)| deltas.put(value, rows));
            deltas.finish(&mut page);
            Encoding::DELTA_BINARY_PACKED
        }
        Store::NumberLists(..) | Store::TextLists(..) => {
            return Err(ParquetError::NYI("lists".into()));
        }
    };
    let statistics = statistics(column, kind);
    finish(runs, dictionary, page, encoding, statistics, described)
}

/// Appends keys of a dictionary with so many entries.
fn keys(runs: impl Iterator<Item = (u64, usize)>, entries: usize, mut page: Vec<u8>) -> Vec<u8> {
    let width = width(entries);
    page.push(width);
    let mut keys = Hybrid::new(width, page);
    runs.for_each(|(key, rows)| keys.put(key, rows));
    keys.finish()
}

/// Whether Parquet stores it in 32 bits.
fn is_narrow(kind: Kind) -> bool {
    matches!(kind, Kind::U8 | Kind::U16 | Kind::U32)
}

/// Appends for each row whether it has a value.
fn levels(runs: &Runs, mut page: Vec<u8>) -> Vec<u8> {
    page.extend_from_slice(&[0; 4]);
    let mut levels = Hybrid::new(1, page);
    let (mut level, mut rows) = (0, 0);
    for run in runs.iter() {
        let next = u64::from(!run.is_null);
        if next != level {
            levels.put(level, rows);
            (level, rows) = (next, 0);
        }
        rows += run.rows as usize;
    }
    levels.put(level, rows);
    let mut page = levels.finish();
    let length = page.len() as u32 - 4;
    page[..4].copy_from_slice(&length.to_le_bytes());
    page
}

/// Appends a bit for each value.
fn bits(runs: &Runs, page: &mut Vec<u8>) {
    let (mut byte, mut count) = (0u8, 0);
    for (value, mut rows) in runs.values() {
        let whole = if value == 1 { 0xff } else { 0 };
        while rows > 0 {
            if count == 0 && rows >= 8 {
                page.resize(page.len() + rows / 8, whole);
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
    }
    if count > 0 {
        page.push(byte);
    }
}

/// Appends the texts of identities: how many bytes each has in common with the one
/// before, how many others, and these.
fn identities(runs: &Runs, exchanges: &Exchanges, page: &mut Vec<u8>) {
    let (mut common, mut others) = (Deltas::new(true), Deltas::new(true));
    let mut bytes = Vec::new();
    let (mut before, mut tail) = (Vec::new(), Vec::new());
    let mut last: Option<(u32, &[u8])> = None;
    for (number, rows) in runs.values() {
        let (uid, connection, id) = exchanges.get(number);
        put_tail(id, &mut tail);
        let length = uid.len() + tail.len();
        let shared = match last {
            Some((of, _)) if of == connection => {
                let shared = in_common(&before, &tail);
                bytes.extend_from_slice(&tail[shared..]);
                uid.len() + shared
            }
            _ => {
                let shared = last.map_or(0, |(_, before)| in_common(before, uid));
                bytes.extend_from_slice(&uid[shared..]);
                bytes.extend_from_slice(&tail);
                shared
            }
        };
        common.put(shared as u64, 1);
        others.put((length - shared) as u64, 1);
        if rows > 1 {
            common.put(length as u64, rows - 1);
            others.put(0, rows - 1);
        }
        last = Some((connection, uid));
        std::mem::swap(&mut before, &mut tail);
    }
    common.finish(page);
    others.finish(page);
    page.extend_from_slice(&bytes);
}

/// What follows the identity of the connection in that of an exchange: as
/// [`ExchangeId::uid`].
fn put_tail(id: ExchangeId, tail: &mut Vec<u8>) {
    tail.clear();
    tail.push(b'-');
    tail.extend_from_slice(id.direction.name().as_bytes());
    tail.push(b'-');
    tail.extend_from_slice(itoa::Buffer::new().format(id.packet_id).as_bytes());
    tail.push(b'-');
    tail.extend_from_slice(itoa::Buffer::new().format(id.number).as_bytes());
}

fn in_common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

fn nulls(runs: &Runs) -> u64 {
    let nulls = runs.iter().filter(|run| run.is_null);
    nulls.map(|run| u64::from(run.rows)).sum()
}

fn statistics(column: &Column, kind: Kind) -> Statistics {
    let runs = &column.runs;
    let nulls = Some(nulls(runs));
    match &column.store {
        Store::Texts(texts, _) => {
            let bound = |text: Option<&[u8]>| {
                let text = text.filter(|text| text.len() <= STATISTICS)?;
                Some(ByteArray::from(text.to_vec()))
            };
            let (least, greatest) = (bound(texts.iter().min()), bound(texts.iter().max()));
            Statistics::byte_array(least, greatest, None, nulls, false)
        }
        Store::Numbers => {
            let values = runs.values().map(|(value, _)| value);
            let bounds = values.fold(None, |bounds, value| match bounds {
                None => Some((value, value)),
                Some((least, greatest)) => Some(match kind {
                    // Before 1970 as well.
                    Kind::Time => (
                        (least as i64).min(value as i64) as u64,
                        (greatest as i64).max(value as i64) as u64,
                    ),
                    _ => (least.min(value), greatest.max(value)),
                }),
            });
            let (least, greatest) = bounds.unzip();
            if kind == Kind::Bool {
                let (least, greatest) = (least.map(|it| it == 1), greatest.map(|it| it == 1));
                return Statistics::boolean(least, greatest, None, nulls, false);
            }
            match is_narrow(kind) {
                true => {
                    let (least, greatest) =
                        (least.map(|it| it as i32), greatest.map(|it| it as i32));
                    Statistics::int32(least, greatest, None, nulls, false)
                }
                false => {
                    let (least, greatest) =
                        (least.map(|it| it as i64), greatest.map(|it| it as i64));
                    Statistics::int64(least, greatest, None, nulls, false)
                }
            }
        }
        _ => Statistics::byte_array(None, None, None, nulls, false),
    }
}

fn finish(
    runs: &Runs,
    dictionary: Option<(Cow<'_, [u8]>, usize)>,
    page: Vec<u8>,
    encoding: Encoding,
    statistics: Statistics,
    described: ColumnDescPtr,
) -> Result<Chunk, ParquetError> {
    let rows = runs.rows();
    let mut chunk = TrackedWrite::new(Vec::new());
    let mut unpacked = 0;
    let mut pages = Vec::new();
    let mut encodings = vec![Encoding::RLE, encoding];
    let mut note = |page_type, encoding| {
        pages.push(PageEncodingStats {
            page_type,
            encoding,
            count: 1,
        });
    };
    if let Some((entries, count)) = &dictionary {
        let page = Page::DictionaryPage {
            buf: compressed(entries)?,
            num_values: *count as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let page = CompressedPage::new(page, entries.len());
        unpacked += SerializedPageWriter::new(&mut chunk)
            .write_page(page)?
            .uncompressed_size;
        encodings.push(Encoding::PLAIN);
        note(PageType::DICTIONARY_PAGE, Encoding::PLAIN);
    }
    let data_at = chunk.bytes_written() as i64;
    let length = page.len();
    let page = Page::DataPage {
        buf: compressed(&page)?,
        num_values: rows as u32,
        encoding,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    unpacked += SerializedPageWriter::new(&mut chunk)
        .write_page(CompressedPage::new(page, length))?
        .uncompressed_size;
    note(PageType::DATA_PAGE, encoding);
    let chunk = chunk.into_inner()?;
    let metadata = ColumnChunkMetaData::builder(described)
        .set_compression(Compression::SNAPPY)
        .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
        .set_page_encoding_stats(pages)
        .set_total_compressed_size(chunk.len() as i64)
        .set_total_uncompressed_size(unpacked as i64)
        .set_num_values(rows as i64)
        .set_dictionary_page_offset(dictionary.is_some().then_some(0))
        .set_data_page_offset(data_at)
        .set_statistics(statistics)
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: chunk.len() as u64,
        rows_written: rows as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    Ok((chunk.into(), close))
}

fn compressed(page: &[u8]) -> Result<Bytes, ParquetError> {
    match Encoder::new().compress_vec(page) {
        Ok(packed) => Ok(packed.into()),
        Err(error) => Err(ParquetError::External(Box::new(error))),
    }
}

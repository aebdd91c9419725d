//! [`Chunk`]: a column of a row group, as Parquet: its dictionary if it has one, its
//! pages, and what the file's metadata states of them.

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
use snap::raw::{Encoder, max_compress_len};

use super::schema::Kind;
use super::texts::Texts;

/// Longest text of the statistics.
const LONGEST_TEXT: usize = 64;
/// Most distinct texts that are compared for the statistics.
const MOST_TEXTS: usize = 1024;

/// What compresses the pages of a table.
#[derive(Debug)]
pub(super) struct Compressor {
    encoder: Encoder,
    packed: Vec<u8>,
}

impl Compressor {
    pub(super) fn new() -> Self {
        Self {
            encoder: Encoder::new(),
            packed: Vec::new(),
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.packed.capacity()
    }

    fn compress(&mut self, page: &[u8]) -> Result<Bytes, ParquetError> {
        let most = max_compress_len(page.len());
        if self.packed.len() < most {
            self.packed.resize(most, 0);
        }
        match self.encoder.compress(page, &mut self.packed) {
            Ok(length) => Ok(Bytes::copy_from_slice(&self.packed[..length])),
            Err(error) => Err(ParquetError::External(Box::new(error))),
        }
    }
}

/// A dictionary of numbers.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) entries: Vec<u8>,
    pub(super) count: usize,
    /// The last entry.
    pub(super) last: Option<u64>,
}

/// The least and the greatest number; times as they are ordered without a sign.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    least: u64,
    greatest: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            least: u64::MAX,
            greatest: 0,
        }
    }
}

impl Bounds {
    #[inline]
    pub(super) fn add(&mut self, value: u64) {
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
    }

    /// Both, if there are numbers.
    fn get(self) -> Option<(u64, u64)> {
        (self.least <= self.greatest).then_some((self.least, self.greatest))
    }
}

/// The pages of a column.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pages: Vec<u8>,
    unpacked: u64,
    rows: u64,
    pub(super) nulls: u64,
    pub(super) bounds: Bounds,
    /// The dictionary of a column of numbers, as long as its pages have keys of it.
    pub(super) numbers: Option<Numbers>,
    /// How many pages there are of each encoding.
    counts: Vec<(Encoding, i32)>,
}

impl Chunk {
    /// Whether there are pages.
    pub(super) fn has_pages(&self) -> bool {
        !self.counts.is_empty()
    }

    /// Whether the last page has keys of a dictionary.
    pub(super) fn ends_in_keys(&self) -> bool {
        let last = self.counts.last();
        last.is_some_and(|(encoding, _)| *encoding == Encoding::RLE_DICTIONARY)
    }

    /// Adds a page.
    pub(super) fn add(
        &mut self,
        page: &[u8],
        rows: u32,
        encoding: Encoding,
        compressor: &mut Compressor,
    ) -> Result<(), ParquetError> {
        let data = Page::DataPage {
            buf: compressor.compress(page)?,
            num_values: rows,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.unpacked += put_page(data, page.len(), &mut self.pages)?;
        self.rows += u64::from(rows);
        match self.counts.last_mut() {
            Some((last, count)) if *last == encoding => *count += 1,
            _ => self.counts.push((encoding, 1)),
        }
        Ok(())
    }

    /// Bytes of memory that it takes, with what is reserved.
    pub(super) fn footprint(&self) -> usize {
        let numbers = self.numbers.as_ref();
        let counts = self.counts.capacity() * size_of::<(Encoding, i32)>();
        let numbers = numbers.map_or(0, |numbers| numbers.entries.capacity());
        self.pages.capacity() + counts + numbers
    }

    /// Bytes of memory of its pages.
    pub(super) fn memory(&self) -> usize {
        let numbers = self.numbers.as_ref();
        self.pages.len() + numbers.map_or(0, |numbers| numbers.entries.len())
    }

    /// The chunk, and what is stated of it. It is empty afterwards.
    pub(super) fn finish(
        &mut self,
        texts: Option<&Texts>,
        kind: Kind,
        described: ColumnDescPtr,
        compressor: &mut Compressor,
    ) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let Self {
            pages,
            mut unpacked,
            rows,
            nulls,
            bounds,
            numbers,
            counts,
        } = std::mem::take(self);
        let stats = |page_type, encoding, count| PageEncodingStats {
            page_type,
            encoding,
            count,
        };
        let data = counts
            .iter()
            .map(|(encoding, count)| stats(PageType::DATA_PAGE, *encoding, *count));
        let mut stated: Vec<_> = data.collect();
        let mut encodings = vec![Encoding::RLE];
        encodings.extend(counts.iter().map(|(encoding, _)| *encoding));
        let dictionary = match (texts, &numbers) {
            (Some(texts), _) => Some((texts.bytes(), texts.len())),
            (None, Some(numbers)) => Some((&numbers.entries[..], numbers.count)),
            (None, None) => None,
        };
        let mut bytes = Vec::new();
        if let Some((entries, count)) = dictionary {
            let page = Page::DictionaryPage {
                buf: compressor.compress(entries)?,
                num_values: count as u32,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            unpacked += put_page(page, entries.len(), &mut bytes)?;
            encodings.push(Encoding::PLAIN);
            stated.insert(0, stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1));
        }
        let data_at = bytes.len() as i64;
        let bytes = match data_at {
            0 => pages,
            _ => {
                bytes.extend_from_slice(&pages);
                bytes
            }
        };
        let metadata = ColumnChunkMetaData::builder(described)
            .set_compression(Compression::SNAPPY)
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(stated)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(unpacked as i64)
            .set_num_values(rows as i64)
            .set_dictionary_page_offset((data_at > 0).then_some(0))
            .set_data_page_offset(data_at)
            .set_statistics(statistics(texts, bounds, nulls, kind))
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok((bytes.into(), close))
    }
}

/// Appends a page with its header. Returns the size that it has unpacked.
fn put_page(page: Page, unpacked: usize, out: &mut Vec<u8>) -> Result<u64, ParquetError> {
    let mut out = TrackedWrite::new(out);
    let page = CompressedPage::new(page, unpacked);
    let written = SerializedPageWriter::new(&mut out).write_page(page)?;
    out.into_inner()?;
    Ok(written.uncompressed_size as u64)
}

fn statistics(texts: Option<&Texts>, bounds: Bounds, nulls: u64, kind: Kind) -> Statistics {
    let nulls = Some(nulls);
    let (least, greatest) = bounds.get().unzip();
    match kind {
        Kind::Bool => {
            let (least, greatest) = (least.map(|it| it == 1), greatest.map(|it| it == 1));
            Statistics::boolean(least, greatest, None, nulls, false)
        }
        kind if kind.is_narrow() => {
            let (least, greatest) = (least.map(|it| it as i32), greatest.map(|it| it as i32));
            Statistics::int32(least, greatest, None, nulls, false)
        }
        Kind::U64 | Kind::Digest | Kind::Time => {
            let signed = |it| (it ^ kind.order()) as i64;
            Statistics::int64(least.map(signed), greatest.map(signed), None, nulls, false)
        }
        _ => {
            let texts = texts.filter(|texts| texts.len() <= MOST_TEXTS);
            let bound = |text: Option<&[u8]>| {
                let text = text.filter(|text| text.len() <= LONGEST_TEXT)?;
                Some(ByteArray::from(text.to_vec()))
            };
            let least = texts.and_then(|texts| bound(texts.iter().min()));
            let greatest = texts.and_then(|texts| bound(texts.iter().max()));
            Statistics::byte_array(least, greatest, None, nulls, false)
        }
    }
}

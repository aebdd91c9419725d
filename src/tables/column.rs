//! [`Column`]: the values of a column that wait to be written.
//!
//! Those of the page that is not full are numbers in [`Runs`], as the [`Store`] has them.
//! Full pages are in a [`Chunk`], encoded.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, Compressor};
use super::encode::{PageEncoder, Values};
use super::runs::Runs;
use super::schema::{Column as Described, Kind};
use super::store::{Store, fill};
use crate::facts::Topic;
use crate::identity::ExchangeId;

/// Values of one type, in the order of rows.
#[derive(Debug)]
pub(super) struct Column {
    kind: Kind,
    is_optional: bool,
    /// Its values; of a dense column which rows have one.
    pub(super) runs: Runs,
    /// The values of a dense column, of the rows that have one.
    dense: Option<Vec<u64>>,
    pub(super) store: Store,
    chunk: Chunk,
}

impl Column {
    pub(super) fn new(described: &Described) -> Self {
        Self {
            kind: described.kind,
            is_optional: described.optional,
            runs: Runs::new(),
            dense: described.dense.then(Vec::new),
            store: Store::new(described.kind),
            chunk: Chunk::default(),
        }
    }

    /// The number of `row`.
    #[inline]
    pub(super) fn push(&mut self, number: u64, row: u32) {
        debug_assert!(matches!(self.store, Store::Numbers));
        self.runs.set(number, row);
    }

    /// The number of `row`, in a dense column.
    #[inline]
    pub(super) fn push_dense(&mut self, number: u64, row: u32) {
        let Some(dense) = &mut self.dense else {
            debug_assert!(false, "no dense column");
            return;
        };
        dense.push(number);
        if self.is_optional {
            self.runs.set(0, row);
        }
    }

    /// The number of a text of `row`.
    #[inline]
    fn push_key(&mut self, number: u64, row: u32) {
        match self.dense {
            Some(_) => self.push_dense(number, row),
            None => self.runs.set(number, row),
        }
    }

    /// The numbers of rows that follow, in a dense column in which each row has one.
    #[inline]
    pub(super) fn push_dense_each(&mut self, numbers: impl Iterator<Item = u64>) {
        debug_assert!(!self.is_optional);
        match &mut self.dense {
            Some(dense) => dense.extend(numbers),
            None => debug_assert!(false, "no dense column"),
        }
    }

    /// The number of a name of the program.
    pub(super) fn number_of(&mut self, name: &'static str) -> u64 {
        let Store::Texts(texts, _) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return 0;
        };
        texts.number(name.as_bytes())
    }

    /// A value that the column had before, as its [`Runs`] have it.
    #[inline]
    pub(super) fn set(&mut self, value: Option<u64>, row: u32) {
        match value {
            Some(value) => self.runs.set(value, row),
            None => self.runs.set_null(row),
        }
    }

    /// `row` has no value.
    #[inline]
    pub(super) fn push_null(&mut self, row: u32) {
        self.runs.set_null(row);
    }

    /// The text of `row`.
    #[inline]
    pub(super) fn push_text(&mut self, text: &[u8], row: u32) {
        let Store::Texts(texts, _) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return;
        };
        let number = match self.runs.last() {
            Some(last) if texts.is(last, text) => last,
            _ => texts.number(text),
        };
        self.runs.set(number, row);
    }

    /// The text of `row`, which may not be UTF-8.
    #[inline]
    pub(super) fn push_wire_text(&mut self, text: &[u8], row: u32) {
        let Store::Texts(texts, _) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return;
        };
        let number = match self.runs.last() {
            Some(last) if texts.is(last, text) => last,
            _ => texts.number_of_wire(text),
        };
        self.runs.set(number, row);
    }

    /// The topic of `row`.
    #[inline]
    pub(super) fn push_topic(&mut self, topic: &Topic, row: u32) {
        let Store::Texts(texts, known) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return;
        };
        let number = known.topic(topic, texts);
        self.push_key(number, row);
    }

    /// The address of `row`.
    #[inline]
    pub(super) fn push_address(&mut self, address: IpAddr, row: u32) {
        let Store::Texts(texts, known) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return;
        };
        let number = known.address(address, texts);
        self.runs.set(number, row);
    }

    /// The text of `row`, which is shared.
    #[inline]
    pub(super) fn push_shared(&mut self, text: &Arc<str>, row: u32) {
        let Store::Texts(texts, known) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return;
        };
        let number = known.shared(text, texts);
        self.runs.set(number, row);
    }

    /// The name of the program of `row`.
    #[inline]
    pub(super) fn push_name(&mut self, name: &'static str, row: u32) {
        let Store::Texts(texts, known) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return;
        };
        let number = known.name(name, texts);
        self.push_key(number, row);
    }

    /// The identity of an exchange of `row`.
    #[inline]
    pub(super) fn push_exchange(&mut self, connection_uid: &Arc<str>, id: ExchangeId, row: u32) {
        let Store::Exchanges(exchanges) = &mut self.store else {
            debug_assert!(false, "no column of identities");
            return;
        };
        let number = exchanges.number(connection_uid, id);
        self.runs.set(number, row);
    }

    /// The bytes of `row`.
    pub(super) fn push_bytes(&mut self, bytes: &[u8], row: u32) {
        let Store::Bytes(all) = &mut self.store else {
            debug_assert!(false, "no column of bytes");
            return;
        };
        all.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        all.extend_from_slice(bytes);
        self.runs.set(0, row);
    }

    /// The list of numbers of `row`, which is the number of rows before it in all pages.
    /// Returns how many numbers.
    pub(super) fn push_numbers(&mut self, numbers: impl Iterator<Item = u64>, row: u32) -> usize {
        let Store::NumberLists(lists) = &mut self.store else {
            debug_assert!(false, "no column of lists of numbers");
            return 0;
        };
        fill(lists, row as usize);
        let mut count = 0;
        for number in numbers {
            lists.values().append_value(number);
            count += 1;
        }
        lists.append(true);
        count
    }

    /// The list of texts of `row`, which is the number of rows before it in all pages.
    /// Returns their bytes.
    pub(super) fn push_texts<'a>(
        &mut self,
        texts: impl Iterator<Item = &'a [u8]>,
        row: u32,
    ) -> usize {
        let Store::TextLists(lists) = &mut self.store else {
            debug_assert!(false, "no column of lists of texts");
            return 0;
        };
        fill(lists, row as usize);
        let mut bytes = 0;
        for text in texts {
            bytes += text.len();
            lists.values().append_value(String::from_utf8_lossy(text));
        }
        lists.append(true);
        bytes
    }

    /// Encodes a page of so many rows; one at least. The next row is its row 0.
    pub(super) fn encode(
        &mut self,
        rows: u32,
        encoder: &mut PageEncoder,
    ) -> Result<(), ParquetError> {
        if self.kind.is_list() {
            return Ok(());
        }
        let values = Values {
            runs: &self.runs,
            dense: self.dense.as_deref(),
            store: &self.store,
            kind: self.kind,
            is_optional: self.is_optional,
        };
        encoder.encode(values, rows, &mut self.chunk)?;
        if let Some(dense) = &mut self.dense {
            dense.clear();
        }
        let last = match &mut self.store {
            Store::Exchanges(exchanges) => {
                exchanges.turn();
                0
            }
            Store::Bytes(bytes) => {
                bytes.clear();
                0
            }
            _ => self.runs.last().unwrap_or(0),
        };
        self.runs.turn(last);
        Ok(())
    }

    /// The pages, and what is stated of them. It is empty afterwards.
    pub(super) fn finish(
        &mut self,
        described: ColumnDescPtr,
        compressor: &mut Compressor,
    ) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let texts = match &self.store {
            Store::Texts(texts, _) => Some(texts),
            _ => None,
        };
        self.chunk.finish(texts, self.kind, described, compressor)
    }

    /// Removes all values, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        if let Some(dense) = &mut self.dense {
            dense.clear();
        }
        self.chunk = Chunk::default();
        self.store.clear();
    }

    /// The values of each run of equal ones, where there are so many rows: the value if it
    /// has one, and how many rows it has.
    pub(super) fn each(&self, rows: u32, mut f: impl FnMut(Option<u64>, u32)) {
        let Some(dense) = &self.dense else {
            return self.runs.each(rows, f);
        };
        let mut values = dense.iter();
        self.runs.each(rows, |value, rows| match value {
            Some(_) => values
                .by_ref()
                .take(rows as usize)
                .for_each(|value| f(Some(*value), 1)),
            None => f(None, rows),
        });
    }

    /// No row is added for some time: drops what only makes adding faster.
    pub(super) fn park(&mut self) {
        self.store.park();
    }

    /// Bytes of memory that it takes after [`Self::park`], except for lists.
    pub(super) fn footprint(&self) -> usize {
        size_of::<Self>()
            + self.chunk.footprint()
            + self.runs.footprint()
            + self.dense.as_ref().map_or(0, |dense| 8 * dense.capacity())
            + self.store.footprint()
    }

    /// Bytes of memory of its values, except for lists.
    pub(super) fn memory(&self) -> usize {
        let dense = self.dense.as_ref().map_or(0, |dense| 8 * dense.len());
        self.chunk.memory() + self.runs.memory() + dense + self.store.memory()
    }
}

//! [`Column`]: the values of a column that wait to be written.
//!
//! Those of the page that is not full are numbers in [`Runs`], as the [`Store`] has them.
//! Full pages are in a [`Chunk`], encoded.

use std::net::IpAddr;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, UInt64Builder};
use bytes::Bytes;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, Compressor};
use super::encode::PageEncoder;
use super::runs::Runs;
use super::schema::{Column as Described, Kind};
use super::texts::Texts;
use crate::identity::ExchangeId;

/// Values of one type, in the order of rows.
#[derive(Debug)]
pub(super) struct Column {
    kind: Kind,
    is_optional: bool,
    pub(super) runs: Runs,
    pub(super) store: Store,
    chunk: Chunk,
}

/// What the numbers in the [`Runs`] of a column stand for.
#[derive(Debug)]
pub(super) enum Store {
    /// Themselves: numbers, nanoseconds, 0 and 1.
    Numbers,
    /// Texts of all pages, by number.
    Texts(Texts, Known),
    /// Identities of exchanges of the page, by number.
    Exchanges(Exchanges),
    /// Nothing, except that there are bytes: those of the page are here, each after their
    /// length. Each row has its own.
    Bytes(Vec<u8>),
    /// Nothing: lists are rare. Those of all pages, and rows without one that are not in
    /// the builder yet.
    NumberLists(ListBuilder<UInt64Builder>, u32),
    /// The same, of texts.
    TextLists(ListBuilder<StringBuilder>, u32),
}

/// Texts whose number is known without a look at them: of addresses, texts that are shared,
/// and names of the program, by where they are.
#[derive(Debug, Default)]
pub(super) struct Known {
    addresses: Latest<IpAddr, 64>,
    shared: Latest<Arc<str>, 256>,
    names: Latest<(usize, usize), 16>,
}

impl Known {
    fn clear(&mut self) {
        self.addresses.0.clear();
        self.shared.0.clear();
        self.names.0.clear();
    }
}

/// The numbers of the latest keys: of one for each remainder of a hash.
#[derive(Debug)]
struct Latest<K, const N: usize>(Vec<Option<(K, u64)>>);

impl<K, const N: usize> Default for Latest<K, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Clone, const N: usize> Latest<K, N> {
    /// The number of the key that `is` recognises, or else the one that `add` returns.
    #[inline]
    fn number(
        &mut self,
        hash: usize,
        is: impl Fn(&K) -> bool,
        add: impl FnOnce() -> (K, u64),
    ) -> u64 {
        if self.0.is_empty() {
            self.0.resize(N, None);
        }
        let known = &mut self.0[hash % N];
        match known {
            Some((key, number)) if is(key) => *number,
            _ => known.insert(add()).1,
        }
    }
}

/// Identities of exchanges. There is one for nearly each row, so that their texts are
/// only made when they are written.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    connections: Texts,
    ids: Vec<(u32, ExchangeId)>,
}

impl Exchanges {
    fn number(&mut self, connection_uid: &str, id: ExchangeId) -> u64 {
        let uid = connection_uid.as_bytes();
        let last = self.ids.last().copied();
        let known = last.filter(|(of, _)| self.connections.get((*of).into()) == uid);
        let connection = match known {
            Some((_, last)) if last == id => return self.ids.len() as u64 - 1,
            Some((of, _)) => of,
            None => self.connections.number(uid) as u32,
        };
        self.ids.push((connection, id));
        self.ids.len() as u64 - 1
    }

    /// The identity of the connection, its number, and the identity on it.
    pub(super) fn get(&self, number: u64) -> (&[u8], u32, ExchangeId) {
        let (connection, id) = self.ids[number as usize];
        (self.connections.get(connection.into()), connection, id)
    }

    /// The next page begins, with the last identity as number 0.
    fn turn(&mut self) {
        let last = self.ids.last().copied();
        let last = last.map(|(of, id)| (self.connections.get(of.into()).to_vec(), id));
        self.clear();
        if let Some((uid, id)) = last {
            self.ids.push((self.connections.number(&uid) as u32, id));
        }
    }

    fn clear(&mut self) {
        self.connections.clear();
        self.ids.clear();
    }

    fn memory(&self) -> usize {
        self.connections.memory() + self.ids.len() * size_of::<(u32, ExchangeId)>()
    }
}

impl Column {
    pub(super) fn new(described: &Described) -> Self {
        let store = match described.kind {
            Kind::U8
            | Kind::U16
            | Kind::U32
            | Kind::U64
            | Kind::Digest
            | Kind::Bool
            | Kind::Time => Store::Numbers,
            Kind::Text => Store::Texts(Texts::default(), Known::default()),
            Kind::Exchange => Store::Exchanges(Exchanges::default()),
            Kind::Bytes => Store::Bytes(Vec::new()),
            Kind::U64List => {
                Store::NumberLists(ListBuilder::with_capacity(UInt64Builder::new(), 0), 0)
            }
            Kind::TextList => {
                Store::TextLists(ListBuilder::with_capacity(StringBuilder::new(), 0), 0)
            }
        };
        Self {
            kind: described.kind,
            is_optional: described.optional,
            runs: Runs::new(),
            store,
            chunk: Chunk::default(),
        }
    }

    /// The number of `row`.
    #[inline]
    pub(super) fn push(&mut self, number: u64, row: u32) {
        debug_assert!(matches!(self.store, Store::Numbers));
        self.runs.set(number, row);
    }

    /// `row` has no value.
    #[inline]
    pub(super) fn push_null(&mut self, row: u32) {
        match &mut self.store {
            Store::NumberLists(_, nulls) | Store::TextLists(_, nulls) => *nulls += 1,
            _ => self.runs.set_null(row),
        }
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

    /// The address of `row`.
    #[inline]
    pub(super) fn push_address(&mut self, address: IpAddr, row: u32) {
        let Store::Texts(texts, known) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return;
        };
        let hash = match address {
            IpAddr::V4(address) => address.to_bits() as usize,
            IpAddr::V6(address) => address.to_bits() as usize,
        };
        let add = || (address, texts.number(address.to_string().as_bytes()));
        let number = known.addresses.number(hash, |of| *of == address, add);
        self.runs.set(number, row);
    }

    /// The text of `row`, which is shared.
    #[inline]
    pub(super) fn push_shared(&mut self, text: &Arc<str>, row: u32) {
        let Store::Texts(texts, known) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return;
        };
        let hash = text.as_ptr().addr() >> 4;
        let add = || (text.clone(), texts.number(text.as_bytes()));
        let number = known.shared.number(hash, |of| Arc::ptr_eq(of, text), add);
        self.runs.set(number, row);
    }

    /// The name of the program of `row`.
    #[inline]
    pub(super) fn push_name(&mut self, name: &'static str, row: u32) {
        let Store::Texts(texts, known) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return;
        };
        let place = (name.as_ptr().addr(), name.len());
        let add = || (place, texts.number(name.as_bytes()));
        let hash = place.0 >> 2 ^ place.1;
        let number = known.names.number(hash, |of| *of == place, add);
        self.runs.set(number, row);
    }

    /// The identity of an exchange of `row`.
    #[inline]
    pub(super) fn push_exchange(&mut self, connection_uid: &str, id: ExchangeId, row: u32) {
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

    /// Adds a list of numbers. Returns how many.
    pub(super) fn push_numbers(&mut self, numbers: impl Iterator<Item = u64>) -> usize {
        let Store::NumberLists(lists, nulls) = &mut self.store else {
            debug_assert!(false, "no column of lists of numbers");
            return 0;
        };
        (0..std::mem::take(nulls)).for_each(|_| lists.append(false));
        let mut count = 0;
        for number in numbers {
            lists.values().append_value(number);
            count += 1;
        }
        lists.append(true);
        count
    }

    /// Adds a list of texts. Returns their bytes.
    pub(super) fn push_texts<'a>(&mut self, texts: impl Iterator<Item = &'a [u8]>) -> usize {
        let Store::TextLists(lists, nulls) = &mut self.store else {
            debug_assert!(false, "no column of lists of texts");
            return 0;
        };
        (0..std::mem::take(nulls)).for_each(|_| lists.append(false));
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
        let values = (&self.runs, &self.store, self.kind);
        encoder.encode(values, self.is_optional, rows, &mut self.chunk)?;
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
        self.chunk = Chunk::default();
        match &mut self.store {
            Store::Texts(texts, known) => {
                texts.clear();
                known.clear();
            }
            Store::Exchanges(exchanges) => exchanges.clear(),
            Store::Bytes(bytes) => bytes.clear(),
            // Builders are empty after their lists were taken.
            Store::Numbers | Store::NumberLists(..) | Store::TextLists(..) => {}
        }
    }

    /// Bytes of memory that it takes, except for lists.
    pub(super) fn memory(&self) -> usize {
        let store = match &self.store {
            Store::Texts(texts, _) => texts.memory(),
            Store::Exchanges(exchanges) => exchanges.memory(),
            Store::Bytes(bytes) => bytes.len(),
            Store::Numbers | Store::NumberLists(..) | Store::TextLists(..) => 0,
        };
        self.chunk.memory() + self.runs.memory() + store
    }
}

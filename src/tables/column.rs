//! [`Column`]: the values of a column that wait to be written.

use std::net::IpAddr;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, UInt64Builder};

use super::runs::Runs;
use super::schema::{Column as Described, Kind};
use super::texts::Texts;
use crate::identity::ExchangeId;

/// Values of one type, in the order of rows.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) runs: Runs,
    pub(super) store: Store,
}

/// What the numbers in the [`Runs`] of a column stand for.
#[derive(Debug)]
pub(super) enum Store {
    /// Themselves: numbers, nanoseconds, 0 and 1.
    Numbers,
    /// Texts, by number.
    Texts(Texts, Known),
    /// Identities of exchanges, by number.
    Exchanges(Exchanges),
    /// Nothing, except that there are bytes: these are here, each after their length.
    Bytes(Vec<u8>),
    /// Nothing: lists are rare. Rows without one that are not in the builder yet.
    NumberLists(ListBuilder<UInt64Builder>, u32),
    /// The same, of texts.
    TextLists(ListBuilder<StringBuilder>, u32),
}

/// Texts whose number is known without a look at them.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The last address.
    address: Option<(IpAddr, u64)>,
    /// The last text that is shared.
    shared: Option<(Arc<str>, u64)>,
    /// Names, by where they are in the program.
    names: Vec<((usize, usize), u64)>,
}

/// Most names that are compared.
const NAMES: usize = 16;

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
            runs: Runs::new(),
            store,
        }
    }

    /// Adds a number, `rows` times.
    #[inline]
    pub(super) fn push(&mut self, number: u64, rows: u32) {
        debug_assert!(matches!(self.store, Store::Numbers));
        self.runs.push(number, rows);
    }

    /// Adds rows without a value.
    #[inline]
    pub(super) fn push_null(&mut self, rows: u32) {
        match &mut self.store {
            Store::NumberLists(_, nulls) | Store::TextLists(_, nulls) => *nulls += rows,
            _ => self.runs.push_null(rows),
        }
    }

    /// Adds a text, `rows` times.
    #[inline]
    pub(super) fn push_text(&mut self, text: &[u8], rows: u32) {
        let Store::Texts(texts, _) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return;
        };
        let number = match self.runs.last() {
            Some(last) if texts.get(last) == text => last,
            _ => texts.number(text),
        };
        self.runs.push(number, rows);
    }

    /// Adds a text that may not be UTF-8, `rows` times.
    #[inline]
    pub(super) fn push_wire_text(&mut self, text: &[u8], rows: u32) {
        let Store::Texts(texts, _) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return;
        };
        let number = match self.runs.last() {
            Some(last) if texts.get(last) == text => last,
            _ => texts.number_of_wire(text),
        };
        self.runs.push(number, rows);
    }

    /// Adds an address, `rows` times.
    #[inline]
    pub(super) fn push_address(&mut self, address: IpAddr, rows: u32) {
        let Store::Texts(texts, known) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return;
        };
        let number = match known.address {
            Some((last, number)) if last == address => number,
            _ => {
                let number = texts.number(address.to_string().as_bytes());
                known.address = Some((address, number));
                number
            }
        };
        self.runs.push(number, rows);
    }

    /// Adds a text that is shared, `rows` times.
    #[inline]
    pub(super) fn push_shared(&mut self, text: &Arc<str>, rows: u32) {
        let Store::Texts(texts, known) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return;
        };
        let number = match &known.shared {
            Some((last, number)) if Arc::ptr_eq(last, text) => *number,
            _ => {
                let number = texts.number(text.as_bytes());
                known.shared = Some((text.clone(), number));
                number
            }
        };
        self.runs.push(number, rows);
    }

    /// Adds a name of the program, `rows` times.
    #[inline]
    pub(super) fn push_name(&mut self, name: &'static str, rows: u32) {
        let Store::Texts(texts, known) = &mut self.store else {
            debug_assert!(false, "no column of texts");
            return;
        };
        let place = (name.as_ptr().addr(), name.len());
        let number = match known.names.iter().find(|(at, _)| *at == place) {
            Some((_, number)) => *number,
            None => {
                let number = texts.number(name.as_bytes());
                if known.names.len() < NAMES {
                    known.names.push((place, number));
                }
                number
            }
        };
        self.runs.push(number, rows);
    }

    /// Adds the identity of an exchange, `rows` times.
    #[inline]
    pub(super) fn push_exchange(&mut self, connection_uid: &str, id: ExchangeId, rows: u32) {
        let Store::Exchanges(exchanges) = &mut self.store else {
            debug_assert!(false, "no column of identities");
            return;
        };
        let number = exchanges.number(connection_uid, id);
        self.runs.push(number, rows);
    }

    /// Adds bytes.
    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        let Store::Bytes(all) = &mut self.store else {
            debug_assert!(false, "no column of bytes");
            return;
        };
        all.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        all.extend_from_slice(bytes);
        self.runs.push(0, 1);
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

    /// Removes all values, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        match &mut self.store {
            Store::Texts(texts, known) => {
                texts.clear();
                *known = Known::default();
            }
            Store::Exchanges(exchanges) => {
                exchanges.connections.clear();
                exchanges.ids.clear();
            }
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
        self.runs.memory() + store
    }
}

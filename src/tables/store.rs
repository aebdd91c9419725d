//! [`Store`]: what the numbers of a column stand for.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder, ListBuilder, StringBuilder, UInt64Builder};

use super::schema::Kind;
use super::texts::Texts;
use crate::facts::{SHARED_TOPICS, Topic};
use crate::frame::Direction;
use crate::identity::ExchangeId;

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
    /// Nothing, and the runs say nothing: lists are rare. Those of all pages, up to the last
    /// row that has one.
    NumberLists(ListBuilder<UInt64Builder>),
    /// The same, of texts.
    TextLists(ListBuilder<StringBuilder>),
}

impl Store {
    /// Nothing, of a column of this type.
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::U8
            | Kind::U16
            | Kind::U32
            | Kind::U64
            | Kind::Digest
            | Kind::Bool
            | Kind::Time => Self::Numbers,
            Kind::Text => Self::Texts(Texts::default(), Known::default()),
            Kind::Exchange => Self::Exchanges(Exchanges::default()),
            Kind::Bytes => Self::Bytes(Vec::new()),
            Kind::U64List => Self::NumberLists(ListBuilder::with_capacity(
                UInt64Builder::with_capacity(0),
                0,
            )),
            Kind::TextList => Self::TextLists(ListBuilder::with_capacity(
                StringBuilder::with_capacity(0, 0),
                0,
            )),
        }
    }

    /// Removes all, and keeps the memory.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Texts(texts, known) => {
                texts.clear();
                known.clear();
            }
            Self::Exchanges(exchanges) => exchanges.clear(),
            Self::Bytes(bytes) => bytes.clear(),
            // Builders are empty after their lists were taken.
            Self::Numbers | Self::NumberLists(..) | Self::TextLists(..) => {}
        }
    }

    /// Drops what only makes adding values faster.
    pub(super) fn park(&mut self) {
        if let Self::Texts(_, known) = self {
            *known = Known::default();
        }
    }

    /// Bytes of memory that it takes after [`Self::park`], except for lists.
    pub(super) fn footprint(&self) -> usize {
        match self {
            Self::Texts(texts, _) => texts.footprint(),
            Self::Exchanges(exchanges) => exchanges.footprint(),
            Self::Bytes(bytes) => bytes.capacity(),
            Self::Numbers | Self::NumberLists(..) | Self::TextLists(..) => 0,
        }
    }

    /// Bytes of memory of the values, except for lists.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Texts(texts, _) => texts.memory(),
            Self::Exchanges(exchanges) => exchanges.memory(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Numbers | Self::NumberLists(..) | Self::TextLists(..) => 0,
        }
    }
}

/// Appends rows without a list until there are so many rows.
pub(super) fn fill(lists: &mut ListBuilder<impl ArrayBuilder>, rows: usize) {
    (lists.len()..rows).for_each(|_| lists.append(false));
}

/// Texts whose number is known without a look at them: of addresses, texts that are shared,
/// and names of the program, by where they are.
#[derive(Debug, Default)]
pub(super) struct Known {
    addresses: Latest<IpAddr, 64>,
    shared: Latest<Arc<str>, 64>,
    names: Latest<(usize, usize), 16>,
    topics: Topics,
}

impl Known {
    #[inline]
    pub(super) fn address(&mut self, address: IpAddr, texts: &mut Texts) -> u64 {
        let hash = match address {
            IpAddr::V4(address) => address.to_bits() as usize,
            IpAddr::V6(address) => address.to_bits() as usize,
        };
        let add = || (address, texts.number(address.to_string().as_bytes()));
        self.addresses.number(hash, |of| *of == address, add)
    }

    #[inline]
    pub(super) fn shared(&mut self, text: &Arc<str>, texts: &mut Texts) -> u64 {
        let hash = text.as_ptr().addr() >> 4;
        let add = || (text.clone(), texts.number(text.as_bytes()));
        self.shared.number(hash, |of| Arc::ptr_eq(of, text), add)
    }

    #[inline]
    pub(super) fn name(&mut self, name: &'static str, texts: &mut Texts) -> u64 {
        let place = (name.as_ptr().addr(), name.len());
        let hash = place.0 >> 2 ^ place.1;
        let add = || (place, texts.number(name.as_bytes()));
        self.names.number(hash, |of| *of == place, add)
    }

    #[inline]
    pub(super) fn topic(&mut self, topic: &Topic, texts: &mut Texts) -> u64 {
        match topic.place() {
            Some((place, round)) => self.topics.number(place, round, topic, texts),
            None => texts.number_of_wire(topic),
        }
    }

    fn clear(&mut self) {
        self.topics = Topics::default();
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
        match self.0.get(hash % N) {
            Some(Some((key, number))) if is(key) => *number,
            _ => self.add(hash, add),
        }
    }

    #[cold]
    fn add(&mut self, hash: usize, add: impl FnOnce() -> (K, u64)) -> u64 {
        if self.0.is_empty() {
            self.0.resize(N, None);
        }
        self.0[hash % N].insert(add()).1
    }
}

/// The numbers of topics that are shared, by their place among these.
#[derive(Debug, Default)]
struct Topics {
    /// Which round of sharing it is.
    round: u64,
    numbers: Vec<Option<NonZeroU32>>,
}

impl Topics {
    #[inline]
    fn number(&mut self, place: usize, round: u64, topic: &Topic, texts: &mut Texts) -> u64 {
        if self.round == round
            && let Some(Some(number)) = self.numbers.get(place)
        {
            return u64::from(number.get()) - 1;
        }
        self.add(place, round, topic, texts)
    }

    #[cold]
    fn add(&mut self, place: usize, round: u64, topic: &Topic, texts: &mut Texts) -> u64 {
        let number = texts.number_of_wire(topic);
        if self.round < round {
            self.round = round;
            self.numbers.clear();
        }
        // One of an earlier round was kept for long.
        if self.round == round {
            if self.numbers.len() <= place {
                let length = (place + 1).next_power_of_two().min(SHARED_TOPICS);
                self.numbers.resize(length, None);
            }
            self.numbers[place] = NonZeroU32::MIN.checked_add(number as u32);
        }
        number
    }
}

/// Identities of exchanges. There is one for nearly each row, so that their texts are
/// only made when they are written.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    /// The identities of connections, one for each change from row to row.
    connections: Vec<Arc<str>>,
    ids: Vec<Id>,
}

/// An [`ExchangeId`] and the number of its connection, in 16 bytes.
#[derive(Clone, Copy, Debug)]
struct Id {
    number: u64,
    connection: u32,
    packet_id: u16,
    direction: Direction,
}

impl Exchanges {
    #[inline]
    pub(super) fn number(&mut self, connection_uid: &Arc<str>, id: ExchangeId) -> u64 {
        let latest = self.connections.last();
        if !latest.is_some_and(|uid| Arc::ptr_eq(uid, connection_uid)) {
            self.connections.push(connection_uid.clone());
        }
        self.ids.push(Id {
            number: id.number,
            connection: self.connections.len() as u32 - 1,
            packet_id: id.packet_id,
            direction: id.direction,
        });
        self.ids.len() as u64 - 1
    }

    /// The number of the connection, and the identity on it.
    #[inline]
    pub(super) fn get(&self, number: u64) -> (u32, ExchangeId) {
        let id = self.ids[number as usize];
        let exchange = ExchangeId {
            direction: id.direction,
            packet_id: id.packet_id,
            number: id.number,
        };
        (id.connection, exchange)
    }

    /// The identity of a connection.
    #[inline]
    pub(super) fn connection(&self, number: u32) -> &str {
        &self.connections[number as usize]
    }

    /// The next page begins, with the last identity as number 0.
    pub(super) fn turn(&mut self) {
        let uid = self.connections.pop();
        let last = self.ids.last().copied();
        self.clear();
        if let (Some(uid), Some(last)) = (uid, last) {
            self.connections.push(uid);
            self.ids.push(Id {
                connection: 0,
                ..last
            });
        }
    }

    fn clear(&mut self) {
        self.connections.clear();
        self.ids.clear();
    }

    fn memory(&self) -> usize {
        let connections = self.connections.len() * size_of::<Arc<str>>();
        connections + self.ids.len() * size_of::<Id>()
    }

    fn footprint(&self) -> usize {
        let connections = self.connections.capacity() * size_of::<Arc<str>>();
        connections + self.ids.capacity() * size_of::<Id>()
    }
}

//! [`Texts`]: distinct texts, as Parquet stores a dictionary.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Distinct texts, by number.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Each after its length.
    bytes: Vec<u8>,
    /// Where each starts.
    starts: Vec<u32>,
    table: HashTable<u32>,
    hasher: RandomState,
}

impl Texts {
    /// The number of a text.
    pub(super) fn number(&mut self, text: &[u8]) -> u64 {
        let Self {
            bytes,
            starts,
            table,
            hasher,
        } = self;
        let hash = |text: &[u8]| hasher.hash_one(text);
        let entry = table.entry(
            hash(text),
            |number| get(bytes, starts, *number) == text,
            |number| hash(get(bytes, starts, *number)),
        );
        let number = entry.or_insert_with(|| {
            starts.push(bytes.len() as u32);
            bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            bytes.extend_from_slice(text);
            starts.len() as u32 - 1
        });
        (*number.get()).into()
    }

    /// The number of a text that may not be UTF-8: then U+FFFD is in place of what is
    /// not.
    pub(super) fn number_of_wire(&mut self, text: &[u8]) -> u64 {
        let known = self.table.find(self.hasher.hash_one(text), |number| {
            get(&self.bytes, &self.starts, *number) == text
        });
        match known {
            Some(number) => (*number).into(),
            None => self.number(String::from_utf8_lossy(text).as_bytes()),
        }
    }

    /// The text of a number that [`Self::number`] returned.
    #[inline]
    pub(super) fn get(&self, number: u64) -> &[u8] {
        get(&self.bytes, &self.starts, number as u32)
    }

    /// Whether it is the text of a number, which is 0 if there are no texts yet.
    #[inline]
    pub(super) fn is(&self, number: u64, text: &[u8]) -> bool {
        (number as usize) < self.starts.len() && self.get(number) == text
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|number| self.get(number as u64))
    }

    /// All of them, each after its length.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of memory that they take, with what is reserved.
    pub(super) fn footprint(&self) -> usize {
        let table = self.table.capacity() * (size_of::<u32>() + 1);
        self.bytes.capacity() + 4 * self.starts.capacity() + table
    }

    /// Bytes of memory of the texts.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len() + 12 * self.starts.len()
    }

    /// Removes all, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
        self.table.clear();
    }
}

#[inline]
fn get<'a>(bytes: &'a [u8], starts: &[u32], number: u32) -> &'a [u8] {
    let at = number as usize;
    let from = starts[at] as usize + 4;
    let to = starts
        .get(at + 1)
        .map_or(bytes.len(), |next| *next as usize);
    &bytes[from..to]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_distinct_text_has_one_number() {
        let mut texts = Texts::default();
        let numbers = ["a", "", "bc", "a", ""].map(|text| texts.number(text.as_bytes()));
        assert_eq!(numbers, [0, 1, 2, 0, 1]);
        let all: Vec<_> = texts.iter().collect();
        assert_eq!(all, [&b"a"[..], b"", b"bc"]);
        assert_eq!(texts.bytes(), b"\x01\0\0\0a\0\0\0\0\x02\0\0\0bc");
    }
}

//! Rows of CSV (RFC 4180), for every format that is a table.
//!
//! Cells are escaped like the text format, so that no cell can drive a terminal;
//! only payloads are verbatim ([`Row::payload`]). A cell that starts like a formula
//! is unchanged unless `--csv-safe` was given: programs other than spreadsheets
//! would take the mark for data.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use csv::{ByteRecord, WriterBuilder};

use super::escape::{self, Within};

/// Appends the names of the columns.
pub(super) fn heading<'a>(names: impl IntoIterator<Item = &'a str>, out: &mut Vec<u8>) {
    put_record(&names.into_iter().collect(), out);
}

fn put_record(record: &ByteRecord, out: &mut Vec<u8>) {
    let mut writer = WriterBuilder::new()
        .buffer_capacity(1 << 10)
        .from_writer(&mut *out);
    // A Vec never fails, and every row has the same number of cells.
    let _ = writer.write_byte_record(record);
    let _ = writer.flush();
}

/// Builds a row.
#[derive(Debug, Default)]
pub(super) struct Row {
    record: ByteRecord,
    cell: Vec<u8>,
    safe: bool,
}

impl Row {
    /// `safe`: cells that begin like a formula are marked.
    pub(super) fn new(safe: bool) -> Self {
        Self {
            safe,
            ..Self::default()
        }
    }

    /// Appends the row and a line feed, and starts the next.
    pub(super) fn put(&mut self, out: &mut Vec<u8>) {
        put_record(&self.record, out);
        self.record.clear();
    }

    /// A cell with the text that `write` appends, which needs no escaping.
    pub(super) fn cell(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.cell.clear();
        write(&mut self.cell);
        self.push();
    }

    fn push(&mut self) {
        // Characters that start a formula (OWASP, CSV Injection).
        if self.safe
            && matches!(
                self.cell.first(),
                Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r')
            )
        {
            self.cell.insert(0, b'\'');
        }
        self.record.push_field(&self.cell);
    }

    /// Text from the wire, escaped; empty for none.
    pub(super) fn text(&mut self, text: Option<&[u8]>) {
        self.cell(|cell| escape::escaped(text.unwrap_or_default(), Within::Cell, cell));
    }

    /// The name of a file.
    pub(super) fn file(&mut self, name: &str) {
        self.cell(|cell| escape::escaped(name.as_bytes(), Within::Prose, cell));
    }

    /// A payload, its encoding, and whether it was cut, in three cells: verbatim
    /// (`utf-8`), or `base64` if it is not UTF-8 or holds characters that could
    /// drive a terminal.
    pub(super) fn payload(&mut self, payload: &[u8], truncated: bool) {
        let verbatim = escape::as_text(payload, truncated).filter(|text| {
            let is_safe = |c| matches!(c, '\t' | '\n' | '\r') || !escape::is_unsafe(c);
            text.chars().all(is_safe)
        });
        self.cell.clear();
        match verbatim {
            Some(text) => self.cell.extend_from_slice(text.as_bytes()),
            None => self
                .cell
                .extend_from_slice(STANDARD.encode(payload).as_bytes()),
        }
        self.push();
        self.word(if verbatim.is_some() {
            "utf-8"
        } else {
            "base64"
        });
        self.flag(truncated);
    }

    /// A number; empty for none.
    pub(super) fn number(&mut self, number: Option<impl itoa::Integer>) {
        match number {
            Some(number) => self.word(itoa::Buffer::new().format(number)),
            None => self.word(""),
        }
    }

    /// A word that needs no escaping.
    pub(super) fn word(&mut self, word: &str) {
        self.record.push_field(word.as_bytes());
    }

    pub(super) fn flag(&mut self, set: bool) {
        self.word(if set { "true" } else { "false" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(safe: bool, fill: impl FnOnce(&mut Row)) -> String {
        let (mut row, mut out) = (Row::new(safe), Vec::new());
        fill(&mut row);
        row.put(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn payloads_are_verbatim_where_that_is_harmless() {
        let payload = |payload: &[u8]| row(false, |row| row.payload(payload, false));
        assert_eq!(payload(b"1,2"), "\"1,2\",utf-8,false\n");
        assert_eq!(
            payload(b"a\\b\t\"c\"\r\n"),
            "\"a\\b\t\"\"c\"\"\r\n\",utf-8,false\n"
        );
        assert_eq!(payload(b"\xff"), "/w==,base64,false\n");
        assert_eq!(payload(b"\x1b[2J"), "G1sySg==,base64,false\n");
        assert_eq!(payload("\u{202e}".as_bytes()), "4oCu,base64,false\n");
        assert_eq!(payload(b""), ",utf-8,false\n");
        let cut = row(false, |row| {
            row.payload("aü".as_bytes().split_last().unwrap().1, true)
        });
        assert_eq!(cut, "a,utf-8,true\n");
    }

    #[test]
    fn formulas_are_marked_when_asked_for() {
        let fill = |row: &mut Row| {
            row.text(Some(b"=1+1"));
            row.payload(b"@SUM(A1)", false);
            row.number(Some(-1));
        };
        assert_eq!(row(false, fill), "=1+1,@SUM(A1),utf-8,false,-1\n");
        assert_eq!(row(true, fill), "'=1+1,'@SUM(A1),utf-8,false,-1\n");
    }
}

//! Emits the contents of records: every byte once, with its use.
//!
//! ```text
//! data       │header, nonce│ content, as its packets cut it │ tag, padding │
//!              TlsRecord     Chunk::Data                      TlsRecordEnd
//! unread       TlsRecord     Unread                            TlsRecordEnd
//! the rest     TlsHandshake, TlsAlert, TlsRecord: whole
//! ```

use super::Tls;
use super::handshake::Message;
use super::info::TlsVersion;
use super::open::Concern;
use super::record::{HEADER, Record, kind};
use super::suite::{Cipher, Suite};
use super::unreadable::Unreadable;
use super::v13::Epoch;
use crate::direction::Direction;
use crate::flow::At;
use crate::layer::{ByteRange, Chunk, Data, LayerBytes, LayerOutput, Note, Sink};

/// Content of a record.
pub(super) struct Content<'a> {
    pub(super) kind: u8,
    /// How many bytes into the body it begins.
    pub(super) before: usize,
    pub(super) bytes: &'a [u8],
    pub(super) sealed: bool,
}

impl Tls {
    /// Reports the content of a record, and reads messages of TLS itself.
    pub(super) fn content(
        &mut self,
        direction: Direction,
        record: &Record<'_>,
        content: &Content<'_>,
        out: Sink<'_>,
    ) {
        let len = record.bytes.len();
        let what = match content.kind {
            kind::APPLICATION if !content.bytes.is_empty() => {
                self.stream(direction).data = true;
                return emit_content(direction, record, content.before, content.bytes, out);
            }
            kind::HANDSHAKE => {
                self.messages(direction, content.bytes, content.sealed);
                LayerBytes::TlsHandshake
            }
            kind::CHANGE_CIPHER_SPEC => LayerBytes::TlsHandshake,
            kind::ALERT => LayerBytes::TlsAlert,
            _ => LayerBytes::TlsRecord,
        };
        own(direction, record, 0..len, what, out);
        if content.kind == kind::ALERT {
            let (alerts, _) = content.bytes.as_chunks();
            for &[level, description] in alerts.iter().take(2) {
                let note = Note::Alert { level, description };
                out(direction, LayerOutput::Note(note, record.at()));
            }
        }
    }

    fn messages(&mut self, direction: Direction, content: &[u8], sealed: bool) {
        let v13 = self.facts.version == Some(TlsVersion::V13);
        for message in self.stream(direction).messages.push(content, v13) {
            let reader = &mut self.stream(direction).v13;
            match (&message, reader.epoch()) {
                _ if !v13 || !sealed => {}
                (Message::EndOfEarlyData, Epoch::Early) | (Message::Finished, Epoch::Handshake) => {
                    reader.next_epoch()
                }
                (Message::KeyUpdate, Epoch::Data) => reader.update(),
                _ => {}
            }
            self.facts.take(direction, message, sealed);
        }
    }

    /// Emits a record that is not read.
    pub(super) fn sealed(
        &mut self,
        direction: Direction,
        record: &Record<'_>,
        early: bool,
        out: Sink<'_>,
    ) {
        let len = record.bytes.len();
        let v13 = matches!(self.facts.version, Some(TlsVersion::V13) | None);
        let whole = match record.kind() {
            kind::HANDSHAKE => Some(LayerBytes::TlsHandshake),
            kind::ALERT => Some(LayerBytes::TlsAlert),
            kind::APPLICATION if !(v13 && early) => None,
            kind::APPLICATION => Some(LayerBytes::TlsHandshake),
            _ => Some(LayerBytes::TlsRecord),
        };
        if let Some(whole) = whole {
            return own(direction, record, 0..len, whole, out);
        }
        let (before, after) = match self.facts.suite {
            Some(Suite {
                cipher: Cipher::Cbc(..),
                ..
            }) => (16, 0),
            Some(suite) => (suite.before(), suite.after()),
            None => (0, 0),
        };
        let begin = (HEADER + before).min(len);
        let end = len.saturating_sub(after).max(begin);
        own(direction, record, 0..begin, LayerBytes::TlsRecord, out);
        own(direction, record, begin..end, LayerBytes::Unread, out);
        own(direction, record, end..len, LayerBytes::TlsRecordEnd, out);
    }

    /// Reports why a record cannot be read: of the connection as long as nothing of
    /// it could, then of the direction.
    pub(super) fn report_sealed(
        &mut self,
        direction: Direction,
        why: Unreadable,
        concern: Concern,
        at: At,
        out: Sink<'_>,
    ) {
        match concern {
            Concern::Handshake => {}
            Concern::All if !self.facts.info.decrypted => {
                self.report_encrypted(direction, why, at, out)
            }
            Concern::All | Concern::EarlyData => {
                if !std::mem::replace(&mut self.stream(direction).reported, true) {
                    out(direction, LayerOutput::Note(Note::Undecrypted(why), at));
                }
            }
        }
    }

    pub(super) fn report_encrypted(
        &mut self,
        direction: Direction,
        why: Unreadable,
        at: At,
        out: Sink<'_>,
    ) {
        if !std::mem::replace(&mut self.reported, true) {
            out(direction, LayerOutput::Note(Note::Encrypted(why), at));
        }
    }
}

/// Emits the content of a record, `before` bytes into its body, chunk by chunk
/// as its ciphertext came; and what is around it.
fn emit_content(
    direction: Direction,
    record: &Record<'_>,
    before: usize,
    content: &[u8],
    out: Sink<'_>,
) {
    let seal = Some(record.seal());
    let begin = HEADER + before;
    let end = begin + content.len();
    own(direction, record, 0..begin, LayerBytes::TlsRecord, out);
    let mut at = 0;
    for part in record.parts {
        let next = at + part.len;
        let (from, to) = (at.max(begin), next.min(end));
        if let Some(bytes) = content.get(from.saturating_sub(begin)..to.saturating_sub(begin))
            && from < to
        {
            let range = ByteRange {
                start: record.start + from as u64,
                end: record.start + to as u64,
            };
            let data = Data {
                bytes,
                range,
                at: part.at,
                seal,
            };
            out(direction, LayerOutput::Chunk(Chunk::Data(data)));
        }
        at = next;
    }
    own(
        direction,
        record,
        end..record.bytes.len(),
        LayerBytes::TlsRecordEnd,
        out,
    );
}

/// Reports a range of a record that is not passed on.
pub(super) fn own(
    direction: Direction,
    record: &Record<'_>,
    range: std::ops::Range<usize>,
    what: LayerBytes,
    out: Sink<'_>,
) {
    let range = ByteRange {
        start: record.start + range.start as u64,
        end: record.start + range.end as u64,
    };
    if !range.is_empty() {
        out(direction, LayerOutput::Own(range, what));
    }
}

//! Rows of `connections`, and of `sessions`, which are sums of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::known::Known;
use super::sheet::{Sheet, To};
use crate::limits;
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::sessions::{Cause, Record, WillState};
use crate::time::Timestamp;

/// The row of a connection.
pub(super) fn connection(record: &Record, known: &Known, sheet: &mut Sheet) {
    let (first, last) = record.captured;
    let rows = sheet.row(first, Some(record.server));
    rows.shared(known.file(record.first));
    rows.number(record.first.number);
    rows.number(record.connection);
    rows.shared(&record.uid);
    rows.optional_word(record.session_uid.as_deref());
    rows.endpoint(record.client);
    rows.endpoint(record.server);
    rows.text(record.client_id.as_deref());
    rows.text(record.username.as_deref());
    rows.optional_word(record.version.map(|version| version.name()));
    rows.flag(record.version_assumed);
    rows.word(record.transport.name());
    rows.time(first);
    rows.time(last);
    rows.optional_time(record.opened);
    rows.optional_time(record.closed);
    rows.optional_flag(record.clean_start);
    rows.optional_flag(record.session_present);
    rows.optional(record.keep_alive);
    rows.optional(record.session_expiry);
    let will = record.will.as_ref();
    rows.text(will.map(|will| &*will.topic));
    rows.optional(will.map(|will| will.qos));
    rows.optional_flag(will.map(|will| will.retain));
    rows.optional_word(will.map(|will| match will.state {
        WillState::Published(_) => "true",
        WillState::NotOwed => "false",
        WillState::Owed | WillState::CannotTell => "cannot_tell",
    }));
    rows.number(record.frames.up);
    rows.number(record.frames.down);
    rows.number(record.messages.up.iter().sum::<u64>());
    rows.number(record.messages.down.iter().sum::<u64>());
    rows.number(record.bytes.up);
    rows.number(record.bytes.down);
    rows.number(record.violations);
    rows.number(record.warnings);
    let close = &record.close;
    rows.word(close.by.name());
    rows.word(close.cause.name());
    rows.word(close.certainty.name());
    rows.optional(close.reason_code);
    rows.optional_word(close.reason.as_deref());
    rows.word(&close.message);
    rows.numbers(close.packets.iter().map(|packet| packet.number));
    rows.nanos(record.latency.connect);
    rows.nanos(Some(record.longest_idle));
    rows.number(record.stalls.len() as u32);
    let stalled = record.stalls.iter().map(|stall| stall.time);
    rows.nanos(Some(stalled.sum::<Duration>()));
    rows.end();
}

/// The sums of sessions.
#[derive(Debug, Default)]
pub(super) struct Sums {
    sessions: HashMap<Arc<str>, Session>,
}

#[derive(Debug)]
struct Session {
    server: Endpoint,
    client_id: Option<Box<[u8]>>,
    username: Option<Box<[u8]>>,
    first: (PacketRef, Timestamp, Arc<str>),
    last: (Timestamp, Arc<str>),
    began_before: bool,
    connections: u32,
    taken_over: u32,
    without_disconnect: u32,
    messages: [u64; 2],
    bytes: [u64; 2],
    violations: u64,
    warnings: u64,
    /// A connection of it has a row.
    is_selected: bool,
}

impl Sums {
    /// Adds a connection to its session.
    pub(super) fn add(
        &mut self,
        record: &Record,
        is_selected: bool,
        known: &Known,
        sheet: &mut Sheet,
        to: &mut To<'_>,
    ) {
        let Some(uid) = &record.session_uid else {
            return;
        };
        if self.sessions.len() >= limits::SESSIONS && !self.sessions.contains_key(uid) {
            self.finish(known, sheet, to);
        }
        let (first, last) = record.captured;
        let session = self.sessions.entry(uid.clone()).or_insert_with(|| Session {
            server: record.server,
            client_id: record.client_id.clone(),
            username: record.username.clone(),
            first: (record.first, first, record.uid.clone()),
            last: (last, record.uid.clone()),
            began_before: false,
            connections: 0,
            taken_over: 0,
            without_disconnect: 0,
            messages: [0; 2],
            bytes: [0; 2],
            violations: 0,
            warnings: 0,
            is_selected: false,
        });
        session.is_selected |= is_selected;
        if session.connections == 0 || first < session.first.1 {
            session.first = (record.first, first, record.uid.clone());
            session.began_before = record.session_present == Some(true);
        }
        if last > session.last.0 {
            session.last = (last, record.uid.clone());
        }
        let cause = record.close.cause;
        session.connections += 1;
        session.taken_over += u32::from(cause == Cause::TakenOver);
        session.without_disconnect +=
            u32::from(!matches!(cause, Cause::Disconnect | Cause::StillOpen));
        for (sum, by_qos) in session.messages.iter_mut().zip(record.messages.iter()) {
            *sum += by_qos.iter().sum::<u64>();
        }
        for (sum, bytes) in session.bytes.iter_mut().zip(record.bytes.iter()) {
            *sum += bytes;
        }
        session.violations += record.violations;
        session.warnings += record.warnings;
    }

    /// Writes the rows of all sessions, by their first connections.
    pub(super) fn finish(&mut self, known: &Known, sheet: &mut Sheet, to: &mut To<'_>) {
        let mut all: Vec<_> = std::mem::take(&mut self.sessions).into_iter().collect();
        all.sort_by(|(one, a), (other, b)| (a.first.1, one).cmp(&(b.first.1, other)));
        for (uid, session) in all.into_iter().filter(|(_, session)| session.is_selected) {
            let (packet, started, first_uid) = &session.first;
            let rows = sheet.row(*started, Some(session.server));
            rows.shared(known.file(*packet));
            rows.number(packet.number);
            rows.word(&uid);
            rows.endpoint(session.server);
            rows.text(session.client_id.as_deref());
            rows.text(session.username.as_deref());
            rows.time(*started);
            rows.time(session.last.0);
            rows.flag(session.began_before);
            rows.word(first_uid);
            rows.word(&session.last.1);
            rows.number(session.connections);
            rows.number(session.taken_over);
            rows.number(session.without_disconnect);
            for number in session.messages.into_iter().chain(session.bytes) {
                rows.number(number);
            }
            rows.number(session.violations);
            rows.number(session.warnings);
            rows.end();
            sheet.write(to);
        }
    }
}

//! The HTTP request or response that a direction begins with.

use super::super::upgrade::{self};
use super::{Context, Opening, Shared, State, StreamState};
use crate::direction::Direction;
use crate::flow::At;
use crate::layer::pending::Pending;
use crate::layer::{Broken, Data, LayerBytes, Note};
use crate::limits::{self, Limit};

impl StreamState {
    /// The server refused; the next bytes may be another attempt.
    pub(super) fn refused(&mut self, cx: &mut Context<'_>) {
        match &self.state {
            State::Opening(_) | State::Refusal(_) => {}
            State::Header(pending) if cx.shared.may_ask_again && pending.bytes().is_empty() => {
                self.state = State::Opening(Opening::default());
            }
            _ => self.give_up(cx),
        }
    }

    /// Takes as much of a chunk as belongs to the head; returns the bytes
    /// after it.
    pub(super) fn opening<'a>(&mut self, data: Data<'a>, cx: &mut Context<'_>) -> Data<'a> {
        let State::Opening(opening) = &mut self.state else {
            return data;
        };
        if !opening.is_http {
            let start: &[u8] = match cx.direction {
                Direction::Up => b"GET ",
                Direction::Down => b"HTTP/",
            };
            opening.first.push(data);
            let bytes = opening.first.bytes();
            opening.is_http = bytes.starts_with(start);
            if opening.is_http || !start.starts_with(bytes) {
                let first = std::mem::take(&mut opening.first);
                if !opening.is_http && cx.shared.info.is_refused() {
                    self.state = State::Unread;
                } else if !opening.is_http {
                    let why = match cx.direction {
                        Direction::Up => Broken::NoRequest,
                        Direction::Down => Broken::NoAnswer,
                    };
                    let start = first.chunks().next().map_or(0, |first| first.range.start);
                    self.lose(Some(why), start, data.at, cx);
                }
                let mut left = 0;
                for data in first.chunks() {
                    left = self.data(data, cx);
                }
                return data.split_at(data.bytes.len().saturating_sub(left)).1;
            }
            return data.split_at(data.bytes.len()).1;
        }
        let end = opening.end.find(data.bytes);
        let (mine, rest) = data.split_at(end.unwrap_or(data.bytes.len()));
        cx.own(mine.range, LayerBytes::WsUpgrade);
        opening.bytes.extend_from_slice(mine.bytes);
        if opening.bytes.len() > limits::UPGRADE_BYTES {
            cx.note(Note::Limit(Limit::UpgradeBytes), data.at);
            self.lose(None, rest.range.start, data.at, cx);
        } else if end.is_some() {
            let bytes = std::mem::take(&mut opening.bytes);
            self.opened(&bytes, data.at, cx);
        }
        rest
    }

    /// The head is there as a whole.
    pub(super) fn opened(&mut self, bytes: &[u8], at: At, cx: &mut Context<'_>) {
        let mut unusual = Vec::new();
        let mut report_unusual = |what| unusual.push(what);
        let Shared {
            info, compression, ..
        } = &mut *cx.shared;
        self.state = State::Header(Pending::default());
        let mut refused = None;
        match cx.direction {
            Direction::Up => {
                let read = upgrade::read_request(bytes, info, &mut report_unusual);
                // The answer may have been captured before.
                if info.status.is_none() {
                    *compression = read;
                }
            }
            Direction::Down => {
                match upgrade::read_response(bytes, info, compression, &mut report_unusual) {
                    false => self.state = State::Opening(Opening::default()),
                    true if info.is_refused() => {
                        refused = info.status;
                        self.state = match upgrade::body_len(bytes) {
                            Some(0) => State::Opening(Opening::default()),
                            Some(len) => State::Refusal(len),
                            None => State::Unread,
                        };
                        cx.shared.may_ask_again = !matches!(self.state, State::Unread);
                    }
                    true => cx.announce(at),
                }
            }
        }
        if let Some(status) = refused {
            cx.note(Note::Refused { status }, at);
        }
        for what in unusual {
            self.unusual(what, at, cx);
        }
    }
}

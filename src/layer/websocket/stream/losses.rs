//! Gaps, and unreadable bytes: which are counted through, which are dropped,
//! and where reading goes on.

use super::super::search::Search;
use super::{Content, Context, Message, Payload, State, StreamState, nothing};
use crate::direction::Direction;
use crate::flow::At;
use crate::layer::pending::Pending;
use crate::layer::{Broken, ByteRange, Data, LayerBytes, Note};
use crate::limits::{self, Limit};

impl StreamState {
    /// The position of the next frame is unknown; everything before `start` was
    /// reported.
    pub(super) fn lose(&mut self, why: Option<Broken>, start: u64, at: At, cx: &mut Context<'_>) {
        if let Some(why) = why {
            cx.note(Note::Broken(why), at);
        }
        self.break_off(start, cx);
        self.breaks = self.breaks.saturating_add(1);
        if self.breaks > limits::WEBSOCKET_BREAKS {
            cx.note(Note::Limit(Limit::WebSocketBreaks), at);
            self.state = State::Unread;
            return;
        }
        self.look(cx);
    }

    pub(super) fn look(&mut self, cx: &mut Context<'_>) {
        self.lose_context(cx);
        self.message = Message::Unsure;
        self.text.begin(false);
        self.state = State::Lost(Box::new(Search::new(cx.direction)));
    }

    /// Goes on at the first frame that the search has found.
    pub(super) fn settle(&mut self, at_end: bool, cx: &mut Context<'_>) {
        let State::Lost(search) = &mut self.state else {
            return;
        };
        let Some(start) = search.found(at_end) else {
            return;
        };
        let search = std::mem::replace(search.as_mut(), Search::new(cx.direction));
        let pending =
            search.into_pending(start, |skipped| cx.own(skipped.range, LayerBytes::Unread));
        self.state = State::Header(Pending::default());
        cx.announce(self.last);
        for data in pending.chunks() {
            self.data(data, cx);
        }
    }

    /// Nothing more is read, whatever comes.
    pub(super) fn give_up(&mut self, cx: &mut Context<'_>) {
        let mut unread = |data: Data<'_>| cx.own(data.range, LayerBytes::Unread);
        match std::mem::replace(&mut self.state, State::Unread) {
            State::Opening(opening) => opening.first.chunks().for_each(unread),
            State::Header(pending) => pending.chunks().for_each(unread),
            State::Lost(mut search) => search.gap(&mut unread),
            State::Payload(_) | State::Refusal(_) | State::Unread => {}
        }
        self.lose_context(cx);
    }

    /// Takes a gap; `len` is how many bytes are not there, if that is known.
    pub(super) fn gap(&mut self, range: ByteRange, len: Option<u64>, cx: &mut Context<'_>) {
        let mut range = range;
        if let (State::Payload(payload), Some(len)) = (&mut self.state, len) {
            let inside = payload.left.min(len);
            payload.left -= inside;
            let payload = *payload;
            let cut = range.start + inside.min(range.len());
            let mine = ByteRange { end: cut, ..range };
            range.start = cut;
            self.gap_in_payload(payload, mine, inside, cx);
            if payload.left == 0 {
                self.leave(payload, self.last, cx);
            }
            if inside == len {
                return;
            }
        }
        let why = match &mut self.state {
            State::Unread => return cx.gap(range, None),
            State::Refusal(_) => {
                self.state = State::Unread;
                return cx.gap(range, None);
            }
            State::Lost(search) => {
                search.gap(|skipped| cx.own(skipped.range, LayerBytes::Unread));
                self.gapped = true;
                return cx.gap(range, None);
            }
            State::Opening(opening) => {
                let first = std::mem::take(&mut opening.first);
                first
                    .chunks()
                    .for_each(|p| cx.own(p.range, LayerBytes::Unread));
                match cx.direction {
                    Direction::Up => Broken::RequestCut,
                    Direction::Down => Broken::AnswerCut,
                }
            }
            State::Header(pending) => {
                let pending = std::mem::take(pending);
                pending
                    .chunks()
                    .for_each(|p| cx.own(p.range, LayerBytes::Unread));
                Broken::FrameHeaderCut
            }
            State::Payload(_) => Broken::UnknownLoss,
        };
        self.look(cx);
        self.gapped = true;
        cx.gap(range, None);
        cx.note(Note::Broken(why), self.last);
    }

    /// A gap inside a payload.
    pub(super) fn gap_in_payload(
        &mut self,
        payload: Payload,
        range: ByteRange,
        len: u64,
        cx: &mut Context<'_>,
    ) {
        if len == 0 {
            return;
        }
        match payload.content {
            Content::Plain => cx.gap(range, Some(len)),
            // No passed-on byte is lost.
            Content::Control => cx.gap(range, Some(0)),
            Content::Unread => {
                self.gapped = true;
                cx.gap(range, None);
            }
            Content::Deflated => {
                self.lose_context(cx);
                self.gapped = true;
                cx.gap(range, None);
                let why = Broken::MessageCut;
                cx.note(Note::Broken(why), self.last);
                self.skip_message(nothing(range.end), cx);
            }
        }
    }
}

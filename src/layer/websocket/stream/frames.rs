//! Frame after frame: headers, payloads, control frames, compressed messages.

use super::super::header::{FrameHeader, Opcode, mask};
use super::super::inflate::{After, Failure, Inflated, Inflater};
use super::super::upgrade::Compression;
use super::{Content, Context, Message, Payload, State, StreamState};
use crate::direction::Direction;
use crate::flow::At;
use crate::layer::pending::Pending;
use crate::layer::{Broken, ByteRange, Data, LayerBytes, Note, Unusual};
use crate::limits::Limit;

impl StreamState {
    pub(super) fn header<'a>(&mut self, data: Data<'a>, cx: &mut Context<'_>) -> Data<'a> {
        let State::Header(pending) = &mut self.state else {
            return data;
        };
        let before = pending.bytes().len();
        if before == 0
            && let Some(header) = FrameHeader::read(data.bytes)
        {
            let (mine, rest) = data.split_at(header.header_len());
            match self.begin(header, data.at, cx) {
                Ok(content) => self.enter(header, content, mine, cx),
                Err(why) => {
                    self.lose(Some(why), data.range.start, data.at, cx);
                    return data;
                }
            }
            return rest;
        }
        // Byte by byte: there are 14 at most.
        let (byte, rest) = data.split_at(1);
        pending.push(byte);
        let Some(header) = FrameHeader::read(pending.bytes()) else {
            return rest;
        };
        let mut pending = std::mem::take(pending);
        match self.begin(header, data.at, cx) {
            Ok(content) => {
                // All but the last byte are reported here, that one with the frame.
                pending.release(header.header_len() - 1, |part| {
                    cx.own(part.range, own(header));
                });
                self.enter(header, content, byte, cx);
            }
            Err(why) => {
                let start = pending.chunks().next().map_or(0, |part| part.range.start);
                self.lose(Some(why), start, data.at, cx);
                for part in pending.chunks() {
                    self.data(part, cx);
                }
            }
        }
        rest
    }

    /// Kind of the frame behind a header; an error if nothing can be trusted
    /// from there on.
    pub(super) fn begin(
        &mut self,
        header: FrameHeader,
        at: At,
        cx: &mut Context<'_>,
    ) -> Result<Content, Broken> {
        if header.opcode() == Opcode::Reserved {
            return Err(Broken::ReservedOpcode);
        }
        if header.len > i64::MAX as u64 {
            return Err(Broken::FrameLength);
        }
        let is_extended = !cx.shared.info.extensions.is_empty();
        for (is_unusual, what) in [
            (header.rsv23() && !is_extended, Unusual::ReservedBit),
            (!header.is_minimal(), Unusual::LongLength),
            (
                cx.direction == Direction::Up && header.key.is_none(),
                Unusual::NotMasked,
            ),
            (
                cx.direction == Direction::Down && header.key.is_some(),
                Unusual::Masked,
            ),
            (self.closed, Unusual::AfterClose),
        ] {
            if is_unusual {
                self.unusual(what, at, cx);
            }
        }
        Ok(match header.is_control() {
            true => self.begin_control(header, at, cx),
            false => self.begin_data(header, at, cx),
        })
    }

    pub(super) fn begin_control(
        &mut self,
        header: FrameHeader,
        at: At,
        cx: &mut Context<'_>,
    ) -> Content {
        for (is_unusual, what) in [
            (!header.is_final(), Unusual::FragmentedControl),
            (header.len > 125, Unusual::LongControl),
            (header.rsv1(), Unusual::CompressedControl),
        ] {
            if is_unusual {
                self.unusual(what, at, cx);
            }
        }
        Content::Control
    }

    pub(super) fn begin_data(
        &mut self,
        header: FrameHeader,
        at: At,
        cx: &mut Context<'_>,
    ) -> Content {
        let compression = cx.shared.compression;
        if header.opcode() == Opcode::Continuation {
            if header.rsv1() {
                self.unusual(Unusual::CompressedContinuation, at, cx);
            }
            return match self.message {
                Message::Is(content) => content,
                // Whether it is compressed, and from where, is unknown.
                Message::Unsure if cx.shared.may_compress() => Content::Unread,
                Message::Unsure => Content::Plain,
                Message::None => {
                    self.unusual(Unusual::StrayContinuation, at, cx);
                    Content::Plain
                }
            };
        }
        if let Message::Is(content) = self.message {
            self.unusual(Unusual::MessageInMessage, at, cx);
            if content == Content::Deflated {
                self.lose_context(cx);
            }
        }
        self.text.begin(header.opcode() == Opcode::Text);
        if !header.rsv1() {
            return Content::Plain;
        }
        match compression {
            Compression::Without => {
                let what = Unusual::CompressionNotAgreed;
                self.unusual(what, at, cx);
                return Content::Plain;
            }
            Compression::Unknown => {
                self.unusual(Unusual::CompressionUnknown, at, cx);
            }
            Compression::Offered(_) | Compression::Agreed(_) => {}
        }
        let inflater = self
            .inflater
            .get_or_insert_with(|| Box::new(Inflater::new()));
        inflater.begin();
        Content::Deflated
    }

    /// Goes on to the payload. `last` is the last part of the header, of which
    /// nothing was reported yet.
    pub(super) fn enter(
        &mut self,
        header: FrameHeader,
        content: Content,
        last: Data<'_>,
        cx: &mut Context<'_>,
    ) {
        if !header.is_control() {
            self.message = Message::Is(content);
        }
        let payload = Payload {
            header,
            left: header.len,
            content,
            code: [None; 2],
        };
        self.state = State::Payload(payload);
        if header.len > 0 {
            return cx.own(last.range, own(header));
        }
        if content == Content::Deflated && header.is_final() {
            // An empty end of a message may still bring something to light.
            let empty = Data { bytes: &[], ..last };
            self.inflate(empty, After::Nothing, cx);
        } else {
            cx.own(last.range, own(header));
        }
        self.leave(payload, last.at, cx);
    }

    /// Takes as much of a chunk as belongs to the payload; returns the bytes
    /// after it.
    pub(super) fn payload<'a>(&mut self, data: Data<'a>, cx: &mut Context<'_>) -> Data<'a> {
        let State::Payload(payload) = &mut self.state else {
            return data;
        };
        let here = usize::try_from(payload.left)
            .map_or(data.bytes.len(), |left| left.min(data.bytes.len()));
        let (mine, rest) = data.split_at(here);
        let phase = payload.header.len - payload.left;
        payload.left -= here as u64;
        if payload.content == Content::Control {
            let code = payload.code.iter_mut().skip(phase as usize);
            code.zip(mine.bytes)
                .for_each(|(code, byte)| *code = Some(*byte));
        } else {
            self.budget.earn(here);
        }
        let payload = *payload;
        let ended = payload.left == 0;
        match payload.content {
            Content::Control => cx.own(mine.range, own(payload.header)),
            Content::Unread => {
                self.break_off(mine.range.start, cx);
                cx.own(mine.range, LayerBytes::Unread);
            }
            Content::Plain | Content::Deflated => {
                let mut clear = Vec::new();
                let mut mine = mine;
                if let Some(key) = payload.header.key {
                    clear.extend_from_slice(mine.bytes);
                    mask(&mut clear, key, phase);
                    mine.bytes = &clear;
                }
                if payload.content == Content::Plain {
                    self.gapped = false;
                    self.text.pass(mine.at, cx);
                    cx.data(mine);
                } else {
                    let after = match (ended, payload.header.is_final()) {
                        (false, _) => After::More,
                        (true, false) => After::Frame,
                        (true, true) => After::Nothing,
                    };
                    self.inflate(mine, after, cx);
                }
            }
        }
        if ended {
            self.leave(payload, mine.at, cx);
        }
        rest
    }

    /// A frame has ended.
    pub(super) fn leave(&mut self, payload: Payload, at: At, cx: &mut Context<'_>) {
        self.state = State::Header(Pending::default());
        if payload.header.is_control() {
            if payload.header.opcode() == Opcode::Close {
                self.close(payload, at, cx);
            }
            return;
        }
        if payload.header.is_final() {
            self.message = Message::None;
            self.text.begin(false);
            let deflate = cx.shared.compression.deflate();
            if deflate.is_some_and(|deflate| deflate.starts_afresh(cx.direction)) {
                self.inflater = None;
                self.adrift = false;
            }
        }
    }

    pub(super) fn close(&mut self, payload: Payload, at: At, cx: &mut Context<'_>) {
        self.closed = true;
        if payload.header.len == 1 {
            self.unusual(Unusual::HalfCloseCode, at, cx);
        }
        let code = match payload.code {
            [Some(high), Some(low)] => {
                let mut code = [high, low];
                if let Some(key) = payload.header.key {
                    mask(&mut code, key, 0);
                }
                Some(u16::from_be_bytes(code))
            }
            // There is none, or not all of it was captured.
            _ => None,
        };
        if code.is_some_and(|code| !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)) {
            let what = Unusual::CloseCode;
            self.unusual(what, at, cx);
        }
        cx.note(Note::WsClose { code }, at);
    }
}

impl StreamState {
    pub(super) fn inflate(&mut self, data: Data<'_>, after: After, cx: &mut Context<'_>) {
        let Some(inflater) = &mut self.inflater else {
            return;
        };
        let (gapped, text) = (&mut self.gapped, &mut self.text);
        let budget = &mut self.budget;
        let result = inflater.inflate(data, after, budget, &mut |inflated| match inflated {
            Inflated::Data(data) => {
                *gapped = false;
                text.pass(data.at, cx);
                cx.data(data);
            }
            Inflated::Nothing(range) => cx.own(range, LayerBytes::WsFrame),
        });
        self.adrift &= !inflater.is_whole();
        let Err(Failure { too_much, range }) = result else {
            return;
        };
        if too_much {
            if !std::mem::replace(&mut self.reported_spent, true) {
                cx.note(Note::Limit(Limit::Inflated), data.at);
            }
        } else if !self.adrift {
            let why = Broken::NotInflated;
            cx.note(Note::Broken(why), data.at);
        }
        self.lose_context(cx);
        self.skip_message(range, cx);
    }

    /// The rest of the message cannot be read; `range` was not reported yet.
    pub(super) fn skip_message(&mut self, range: ByteRange, cx: &mut Context<'_>) {
        self.break_off(range.start, cx);
        cx.own(range, LayerBytes::Unread);
        if let State::Payload(payload) = &mut self.state
            && payload.content == Content::Deflated
        {
            payload.content = Content::Unread;
        }
        self.message = Message::Is(Content::Unread);
    }

    /// Later messages cannot refer to bytes compressed so far.
    pub(super) fn lose_context(&mut self, cx: &mut Context<'_>) {
        if let Some(inflater) = self.inflater.take()
            && let Some(pending) = inflater.pending()
        {
            cx.own(pending, LayerBytes::WsFrame);
        }
        let deflate = cx.shared.compression.deflate();
        self.adrift |= !deflate.is_some_and(|deflate| deflate.starts_afresh(cx.direction));
    }
}

/// The use of a frame's bytes that are not passed on.
fn own(header: FrameHeader) -> LayerBytes {
    match header.opcode() {
        Opcode::Ping | Opcode::Pong => LayerBytes::WsPing,
        Opcode::Close => LayerBytes::WsClose,
        Opcode::Continuation | Opcode::Text | Opcode::Binary | Opcode::Reserved => {
            LayerBytes::WsFrame
        }
    }
}

//! One direction of a WebSocket: its head, then frame after frame.
//!
//! ```text
//!  Opening ──→ Header ←──────┐        gap inside a payload: counted through
//!     │          ↓ ↑         │        gap over a header: lost
//!     │       Payload ──→ Lost        found again by `Search`
//!     ├──→ Unread: refused, or broken too often
//!     └──→ Refusal: what the server says to it ──→ Opening, if its end is known
//! ```
//! Every byte is reported as soon as it is clear what it is. Only a header that
//! comes in chunks waits, and what is searched.

use super::super::http::BlankLine;
use super::super::pending::Pending;
use super::super::{Broken, ByteRange, Chunk, Data, LayerBytes, LayerOutput, Note, Sink, Unusual};
use super::header::{FrameHeader, Opcode, mask};
use super::inflate::{After, Budget, Failure, Inflated, Inflater};
use super::search::Search;
use super::upgrade::{self, Compression, WebSocketInfo};
use crate::direction::Direction;
use crate::flow::At;
use crate::limits::{self, Limit};

/// What both directions know.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) info: WebSocketInfo,
    pub(super) compression: Compression,
    /// Whether it was reported that a WebSocket was opened.
    pub(super) announced: bool,
    /// The server refused, and it is known where its answer ends: so another
    /// request may follow.
    pub(super) may_ask_again: bool,
}

impl Shared {
    fn may_compress(&self) -> bool {
        self.compression != Compression::Without
    }
}

/// What a direction is lent to tell what it finds.
pub(super) struct Context<'a> {
    pub(super) direction: Direction,
    pub(super) shared: &'a mut Shared,
    pub(super) out: Sink<'a>,
}

impl Context<'_> {
    fn own(&mut self, range: ByteRange, own: LayerBytes) {
        if !range.is_empty() {
            (self.out)(self.direction, LayerOutput::Own(range, own));
        }
    }

    fn note(&mut self, note: Note, at: At) {
        (self.out)(self.direction, LayerOutput::Note(note, at));
    }

    fn data(&mut self, data: Data<'_>) {
        (self.out)(self.direction, LayerOutput::Chunk(Chunk::Data(data)));
    }

    fn gap(&mut self, range: ByteRange, len: Option<u64>) {
        (self.out)(
            self.direction,
            LayerOutput::Chunk(Chunk::Gap { range, len }),
        );
    }

    fn announce(&mut self, at: At) {
        if !self.shared.announced {
            self.shared.announced = true;
            self.note(Note::WebSocket, at);
        }
    }
}

/// One direction.
#[derive(Debug)]
pub(super) struct StreamState {
    state: State,
    message: Message,
    text: Text,
    inflater: Option<Box<Inflater>>,
    budget: Budget,
    /// It was reported that the budget is spent.
    reported_spent: bool,
    /// Compressed bytes were lost, and later messages may look back at them.
    adrift: bool,
    /// It was reported that bytes lack, and none were passed on since.
    gapped: bool,
    /// A close frame was seen.
    closed: bool,
    /// How often the format was broken.
    breaks: u8,
    /// Oddities that were reported; each is reported once.
    reported: Vec<Unusual>,
    /// Packet that carried the last bytes, for what a gap makes known.
    last: At,
    /// Position after everything that has come.
    read: u64,
}

#[derive(Debug)]
enum State {
    /// Within the HTTP request or response.
    Opening(Opening),
    /// Between two frames, or within a header that came in chunks.
    Header(Pending),
    /// Within a payload.
    Payload(Payload),
    /// Looking for a frame.
    Lost(Box<Search>),
    /// Within the body of a response that refuses: so many bytes are to come.
    Refusal(u64),
    /// Nothing more will be read.
    Unread,
}

#[derive(Debug, Default)]
struct Opening {
    /// First bytes, until it is clear that they are HTTP.
    first: Pending,
    is_http: bool,
    bytes: Vec<u8>,
    end: BlankLine,
}

#[derive(Clone, Copy, Debug)]
struct Payload {
    header: FrameHeader,
    /// Bytes to come.
    left: u64,
    content: Content,
    /// The first two bytes of a close frame's, as far as they were captured.
    code: [Option<u8>; 2],
}

/// What to do with a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Plain,
    Deflated,
    Unread,
    Control,
}

/// The message that a continuation would continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    None,
    /// Its first frame may have been lost.
    Unsure,
    Is(Content),
}

/// Whether MQTT comes in a text message. One without a byte carries none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    No,
    /// The message is text, and no byte of it was passed on yet.
    Empty,
    /// It was reported, which is done once.
    Told,
}

impl Text {
    fn begin(&mut self, is_text: bool) {
        *self = match *self {
            Self::Told => Self::Told,
            _ if is_text => Self::Empty,
            _ => Self::No,
        };
    }

    /// A byte of the message is passed on.
    fn pass(&mut self, at: At, cx: &mut Context<'_>) {
        if *self == Self::Empty {
            *self = Self::Told;
            cx.note(Note::TextMessage, at);
        }
    }
}

impl StreamState {
    /// From the first byte of the request or the response.
    pub(super) fn new() -> Self {
        Self {
            state: State::Opening(Opening::default()),
            message: Message::None,
            text: Text::No,
            inflater: None,
            budget: Budget::default(),
            reported_spent: false,
            adrift: false,
            gapped: false,
            closed: false,
            breaks: 0,
            reported: Vec::new(),
            last: At::default(),
            read: 0,
        }
    }

    /// From somewhere in the middle.
    pub(super) fn joining(direction: Direction) -> Self {
        Self {
            state: State::Lost(Box::new(Search::new(direction))),
            message: Message::Unsure,
            adrift: true,
            gapped: true,
            ..Self::new()
        }
    }

    /// Memory that this takes.
    pub(super) fn kept(&self) -> usize {
        let state = match &self.state {
            State::Opening(opening) => opening.bytes.capacity() + opening.first.kept(),
            State::Header(pending) => pending.kept(),
            State::Lost(search) => search.kept(),
            State::Payload(_) | State::Refusal(_) | State::Unread => 0,
        };
        state + self.inflater.as_ref().map_or(0, |inflater| inflater.kept())
    }

    /// Takes what comes next. Returns how many bytes at its end it has not
    /// taken, because the head was read and others may want to know.
    pub(super) fn push(&mut self, chunk: Chunk<'_>, cx: &mut Context<'_>) -> usize {
        if cx.shared.info.is_refused() {
            self.refused(cx);
        }
        match chunk {
            Chunk::Data(data) => {
                (self.last, self.read) = (data.at, data.range.end);
                self.data(data, cx)
            }
            Chunk::Gap { range, len } => {
                self.read = range.end;
                self.gap(range, len, cx);
                0
            }
        }
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self, cx: &mut Context<'_>) {
        self.settle(true, cx);
        self.give_up(cx);
    }

    /// Gives up the memory that compression needs; messages that look back at
    /// it cannot be read any more.
    pub(super) fn shed(&mut self, cx: &mut Context<'_>) {
        if self.inflater.is_some() {
            cx.note(Note::Limit(Limit::Inflaters), self.last);
            self.lose_context(cx);
            if self.message == Message::Is(Content::Deflated) {
                self.skip_message(nothing(self.read), cx);
            }
        }
    }

    /// Reports something unusual, once.
    fn unusual(&mut self, what: Unusual, at: At, cx: &mut Context<'_>) {
        if !self.reported.contains(&what) {
            self.reported.push(what);
            cx.note(Note::Unusual(what), at);
        }
    }

    /// What is passed on does not follow what was passed on before.
    fn break_off(&mut self, at: u64, cx: &mut Context<'_>) {
        if !self.gapped {
            self.gapped = true;
            cx.gap(nothing(at), None);
        }
    }

    /// Takes a chunk; returns how many bytes are left when a head was read.
    fn data(&mut self, data: Data<'_>, cx: &mut Context<'_>) -> usize {
        let mut rest = data;
        while !rest.bytes.is_empty() {
            match &mut self.state {
                State::Opening(_) => {
                    rest = self.opening(rest, cx);
                    if !matches!(self.state, State::Opening(_)) {
                        return rest.bytes.len();
                    }
                }
                State::Header(_) => rest = self.header(rest, cx),
                State::Payload(_) => rest = self.payload(rest, cx),
                State::Lost(search) => {
                    let may_compress = cx.shared.may_compress();
                    search.push(rest, may_compress, |skipped| {
                        cx.own(skipped.range, LayerBytes::Unread);
                    });
                    self.settle(false, cx);
                    return 0;
                }
                State::Refusal(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX);
                    let (body, after) = rest.split_at(here.min(rest.bytes.len()));
                    *left -= body.bytes.len() as u64;
                    if *left == 0 {
                        self.state = State::Opening(Opening::default());
                    }
                    cx.own(body.range, LayerBytes::Unread);
                    rest = after;
                }
                State::Unread => {
                    cx.own(rest.range, LayerBytes::Unread);
                    return 0;
                }
            }
        }
        0
    }
}

/// The HTTP head.
impl StreamState {
    /// The server refused; what comes may be another attempt.
    fn refused(&mut self, cx: &mut Context<'_>) {
        match &self.state {
            State::Opening(_) | State::Refusal(_) => {}
            State::Header(pending) if cx.shared.may_ask_again && pending.bytes().is_empty() => {
                self.state = State::Opening(Opening::default());
            }
            _ => self.give_up(cx),
        }
    }

    /// Takes as much of a chunk as belongs to the head; returns what lies
    /// after it.
    fn opening<'a>(&mut self, data: Data<'a>, cx: &mut Context<'_>) -> Data<'a> {
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
    fn opened(&mut self, bytes: &[u8], at: At, cx: &mut Context<'_>) {
        let mut oddities = Vec::new();
        let mut odd = |what| oddities.push(what);
        let Shared {
            info, compression, ..
        } = &mut *cx.shared;
        self.state = State::Header(Pending::default());
        let mut refused = None;
        match cx.direction {
            Direction::Up => {
                let read = upgrade::read_request(bytes, info, &mut odd);
                // The answer may have been captured before.
                if info.status.is_none() {
                    *compression = read;
                }
            }
            Direction::Down => match upgrade::read_response(bytes, info, compression, &mut odd) {
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
            },
        }
        if let Some(status) = refused {
            cx.note(Note::Refused { status }, at);
        }
        for what in oddities {
            self.unusual(what, at, cx);
        }
    }
}

/// Frames.
impl StreamState {
    fn header<'a>(&mut self, data: Data<'a>, cx: &mut Context<'_>) -> Data<'a> {
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

    /// What the frame behind a header is; an error if nothing can be trusted
    /// from there on.
    fn begin(
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

    fn begin_control(&mut self, header: FrameHeader, at: At, cx: &mut Context<'_>) -> Content {
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

    fn begin_data(&mut self, header: FrameHeader, at: At, cx: &mut Context<'_>) -> Content {
        let compression = cx.shared.compression;
        if header.opcode() == Opcode::Continuation {
            if header.rsv1() {
                self.unusual(Unusual::CompressedContinuation, at, cx);
            }
            return match self.message {
                Message::Is(content) => content,
                // Nobody knows whether it is compressed, nor from where.
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
    fn enter(
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

    /// Takes as much of a chunk as belongs to the payload; returns what lies
    /// after it.
    fn payload<'a>(&mut self, data: Data<'a>, cx: &mut Context<'_>) -> Data<'a> {
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
    fn leave(&mut self, payload: Payload, at: At, cx: &mut Context<'_>) {
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

    fn close(&mut self, payload: Payload, at: At, cx: &mut Context<'_>) {
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

/// Compressed messages.
impl StreamState {
    fn inflate(&mut self, data: Data<'_>, after: After, cx: &mut Context<'_>) {
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

    /// The rest of the message cannot be read; `place` is not told yet.
    fn skip_message(&mut self, range: ByteRange, cx: &mut Context<'_>) {
        self.break_off(range.start, cx);
        cx.own(range, LayerBytes::Unread);
        if let State::Payload(payload) = &mut self.state
            && payload.content == Content::Deflated
        {
            payload.content = Content::Unread;
        }
        self.message = Message::Is(Content::Unread);
    }

    /// What was compressed so far cannot be looked back at.
    fn lose_context(&mut self, cx: &mut Context<'_>) {
        if let Some(inflater) = self.inflater.take()
            && let Some(pending) = inflater.pending()
        {
            cx.own(pending, LayerBytes::WsFrame);
        }
        let deflate = cx.shared.compression.deflate();
        self.adrift |= !deflate.is_some_and(|deflate| deflate.starts_afresh(cx.direction));
    }
}

/// Losses.
impl StreamState {
    /// Nobody knows where the next frame begins; everything before `at` was
    /// told.
    fn lose(&mut self, why: Option<Broken>, start: u64, at: At, cx: &mut Context<'_>) {
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

    fn look(&mut self, cx: &mut Context<'_>) {
        self.lose_context(cx);
        self.message = Message::Unsure;
        self.text.begin(false);
        self.state = State::Lost(Box::new(Search::new(cx.direction)));
    }

    /// Goes on at the first frame that the search has found.
    fn settle(&mut self, at_end: bool, cx: &mut Context<'_>) {
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
    fn give_up(&mut self, cx: &mut Context<'_>) {
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
    fn gap(&mut self, range: ByteRange, len: Option<u64>, cx: &mut Context<'_>) {
        let mut range = range;
        if let (State::Payload(payload), Some(len)) = (&mut self.state, len) {
            let inside = payload.left.min(len);
            payload.left -= inside;
            let payload = *payload;
            let cut = range.start + inside.min(range.len());
            let mine = ByteRange { end: cut, ..range };
            range.start = cut;
            self.hole(payload, mine, inside, cx);
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
    fn hole(&mut self, payload: Payload, range: ByteRange, len: u64, cx: &mut Context<'_>) {
        if len == 0 {
            return;
        }
        match payload.content {
            Content::Plain => cx.gap(range, Some(len)),
            // Nothing of what is passed on is lost.
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

/// No bytes, at a position.
const fn nothing(at: u64) -> ByteRange {
    ByteRange { start: at, end: at }
}

/// What the bytes of a frame that are not passed on are for.
fn own(header: FrameHeader) -> LayerBytes {
    match header.opcode() {
        Opcode::Ping | Opcode::Pong => LayerBytes::WsPing,
        Opcode::Close => LayerBytes::WsClose,
        Opcode::Continuation | Opcode::Text | Opcode::Binary | Opcode::Reserved => {
            LayerBytes::WsFrame
        }
    }
}

//! One direction of a WebSocket: its head, then frame after frame.
//!
//! ```text
//!  Opening ──→ Header ←──────┐        gap inside a payload: counted through
//!     │          ↓ ↑         │        gap over a header: lost
//!     │       Payload ──→ Lost        found again by `Search`
//!     ├──→ Unread: refused, or broken too often
//!     └──→ Refusal: the body of its answer ──→ Opening, if its end is known
//! ```
//! Every byte is reported as soon as its use is clear. Only a header that
//! comes in chunks waits, and bytes that are searched.

mod frames;
mod losses;
mod opening;

use super::header::FrameHeader;
use super::inflate::{Budget, Inflater};
use super::search::Search;
use super::upgrade::{Compression, WebSocketInfo};
use crate::direction::Direction;
use crate::flow::At;
use crate::layer::http::BlankLine;
use crate::layer::pending::Pending;
use crate::layer::{ByteRange, Chunk, Data, LayerBytes, LayerOutput, Note, Sink, Unusual};
use crate::limits::Limit;

/// State of both directions.
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

/// Context that a direction needs for its reports.
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
    /// It was reported that bytes are missing, and none were passed on since.
    gapped: bool,
    /// A close frame was captured.
    closed: bool,
    /// How often the format was broken.
    breaks: u8,
    /// Oddities that were reported; each is reported once.
    reported: Vec<Unusual>,
    /// Packet that carried the last bytes, for facts that a gap reveals.
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

/// Treatment of a payload.
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
    Reported,
}

impl Text {
    fn begin(&mut self, is_text: bool) {
        *self = match *self {
            Self::Reported => Self::Reported,
            _ if is_text => Self::Empty,
            _ => Self::No,
        };
    }

    /// A byte of the message is passed on.
    fn pass(&mut self, at: At, cx: &mut Context<'_>) {
        if *self == Self::Empty {
            *self = Self::Reported;
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

    /// Takes the next chunk. Returns how many bytes at its end it has not
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

    /// The next output does not follow the last one.
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

/// No bytes, at a position.
const fn nothing(at: u64) -> ByteRange {
    ByteRange { start: at, end: at }
}

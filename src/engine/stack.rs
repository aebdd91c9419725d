//! The layers between the TCP streams of one connection and its MQTT streams.
//!
//! ```text
//! StreamEvent ─→ Undecided ─→ Proxy ─→ Undecided ─→ Tls ─→ Undecided ─→ WebSocket ─→ Undecided ─→ Mqtt
//!                    └──────────────────────────────────── any of them may be left out ──────────┘
//! ```
//! Each [`Node`] is a layer with what lies above it. What lies above is
//! undecided until its first bytes tell: the same question, by the same code, at
//! every height. On a port that is known to carry MQTT there is a
//! [`Conversation`] from the start, which hears of everything; on any other
//! there is one as soon as a CONNECT is found, or a layer names the protocol, and
//! until then what the layers tell is kept for it.

mod climb;
mod node;

use super::conversation::Conversation;
use super::recognise::Carrier;
use super::{Context, Decode};
use crate::direction::Direction;
use crate::flow::{At, Closed, End, FlowInfo, StreamEvent, TcpFact};
use crate::frame::Connection;
use crate::layer::{Piece, Place, Stream};
use crate::limits;
use climb::{Above, Climb};
use node::Node;

/// A connection whose MQTT streams are not its TCP streams.
#[derive(Debug)]
pub(super) struct Stack {
    client: End,
    bottom: Node,
    above: Above,
    /// Memory that it takes, as counted with that of all others.
    kept: usize,
}

impl Stack {
    /// The layers of a connection on a port that is known to carry MQTT in one.
    pub(super) fn expecting(
        known: Decode,
        mut conversation: Box<Conversation>,
        client: End,
    ) -> Self {
        // Nothing was said yet.
        let _ = conversation.take_back();
        Self::new(
            client,
            Some(known),
            Some(conversation),
            Node::undecided(None),
        )
    }

    /// The layers of a connection that turned out to have one, on a port that is
    /// known to carry MQTT.
    pub(super) fn found(carrier: Carrier, conversation: Box<Conversation>, client: End) -> Self {
        let bottom = Node::layer(carrier);
        Self::new(client, Some(Decode::Mqtt), Some(conversation), bottom)
    }

    /// The layers of a connection on any other port.
    pub(super) fn probed(carrier: Carrier, client: End) -> Self {
        Self::new(client, None, None, Node::layer(carrier))
    }

    fn new(
        client: End,
        known: Option<Decode>,
        conversation: Option<Box<Conversation>>,
        bottom: Node,
    ) -> Self {
        Self {
            client,
            bottom,
            kept: 0,
            above: Above {
                known,
                conversation,
                tls: None,
                is_decrypted: false,
                waits_no_more: false,
                websocket: None,
                notes: Vec::new(),
                unkept: None,
                order: Default::default(),
            },
        }
    }

    /// The connection, if it carries MQTT or should.
    pub(super) fn connection(&self) -> Option<&Connection> {
        let conversation = self.above.conversation.as_deref();
        conversation.map(Conversation::connection)
    }

    /// Whether nothing that comes can be MQTT any more.
    pub(super) fn is_over(&self) -> bool {
        let conversation = self.above.conversation.as_deref();
        conversation.map_or(self.bottom.is_foreign(), Conversation::is_over)
    }

    /// Whether it is TLS of which nothing was read, and nobody knows what it
    /// carries.
    pub(super) fn is_sealed(&self, cx: &Context<'_, '_>) -> bool {
        let has_keys = !cx.keys.is_empty();
        self.above.conversation.is_none() && self.bottom.is_sealed(has_keys)
    }

    /// The SYN came after what it should precede.
    pub(super) fn announce(&mut self, flow: &FlowInfo, cx: &mut Context<'_, '_>) {
        if let Some(conversation) = &mut self.above.conversation {
            conversation.announce(flow, cx.out);
        }
    }

    /// Takes what happens in one direction.
    pub(super) fn stream(
        &mut self,
        flow: &FlowInfo,
        from: End,
        event: StreamEvent<'_>,
        now: At,
        cx: &mut Context<'_, '_>,
    ) {
        match stream(event) {
            Some(stream) => self.push(flow, from, stream, now, cx),
            None => {
                if let Some(conversation) = &self.above.conversation {
                    conversation.happened(from, event, now, cx.out);
                }
            }
        }
    }

    /// Takes the next piece of a direction.
    pub(super) fn push(
        &mut self,
        flow: &FlowInfo,
        from: End,
        stream: Stream<'_>,
        now: At,
        cx: &mut Context<'_, '_>,
    ) {
        let direction = direction_of(from, self.client);
        let (Stream::Data(Piece { place, .. }) | Stream::Gap { place, .. }) = stream;
        self.above.order[direction].begin(place.start);
        if let Some(conversation) = &mut self.above.conversation {
            let from_start = flow.from_start[from];
            conversation.begins(direction, flow, from, from_start);
            match stream {
                Stream::Data(_) => conversation.read(direction, place.end),
                Stream::Gap { .. } => conversation.read_gap(direction, place.end),
            }
        }
        self.with(flow, now, cx, |bottom, climb| {
            bottom.push(direction, stream, climb)
        });
    }

    /// Keys may have come since.
    pub(super) fn settle(&mut self, flow: &FlowInfo, now: At, cx: &mut Context<'_, '_>) {
        self.with(flow, now, cx, Node::settle);
    }

    fn with(
        &mut self,
        flow: &FlowInfo,
        now: At,
        cx: &mut Context<'_, '_>,
        f: impl FnOnce(&mut Node, &mut Climb<'_, '_, '_>),
    ) {
        let mut climb = Climb {
            client: self.client,
            above: &mut self.above,
            flow,
            now,
            cx,
        };
        f(&mut self.bottom, &mut climb);
        self.bottom.learn(&mut climb);
        climb.cx.shared.forget_kept(self.kept);
        self.kept = self.bottom.kept();
        if self.kept > 0 && climb.cx.shared.layers_kept + self.kept > limits::LAYERS_KEPT {
            self.bottom.shed(&mut climb);
            self.kept = self.bottom.kept();
        }
        climb.cx.shared.layers_kept += self.kept;
        climb.settle_notes();
        climb.settle_spans(false);
    }

    /// What TCP itself tells.
    pub(super) fn tcp(&mut self, from: End, fact: TcpFact, now: At, cx: &mut Context<'_, '_>) {
        if let Some(conversation) = &mut self.above.conversation {
            conversation.tcp(from, fact, now, cx.out);
        }
    }

    /// A side begins to close it.
    pub(super) fn closing(&mut self, how: Closed, at: At, cx: &mut Context<'_, '_>) {
        if let Some(conversation) = &mut self.above.conversation {
            conversation.closing(how, at, cx);
        }
    }

    /// Nobody will ask for it any more.
    pub(super) fn leave(&self, cx: &mut Context<'_, '_>) {
        cx.shared.forget_kept(self.kept);
    }

    /// The connection is over.
    pub(super) fn close(mut self, flow: &FlowInfo, how: Closed, now: At, cx: &mut Context<'_, '_>) {
        self.with(flow, now, cx, |bottom, climb| {
            bottom.finish(climb);
            climb.settle_spans(true);
        });
        self.leave(cx);
        if let Some(mut conversation) = self.above.conversation {
            conversation.close(how, now, cx);
        }
    }
}

/// What TCP hands on, if it is a part of the stream.
pub(super) fn stream(event: StreamEvent<'_>) -> Option<Stream<'_>> {
    let place = |start, len| Place {
        start,
        end: start + len,
    };
    match event {
        StreamEvent::Data { offset, bytes, at } => Some(Stream::Data(Piece {
            bytes,
            place: place(offset, bytes.len() as u64),
            at,
            seal: None,
        })),
        StreamEvent::Gap { offset, len } => Some(Stream::Gap {
            place: place(offset, len),
            len: Some(len),
        }),
        _ => None,
    }
}

fn direction_of(from: End, client: End) -> Direction {
    match from == client {
        true => Direction::Up,
        false => Direction::Down,
    }
}

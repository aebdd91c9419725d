//! The layers between the TCP streams of one connection and its MQTT streams.
//!
//! ```text
//! Chunk ─→ Undecided ─→ Proxy ─→ Undecided ─→ Tls ─→ Undecided ─→ WebSocket ─→ Undecided ─→ Mqtt
//!              └──────────────────────────────────── any of them may be left out ──────────┘
//! ```
//! Each [`Node`] is a layer with the nodes above it. A node is undecided until
//! its first bytes are recognised, by the same code at every level. On a port
//! of MQTT there is a [`Conversation`] from the start, which gets all events;
//! on other ports there is one as soon as a CONNECT is found, or a layer names
//! the protocol, and until then events of the layers are kept for it.

mod context;
mod node;

use super::conversation::Conversation;
use super::{Context, Decode};
use crate::direction::Direction;
use crate::flow::{At, Closed, End, FlowInfo, StreamEvent, TcpFact};
use crate::frame::Connection;
use crate::layer::{Chunk, LayerType, Transport};
use crate::limits;
use context::{StackContext, Upper};
use node::Node;

/// A connection whose MQTT streams are not its TCP streams.
#[derive(Debug)]
pub(super) struct Stack {
    client: End,
    bottom: Node,
    upper: Upper,
    /// Its memory, as counted in the total.
    kept: usize,
}

impl Stack {
    /// A connection on a port of MQTT.
    pub(super) fn on_known_port(
        known: Decode,
        conversation: Box<Conversation>,
        client: End,
    ) -> Self {
        let bottom = Node::undecided(None);
        Self::new(client, Some(known), Some(conversation), bottom)
    }

    /// A connection on another port that starts with a CONNECT.
    pub(super) fn plain(conversation: Box<Conversation>, client: End) -> Self {
        Self::new(client, None, Some(conversation), Node::Mqtt)
    }

    /// A connection on another port that starts with a layer.
    pub(super) fn layered(carrier: &'static LayerType, client: End) -> Self {
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
            upper: Upper {
                known,
                conversation,
                transport: Transport::TCP,
                tls: None,
                websocket: None,
                notes: Vec::new(),
                unkept: None,
                order: Default::default(),
            },
        }
    }

    /// The connection, if it carries MQTT or should.
    pub(super) fn connection(&self) -> Option<&Connection> {
        let conversation = self.upper.conversation.as_deref();
        conversation.map(Conversation::connection)
    }

    /// Whether it cannot carry MQTT any more.
    pub(super) fn is_over(&self) -> bool {
        let conversation = self.upper.conversation.as_deref();
        conversation.map_or(self.bottom.is_foreign(), Conversation::is_over)
    }

    /// Whether it is TLS that was not decrypted, and whose content is unknown.
    pub(super) fn is_sealed(&self, cx: &Context<'_, '_>) -> bool {
        let has_keys = !cx.keys.is_empty();
        self.upper.conversation.is_none() && self.bottom.is_sealed(has_keys)
    }

    /// The SYN was captured after bytes that it precedes.
    pub(super) fn announce(&mut self, flow: &FlowInfo, cx: &mut Context<'_, '_>) {
        if let Some(conversation) = &mut self.upper.conversation {
            conversation.announce(flow, cx.out);
        }
    }

    /// Takes what happens in one direction.
    #[inline]
    pub(super) fn stream(
        &mut self,
        flow: &FlowInfo,
        from: End,
        event: StreamEvent<'_>,
        now: At,
        cx: &mut Context<'_, '_>,
    ) {
        match event {
            StreamEvent::Chunk(chunk) => match (&mut self.upper.conversation, &self.bottom) {
                (Some(conversation), Node::Mqtt) => {
                    conversation.begins(flow);
                    let direction = direction_of(from, self.client);
                    conversation.read(direction, chunk.range().end);
                    conversation.take(direction, chunk, now, cx);
                }
                _ => self.push(flow, from, chunk, now, cx),
            },
            _ => {
                if let Some(conversation) = &self.upper.conversation {
                    conversation.happened(from, event, now, cx.out);
                }
            }
        }
    }

    /// Takes the next chunk of a direction. Where the TCP streams are the MQTT
    /// streams it goes straight to the conversation.
    pub(super) fn push(
        &mut self,
        flow: &FlowInfo,
        from: End,
        chunk: Chunk<'_>,
        now: At,
        cx: &mut Context<'_, '_>,
    ) {
        let direction = direction_of(from, self.client);
        let range = chunk.range();
        if let Some(conversation) = &mut self.upper.conversation {
            conversation.begins(flow);
            if let Node::Mqtt = self.bottom {
                conversation.read(direction, range.end);
                return conversation.take(direction, chunk, now, cx);
            }
            match chunk {
                Chunk::Data(_) => conversation.read(direction, range.end),
                Chunk::Gap { .. } => conversation.read_gap(direction, range.end),
            }
        }
        if cx.config.follow_packets {
            let order = self.upper.order.get_or_insert_default();
            order[direction].begin(range.start);
        }
        self.with(flow, now, cx, |bottom, context| {
            bottom.push(direction, chunk, context)
        });
    }

    /// Keys may have arrived.
    pub(super) fn settle(&mut self, flow: &FlowInfo, now: At, cx: &mut Context<'_, '_>) {
        self.with(flow, now, cx, Node::settle);
    }

    fn with(
        &mut self,
        flow: &FlowInfo,
        now: At,
        cx: &mut Context<'_, '_>,
        f: impl FnOnce(&mut Node, &mut StackContext<'_, '_, '_>),
    ) {
        let mut context = StackContext {
            client: self.client,
            upper: &mut self.upper,
            flow,
            now,
            engine: cx,
        };
        f(&mut self.bottom, &mut context);
        self.bottom.learn(&mut context);
        context.engine.shared.forget_kept(self.kept);
        self.kept = self.bottom.kept();
        if self.kept > 0 && context.engine.shared.layers_kept + self.kept > limits::LAYERS_KEPT {
            self.bottom.shed(&mut context);
            self.kept = self.bottom.kept();
        }
        context.engine.shared.layers_kept += self.kept;
        context.settle_notes();
        context.settle_spans(false);
        if let Node::Mqtt = self.bottom {
            self.upper.order = None;
        }
    }

    /// A fact of TCP.
    pub(super) fn tcp(&mut self, from: End, fact: TcpFact, now: At, cx: &mut Context<'_, '_>) {
        if let Some(conversation) = &mut self.upper.conversation {
            conversation.tcp(from, fact, now, cx.out);
        }
    }

    /// A side starts to close it.
    pub(super) fn closing(&mut self, how: Closed, at: At, cx: &mut Context<'_, '_>) {
        if let Some(conversation) = &mut self.upper.conversation {
            conversation.closing(how, at, cx);
        }
    }

    /// It is no longer needed.
    pub(super) fn leave(&self, cx: &mut Context<'_, '_>) {
        cx.shared.forget_kept(self.kept);
    }

    /// The connection is over.
    pub(super) fn close(mut self, flow: &FlowInfo, how: Closed, now: At, cx: &mut Context<'_, '_>) {
        self.with(flow, now, cx, |bottom, context| {
            bottom.finish(context);
            context.settle_spans(true);
        });
        self.leave(cx);
        if let Some(mut conversation) = self.upper.conversation {
            conversation.close(how, now, cx);
        }
    }
}

fn direction_of(from: End, client: End) -> Direction {
    match from == client {
        true => Direction::Up,
        false => Direction::Down,
    }
}

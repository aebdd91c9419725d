//! Output of the layers to the conversation above them, buffered until there is one.
//!
//! Facts, notes and ranges of the stream may come before the connection is
//! recognised as MQTT. They are buffered, within limits, and reported in order
//! when a conversation starts.

use crate::direction::{Direction, PerDirection};
use crate::engine::conversation::Conversation;
use crate::engine::order::Order;
use crate::engine::{Context, Decode, SpanKind};
use crate::event::EventKind;
use crate::flow::{At, End, FlowInfo};
use crate::layer::tls::TlsInfo;
use crate::layer::websocket::WebSocketInfo;
use crate::layer::{
    ByteRange, Chunk, LayerBytes, LayerContext, LayerFacts, LayerType, Note, Transport,
};
use crate::limits::{self, Limit};

/// The conversation, or its buffer.
#[derive(Debug)]
pub(super) struct Upper {
    /// Protocol of the port.
    pub(super) known: Option<Decode>,
    pub(super) conversation: Option<Box<Conversation>>,
    /// The layers so far.
    pub(super) transport: Transport,
    pub(super) tls: Option<Box<TlsInfo>>,
    pub(super) websocket: Option<Box<WebSocketInfo>>,
    /// Reported to the conversation when there is one, or when the layer's
    /// facts are known.
    pub(super) notes: Vec<(Direction, Note, At)>,
    /// Position of the first note beyond the limit.
    pub(super) unkept: Option<Box<(Direction, At)>>,
    /// Kinds of ranges of the streams, by [`Direction`], if they are to be reported.
    pub(super) order: Option<Box<PerDirection<Order>>>,
}

/// Context of the nodes.
pub(super) struct StackContext<'a, 'c, 'o> {
    pub(super) client: End,
    pub(super) upper: &'a mut Upper,
    pub(super) flow: &'a FlowInfo,
    pub(super) now: At,
    pub(super) engine: &'a mut Context<'c, 'o>,
}

impl<'c> StackContext<'_, 'c, '_> {
    pub(super) fn end(&self, direction: Direction) -> End {
        match direction {
            Direction::Up => self.client,
            Direction::Down => self.client.peer(),
        }
    }

    pub(super) fn direction_of(&self, end: End) -> Direction {
        super::direction_of(end, self.client)
    }

    /// MQTT was found, or named.
    pub(super) fn converse(&mut self) {
        if self.upper.conversation.is_some() {
            return;
        }
        self.engine.shared.mqtt_connections += 1;
        let mut conversation = Box::new(Conversation::new(self.flow, self.client));
        conversation.set_layered();
        conversation.begins(self.flow);
        self.upper.conversation = Some(conversation);
        self.report_carriers();
        if let Some(conversation) = &mut self.upper.conversation {
            conversation.announce(self.flow, self.engine.out);
        }
        self.settle_notes();
    }

    /// Context of a layer.
    pub(super) fn for_layer(&self) -> LayerContext<'c> {
        LayerContext {
            keys: self.engine.keys,
            expects_keys: self.engine.config.expects_keys,
            now: self.now,
        }
    }

    /// Reports the transport to the conversation.
    fn report_carriers(&mut self) {
        let Upper {
            conversation: Some(conversation),
            transport,
            tls,
            websocket,
            ..
        } = &mut *self.upper
        else {
            return;
        };
        conversation.carried_by(|connection| {
            connection.transport = *transport;
            connection.tls.clone_from(tls);
            connection.websocket.clone_from(websocket);
        });
    }

    /// Takes a layer's facts about itself.
    pub(super) fn learn(&mut self, layer_type: &'static LayerType, facts: LayerFacts<'_>) {
        let upper = &mut *self.upper;
        let transport = upper.transport.with(layer_type);
        let mut is_new = transport != upper.transport;
        upper.transport = transport;
        match facts {
            LayerFacts::Tls(info) if upper.tls.as_deref() != Some(info) => {
                upper.tls = Some(Box::new(info.clone()));
                is_new = true;
            }
            LayerFacts::WebSocket(info) if upper.websocket.as_deref() != Some(info) => {
                upper.websocket = Some(Box::new(info.clone()));
                is_new = true;
            }
            _ => {}
        }
        if is_new {
            self.report_carriers();
        }
    }

    pub(super) fn own(&mut self, direction: Direction, range: ByteRange, own: LayerBytes) {
        self.span(direction, range, Some(SpanKind::Own(own)));
    }

    /// Sets the kind of a range; `None` if it is missing.
    pub(super) fn span(&mut self, direction: Direction, range: ByteRange, kind: Option<SpanKind>) {
        if !self.engine.config.follow_packets {
            return;
        }
        let order = &mut self.upper.order.get_or_insert_default()[direction];
        if self.upper.conversation.is_some() || !order.is_full() {
            order.push(range, kind);
        }
    }

    /// Passes on ranges that are in order.
    pub(super) fn settle_spans(&mut self, at_end: bool) {
        let (Some(conversation), Some(order)) = (&self.upper.conversation, &mut self.upper.order)
        else {
            return;
        };
        for direction in Direction::ALL {
            while let Some((range, kind)) = order[direction].pop(at_end) {
                conversation.span(direction, range, kind, self.engine.out);
            }
        }
    }

    pub(super) fn note(&mut self, direction: Direction, note: Note, at: At) {
        // These are reported together with the layer's facts.
        let waits = matches!(note, Note::Encrypted(_) | Note::WebSocket);
        match &self.upper.conversation {
            Some(conversation) if !waits => {
                let kind = EventKind::Layer(note);
                conversation.tell(kind, Some(direction), at, self.engine.out);
            }
            _ if self.upper.notes.len() < limits::UNDECIDED_NOTES => {
                self.upper.notes.push((direction, note, at));
            }
            _ => {
                let unkept = &mut self.upper.unkept;
                unkept.get_or_insert_with(|| Box::new((direction, at)));
            }
        }
    }

    pub(super) fn settle_notes(&mut self) {
        if let Some(conversation) = &self.upper.conversation {
            let unkept = self
                .upper
                .unkept
                .take()
                .map(|first| (first.0, Note::Limit(Limit::UndecidedNotes), first.1));
            for (direction, note, at) in self.upper.notes.drain(..).chain(unkept) {
                let kind = EventKind::Layer(note);
                conversation.tell(kind, Some(direction), at, self.engine.out);
            }
        }
    }

    pub(super) fn mqtt(&mut self, direction: Direction, chunk: Chunk<'_>) {
        self.converse();
        let Some(conversation) = &mut self.upper.conversation else {
            return;
        };
        let (range, kind) = match chunk {
            Chunk::Data(data) => {
                let kind = conversation.mqtt_span(direction, data);
                (data.range, Some(kind))
            }
            Chunk::Gap { range, .. } => (range, None),
        };
        if conversation.is_layered() {
            self.span(direction, range, kind);
            self.settle_spans(false);
        }
        if let Some(conversation) = &mut self.upper.conversation {
            conversation.take(direction, chunk, self.now, self.engine);
        }
    }
}

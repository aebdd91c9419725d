//! The way up: what the layers hand to the conversation above them, and what waits
//! until there is one.
//!
//! Facts, notes and stretches of the stream may be told before anybody knows that
//! the connection carries MQTT. They wait here, within bounds, and are told in order
//! when a conversation begins.

use crate::direction::{Direction, PerDirection};
use crate::engine::conversation::Conversation;
use crate::engine::order::Order;
use crate::engine::{Context, Decode, SpanKind};
use crate::event::EventKind;
use crate::flow::{At, End, FlowInfo};
use crate::frame::Transport;
use crate::layer::tls::TlsInfo;
use crate::layer::websocket::WebSocketInfo;
use crate::layer::{ByteRange, Chunk, LayerBytes, Note};
use crate::limits;

/// What lies above all layers, or waits for it.
#[derive(Debug)]
pub(super) struct Above {
    /// What the port is known for.
    pub(super) known: Option<Decode>,
    pub(super) conversation: Option<Box<Conversation>>,
    pub(super) tls: Option<Box<TlsInfo>>,
    /// Something of it was read, and that was told.
    pub(super) is_decrypted: bool,
    /// It no longer waits for keys, and that was told.
    pub(super) waits_no_more: bool,
    pub(super) websocket: Option<Box<WebSocketInfo>>,
    /// Told when there is somebody to tell, or when the layer's facts are known.
    pub(super) notes: Vec<(Direction, Note, At)>,
    /// Where the first note was that found no room there.
    pub(super) unkept: Option<(Direction, At)>,
    /// What stretches of the streams are, by [`Direction`].
    pub(super) order: PerDirection<Order>,
}

/// What the nodes need on the way up.
pub(super) struct Climb<'a, 'c, 'o> {
    pub(super) client: End,
    pub(super) above: &'a mut Above,
    pub(super) flow: &'a FlowInfo,
    pub(super) now: At,
    pub(super) cx: &'a mut Context<'c, 'o>,
}

impl Climb<'_, '_, '_> {
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
        if self.above.conversation.is_some() {
            return;
        }
        self.cx.shared.mqtt_connections += 1;
        let mut conversation = Box::new(Conversation::new(self.flow, self.client));
        conversation.set_layered();
        for direction in Direction::ALL {
            let from = self.end(direction);
            let from_start = self.flow.from_start[from];
            conversation.begins(direction, self.flow, from, from_start);
        }
        self.above.conversation = Some(conversation);
        self.tell_carriers();
        if let Some(conversation) = &mut self.above.conversation {
            conversation.announce(self.flow, self.cx.out);
        }
        self.settle_notes();
    }

    /// Tells the conversation what carries it.
    pub(super) fn tell_carriers(&mut self) {
        let Above {
            conversation: Some(conversation),
            tls,
            websocket,
            ..
        } = &mut *self.above
        else {
            return;
        };
        conversation.carried_by(|connection| {
            connection.transport = match (&tls, &websocket) {
                (None, None) => Transport::Tcp,
                (Some(_), None) => Transport::Tls,
                (None, Some(_)) => Transport::WebSocket,
                (Some(_), Some(_)) => Transport::TlsWebSocket,
            };
            connection.tls.clone_from(tls);
            connection.websocket.clone_from(websocket);
        });
    }

    pub(super) fn learn_tls(&mut self, info: &TlsInfo) {
        if self.above.tls.as_deref() != Some(info) {
            self.above.tls = Some(Box::new(info.clone()));
            self.tell_carriers();
        }
    }

    pub(super) fn learn_websocket(&mut self, info: &WebSocketInfo) {
        if self.above.websocket.as_deref() != Some(info) {
            self.above.websocket = Some(Box::new(info.clone()));
            self.tell_carriers();
        }
    }

    pub(super) fn own(&mut self, direction: Direction, range: ByteRange, own: LayerBytes) {
        self.span(direction, range, Some(SpanKind::Own(own)));
    }

    /// A stretch is for this; for nothing if it is not there.
    pub(super) fn span(&mut self, direction: Direction, range: ByteRange, kind: Option<SpanKind>) {
        let order = &mut self.above.order[direction];
        let is_kept = self.above.conversation.is_some() || !order.is_full();
        if self.cx.config.follow_packets && is_kept {
            order.push(range, kind);
        }
    }

    /// Passes on what can be.
    pub(super) fn settle_spans(&mut self, at_end: bool) {
        let Some(conversation) = &self.above.conversation else {
            return;
        };
        for direction in Direction::ALL {
            while let Some((range, kind)) = self.above.order[direction].pop(at_end) {
                conversation.span(direction, range, kind, self.cx.out);
            }
        }
    }

    pub(super) fn note(&mut self, direction: Direction, note: Note, at: At) {
        // These are told with what is known of the layer.
        let waits = matches!(note, Note::Encrypted(_) | Note::WebSocket);
        match &self.above.conversation {
            Some(conversation) if !waits => {
                let kind = EventKind::Layer(note);
                conversation.tell(kind, Some(direction), at, self.cx.out);
            }
            _ if self.above.notes.len() < limits::UNDECIDED_NOTES => {
                self.above.notes.push((direction, note, at));
            }
            _ => {
                self.above.unkept.get_or_insert((direction, at));
            }
        }
    }

    pub(super) fn settle_notes(&mut self) {
        if let Some(conversation) = &self.above.conversation {
            let unkept = self.above.unkept.take().map(|(direction, at)| {
                let why =
                    "too many events before anybody knew that this is MQTT: some are left out";
                (direction, Note::Bound(why), at)
            });
            for (direction, note, at) in self.above.notes.drain(..).chain(unkept) {
                let kind = EventKind::Layer(note);
                conversation.tell(kind, Some(direction), at, self.cx.out);
            }
        }
    }

    pub(super) fn mqtt(&mut self, direction: Direction, chunk: Chunk<'_>) {
        self.converse();
        let Some(conversation) = &mut self.above.conversation else {
            return;
        };
        let (range, kind) = match chunk {
            Chunk::Data(piece) => {
                let kind = conversation.mqtt_span(direction, piece);
                (piece.range, Some(kind))
            }
            Chunk::Gap { range, .. } => (range, None),
        };
        if conversation.is_layered() {
            self.span(direction, range, kind);
            self.settle_spans(false);
        }
        if let Some(conversation) = &mut self.above.conversation {
            conversation.take(direction, chunk, self.now, self.cx);
        }
    }
}

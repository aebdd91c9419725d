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

use super::conversation::Conversation;
use super::order::Order;
use super::recognise::{Carrier, Found, Prefix};
use super::{Context, Decode, SpanKind};
use crate::event::EventKind;
use crate::flow::{At, Closed, End, FlowInfo, StreamEvent, TcpFact};
use crate::frame::{Connection, Direction, Transport};
use crate::layer::proxy::Proxy;
use crate::layer::tls::{Tls, TlsInfo};
use crate::layer::websocket::{WebSocket, WebSocketInfo};
use crate::layer::{Note, Own, Passed, Piece, Place, Stream, Way};
use crate::limits;

/// A connection whose MQTT streams are not its TCP streams.
#[derive(Debug)]
pub(super) struct Stack {
    client: End,
    bottom: Node,
    above: Above,
    /// Memory that it takes, as counted with that of all others.
    kept: usize,
}

/// What lies above all layers, or waits for it.
#[derive(Debug)]
struct Above {
    /// What the port is known for.
    known: Option<Decode>,
    conversation: Option<Box<Conversation>>,
    tls: Option<Box<TlsInfo>>,
    /// Something of it was read, and that was told.
    is_decrypted: bool,
    /// It no longer waits for keys, and that was told.
    waits_no_more: bool,
    websocket: Option<Box<WebSocketInfo>>,
    /// Told when there is somebody to tell, or when the layer's facts are known.
    notes: Vec<(Way, Note, At)>,
    /// Where the first note was that found no room there.
    unkept: Option<(Way, At)>,
    /// What stretches of the streams are, by [`Way`].
    order: [Order; 2],
}

/// A layer and what lies above it.
#[derive(Debug)]
enum Node {
    /// Too few bytes to tell.
    Undecided(Box<Undecided>),
    Proxy(Box<(Proxy, Node)>),
    Tls(Box<(Tls, Node)>),
    WebSocket(Box<(WebSocket, Node)>),
    Mqtt,
    /// Something else.
    Foreign,
}

#[derive(Debug)]
struct Undecided {
    prefix: Prefix,
    below: Option<Carrier>,
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
        let way = way_of(from, self.client);
        let (Stream::Data(Piece { place, .. }) | Stream::Gap { place, .. }) = stream;
        self.above.order[way as usize].begin(place.start);
        if let Some(conversation) = &mut self.above.conversation {
            let from_start = flow.from_start[from.index()];
            conversation.begins(direction(way), flow, from, from_start);
            conversation.read(direction(way), place.end);
        }
        self.with(flow, now, cx, |bottom, climb| {
            bottom.push(way, stream, climb)
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

/// Names of MQTT in ALPN: the registered one, and that of AWS for its port 443.
const ALPN: [&str; 2] = ["mqtt", "x-amzn-mqtt-ca"];

/// Whether TLS itself says that it carries MQTT: the server by its choice, else
/// the client by what it offers alone.
fn names_mqtt(tls: &TlsInfo) -> bool {
    match (&tls.alpn, &tls.alpn_offered[..]) {
        (Some(alpn), _) => ALPN.contains(&alpn.as_str()),
        (None, []) => false,
        (None, offered) => offered.iter().all(|alpn| ALPN.contains(&alpn.as_str())),
    }
}

fn way_of(from: End, client: End) -> Way {
    match from == client {
        true => Way::Up,
        false => Way::Down,
    }
}

fn direction(way: Way) -> Direction {
    match way {
        Way::Up => Direction::Up,
        Way::Down => Direction::Down,
    }
}

/// What the nodes need on the way up.
struct Climb<'a, 'c, 'o> {
    client: End,
    above: &'a mut Above,
    flow: &'a FlowInfo,
    now: At,
    cx: &'a mut Context<'c, 'o>,
}

impl Climb<'_, '_, '_> {
    fn end(&self, way: Way) -> End {
        match way {
            Way::Up => self.client,
            Way::Down => self.client.peer(),
        }
    }

    /// MQTT was found, or named.
    fn converse(&mut self) {
        if self.above.conversation.is_some() {
            return;
        }
        self.cx.shared.mqtt_connections += 1;
        let mut conversation = Box::new(Conversation::new(self.flow, self.client));
        let _ = conversation.take_back();
        for way in [Way::Up, Way::Down] {
            let from = self.end(way);
            let from_start = self.flow.from_start[from.index()];
            conversation.begins(direction(way), self.flow, from, from_start);
        }
        self.above.conversation = Some(conversation);
        self.tell_carriers();
        if let Some(conversation) = &mut self.above.conversation {
            conversation.announce(self.flow, self.cx.out);
        }
        self.settle_notes();
    }

    /// Tells the conversation what carries it.
    fn tell_carriers(&mut self) {
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

    fn learn_tls(&mut self, info: &TlsInfo) {
        if self.above.tls.as_deref() != Some(info) {
            self.above.tls = Some(Box::new(info.clone()));
            self.tell_carriers();
        }
    }

    fn learn_websocket(&mut self, info: &WebSocketInfo) {
        if self.above.websocket.as_deref() != Some(info) {
            self.above.websocket = Some(Box::new(info.clone()));
            self.tell_carriers();
        }
    }

    fn own(&mut self, way: Way, place: Place, own: Own) {
        self.span(way, place, Some(SpanKind::Own(own)));
    }

    /// A stretch is for this; for nothing if it is not there.
    fn span(&mut self, way: Way, place: Place, kind: Option<SpanKind>) {
        let order = &mut self.above.order[way as usize];
        let is_kept = self.above.conversation.is_some() || !order.is_full();
        if self.cx.config.follow_packets && is_kept {
            order.push(place, kind);
        }
    }

    /// Passes on what can be.
    fn settle_spans(&mut self, at_end: bool) {
        let Some(conversation) = &self.above.conversation else {
            return;
        };
        for way in [Way::Up, Way::Down] {
            while let Some((place, kind)) = self.above.order[way as usize].pop(at_end) {
                conversation.span(direction(way), place, kind, self.cx.out);
            }
        }
    }

    fn note(&mut self, way: Way, note: Note, at: At) {
        // These are told with what is known of the layer.
        let waits = matches!(note, Note::Encrypted(_) | Note::WebSocket);
        match &self.above.conversation {
            Some(conversation) if !waits => {
                let kind = EventKind::Layer(note);
                conversation.tell(kind, Some(direction(way)), at, self.cx.out);
            }
            _ if self.above.notes.len() < limits::UNDECIDED_NOTES => {
                self.above.notes.push((way, note, at));
            }
            _ => {
                self.above.unkept.get_or_insert((way, at));
            }
        }
    }

    fn settle_notes(&mut self) {
        if let Some(conversation) = &self.above.conversation {
            let unkept = self.above.unkept.take().map(|(way, at)| {
                let why =
                    "too many events before anybody knew that this is MQTT: some are left out";
                (way, Note::Bound(why), at)
            });
            for (way, note, at) in self.above.notes.drain(..).chain(unkept) {
                let kind = EventKind::Layer(note);
                conversation.tell(kind, Some(direction(way)), at, self.cx.out);
            }
        }
    }

    fn mqtt(&mut self, way: Way, stream: Stream<'_>) {
        self.converse();
        let Some(conversation) = &mut self.above.conversation else {
            return;
        };
        let (place, kind) = match stream {
            Stream::Data(piece) => {
                let kind = conversation.mqtt_span(direction(way), piece);
                (piece.place, Some(kind))
            }
            Stream::Gap { place, .. } => (place, None),
        };
        self.span(way, place, kind);
        self.settle_spans(false);
        if let Some(conversation) = &mut self.above.conversation {
            conversation.take(direction(way), stream, self.now, self.cx);
        }
    }
}

impl Node {
    fn undecided(below: Option<Carrier>) -> Self {
        Self::Undecided(Box::new(Undecided {
            prefix: Prefix::default(),
            below,
        }))
    }

    fn layer(carrier: Carrier) -> Self {
        let above = Self::undecided(Some(carrier));
        match carrier {
            Carrier::Proxy => Self::Proxy(Box::new((Proxy::new(), above))),
            Carrier::Tls => Self::Tls(Box::new((Tls::new(), above))),
            Carrier::WebSocket => Self::WebSocket(Box::new((WebSocket::new(), above))),
        }
    }

    /// What is taken for granted where the bytes do not tell: because the
    /// capture begins in the middle, or because nothing known begins like that.
    fn otherwise(below: Option<Carrier>, joined: bool, climb: &Climb<'_, '_, '_>) -> Self {
        match (climb.above.known, below) {
            (Some(Decode::Mqtts | Decode::Wss), None | Some(Carrier::Proxy)) if joined => {
                Self::layer(Carrier::Tls)
            }
            (Some(Decode::Wss), Some(Carrier::Tls))
            | (Some(Decode::Ws), None | Some(Carrier::Proxy))
                if joined =>
            {
                let above = Self::undecided(Some(Carrier::WebSocket));
                Self::WebSocket(Box::new((WebSocket::joining(), above)))
            }
            _ if climb.above.conversation.is_some() => Self::Mqtt,
            _ => Self::Foreign,
        }
    }

    /// Nothing can come out of it but what is foreign.
    fn is_foreign(&self) -> bool {
        match self {
            Self::Proxy(proxy) => proxy.1.is_foreign(),
            Self::Tls(tls) => tls.1.is_foreign(),
            Self::WebSocket(websocket) => websocket.1.is_foreign(),
            Self::Foreign => true,
            Self::Undecided(_) | Self::Mqtt => false,
        }
    }

    fn is_sealed(&self, has_keys: bool) -> bool {
        match self {
            Self::Proxy(proxy) => proxy.1.is_sealed(has_keys),
            Self::Tls(tls) => match &tls.1 {
                Self::Undecided(undecided) => undecided.prefix.is_empty(),
                // Without keys nobody has looked.
                Self::Foreign => !has_keys,
                _ => false,
            },
            _ => false,
        }
    }

    /// Memory that it takes.
    fn kept(&self) -> usize {
        match self {
            Self::Undecided(undecided) => undecided.prefix.kept(),
            Self::Proxy(proxy) => proxy.0.kept() + proxy.1.kept(),
            Self::Tls(tls) => tls.0.kept() + tls.1.kept(),
            Self::WebSocket(websocket) => websocket.0.kept() + websocket.1.kept(),
            Self::Mqtt | Self::Foreign => 0,
        }
    }

    /// Gives up what it keeps, because all together keep too much.
    fn shed(&mut self, climb: &mut Climb<'_, '_, '_>) {
        match self {
            Self::Undecided(_) => self.conclude(climb),
            Self::Proxy(proxy) => proxy.1.shed(climb),
            Self::Tls(tls) => {
                let (tls, above) = &mut **tls;
                let keys = climb.cx.keys;
                if !std::mem::replace(&mut climb.above.waits_no_more, true) {
                    let why = "too many connections wait for the secrets of TLS";
                    climb.note(Way::Up, Note::Bound(why), climb.now);
                }
                tls.give_up(keys, &mut |way, passed| {
                    above.take_decrypted(way, passed, climb)
                });
                above.shed(climb);
            }
            Self::WebSocket(websocket) => {
                let (websocket, above) = &mut **websocket;
                websocket.shed(&mut |way, passed| above.take(way, passed, climb));
                above.shed(climb);
            }
            Self::Mqtt | Self::Foreign => {}
        }
    }

    /// Takes what a layer below hands on.
    fn push(&mut self, way: Way, stream: Stream<'_>, climb: &mut Climb<'_, '_, '_>) {
        match self {
            Self::Undecided(_) => self.decide(way, stream, climb),
            Self::Proxy(proxy) => {
                let (proxy, above) = &mut **proxy;
                proxy.push(way, stream, &mut |way, passed| {
                    above.take(way, passed, climb)
                });
            }
            Self::Tls(tls) => {
                let (tls, above) = &mut **tls;
                climb.learn_tls(tls.info());
                let keys = climb.cx.keys;
                tls.push(way, stream, keys, &mut |way, passed| {
                    above.take_decrypted(way, passed, climb);
                });
            }
            Self::WebSocket(websocket) => {
                let (websocket, above) = &mut **websocket;
                let mut next = Some(stream);
                while let Some(stream) = next {
                    next = websocket.push(way, stream, &mut |way, passed| {
                        above.take(way, passed, climb)
                    });
                    climb.learn_websocket(websocket.info());
                }
            }
            Self::Mqtt => climb.mqtt(way, stream),
            Self::Foreign => match stream {
                Stream::Data(piece) => climb.own(way, piece.place, Own::Unread),
                Stream::Gap { place, .. } => climb.span(way, place, None),
            },
        }
    }

    fn take(&mut self, way: Way, passed: Passed<'_>, climb: &mut Climb<'_, '_, '_>) {
        match passed {
            Passed::Stream(stream) => self.push(way, stream, climb),
            Passed::Own(place, own) => climb.own(way, place, own),
            Passed::Note(note, at) => climb.note(way, note, at),
        }
    }

    /// Takes what TLS hands on.
    fn take_decrypted(&mut self, way: Way, passed: Passed<'_>, climb: &mut Climb<'_, '_, '_>) {
        if let Passed::Stream(Stream::Data(piece)) = passed
            && !std::mem::replace(&mut climb.above.is_decrypted, true)
        {
            climb.note(way, Note::Tls, piece.at);
        }
        self.take(way, passed, climb);
    }

    /// Looks at the first bytes of what lies above a layer.
    fn decide(&mut self, way: Way, stream: Stream<'_>, climb: &mut Climb<'_, '_, '_>) {
        let Self::Undecided(undecided) = self else {
            return;
        };
        let below = undecided.below;
        let from = climb.end(way);
        let found = undecided.prefix.push(from, stream);
        let joined = undecided.prefix.is_joined(from)
            || below.is_none() && !climb.flow.from_start[from.index()];
        let next = match found {
            Found::More => return,
            Found::Mqtt(_) => Self::Mqtt,
            // Layers come once, and in this order.
            Found::Carrier(carrier, end) if Some(carrier) > below && end == climb.client => {
                Self::layer(carrier)
            }
            Found::Carrier(..) | Found::Nothing => Self::otherwise(below, joined, climb),
        };
        let prefix = self.become_of(next);
        if let Self::Foreign = self {
            climb.cx.shared.http2_connections += u64::from(prefix.is_http2());
        }
        self.replay(&prefix, climb);
        let client = climb.client;
        prefix.replay_holes(|from, hole| self.push(way_of(from, client), hole, climb));
    }

    /// There is no more to look at: what was held is told as unfinished, or as
    /// what it is not.
    fn conclude(&mut self, climb: &mut Climb<'_, '_, '_>) {
        let Self::Undecided(undecided) = self else {
            return;
        };
        let joined = undecided.prefix.is_joined(climb.client);
        let next = Self::otherwise(undecided.below, joined, climb);
        let prefix = self.become_of(next);
        self.replay(&prefix, climb);
    }

    /// Becomes what was found; gives what was held until then.
    fn become_of(&mut self, next: Self) -> Prefix {
        match std::mem::replace(self, next) {
            Self::Undecided(undecided) => undecided.prefix,
            _ => Prefix::default(),
        }
    }

    fn replay(&mut self, prefix: &Prefix, climb: &mut Climb<'_, '_, '_>) {
        let client = climb.client;
        prefix.replay(|from, stream| self.push(way_of(from, client), stream, climb));
    }

    /// Lets layers that wait for keys look again.
    fn settle(&mut self, climb: &mut Climb<'_, '_, '_>) {
        match self {
            Self::Proxy(proxy) => proxy.1.settle(climb),
            Self::Tls(tls) => {
                let (tls, above) = &mut **tls;
                climb.learn_tls(tls.info());
                let keys = climb.cx.keys;
                tls.settle(keys, &mut |way, passed| {
                    above.take_decrypted(way, passed, climb)
                });
            }
            Self::WebSocket(_) | Self::Undecided(_) | Self::Mqtt | Self::Foreign => {}
        }
    }

    /// Passes on what the layers know of themselves by now.
    fn learn(&mut self, climb: &mut Climb<'_, '_, '_>) {
        match self {
            Self::Proxy(proxy) => proxy.1.learn(climb),
            Self::Tls(tls) => {
                let (tls, above) = &mut **tls;
                climb.learn_tls(tls.info());
                above.learn(climb);
                if climb.above.conversation.is_some() {
                    return;
                }
                if names_mqtt(tls.info()) {
                    climb.converse();
                } else if !climb.cx.config.expects_keys
                    && climb.cx.keys.is_empty()
                    && tls.hellos_are_over()
                {
                    // Nobody will ever know.
                    *above = Self::Foreign;
                }
            }
            Self::WebSocket(websocket) => {
                climb.learn_websocket(websocket.0.info());
                if websocket.0.info().names_mqtt() {
                    climb.converse();
                }
                websocket.1.learn(climb);
            }
            Self::Undecided(_) | Self::Mqtt | Self::Foreign => {}
        }
    }

    /// Nothing more comes.
    fn finish(&mut self, climb: &mut Climb<'_, '_, '_>) {
        match self {
            Self::Proxy(proxy) => proxy.1.finish(climb),
            Self::Tls(tls) => {
                let (tls, above) = &mut **tls;
                let keys = climb.cx.keys;
                tls.finish(keys, &mut |way, passed| {
                    above.take_decrypted(way, passed, climb)
                });
                above.finish(climb);
            }
            Self::WebSocket(websocket) => {
                let (websocket, above) = &mut **websocket;
                websocket.finish(&mut |way, passed| above.take(way, passed, climb));
                above.finish(climb);
            }
            Self::Undecided(_) => {
                self.conclude(climb);
                self.finish(climb);
            }
            Self::Mqtt | Self::Foreign => {}
        }
    }
}

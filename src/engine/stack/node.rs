//! A layer, and what lies above it: which layer that is, what goes up through it,
//! and what it gives up or finishes.

use super::climb::Climb;
use super::direction_of;
use crate::direction::Direction;
use crate::engine::Decode;
use crate::engine::recognise::{Carrier, Found, Prefix, TooFew};
use crate::layer::proxy::Proxy;
use crate::layer::tls::{Tls, TlsInfo};
use crate::layer::websocket::WebSocket;
use crate::layer::{Chunk, LayerBytes, LayerOutput, Note};

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

/// A layer and what lies above it.
#[derive(Debug)]
pub(super) enum Node {
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
pub(super) struct Undecided {
    prefix: Prefix,
    below: Option<Carrier>,
}

impl Node {
    pub(super) fn undecided(below: Option<Carrier>) -> Self {
        Self::Undecided(Box::new(Undecided {
            prefix: Prefix::default(),
            below,
        }))
    }

    pub(super) fn layer(carrier: Carrier) -> Self {
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
    pub(super) fn is_foreign(&self) -> bool {
        match self {
            Self::Proxy(proxy) => proxy.1.is_foreign(),
            Self::Tls(tls) => tls.1.is_foreign(),
            Self::WebSocket(websocket) => websocket.1.is_foreign(),
            Self::Foreign => true,
            Self::Undecided(_) | Self::Mqtt => false,
        }
    }

    pub(super) fn is_sealed(&self, has_keys: bool) -> bool {
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
    pub(super) fn kept(&self) -> usize {
        match self {
            Self::Undecided(undecided) => undecided.prefix.kept(),
            Self::Proxy(proxy) => proxy.0.kept() + proxy.1.kept(),
            Self::Tls(tls) => tls.0.kept() + tls.1.kept(),
            Self::WebSocket(websocket) => websocket.0.kept() + websocket.1.kept(),
            Self::Mqtt | Self::Foreign => 0,
        }
    }

    /// Gives up what it keeps, because all together keep too much.
    pub(super) fn shed(&mut self, climb: &mut Climb<'_, '_, '_>) {
        match self {
            Self::Undecided(_) => self.conclude(climb),
            Self::Proxy(proxy) => proxy.1.shed(climb),
            Self::Tls(tls) => {
                let (tls, above) = &mut **tls;
                let keys = climb.cx.keys;
                if !std::mem::replace(&mut climb.above.waits_no_more, true) {
                    let why = "too many connections wait for the secrets of TLS";
                    climb.note(Direction::Up, Note::Bound(why), climb.now);
                }
                tls.give_up(keys, &mut |direction, passed| {
                    above.take_decrypted(direction, passed, climb)
                });
                above.shed(climb);
            }
            Self::WebSocket(websocket) => {
                let (websocket, above) = &mut **websocket;
                websocket.shed(&mut |direction, passed| above.take(direction, passed, climb));
                above.shed(climb);
            }
            Self::Mqtt | Self::Foreign => {}
        }
    }

    /// Takes what a layer below hands on.
    pub(super) fn push(
        &mut self,
        direction: Direction,
        chunk: Chunk<'_>,
        climb: &mut Climb<'_, '_, '_>,
    ) {
        match self {
            Self::Undecided(_) => self.decide(direction, chunk, climb),
            Self::Proxy(proxy) => {
                let (proxy, above) = &mut **proxy;
                proxy.push(direction, chunk, &mut |direction, passed| {
                    above.take(direction, passed, climb)
                });
            }
            Self::Tls(tls) => {
                let (tls, above) = &mut **tls;
                climb.learn_tls(tls.info());
                let keys = climb.cx.keys;
                tls.push(direction, chunk, keys, &mut |direction, passed| {
                    above.take_decrypted(direction, passed, climb);
                });
            }
            Self::WebSocket(websocket) => {
                let (websocket, above) = &mut **websocket;
                let mut next = Some(chunk);
                while let Some(chunk) = next {
                    next = websocket.push(direction, chunk, &mut |direction, passed| {
                        above.take(direction, passed, climb)
                    });
                    climb.learn_websocket(websocket.info());
                }
            }
            Self::Mqtt => climb.mqtt(direction, chunk),
            Self::Foreign => match chunk {
                Chunk::Data(piece) => climb.own(direction, piece.range, LayerBytes::Unread),
                Chunk::Gap { range, .. } => climb.span(direction, range, None),
            },
        }
    }

    fn take(
        &mut self,
        direction: Direction,
        passed: LayerOutput<'_>,
        climb: &mut Climb<'_, '_, '_>,
    ) {
        match passed {
            LayerOutput::Chunk(chunk) => self.push(direction, chunk, climb),
            LayerOutput::Own(range, own) => climb.own(direction, range, own),
            LayerOutput::Note(note, at) => climb.note(direction, note, at),
        }
    }

    /// Takes what TLS hands on.
    fn take_decrypted(
        &mut self,
        direction: Direction,
        passed: LayerOutput<'_>,
        climb: &mut Climb<'_, '_, '_>,
    ) {
        if let LayerOutput::Chunk(Chunk::Data(piece)) = passed
            && !std::mem::replace(&mut climb.above.is_decrypted, true)
        {
            climb.note(direction, Note::Tls, piece.at);
        }
        self.take(direction, passed, climb);
    }

    /// Looks at the first bytes of what lies above a layer.
    fn decide(&mut self, direction: Direction, chunk: Chunk<'_>, climb: &mut Climb<'_, '_, '_>) {
        let Self::Undecided(undecided) = self else {
            return;
        };
        let below = undecided.below;
        let from = climb.end(direction);
        let found = undecided.prefix.push(from, chunk);
        if below.is_none() && climb.above.known == Some(Decode::Mqtt) {
            // Whatever begins like no layer is MQTT, or should be.
            let from_start = climb.flow.from_start[from];
            let carrier = match chunk {
                Chunk::Data(_) if from_start => undecided.prefix.carrier(from, direction),
                _ => Ok(None),
            };
            match carrier {
                Ok(Some(carrier)) => self.become_and_replay(Self::layer(carrier), climb),
                Ok(None) => self.become_and_replay(Self::Mqtt, climb),
                Err(TooFew) => {}
            }
            return;
        }
        let joined =
            undecided.prefix.is_joined(from) || below.is_none() && !climb.flow.from_start[from];
        let on_tls_port = matches!(climb.above.known, Some(Decode::Mqtts | Decode::Wss));
        let next = match found {
            Found::More => return,
            // The port says TLS, the bytes say otherwise.
            Found::Nothing if joined && on_tls_port && below < Some(Carrier::Tls) => {
                match undecided
                    .prefix
                    .look_for_mqtt(from, climb.direction_of(from))
                {
                    Some(true) => Self::Mqtt,
                    Some(false) => Self::otherwise(below, joined, climb),
                    None => return,
                }
            }
            Found::Mqtt(_) => Self::Mqtt,
            // Layers come once, and in this order.
            Found::Carrier(carrier, end) if Some(carrier) > below && end == climb.client => {
                Self::layer(carrier)
            }
            Found::Carrier(..) | Found::Nothing => Self::otherwise(below, joined, climb),
        };
        self.become_and_replay(next, climb);
    }

    /// Becomes what was found, and takes what was held until then.
    fn become_and_replay(&mut self, next: Self, climb: &mut Climb<'_, '_, '_>) {
        let prefix = self.become_of(next, climb);
        if let Self::Foreign = self {
            climb.cx.shared.http2_connections += u64::from(prefix.is_http2());
        }
        self.replay(&prefix, climb);
        let client = climb.client;
        prefix.replay_holes(|from, hole| self.push(direction_of(from, client), hole, climb));
    }

    /// There is no more to look at: what was held is told as unfinished, or as
    /// what it is not.
    fn conclude(&mut self, climb: &mut Climb<'_, '_, '_>) {
        let Self::Undecided(undecided) = self else {
            return;
        };
        let prefix = &undecided.prefix;
        let joined = prefix.is_joined(climb.client) || !climb.flow.from_start[climb.client];
        let on_tls_port = matches!(climb.above.known, Some(Decode::Mqtts | Decode::Wss));
        let may_be_mqtt = || {
            let ends = Direction::ALL.map(|direction| (climb.end(direction), direction));
            let looks = ends.map(|(end, direction)| prefix.look_for_mqtt(end, direction));
            !prefix.is_empty() && !looks.contains(&Some(false))
        };
        let next = match joined && on_tls_port && undecided.below.is_none() && may_be_mqtt() {
            true => Self::Mqtt,
            false => Self::otherwise(undecided.below, joined, climb),
        };
        let prefix = self.become_of(next, climb);
        self.replay(&prefix, climb);
    }

    /// Becomes what was found; gives what was held until then.
    fn become_of(&mut self, next: Self, climb: &mut Climb<'_, '_, '_>) -> Prefix {
        if !matches!(next, Self::Mqtt)
            && let Some(conversation) = &mut climb.above.conversation
        {
            conversation.set_layered();
        }
        match std::mem::replace(self, next) {
            Self::Undecided(undecided) => undecided.prefix,
            _ => Prefix::default(),
        }
    }

    fn replay(&mut self, prefix: &Prefix, climb: &mut Climb<'_, '_, '_>) {
        let client = climb.client;
        prefix.replay(|from, chunk| self.push(direction_of(from, client), chunk, climb));
    }

    /// Lets layers that wait for keys look again.
    pub(super) fn settle(&mut self, climb: &mut Climb<'_, '_, '_>) {
        match self {
            Self::Proxy(proxy) => proxy.1.settle(climb),
            Self::Tls(tls) => {
                let (tls, above) = &mut **tls;
                climb.learn_tls(tls.info());
                let keys = climb.cx.keys;
                tls.settle(keys, &mut |direction, passed| {
                    above.take_decrypted(direction, passed, climb)
                });
            }
            Self::WebSocket(_) | Self::Undecided(_) | Self::Mqtt | Self::Foreign => {}
        }
    }

    /// Passes on what the layers know of themselves by now.
    pub(super) fn learn(&mut self, climb: &mut Climb<'_, '_, '_>) {
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
    pub(super) fn finish(&mut self, climb: &mut Climb<'_, '_, '_>) {
        match self {
            Self::Proxy(proxy) => proxy.1.finish(climb),
            Self::Tls(tls) => {
                let (tls, above) = &mut **tls;
                let keys = climb.cx.keys;
                tls.finish(keys, &mut |direction, passed| {
                    above.take_decrypted(direction, passed, climb)
                });
                above.finish(climb);
            }
            Self::WebSocket(websocket) => {
                let (websocket, above) = &mut **websocket;
                websocket.finish(&mut |direction, passed| above.take(direction, passed, climb));
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

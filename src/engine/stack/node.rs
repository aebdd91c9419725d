//! A layer and the nodes above it: recognition of the next layer, chunks that
//! go up, and the end.

use super::context::StackContext;
use super::direction_of;
use crate::direction::Direction;
use crate::engine::Decode;
use crate::engine::recognise::{Found, Prefix, TooFew};
use crate::layer::{Chunk, Layer, LayerBytes, LayerContext, LayerOutput, LayerType, Sink, tls};

/// A layer and the nodes above it.
#[derive(Debug)]
pub(super) enum Node {
    /// Too few bytes to recognise it.
    Undecided(Box<Undecided>),
    Layer(Box<LayerNode>),
    Mqtt,
    /// Another protocol.
    Foreign,
}

#[derive(Debug)]
pub(super) struct Undecided {
    prefix: Prefix,
    below: Option<&'static LayerType>,
}

#[derive(Debug)]
pub(super) struct LayerNode {
    layer_type: &'static LayerType,
    layer: Box<dyn Layer>,
    above: Node,
}

impl LayerNode {
    /// Calls the layer with a sink for its output.
    fn with<R>(
        &mut self,
        cx: &mut StackContext<'_, '_, '_>,
        f: impl FnOnce(&mut dyn Layer, LayerContext<'_>, Sink<'_>) -> R,
    ) -> R {
        let layer_context = cx.for_layer();
        let above = &mut self.above;
        f(&mut *self.layer, layer_context, &mut |direction, output| {
            above.take(direction, output, cx);
        })
    }
}

impl Node {
    pub(super) fn undecided(below: Option<&'static LayerType>) -> Self {
        Self::Undecided(Box::new(Undecided {
            prefix: Prefix::default(),
            below,
        }))
    }

    pub(super) fn layer(layer_type: &'static LayerType) -> Self {
        Self::of(layer_type, (layer_type.begin)())
    }

    fn of(layer_type: &'static LayerType, layer: Box<dyn Layer>) -> Self {
        Self::Layer(Box::new(LayerNode {
            layer_type,
            layer,
            above: Self::undecided(Some(layer_type)),
        }))
    }

    /// The assumption where the bytes are not sufficient: the capture starts in
    /// the middle, or the protocol is unknown.
    fn otherwise(
        below: Option<&'static LayerType>,
        joined: bool,
        cx: &StackContext<'_, '_, '_>,
    ) -> Self {
        let expected = cx.upper.known.map_or(&[][..], Decode::layers);
        let next = expected.iter().find(|layer| layer.may_lie_on(below));
        match next.and_then(|layer| Some((*layer, layer.join?))) {
            Some((layer_type, join)) if joined => Self::of(layer_type, join()),
            _ if cx.upper.conversation.is_some() => Self::Mqtt,
            _ => Self::Foreign,
        }
    }

    /// Whether it cannot carry MQTT.
    pub(super) fn is_foreign(&self) -> bool {
        match self {
            Self::Layer(node) => node.above.is_foreign(),
            Self::Foreign => true,
            Self::Undecided(_) | Self::Mqtt => false,
        }
    }

    /// Whether nothing in an encrypting layer was decrypted.
    pub(super) fn is_sealed(&self, has_keys: bool) -> bool {
        let Self::Layer(node) = self else {
            return false;
        };
        match &node.above {
            above if !node.layer_type.encrypts => above.is_sealed(has_keys),
            Self::Undecided(undecided) => undecided.prefix.is_empty(),
            // Without keys it was not looked at.
            Self::Foreign => !has_keys,
            _ => false,
        }
    }

    /// Its memory.
    pub(super) fn kept(&self) -> usize {
        match self {
            Self::Undecided(undecided) => undecided.prefix.kept(),
            Self::Layer(node) => node.layer.kept() + node.above.kept(),
            Self::Mqtt | Self::Foreign => 0,
        }
    }

    /// Drops its buffers, because all layers together exceed the limit.
    pub(super) fn shed(&mut self, cx: &mut StackContext<'_, '_, '_>) {
        match self {
            Self::Undecided(_) => self.conclude(cx),
            Self::Layer(node) => {
                node.with(cx, |layer, context, out| layer.shed(context, out));
                node.above.shed(cx);
            }
            Self::Mqtt | Self::Foreign => {}
        }
    }

    /// Takes the output of a layer below.
    pub(super) fn push(
        &mut self,
        direction: Direction,
        chunk: Chunk<'_>,
        cx: &mut StackContext<'_, '_, '_>,
    ) {
        match self {
            Self::Undecided(_) => self.decide(direction, chunk, cx),
            Self::Layer(node) => {
                cx.learn(node.layer_type, node.layer.facts());
                let mut next = Some(chunk);
                while let Some(chunk) = next {
                    next = node.with(cx, |layer, context, out| {
                        layer.push(direction, chunk, context, out)
                    });
                    cx.learn(node.layer_type, node.layer.facts());
                }
            }
            Self::Mqtt => cx.mqtt(direction, chunk),
            Self::Foreign => match chunk {
                Chunk::Data(data) => cx.own(direction, data.range, LayerBytes::Unread),
                Chunk::Gap { range, .. } => cx.span(direction, range, None),
            },
        }
    }

    fn take(
        &mut self,
        direction: Direction,
        output: LayerOutput<'_>,
        cx: &mut StackContext<'_, '_, '_>,
    ) {
        match output {
            LayerOutput::Chunk(chunk) => self.push(direction, chunk, cx),
            LayerOutput::Own(range, own) => cx.own(direction, range, own),
            LayerOutput::Note(note, at) => cx.note(direction, note, at),
        }
    }

    /// Recognises the first bytes above a layer.
    fn decide(
        &mut self,
        direction: Direction,
        chunk: Chunk<'_>,
        cx: &mut StackContext<'_, '_, '_>,
    ) {
        let Self::Undecided(undecided) = self else {
            return;
        };
        let below = undecided.below;
        let from = cx.end(direction);
        let found = undecided.prefix.push(from, chunk);
        if below.is_none() && cx.upper.known == Some(Decode::Mqtt) {
            // Bytes that start like no layer are MQTT, or should be.
            let from_start = cx.flow.from_start[from];
            let carrier = match chunk {
                Chunk::Data(_) if from_start => undecided.prefix.carrier(from, direction),
                _ => Ok(None),
            };
            match carrier {
                Ok(Some(carrier)) => self.become_and_replay(Self::layer(carrier), cx),
                Ok(None) => self.become_and_replay(Self::Mqtt, cx),
                Err(TooFew) => {}
            }
            return;
        }
        let joined =
            undecided.prefix.is_joined(from) || below.is_none() && !cx.flow.from_start[from];
        let on_tls_port = matches!(cx.upper.known, Some(Decode::Mqtts | Decode::Wss));
        let next = match found {
            Found::More => return,
            // The port is for TLS, but the bytes are not TLS.
            Found::Nothing if joined && on_tls_port && tls::LAYER.may_lie_on(below) => {
                match undecided.prefix.look_for_mqtt(from, cx.direction_of(from)) {
                    Some(true) => Self::Mqtt,
                    Some(false) => Self::otherwise(below, joined, cx),
                    None => return,
                }
            }
            Found::Mqtt(_) => Self::Mqtt,
            // Each layer occurs once, and in this order.
            Found::Layer(carrier, end) if carrier.may_lie_on(below) && end == cx.client => {
                Self::layer(carrier)
            }
            Found::Layer(..) | Found::Joined(..) | Found::Nothing => {
                Self::otherwise(below, joined, cx)
            }
        };
        self.become_and_replay(next, cx);
    }

    /// Becomes the recognised node, and processes the buffered bytes.
    fn become_and_replay(&mut self, next: Self, cx: &mut StackContext<'_, '_, '_>) {
        let prefix = self.become_of(next, cx);
        if let Self::Foreign = self {
            cx.engine.shared.http2_connections += u64::from(prefix.is_http2());
        }
        self.replay(&prefix, cx);
        let client = cx.client;
        prefix.replay_gaps(|from, gap| self.push(direction_of(from, client), gap, cx));
    }

    /// The end of the stream: buffered bytes are reported as unfinished, or as
    /// not MQTT.
    fn conclude(&mut self, cx: &mut StackContext<'_, '_, '_>) {
        let Self::Undecided(undecided) = self else {
            return;
        };
        let prefix = &undecided.prefix;
        let joined = prefix.is_joined(cx.client) || !cx.flow.from_start[cx.client];
        let on_tls_port = matches!(cx.upper.known, Some(Decode::Mqtts | Decode::Wss));
        let may_be_mqtt = || {
            let ends = Direction::ALL.map(|direction| (cx.end(direction), direction));
            let looks = ends.map(|(end, direction)| prefix.look_for_mqtt(end, direction));
            !prefix.is_empty() && !looks.contains(&Some(false))
        };
        let next = match joined && on_tls_port && undecided.below.is_none() && may_be_mqtt() {
            true => Self::Mqtt,
            false => Self::otherwise(undecided.below, joined, cx),
        };
        let prefix = self.become_of(next, cx);
        self.replay(&prefix, cx);
    }

    /// Becomes the recognised node; returns the buffered bytes.
    fn become_of(&mut self, next: Self, cx: &mut StackContext<'_, '_, '_>) -> Prefix {
        if !matches!(next, Self::Mqtt)
            && let Some(conversation) = &mut cx.upper.conversation
        {
            conversation.set_layered();
        }
        match std::mem::replace(self, next) {
            Self::Undecided(undecided) => undecided.prefix,
            _ => Prefix::default(),
        }
    }

    fn replay(&mut self, prefix: &Prefix, cx: &mut StackContext<'_, '_, '_>) {
        let client = cx.client;
        prefix.replay(|from, chunk| self.push(direction_of(from, client), chunk, cx));
    }

    /// Layers that wait for secrets try again.
    pub(super) fn settle(&mut self, cx: &mut StackContext<'_, '_, '_>) {
        if let Self::Layer(node) = self {
            cx.learn(node.layer_type, node.layer.facts());
            node.with(cx, |layer, context, out| layer.settle(context, out));
            node.above.settle(cx);
        }
    }

    /// Passes on new facts of the layers about themselves.
    pub(super) fn learn(&mut self, cx: &mut StackContext<'_, '_, '_>) {
        let Self::Layer(node) = self else { return };
        cx.learn(node.layer_type, node.layer.facts());
        node.above.learn(cx);
        if cx.upper.conversation.is_some() {
            return;
        }
        if node.layer.names_mqtt() {
            cx.converse();
        } else if node.layer.is_unreadable(cx.for_layer()) {
            node.above = Self::Foreign;
        }
    }

    /// The connection has ended.
    pub(super) fn finish(&mut self, cx: &mut StackContext<'_, '_, '_>) {
        match self {
            Self::Layer(node) => {
                node.with(cx, |layer, context, out| layer.finish(context, out));
                node.above.finish(cx);
            }
            Self::Undecided(_) => {
                self.conclude(cx);
                self.finish(cx);
            }
            Self::Mqtt | Self::Foreign => {}
        }
    }
}

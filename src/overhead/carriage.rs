//! Attributes bytes of streams that do not carry MQTT alone.
//!
//! ```text
//! spans    │record│ frame │ MQTT bytes     │end│record│ MQTT bytes │end│
//! packets         ╎       │ PUBLISH │ PUBLISH       …       │ PINGREQ │
//! labels   │1 ╎ 2 │1 ╎ 2  │ 1       │ 2    │ 2 │ …
//! ```
//! The layers below MQTT report their ranges before the control packets in them are
//! known. So ranges are kept here until these are known, and then become labels in
//! the order of the stream. The overhead of a TLS record or WebSocket frame is
//! divided among the control packets whose bytes it carries, by the same policy as
//! the headers of a captured packet. Compressed bytes are divided in proportion to
//! the bytes they inflate to.

use std::collections::VecDeque;

use super::apportion;
use super::cause::Purpose;
use super::label::{Label, Packet, Parts};
use super::layer::Layer;
use super::share::Share;
use crate::engine::SpanKind;
use crate::layer::{ByteRange, LayerBytes};
use crate::limits;

/// One direction of a connection with layers below MQTT.
#[derive(Debug, Default)]
pub(super) struct Carriage {
    /// Ranges without labels, in order.
    spans: VecDeque<(ByteRange, SpanKind)>,
    /// Labels of control packets in the MQTT stream, in order, as far back as
    /// ranges need them.
    packets: VecDeque<Label>,
    /// Position before which all control packets are known.
    known: u64,
    /// The owners of the end of the record that was begun, and their bytes.
    record_end: Vec<(Part, u64)>,
    /// Owners of control packets that are no longer needed.
    released: Vec<u32>,
}

/// Owner of a range of bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    packet: Option<Packet>,
    purpose: Purpose,
    owner: Option<u32>,
}

impl Part {
    const UNKNOWN: Self = Self {
        packet: None,
        purpose: Purpose::Unknown,
        owner: None,
    };

    fn of(label: &Label) -> Self {
        Self {
            packet: label.packet(),
            purpose: label.purpose,
            owner: label.owner(),
        }
    }

    fn label(self, place: ByteRange, parts: Parts) -> Label {
        let Self {
            packet,
            purpose,
            owner,
        } = self;
        Label::of_range((place.start, place.end), parts, packet, purpose, owner)
    }
}

/// The layer of the overhead of a layer, and its purpose if it carries no
/// control packet.
fn meaning(own: LayerBytes) -> (Layer, Purpose) {
    match own {
        LayerBytes::Proxy => (Layer::Proxy, Purpose::Setup),
        LayerBytes::TlsHandshake => (Layer::TlsHandshake, Purpose::Setup),
        LayerBytes::TlsAlert => (Layer::TlsHandshake, Purpose::Teardown),
        LayerBytes::TlsRecord | LayerBytes::TlsRecordEnd => (Layer::TlsRecord, Purpose::Unknown),
        LayerBytes::WsUpgrade => (Layer::WsUpgrade, Purpose::Setup),
        LayerBytes::WsFrame => (Layer::WsFrame, Purpose::Unknown),
        LayerBytes::WsPing => (Layer::WsFrame, Purpose::Keepalive),
        LayerBytes::WsClose => (Layer::WsFrame, Purpose::Teardown),
        LayerBytes::Unread => (Layer::Unparsed, Purpose::Unknown),
    }
}

impl Carriage {
    /// The next range of the stream.
    pub(super) fn span(
        &mut self,
        place: ByteRange,
        kind: SpanKind,
        share: Share,
        out: &mut impl FnMut(Label),
    ) {
        if !self.goes_on(place, kind) {
            self.spans.push_back((place, kind));
        }
        match kind {
            // Known only with its control packet.
            SpanKind::Mqtt { .. } if self.spans.len() <= limits::WAITING_SPANS => {}
            _ => self.settle(share, out),
        }
    }

    /// Whether a range continues the last one, which then includes it: a large
    /// message is many segments.
    fn goes_on(&mut self, next: ByteRange, kind: SpanKind) -> bool {
        let Some((place, SpanKind::Mqtt { offset, len, seal })) = self.spans.back_mut() else {
            return false;
        };
        let SpanKind::Mqtt {
            offset: at,
            len: more,
            seal: sealed,
        } = kind
        else {
            return false;
        };
        // Compressed ranges are not merged, because each has its own ratio.
        let is_plain = place.len() == *len && next.len() == more;
        let follows = place.end == next.start && *offset + *len == at && *seal == sealed;
        if is_plain && follows {
            place.end = next.end;
            *len += more;
        }
        is_plain && follows
    }

    /// The next control packet, by its label in the MQTT stream.
    pub(super) fn packet(&mut self, label: Label, share: Share, out: &mut impl FnMut(Label)) {
        self.known = self.known.max(label.end as u64);
        self.packets.push_back(label);
        self.settle(share, out);
    }

    /// The stream has ended: what is unknown now stays unknown.
    pub(super) fn finish(&mut self, share: Share, out: &mut impl FnMut(Label)) {
        self.known = u64::MAX;
        while !self.spans.is_empty() {
            self.label_first(share, out);
        }
        self.release_before(u64::MAX);
    }

    /// Owners of control packets that will get no label any more, each as often
    /// as it has packets.
    pub(super) fn take_released(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.released)
    }

    /// Ranges ascend, so packets before one are no longer needed.
    fn release_before(&mut self, offset: u64) {
        while let Some(label) = self.packets.front()
            && (label.end as u64) <= offset
        {
            self.released.extend(label.owner());
            self.packets.pop_front();
        }
    }

    fn settle(&mut self, share: Share, out: &mut impl FnMut(Label)) {
        while self.is_first_known() || self.spans.len() > limits::WAITING_SPANS {
            self.label_first(share, out);
        }
        // A range may hold any number of control packets.
        while self.packets.len() > limits::WAITING_PACKETS && !self.spans.is_empty() {
            self.split_first();
            self.label_first(share, out);
        }
    }

    /// Splits the first range at the end of the known control packets.
    fn split_first(&mut self) {
        let Some((place, SpanKind::Mqtt { offset, len, seal })) = self.spans.front_mut() else {
            return;
        };
        let known = self.known.saturating_sub(*offset);
        if known == 0 || known >= *len {
            return;
        }
        // The same proportion of both; whole bytes of those on the wire.
        let bytes = u128::from(place.len()) * u128::from(known) / u128::from(*len);
        let cut = place.start + bytes as u64;
        let (rest, end) = (*offset + known, *offset + *len);
        let second = (
            ByteRange {
                start: cut,
                end: place.end,
            },
            SpanKind::Mqtt {
                offset: rest,
                len: end - rest,
                seal: *seal,
            },
        );
        place.end = cut;
        *len = known;
        self.spans.insert(1, second);
    }

    /// Whether everything that the first range needs is known.
    fn is_first_known(&self) -> bool {
        let Some(&(_, first)) = self.spans.front() else {
            return false;
        };
        match first {
            SpanKind::Mqtt { offset, len, .. } => offset + len <= self.known,
            SpanKind::Own(LayerBytes::TlsRecord | LayerBytes::WsFrame) => {
                let (mut carried, whole) = self.carried_by_first();
                whole && carried.all(|(offset, len)| offset + len <= self.known)
            }
            SpanKind::Own(_) => true,
        }
    }

    /// The ranges of MQTT that the first, a record or frame, carries; and
    /// whether they are all of them.
    fn carried_by_first(&self) -> (impl Iterator<Item = (u64, u64)> + '_, bool) {
        let is_record =
            self.spans.front().map(|&(_, kind)| kind) == Some(SpanKind::Own(LayerBytes::TlsRecord));
        let ends = move |kind: SpanKind| match kind {
            SpanKind::Mqtt { .. } => false,
            SpanKind::Own(LayerBytes::TlsRecord | LayerBytes::TlsRecordEnd) => is_record,
            SpanKind::Own(LayerBytes::TlsHandshake | LayerBytes::TlsAlert) => true,
            SpanKind::Own(_) => !is_record,
        };
        let after = || self.spans.iter().skip(1).map(|&(_, kind)| kind);
        let whole = after().any(ends);
        let carried = after()
            .take_while(move |&kind| !ends(kind))
            .filter_map(|kind| match kind {
                SpanKind::Mqtt { offset, len, .. } => Some((offset, len)),
                SpanKind::Own(_) => None,
            });
        (carried, whole)
    }

    fn label_first(&mut self, share: Share, out: &mut impl FnMut(Label)) {
        let Some(&(place, kind)) = self.spans.front() else {
            return;
        };
        match kind {
            SpanKind::Mqtt { offset, len, .. } => self.label_mqtt(place, offset, len, out),
            SpanKind::Own(own @ (LayerBytes::TlsRecord | LayerBytes::WsFrame)) => {
                self.label_carrier(place, own, share, out);
            }
            SpanKind::Own(LayerBytes::TlsRecordEnd) => {
                let shares = std::mem::take(&mut self.record_end);
                divide(place, Layer::TlsRecord, &shares, out);
            }
            SpanKind::Own(own) => {
                let (layer, purpose) = meaning(own);
                let part = Part {
                    purpose,
                    ..Part::UNKNOWN
                };
                out(part.label(place, Parts::one(layer, place.len())));
            }
        }
        self.spans.pop_front();
    }

    /// Control packets with bytes between two positions of the MQTT stream, with
    /// these; gaps between them have no owner.
    fn packets_within(&self, from: u64, to: u64) -> Vec<(Option<&Label>, u64, u64)> {
        let mut found = Vec::new();
        let mut at = from;
        let first = self
            .packets
            .partition_point(|label| label.end as u64 <= from);
        for label in self.packets.iter().skip(first) {
            let (start, end) = (label.start as u64, label.end as u64);
            if start >= to {
                break;
            }
            if at < start {
                found.push((None, at, start));
            }
            let (start, end) = (start.max(at), end.min(to));
            if start < end {
                found.push((Some(label), start, end));
                at = end;
            }
        }
        if at < to {
            found.push((None, at, to));
        }
        found
    }

    fn label_mqtt(&mut self, place: ByteRange, offset: u64, len: u64, out: &mut impl FnMut(Label)) {
        let within = self.packets_within(offset, offset + len);
        let weights: Vec<u64> = within.iter().map(|(_, from, to)| to - from).collect();
        let mut start = place.start;
        for ((label, from, to), bytes) in within.into_iter().zip(apportion(place.len(), &weights)) {
            let place = ByteRange {
                start,
                end: start + bytes,
            };
            start = place.end;
            let Some(label) = label else {
                out(Part::UNKNOWN.label(place, Parts::one(Layer::Unparsed, bytes)));
                continue;
            };
            let parts = parts_within(label, from, to, bytes);
            let mut part = Part::of(label).label(place, parts);
            part.ends = label.end as u64 == to;
            out(part);
        }
        self.release_before(match self.packets.len() > limits::WAITING_PACKETS {
            true => offset + len,
            false => offset,
        });
    }

    /// Divides the overhead of a record or frame.
    fn label_carrier(
        &mut self,
        place: ByteRange,
        own: LayerBytes,
        share: Share,
        out: &mut impl FnMut(Label),
    ) {
        let (layer, purpose) = meaning(own);
        let mut parts: Vec<(Part, u64, bool)> = Vec::new();
        for (offset, len) in self.carried_by_first().0 {
            for (label, from, to) in self.packets_within(offset, offset + len) {
                let part = label.map_or(Part::UNKNOWN, Part::of);
                let ends = label.is_some_and(|label| label.end as u64 == to);
                match parts.last_mut() {
                    Some((last, bytes, end)) if *last == part => {
                        *bytes += to - from;
                        *end |= ends;
                    }
                    _ => parts.push((part, to - from, ends)),
                }
            }
        }
        if parts.is_empty() {
            let purpose = self.purpose_of_first().unwrap_or(purpose);
            let part = Part {
                purpose,
                ..Part::UNKNOWN
            };
            parts.push((part, 1, true));
        }
        let end = match own {
            LayerBytes::TlsRecord => self.record_end_len(),
            _ => 0,
        };
        let mut weights = Vec::new();
        share.weights(
            parts.iter().map(|&(_, bytes, ends)| (bytes, ends)),
            &mut weights,
        );
        let shares = apportion(place.len() + end, &weights);
        let shares: Vec<(Part, u64)> = parts.iter().map(|part| part.0).zip(shares).collect();
        let rest = divide(place, layer, &shares, out);
        if own == LayerBytes::TlsRecord {
            self.record_end = rest;
        }
    }

    /// Purpose of a record or frame that carries no control packet.
    fn purpose_of_first(&self) -> Option<Purpose> {
        match self.spans.get(1)?.1 {
            SpanKind::Own(
                LayerBytes::TlsRecord | LayerBytes::TlsRecordEnd | LayerBytes::WsFrame,
            ) => None,
            SpanKind::Own(own) => Some(meaning(own).1),
            SpanKind::Mqtt { .. } => None,
        }
    }

    /// Bytes of the trailer of the record that the first range starts.
    fn record_end_len(&self) -> u64 {
        let mut after = self.spans.iter().skip(1);
        let next = after.find(|(_, kind)| {
            matches!(
                kind,
                SpanKind::Own(LayerBytes::TlsRecord | LayerBytes::TlsRecordEnd)
            )
        });
        match next {
            Some((place, SpanKind::Own(LayerBytes::TlsRecordEnd))) => place.len(),
            _ => 0,
        }
    }
}

/// Gives each its share of a range, in order; returns the remaining shares.
fn divide(
    place: ByteRange,
    layer: Layer,
    shares: &[(Part, u64)],
    out: &mut impl FnMut(Label),
) -> Vec<(Part, u64)> {
    let mut start = place.start;
    let mut rest = Vec::new();
    for &(part, bytes) in shares {
        let here = bytes.min(place.end - start);
        if here > 0 {
            let place = ByteRange {
                start,
                end: start + here,
            };
            out(part.label(place, Parts::one(layer, here)));
            start += here;
        }
        if bytes > here {
            rest.push((part, bytes - here));
        }
    }
    if start < place.end {
        // Only the end of the record is known.
        let place = ByteRange { start, ..place };
        out(Part::UNKNOWN.label(place, Parts::one(layer, place.len())));
    }
    rest
}

/// The layers of `bytes` that represent a control packet's bytes from one position to
/// another.
fn parts_within(label: &Label, from: u64, to: u64, bytes: u64) -> Parts {
    let mut parts = [(Layer::App, 0); Parts::MOST];
    let mut weights = [0; Parts::MOST];
    let mut next = 0;
    label.layers(from as i64, to as i64, |layer, bytes| {
        if let (Some(part), Some(weight)) = (parts.get_mut(next), weights.get_mut(next)) {
            part.0 = layer;
            *weight = bytes;
            next += 1;
        }
    });
    for (part, bytes) in parts.iter_mut().zip(apportion(bytes, &weights)) {
        part.1 = u32::try_from(bytes).unwrap_or(u32::MAX);
    }
    Parts::new(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::PacketType;
    use proptest::prelude::*;

    fn publish(offset: u64, len: u32, owner: u32) -> Label {
        let nothing = (Layer::MqttBody, 0);
        let parts = [
            (Layer::MqttFixedHeader, 2),
            (Layer::App, len - 2),
            nothing,
            nothing,
            nothing,
        ];
        let packet = Packet {
            packet_type: PacketType::Publish,
            offset: offset as u32,
        };
        let range = (offset, offset + u64::from(len));
        let mut label = Label::of_range(
            range,
            Parts::new(parts),
            Some(packet),
            Purpose::Msg,
            Some(owner),
        );
        label.ends = true;
        label
    }

    fn place(start: u64, end: u64) -> ByteRange {
        ByteRange { start, end }
    }

    fn mqtt(offset: u64, len: u64) -> SpanKind {
        SpanKind::Mqtt {
            offset,
            len,
            seal: None,
        }
    }

    /// Its range, owner and layers.
    type Short = (i64, i64, Option<u32>, Vec<(Layer, u32)>);

    fn short(label: &Label) -> Short {
        let parts = label.parts.iter().filter(|part| part.1 > 0);
        (label.start, label.end, label.owner(), parts.collect())
    }

    #[test]
    fn a_record_is_shared_by_the_packets_that_it_carries() {
        let mut labels = Vec::new();
        let mut out = |label: Label| labels.push(short(&label));
        let mut carriage = Carriage::default();
        let share = Share::Proportional;
        carriage.span(
            place(0, 100),
            SpanKind::Own(LayerBytes::TlsHandshake),
            share,
            &mut out,
        );
        carriage.span(
            place(100, 105),
            SpanKind::Own(LayerBytes::TlsRecord),
            share,
            &mut out,
        );
        carriage.span(place(105, 135), mqtt(0, 30), share, &mut out);
        carriage.packet(publish(0, 10, 1), share, &mut out);
        carriage.packet(publish(10, 20, 2), share, &mut out);
        carriage.span(
            place(135, 152),
            SpanKind::Own(LayerBytes::TlsRecordEnd),
            share,
            &mut out,
        );
        // 22 bytes for 10 and 20: 7 and 15.
        let header = |from, to, owner| {
            (
                from,
                to,
                Some(owner),
                vec![(Layer::TlsRecord, (to - from) as u32)],
            )
        };
        assert_eq!(
            labels,
            [
                (0, 100, None, vec![(Layer::TlsHandshake, 100)]),
                header(100, 105, 1),
                (
                    105,
                    115,
                    Some(1),
                    vec![(Layer::MqttFixedHeader, 2), (Layer::App, 8)]
                ),
                (
                    115,
                    135,
                    Some(2),
                    vec![(Layer::MqttFixedHeader, 2), (Layer::App, 18)]
                ),
                header(135, 137, 1),
                header(137, 152, 2),
            ]
        );
        assert_eq!(carriage.packets.len(), 2);
        carriage.finish(share, &mut |_| {});
        assert_eq!(carriage.take_released(), [1, 2]);
    }

    #[test]
    fn a_frame_waits_for_its_end_and_compressed_bytes_are_in_proportion() {
        let mut labels = Vec::new();
        let mut out = |label: Label| labels.push(short(&label));
        let mut carriage = Carriage::default();
        let share = Share::Proportional;
        carriage.span(
            place(0, 4),
            SpanKind::Own(LayerBytes::WsFrame),
            share,
            &mut out,
        );
        // 20 bytes inflate to 40.
        carriage.span(place(4, 24), mqtt(0, 40), share, &mut out);
        carriage.packet(publish(0, 10, 1), share, &mut out);
        carriage.packet(publish(10, 30, 2), share, &mut out);
        assert_eq!(carriage.spans.len(), 2);
        carriage.span(
            place(24, 30),
            SpanKind::Own(LayerBytes::WsPing),
            share,
            &mut out,
        );
        assert_eq!(
            labels,
            [
                (0, 1, Some(1), vec![(Layer::WsFrame, 1)]),
                (1, 4, Some(2), vec![(Layer::WsFrame, 3)]),
                (
                    4,
                    9,
                    Some(1),
                    vec![(Layer::MqttFixedHeader, 1), (Layer::App, 4)]
                ),
                (
                    9,
                    24,
                    Some(2),
                    vec![(Layer::MqttFixedHeader, 1), (Layer::App, 14)]
                ),
                (24, 30, None, vec![(Layer::WsFrame, 6)]),
            ]
        );
    }

    #[test]
    fn a_message_of_any_number_of_segments_is_one_range() {
        let segments = 4 * limits::WAITING_SPANS as u64;
        let mut labels = Vec::new();
        let mut out = |label: Label| labels.push(short(&label));
        let mut carriage = Carriage::default();
        let share = Share::Proportional;
        carriage.span(
            place(0, 14),
            SpanKind::Own(LayerBytes::WsFrame),
            share,
            &mut out,
        );
        for at in 0..segments {
            let from = 14 + 10 * at;
            carriage.span(place(from, from + 10), mqtt(10 * at, 10), share, &mut out);
        }
        assert_eq!(carriage.spans.len(), 2);
        let len = 10 * segments;
        carriage.packet(publish(0, len as u32, 7), share, &mut out);
        carriage.finish(share, &mut out);
        let app = len as u32 - 2;
        let whole = vec![(Layer::MqttFixedHeader, 2), (Layer::App, app)];
        let header = vec![(Layer::WsFrame, 14)];
        assert_eq!(
            labels,
            [
                (0, 14, Some(7), header),
                (14, 14 + len as i64, Some(7), whole)
            ]
        );
    }

    #[test]
    fn a_frame_of_any_number_of_packets_keeps_few() {
        let packets = 5 * limits::WAITING_PACKETS as u64;
        let mut total = 0;
        let mut unparsed = 0;
        let mut out = |label: Label| {
            total += label.end - label.start;
            unparsed += i64::from(label.packet().is_none());
        };
        let mut carriage = Carriage::default();
        let share = Share::Completes;
        carriage.span(
            place(0, 10),
            SpanKind::Own(LayerBytes::WsFrame),
            share,
            &mut out,
        );
        // Half as many bytes as they inflate to.
        carriage.span(
            place(10, 10 + 5 * packets),
            mqtt(0, 10 * packets),
            share,
            &mut out,
        );
        for at in 0..packets {
            carriage.packet(publish(10 * at, 10, at as u32), share, &mut out);
            assert!(carriage.packets.len() <= limits::WAITING_PACKETS + 1);
        }
        carriage.finish(share, &mut out);
        assert_eq!((total as u64, unparsed), (10 + 5 * packets, 0));
        assert_eq!(carriage.take_released().len() as u64, packets);
    }

    proptest! {
        /// The labels are always the ranges again: in order, complete, and with
        /// a layer for every byte.
        #[test]
        fn every_byte_gets_one_label(
            ranges in prop::collection::vec((0..9_u8, 1..40_u64, 0..3_u64), 1..60),
            lens in prop::collection::vec(2..50_u32, 0..40),
            every in 1..8_usize,
        ) {
            let share = Share::Completes;
            let mut labels: Vec<Label> = Vec::new();
            let mut carriage = Carriage::default();
            let (mut at, mut offset, mut packets, mut lost) = (0, 0, 0, 0);
            let mut lens = lens.into_iter();
            for (number, (kind, len, gap)) in ranges.into_iter().enumerate() {
                at += gap / 2;
                lost += gap / 2;
                let kind = match kind {
                    0 => SpanKind::Own(LayerBytes::TlsRecord),
                    1 => SpanKind::Own(LayerBytes::TlsRecordEnd),
                    2 => SpanKind::Own(LayerBytes::WsFrame),
                    3 => SpanKind::Own(LayerBytes::WsPing),
                    4 => SpanKind::Own(LayerBytes::Unread),
                    _ => mqtt(offset, len + gap),
                };
                if let SpanKind::Mqtt { len, .. } = kind {
                    offset += len;
                }
                carriage.span(place(at, at + len), kind, share, &mut |label| labels.push(label));
                at += len;
                while number % every == 0
                    && packets + 50 < offset
                    && let Some(len) = lens.next()
                {
                    let label = publish(packets, len, number as u32);
                    packets += u64::from(len);
                    carriage.packet(label, share, &mut |label| labels.push(label));
                }
            }
            carriage.finish(share, &mut |label| labels.push(label));
            let mut total = 0;
            let mut last = 0;
            for label in &labels {
                prop_assert!(label.start >= last && label.end >= label.start);
                last = label.end;
                let parts: u64 = label.parts.iter().map(|part| u64::from(part.1)).sum();
                prop_assert_eq!(parts, (label.end - label.start) as u64);
                total += parts;
            }
            prop_assert!(carriage.spans.is_empty());
            prop_assert_eq!(total, at - lost);
        }
    }
}

use std::net::IpAddr;

use super::*;
use crate::facts::Tracker;
use crate::frame::MQTTFrame;
use crate::frame::{Connection, Direction, PerDirection, Transport};
use crate::limits::SETTLED_EXCHANGES;
use crate::mqtt::packet::{Ack, Connack, Connect, Publish, Suback, Subscribe, Unsubscribe, Will};
use crate::mqtt::{FixedHeader, Text, Version};
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::time::Timestamp;

use Direction::{Down, Up};
use Verdict::{Hidden, Selected, TopicUnknown};

/// A capture in which frames are frames one by one.
struct Frames {
    selector: Selector,
    tracker: Tracker,
    connection: Connection,
}

fn asking(selection: Selection) -> Frames {
    let end = |last, port| Endpoint {
        addr: IpAddr::from([10, 0, 0, last]),
        port,
    };
    Frames {
        selector: Selector::new(selection),
        tracker: Tracker::default(),
        connection: Connection {
            number: 1,
            client: end(1, 40000),
            server: end(2, 1883),
            transport: Transport::TCP,
            tls: None,
            websocket: None,
            client_id: Some((*b"me").into()),
            version: Some(Version::V5),
            version_assumed: false,
            first_seq: PerDirection::default(),
            from_start: PerDirection::both(true),
            started: Timestamp::default(),
            session_uid: None,
            uid: std::sync::OnceLock::new(),
        },
    }
}

fn topics(filters: &[&str]) -> Selection {
    Selection {
        topics: filters
            .iter()
            .map(|filter| TopicFilter::parse(filter.as_bytes()).unwrap())
            .collect(),
        ..Selection::default()
    }
}

impl Frames {
    /// A frame: its type and flags, what it says, and the resolved topic.
    fn say(
        &mut self,
        direction: Direction,
        first: u8,
        packet: ControlPacket<'_>,
        topic: Option<&str>,
    ) -> Verdict {
        let frame = MQTTFrame {
            header: FixedHeader {
                first,
                length_bytes: 1,
                remaining_length: 0,
            },
            packet: &packet,
            defects: &[],
            topic: topic.map(|topic| Text(topic.as_bytes())),
            bytes: &[first, 0],
            payload_digest: None,
            missing: 0,
            unfinished: false,
            resynchronised: false,
            version: Version::V5,
            connection: &self.connection,
            direction,
            number: 1,
            first: PacketRef::default(),
            last: PacketRef::default(),
            time: Timestamp::default(),
            offset: 0,
            range: Default::default(),
            started: Timestamp::default(),
            received: Default::default(),
        };
        let exchange = self.tracker.classify(&frame);
        let fact = FrameFact {
            frame: &frame,
            exchange: exchange.as_ref(),
            topic: None,
        };
        self.selector.frame(&fact, None)
    }

    fn publish(&mut self, from: Direction, qos: u8, id: u16, topic: &str) -> Verdict {
        self.publish_of(from, qos, id, Some(topic))
    }

    fn publish_of(&mut self, from: Direction, qos: u8, id: u16, topic: Option<&str>) -> Verdict {
        let packet = ControlPacket::Publish(Publish {
            packet_id: (qos > 0).then_some(id),
            ..Publish::default()
        });
        self.say(from, 0x30 | qos << 1, packet, topic)
    }

    fn ack(&mut self, from: Direction, kind: PacketType, id: u16) -> Verdict {
        self.ack_with(from, kind, id, None)
    }

    fn ack_with(
        &mut self,
        from: Direction,
        kind: PacketType,
        id: u16,
        code: Option<u8>,
    ) -> Verdict {
        let ack = Ack {
            packet_id: Some(id),
            code,
            ..Ack::default()
        };
        let packet = match kind {
            PacketType::Puback => ControlPacket::Puback(ack),
            PacketType::Pubrec => ControlPacket::Pubrec(ack),
            PacketType::Pubrel => ControlPacket::Pubrel(ack),
            PacketType::Pubcomp => ControlPacket::Pubcomp(ack),
            PacketType::Suback => ControlPacket::Suback(Suback {
                packet_id: Some(id),
                ..Suback::default()
            }),
            other => panic!("{other} is no acknowledgement"),
        };
        self.say(from, (kind as u8) << 4, packet, None)
    }

    fn subscribe(&mut self, id: u16, filter: &str) -> Verdict {
        let payload = filter_bytes(filter, &[1]);
        let packet = ControlPacket::Subscribe(Subscribe {
            packet_id: Some(id),
            payload: &payload,
            ..Subscribe::default()
        });
        self.say(Up, 0x82, packet, None)
    }

    fn unsubscribe(&mut self, id: u16, filter: &str) -> Verdict {
        let payload = filter_bytes(filter, &[]);
        let packet = ControlPacket::Unsubscribe(Unsubscribe {
            packet_id: Some(id),
            payload: &payload,
            ..Unsubscribe::default()
        });
        self.say(Up, 0xa2, packet, None)
    }

    fn connect(&mut self, will: Option<&str>) -> Verdict {
        let packet = ControlPacket::Connect(Box::new(Connect {
            flags: Some(if will.is_some() { 0x06 } else { 0x02 }),
            will: will.map(|topic| Will {
                topic: Some(Text(topic.as_bytes())),
                ..Will::default()
            }),
            ..Connect::default()
        }));
        self.say(Up, 0x10, packet, None)
    }

    fn connack(&mut self) -> Verdict {
        self.say(Down, 0x20, ControlPacket::Connack(Connack::default()), None)
    }

    fn event(&mut self, kind: EventKind, direction: Option<Direction>) -> bool {
        let event = Event {
            kind,
            time: Timestamp::default(),
            packet: PacketRef::default(),
            connection: Some(&self.connection),
            direction,
            bytes: None,
        };
        self.tracker.event(&event);
        self.selector.event(&event)
    }
}

fn filter_bytes(filter: &str, options: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(filter.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(filter.as_bytes());
    bytes.extend(options);
    bytes
}

#[test]
fn nothing_asked_shows_everything() {
    let mut frames = asking(Selection::default());
    assert_eq!(frames.publish_of(Up, 1, 1, None), Selected);
    assert_eq!(frames.ack(Down, PacketType::Puback, 1), Selected);
    assert!(frames.event(EventKind::Opened, None));
}

#[test]
fn a_ladder_belongs_to_the_topic_of_its_publish() {
    let mut frames = asking(topics(&["plant/#"]));
    for (topic, verdict) in [("plant/7", Selected), ("office/7", Hidden)] {
        assert_eq!(frames.publish(Up, 2, 7, topic), verdict);
        assert_eq!(frames.ack(Down, PacketType::Pubrec, 7), verdict);
        assert_eq!(frames.ack(Up, PacketType::Pubrel, 7), verdict);
        assert_eq!(frames.ack(Down, PacketType::Pubcomp, 7), verdict);
        assert_eq!(frames.publish(Up, 1, 8, topic), verdict);
        assert_eq!(frames.ack(Down, PacketType::Puback, 8), verdict);
        assert_eq!(frames.publish(Down, 0, 0, topic), verdict);
    }
}

#[test]
fn the_same_identifier_of_both_sides_is_two_exchanges() {
    let mut frames = asking(topics(&["plant/#"]));
    assert_eq!(frames.publish(Up, 2, 7, "plant/7"), Selected);
    assert_eq!(frames.publish(Down, 2, 7, "office/7"), Hidden);
    assert_eq!(frames.ack(Up, PacketType::Pubrec, 7), Hidden);
    assert_eq!(frames.ack(Down, PacketType::Pubrec, 7), Selected);
    assert_eq!(frames.ack(Down, PacketType::Pubrel, 7), Hidden);
    assert_eq!(frames.ack(Up, PacketType::Pubrel, 7), Selected);
    assert_eq!(frames.ack(Up, PacketType::Pubcomp, 7), Hidden);
    assert_eq!(frames.ack(Down, PacketType::Pubcomp, 7), Selected);
}

#[test]
fn the_same_identifier_on_two_connections_is_two_exchanges() {
    let mut frames = asking(topics(&["plant/#"]));
    assert_eq!(frames.publish(Up, 1, 7, "plant/7"), Selected);
    frames.connection.number = 2;
    assert_eq!(frames.ack(Down, PacketType::Puback, 7), TopicUnknown);
}

#[test]
fn a_subscribe_and_a_publish_may_use_one_identifier() {
    // They may not by the specification, and do.
    let mut frames = asking(topics(&["plant/#"]));
    assert_eq!(frames.publish(Up, 1, 7, "plant/7"), Selected);
    assert_eq!(frames.subscribe(7, "office/#"), Hidden);
    assert_eq!(frames.ack(Down, PacketType::Suback, 7), Hidden);
    assert_eq!(frames.ack(Down, PacketType::Puback, 7), Selected);
}

#[test]
fn subscriptions_that_overlap_are_shown() {
    let mut frames = asking(topics(&["plant/+/temp"]));
    for (filter, verdict) in [
        ("plant/7/temp", Selected),
        ("#", Selected),
        ("+/7/#", Selected),
        ("$share/group/plant/#", Selected),
        ("plant/7", Hidden),
        ("plant/7/temp/x", Hidden),
        ("$SYS/#", Hidden),
    ] {
        assert_eq!(frames.subscribe(3, filter), verdict, "{filter}");
        assert_eq!(frames.ack(Down, PacketType::Suback, 3), verdict, "{filter}");
        assert_eq!(frames.unsubscribe(4, filter), verdict, "{filter}");
    }
}

#[test]
fn dollar_topics_want_to_be_named() {
    let mut all = asking(topics(&["#"]));
    assert_eq!(all.publish(Down, 0, 0, "$SYS/broker/uptime"), Hidden);
    assert_eq!(all.publish(Down, 0, 0, "/"), Selected);
    let mut sys = asking(topics(&["$SYS/#", "x"]));
    assert_eq!(sys.publish(Down, 0, 0, "$SYS/broker/uptime"), Selected);
    assert_eq!(sys.publish(Down, 0, 0, "x"), Selected);
    assert_eq!(sys.publish(Down, 0, 0, "broker"), Hidden);
    let mut shared = asking(topics(&["$share/group/a/+"]));
    assert_eq!(shared.publish(Down, 0, 0, "a/b"), Selected);
}

#[test]
fn a_will_is_a_message_of_its_topic() {
    let mut frames = asking(topics(&["dead/#"]));
    assert_eq!(frames.connect(Some("dead/me")), Selected);
    assert_eq!(frames.connack(), Selected);
    assert_eq!(frames.connect(Some("alive")), Hidden);
    assert_eq!(frames.connack(), Hidden);
    assert_eq!(frames.connect(None), Hidden);
    frames.connection.number = 2;
    assert_eq!(frames.connack(), Hidden);
    assert_eq!(frames.say(Up, 0xc0, ControlPacket::Pingreq, None), Hidden);
}

#[test]
fn what_nobody_can_tell_is_kept_and_marked() {
    let mut frames = asking(topics(&["plant/#"]));
    assert_eq!(frames.publish_of(Up, 1, 5, None), TopicUnknown);
    assert_eq!(frames.ack(Down, PacketType::Puback, 5), TopicUnknown);
    assert_eq!(frames.ack(Up, PacketType::Pubrel, 6), TopicUnknown);
    assert_eq!(frames.ack(Down, PacketType::Suback, 6), TopicUnknown);
    // But not when something else already speaks against it.
    let mut frames = asking(Selection {
        types: vec![PacketType::Publish],
        ..topics(&["plant/#"])
    });
    assert_eq!(frames.ack(Up, PacketType::Pubrel, 6), Hidden);
    assert_eq!(frames.publish_of(Up, 0, 0, None), TopicUnknown);
}

#[test]
fn an_answer_may_come_twice() {
    let mut frames = asking(topics(&["plant/#"]));
    frames.publish(Up, 1, 5, "plant/5");
    assert_eq!(frames.ack(Down, PacketType::Puback, 5), Selected);
    assert_eq!(frames.ack(Down, PacketType::Puback, 5), Selected);
}

#[test]
fn a_gap_may_hide_that_an_identifier_was_used_again() {
    let settled = |gap| {
        let mut frames = asking(topics(&["plant/#"]));
        frames.publish(Up, 1, 5, "plant/5");
        frames.ack(Down, PacketType::Puback, 5);
        frames.event(EventKind::Gap, Some(gap));
        frames.ack(Down, PacketType::Puback, 5)
    };
    assert_eq!(settled(Up), TopicUnknown);
    assert_eq!(settled(Down), Selected);

    // An open exchange stands as long as its answer cannot have been lost.
    let open = |gaps: &[Direction]| {
        let mut frames = asking(topics(&["plant/#"]));
        frames.publish(Up, 1, 5, "plant/5");
        for gap in gaps {
            frames.event(EventKind::Gap, Some(*gap));
        }
        frames.ack(Down, PacketType::Puback, 5)
    };
    assert_eq!(open(&[Up]), Selected);
    assert_eq!(open(&[Down]), Selected);
    assert_eq!(open(&[Down, Up]), TopicUnknown);
}

#[test]
fn a_pubrec_settles_only_when_it_refuses() {
    let later = |code| {
        let mut frames = asking(topics(&["plant/#"]));
        frames.publish(Up, 2, 5, "plant/5");
        frames.ack_with(Down, PacketType::Pubrec, 5, code);
        frames.event(EventKind::Gap, Some(Up));
        frames.ack(Down, PacketType::Pubcomp, 5)
    };
    assert_eq!(later(None), Selected);
    assert_eq!(later(Some(0x10)), Selected);
    assert_eq!(later(Some(0x97)), TopicUnknown);
}

#[test]
fn memory_is_bounded_by_what_is_open() {
    let mut frames = asking(topics(&["plant/#"]));
    frames.publish(Up, 2, 60000, "plant/open");
    for id in 1..10_000 {
        frames.publish(Up, 1, id, "plant/x");
        frames.ack(Down, PacketType::Puback, id);
    }
    assert!(frames.tracker.total() <= SETTLED_EXCHANGES + 1);
    // The open one is still known.
    assert_eq!(frames.ack(Down, PacketType::Pubrec, 60000), Selected);
    frames.tracker.remove(frames.connection.number);
    assert_eq!(frames.tracker.total(), 0);
    assert_eq!(frames.tracker.evicted(), 0);
}

#[test]
fn settled_exchanges_make_room_for_new_ones() {
    let mut frames = asking(topics(&["plant/#"]));
    frames.tracker.limit(10);
    for number in 1..=4 {
        frames.connection.number = number;
        for id in 1..=3 {
            frames.publish(Up, 1, id, "plant/x");
            frames.ack(Down, PacketType::Puback, id);
        }
    }
    assert_eq!(frames.tracker.evicted(), 0);
    assert!(frames.tracker.total() <= 10);
    // Open ones do not, and what has no room is unknown, not wrong.
    for id in 10..30 {
        frames.publish(Up, 1, id, "office/x");
    }
    assert!(frames.tracker.evicted() > 0);
    assert_eq!(frames.ack(Down, PacketType::Puback, 10), Hidden);
    assert_eq!(frames.ack(Down, PacketType::Puback, 29), TopicUnknown);
}

#[test]
fn qos_is_that_of_the_message() {
    let mut frames = asking(Selection {
        qos: vec![1],
        ..Selection::default()
    });
    assert_eq!(frames.publish(Up, 1, 5, "a"), Selected);
    assert_eq!(frames.ack(Down, PacketType::Puback, 5), Selected);
    assert_eq!(frames.publish(Up, 2, 6, "a"), Hidden);
    // PUBREL carries 1 in its flags, and belongs to a message of QoS 2.
    assert_eq!(frames.ack(Up, PacketType::Pubrel, 6), Hidden);
    // A server that answers QoS 1 with PUBREC.
    assert_eq!(frames.ack(Down, PacketType::Pubrec, 5), Selected);
    // Without the message, the type tells.
    assert_eq!(frames.ack(Down, PacketType::Puback, 99), Selected);
    assert_eq!(frames.ack(Down, PacketType::Pubcomp, 99), Hidden);
    assert_eq!(frames.subscribe(7, "a"), Hidden);
    assert_eq!(frames.ack(Down, PacketType::Suback, 7), Hidden);
    assert_eq!(frames.connect(Some("a")), Hidden);
}

#[test]
fn types_clients_and_connections() {
    let mut frames = asking(Selection {
        types: vec![PacketType::Publish],
        connections: vec![1, 3],
        clients: vec![(*b"you").into(), (*b"me").into()],
        ..Selection::default()
    });
    assert_eq!(frames.publish(Up, 1, 5, "a"), Selected);
    assert_eq!(frames.ack(Down, PacketType::Puback, 5), Hidden);
    frames.connection.number = 2;
    assert_eq!(frames.publish(Up, 1, 5, "a"), Hidden);
    frames.connection.number = 3;
    assert_eq!(frames.publish(Up, 1, 5, "a"), Selected);
    frames.connection.client_id = Some((*b"m").into());
    assert_eq!(frames.publish(Up, 1, 5, "a"), Hidden);
    frames.connection.client_id = None;
    assert_eq!(frames.publish(Up, 1, 5, "a"), Hidden);
}

#[test]
fn events_follow_what_was_asked() {
    let gap = EventKind::Gap;
    // Only some of the frames: what was lost matters, what was opened does not.
    let mut frames = asking(topics(&["a"]));
    assert!(frames.event(gap, Some(Up)));
    assert!(!frames.event(EventKind::Opened, None));
    // All frames of some connections: all their events.
    let mut frames = asking(Selection {
        connections: vec![1],
        ..Selection::default()
    });
    assert!(frames.event(EventKind::Opened, None));
    frames.connection.number = 2;
    assert!(!frames.event(gap, Some(Up)));
    // What concerns the capture concerns everybody.
    assert!(frames.selector.event(&Event {
        kind: EventKind::Bound {
            limit: crate::limits::Limit::Properties,
        },
        time: Timestamp::default(),
        packet: PacketRef::default(),
        connection: None,
        direction: None,
        bytes: None,
    }));
}

//! One test per way in which TCP and captures depart from the ideal. Each
//! fails when the handling of its case is taken out.

use std::time::Duration;

use mqttdump::engine::Config;
use mqttdump::event::{CloseReason, EventKind, Side};
use mqttdump::frame::Direction::{self, Down, Up};
use mqttdump::mqtt::PacketType;

use crate::support::read::{Read, Reader, assert_frames, read};
use crate::support::stack::{OwnedPacket, Stack};
use crate::support::transcript::Conversation;
use crate::support::wire::{ACK, FIN, PSH, RST, SYN, Segment, Wire};

/// Publishes that differ in their identifiers, and a PINGREQ last.
fn conversation() -> Conversation {
    Conversation::new(
        "> CONNECT client=a keep_alive=10\n\
         < CONNACK\n\
         > PUBLISH qos=1 id=1 topic=t/1 payload=one\n\
         < PUBACK id=1\n\
         > PUBLISH qos=1 id=2 topic=t/2 payload=two\n\
         < PUBACK id=2\n\
         > PUBLISH qos=1 id=3 topic=t/3 payload=three\n\
         < PUBACK id=3\n\
         > PINGREQ\n\
         < PINGRESP",
    )
}

fn ethernet(wire: &Wire) -> Vec<OwnedPacket> {
    wire.packets(&Stack::default())
}

fn read_wire(wire: &Wire) -> Read {
    read(&ethernet(wire))
}

/// Asserts that none of these events happened.
#[track_caller]
fn assert_no_event(read: &Read, names: &[&str]) {
    for name in names {
        assert_eq!(read.events_named(name), [] as [&_; 0], "{:#?}", read.events);
    }
}

const TROUBLE: [&str; 8] = [
    "gap",
    "resynchronised",
    "malformed",
    "unfinished",
    "not_mqtt",
    "bound",
    "conflict",
    "late",
];

#[test]
fn ideal() {
    let read = read_wire(&Wire::new(&conversation()));
    assert_frames(&read, &conversation());
    assert_no_event(&read, &TROUBLE);
    let names: Vec<_> = read.events.iter().map(|e| (e.name, e.packet)).collect();
    assert_eq!(names.first(), Some(&("opened", 1)));
    assert_eq!(read.events_named("closed").len(), 1, "{names:?}");
    assert!(matches!(
        read.events_named("closed")[0].kind,
        EventKind::Closed {
            by: Some(Side::Client),
            reason: CloseReason::Fin,
            ..
        }
    ));
}

#[test]
fn out_of_order() {
    let wire = Wire::without_pure_acks(&conversation()).split(Up, &[5, 20, 25, 30]);
    let mut orders = 0;
    for seed in 1..40_u8 {
        let choices: Vec<u8> = (0..40_u8)
            .map(|i| seed.wrapping_mul(i.wrapping_mul(7).wrapping_add(3)) >> 2)
            .collect();
        let shuffled = wire.clone().reorder(&choices);
        orders += usize::from(shuffled.segments != wire.segments);
        let read = read_wire(&shuffled);
        assert_frames(&read, &conversation());
        assert_no_event(&read, &TROUBLE);
    }
    assert!(orders > 20, "{orders} orders are other than the first");
}

#[test]
fn fin_before_the_last_data() {
    let text = Conversation::new("> CONNECT client=a\n< CONNACK\n> PUBLISH topic=t\n> DISCONNECT");
    let mut wire = Wire::without_pure_acks(&text);
    let last = wire.data(Up, 2);
    let fin = (0..wire.segments.len()).find(|&i| wire.segments[i].flags & FIN != 0);
    let fin = wire.segments.remove(fin.expect("a FIN"));
    wire.segments.insert(last, fin);
    assert_frames(&read_wire(&wire), &text);
}

#[test]
fn duplicate() {
    for later in [0, 1, 5] {
        let mut wire = Wire::new(&conversation());
        for index in (0..wire.segments.len()).rev() {
            wire = wire.duplicate(index, later);
        }
        let read = read_wire(&wire);
        assert_frames(&read, &conversation());
        assert_no_event(&read, &TROUBLE);
    }
}

#[test]
fn overlap() {
    // Each later segment also repeats the eight bytes before it.
    let mut wire = Wire::new(&conversation());
    let stream = wire.streams[Up as usize].clone();
    for segment in wire.segments.iter_mut().filter(|s| s.way == Up) {
        let start = segment.range().start;
        if !segment.payload.is_empty() && start >= 8 {
            let again = &stream[start as usize - 8..start as usize];
            segment.payload.splice(0..0, again.iter().copied());
            segment.seq -= 8;
        }
    }
    let read = read_wire(&wire);
    assert_frames(&read, &conversation());
    assert_no_event(&read, &TROUBLE);
}

#[test]
fn overlap_of_waiting_data() {
    // Bytes 15..40 come early, then 10..30, then 0..20: each overlaps.
    let text =
        Conversation::new("> CONNECT client=abcdefgh\n> PUBLISH topic=t payload=0123456789abc");
    let mut wire = Wire::without_pure_acks(&text);
    let first = wire.data(Up, 0);
    let length = wire.streams[Up as usize].len();
    wire = wire.lose(|_, s| !s.payload.is_empty());
    for range in [0..20, 10..30, 15..length] {
        wire = wire.retransmit(first, Up, range);
    }
    let read = read_wire(&wire);
    assert_frames(&read, &text);
    assert_no_event(&read, &TROUBLE);
}

#[test]
fn repacketised() {
    // The second PUBLISH is lost on the way (the capture has it) and sent
    // again together with the third: old bytes and new in one segment.
    let wire = Wire::without_pure_acks(&conversation());
    let (second, third) = (wire.data(Up, 2), wire.data(Up, 3));
    let from = wire.segments[second].range().start as usize;
    let to = wire.segments[third].range().end as usize;
    let wire = wire.lose(|i, _| i == third).retransmit(third, Up, from..to);
    let read = read_wire(&wire);
    assert_frames(&read, &conversation());
    assert_no_event(&read, &TROUBLE);
}

#[test]
fn conflict() {
    // The same position twice with other bytes: the first stay, and it is reported.
    let wire = Wire::new(&conversation());
    let at = wire.data(Up, 1);
    let range = wire.segments[at].range();
    let other = vec![b'!'; (range.end - range.start) as usize];
    let read = read_wire(&wire.inject(at + 1, Up, range.start, &other));
    assert_frames(&read, &conversation());
    let conflicts = read.events_named("conflict");
    assert_eq!(conflicts.len(), 1, "{:#?}", read.events);
    assert_eq!(conflicts[0].direction, Some(Up));
    assert_eq!(conflicts[0].packet, at as u64 + 2);
}

#[test]
fn a_wrong_checksum_yields_to_a_right_one() {
    let wire = Wire::new(&conversation());
    let at = wire.data(Up, 1);
    let range = wire.segments[at].range();
    let forged = vec![b'!'; (range.end - range.start) as usize];
    let mut packets = ethernet(&wire.inject(at, Up, range.start, &forged));
    // Behind 14 bytes of Ethernet and 20 of IPv4.
    packets[at].data[14 + 20 + 16] ^= 0x55;
    let config = Config {
        verify_checksums: true,
        ..Config::default()
    };
    let read = crate::support::read::read_with(&packets, config);
    assert_frames(&read, &conversation());
    assert_eq!(read.events_named("conflict").len(), 1, "{:#?}", read.events);
    assert_eq!(read.summary.net.wrong_checksums, 1);
}

#[test]
fn conflict_in_waiting_data() {
    let wire = Wire::without_pure_acks(&conversation()).split(Up, &[4]);
    let (first, early) = (wire.data(Up, 0), wire.data(Up, 1));
    let (range, segment) = (wire.segments[early].range(), wire.segments[early].clone());
    let mut wire = wire.lose(|i, _| i == early);
    wire.insert(first, segment);
    let other = vec![b'!'; (range.end - range.start) as usize];
    let read = read_wire(&wire.inject(first + 1, Up, range.start, &other));
    assert_frames(&read, &conversation());
    assert_eq!(read.events_named("conflict").len(), 1, "{:#?}", read.events);
}

#[test]
fn sequence_wrap() {
    for before in 0..90_u32 {
        let isn = [u32::MAX - before, u32::MAX - before / 3];
        let read = read_wire(&Wire::new(&conversation()).starting_at(isn));
        assert_frames(&read, &conversation());
        assert_no_event(&read, &TROUBLE);
    }
}

#[test]
fn sequence_wrap_out_of_order() {
    let wire = Wire::without_pure_acks(&conversation()).split(Up, &[2, 9, 17, 21, 25, 33, 39]);
    for before in 0..60_u32 {
        let wire = wire.clone().starting_at([u32::MAX - before, 9]);
        let read = read_wire(&wire.reorder(&[3, 1, 4, 1, 5, 2, 5, 3, 5, 4, 3, 2, 1]));
        assert_frames(&read, &conversation());
    }
}

/// Two conversations over one port pair, one after the other.
fn reused(second: Wire, wait: u64) -> (Read, Read, Read) {
    let first = Wire::new(&conversation());
    let mut packets = ethernet(&first.clone().lose(|_, s| s.flags & FIN != 0));
    packets.extend(ethernet(&second.after(Duration::from_secs(wait))));
    let both = read(&packets);
    let part = |number| Read {
        frames: both
            .frames
            .iter()
            .filter(|f| f.connection == number)
            .cloned()
            .collect(),
        events: both
            .events
            .iter()
            .filter(|e| e.connection == Some(number))
            .cloned()
            .collect(),
        ..Read::default()
    };
    (part(1), part(2), both)
}

#[test]
fn port_reuse_with_a_syn() {
    // The old connection never closed, and the new one may start close to
    // where the old one ended.
    for isn in [[0x1000_0100, 0x7000_0100], [5, 7]] {
        let wire = Wire::new(&conversation()).starting_at(isn);
        let (first, second, both) = reused(wire, 60);
        assert_frames(&first, &conversation());
        assert_frames(
            &Read {
                frames: rebased(&second),
                ..Read::default()
            },
            &conversation(),
        );
        assert_eq!(
            both.events_named("opened").len(),
            2,
            "{isn:x?} {:#?}",
            both.events
        );
    }
}

#[test]
fn port_reuse_without_a_syn() {
    // Sequence numbers far from the old ones show that it is another one.
    let text = Conversation::new(
        "! midstream\n> PUBLISH qos=1 id=10 topic=x/1 payload=a\n< PUBACK id=10\n\
         > PUBLISH qos=1 id=11 topic=x/2 payload=b\n< PUBACK id=11\n\
         > PUBLISH qos=1 id=12 topic=x/3 payload=c\n< PUBACK id=12\n> PINGREQ\n< PINGRESP",
    );
    let wire = Wire::new(&text).starting_at([0x9000_0000, 0x2000_0000]);
    let (first, second, both) = reused(wire, 600);
    assert_frames(&first, &conversation());
    assert_eq!(
        second.ladder(Up),
        ["PUBLISH:10", "PUBLISH:11", "PUBLISH:12", "PINGREQ"],
        "{both:#?}"
    );
    assert_eq!(
        second.ladder(Down),
        ["PUBACK:10", "PUBACK:11", "PUBACK:12", "PINGRESP"]
    );
    assert_no_event(&both, &["gap", "late", "conflict"]);
}

/// Offsets as they would be had the connection been the only one.
fn rebased(read: &Read) -> Vec<crate::support::read::OwnedFrame> {
    read.frames.clone()
}

#[test]
fn keep_alive_probe() {
    // One byte before the next, with no payload or a byte that means nothing.
    for garbage in [&b""[..], b"\0", b"!"] {
        let wire = Wire::new(&conversation());
        let at = wire.data(Up, 2);
        let next = wire.segments[at].range().start;
        let mut wire = wire.inject(at, Up, next - 1, garbage);
        wire.segments[at].flags = ACK;
        let mut answer = wire.segments[at].clone();
        (answer.way, answer.seq, answer.ack) = (Down, wire.segments[at].ack, next + 1);
        answer.payload.clear();
        wire.insert(at + 1, answer);
        let read = read_wire(&wire);
        assert_frames(&read, &conversation());
        assert_no_event(&read, &TROUBLE);
    }
}

#[test]
fn data_on_syn() {
    // TCP Fast Open (RFC 7413): the CONNECT rides on the SYN, and the server
    // has acknowledged all of it or nothing.
    for accepted in [true, false] {
        let mut wire = Wire::new(&conversation());
        let connect = wire.data(Up, 0);
        let payload = wire.segments[connect].payload.clone();
        if accepted {
            wire.segments[1].ack = 1 + payload.len() as i64;
            wire = wire.lose(|i, _| i == connect);
        }
        wire.segments[0].payload = payload;
        let read = read_wire(&wire);
        assert_frames(&read, &conversation());
        assert_no_event(&read, &TROUBLE);
    }
}

#[test]
fn data_on_fin() {
    let text = Conversation::new("> CONNECT client=a\n< CONNACK\n> DISCONNECT");
    let mut wire = Wire::new(&text);
    let last = wire.data(Up, 1);
    wire.segments[last].flags |= FIN;
    let fin = (last + 1..wire.segments.len())
        .find(|&i| wire.segments[i].way == Up && wire.segments[i].flags & FIN != 0);
    wire.segments.remove(fin.expect("a FIN"));
    let read = read_wire(&wire);
    assert_frames(&read, &text);
    assert_eq!(read.events_named("closed").len(), 1, "{:#?}", read.events);
}

#[test]
fn data_on_rst() {
    // RFC 9293, 3.5.3: a reset may carry a text that explains it. It is no
    // part of the stream.
    let text = Conversation::new("> CONNECT client=a\n< CONNACK\n> PUBLISH topic=t\n! reset <");
    let mut wire = Wire::new(&text);
    let reset = wire.segments.last_mut().expect("a reset");
    assert_eq!(reset.flags & RST, RST);
    reset.payload = b"0 no such port, go away".to_vec();
    let read = read_wire(&wire);
    assert_frames(&read, &text);
    assert_no_event(&read, &["malformed", "unfinished", "gap", "resynchronised"]);
    assert!(matches!(
        read.events_named("closed")[0].kind,
        EventKind::Closed {
            by: Some(Side::Server),
            reason: CloseReason::Reset,
            disconnect: None,
        }
    ));
}

#[test]
fn a_reset_far_from_the_stream_ends_nothing() {
    let wire = Wire::new(&conversation());
    let at = wire.data(Up, 2);
    let mut stray = wire.segments[at].clone();
    (stray.seq, stray.flags) = (stray.seq + 10_000_000, RST);
    stray.payload.clear();
    let mut with_reset = wire;
    with_reset.segments.insert(at, stray);
    // The capture ends before the connection does.
    let fin = (0..).find(|&i| with_reset.segments[i].flags & FIN != 0);
    with_reset.segments.truncate(fin.expect("a FIN"));
    let read = read_wire(&with_reset);
    assert_frames(&read, &conversation());
    assert_no_event(&read, &["closed", "gap", "resynchronised"]);
}

#[test]
fn an_acknowledgement_shows_where_the_other_side_was() {
    // Joined after the handshake, and the first answer is lost.
    let wire = Wire::without_pure_acks(&conversation());
    let connack = wire.data(Down, 0);
    let length = wire.segments[connack].payload.len() as u64;
    let read = read_wire(&wire.lose(|i, s| s.flags & SYN != 0 || i == connack));
    let gaps = read.events_named("gap");
    let down: Vec<_> = gaps.iter().filter(|e| e.direction == Some(Down)).collect();
    assert!(
        matches!(down[..], [gap] if gap.bytes == Some(length)),
        "{:#?}",
        read.events
    );
}

#[test]
fn zero_window() {
    // The server's window closes; the client probes with one real byte, twice,
    // then sends everything from there on.
    let wire = Wire::without_pure_acks(&conversation());
    let at = wire.data(Up, 3);
    let next = wire.segments[at].range().start as usize;
    let mut wire = wire
        .retransmit(at, Up, next..next + 1)
        .retransmit(at, Up, next..next + 1);
    let mut closed = wire.segments[at].clone();
    (closed.way, closed.seq, closed.ack) = (Down, wire.segments[at].ack, next as i64 + 1);
    (closed.window, closed.flags) = (0, ACK);
    closed.payload.clear();
    wire.insert(at, closed.clone());
    wire.insert(at + 2, closed);
    let read = read_wire(&wire);
    assert_frames(&read, &conversation());
    assert_no_event(&read, &TROUBLE);
    // Who can take nothing can still send.
    for segment in &mut wire.segments {
        segment.window = 0;
    }
    assert_frames(&read_wire(&wire), &conversation());
}

#[test]
fn one_direction_only() {
    for way in [Up, Down] {
        let wire = Wire::new(&conversation()).lose(|_, s| s.way != way);
        let read = read_wire(&wire);
        let all = Wire::new(&conversation());
        assert_eq!(read.ladder(way), read_wire(&all).ladder(way));
        assert_eq!(read.ladder(way.reversed()), [] as [&str; 0]);
        // The other side's acknowledgements cover bytes that are not here:
        // one gap of all of them is true. None in what is.
        let gaps = read.events_named("gap");
        assert!(gaps.len() <= 1 && gaps.iter().all(|e| e.direction != Some(way)));
        assert_no_event(
            &read,
            &["resynchronised", "malformed", "not_mqtt", "bound", "late"],
        );
        assert_eq!(read.frames[0].direction, way);
    }
}

#[test]
fn captured_twice() {
    let wire = Wire::new(&conversation());
    let twice = wire.clone().captured_twice();
    let read = read_wire(&twice);
    assert_frames(&read, &conversation());
    assert_no_event(&read, &TROUBLE);
    let mut reader = Reader::new(Config::default());
    for (i, packet) in ethernet(&twice).iter().enumerate() {
        reader.push(packet);
        let duplicates = reader.summary().duplicates;
        assert_eq!(duplicates, i.div_ceil(2) as u64, "after packet {}", i + 1);
    }
    // A retransmission is another packet with the same bytes: no duplicate.
    let index = wire.data(Up, 1);
    let read = read_wire(&wire.duplicate(index, 0));
    assert_eq!(read.summary.duplicates, 0);
}

/// The conversation without its second PUBLISH (id 1), the client sending
/// PINGREQs for ever after.
fn lossy(pings: usize) -> (Wire, usize) {
    let mut text = "> CONNECT client=a\n< CONNACK\n> PUBLISH qos=1 id=1 topic=t payload=lost\n\
                    < PUBACK id=1\n"
        .to_owned();
    for _ in 0..pings {
        text += "> PINGREQ\n< PINGRESP\n! wait 1s\n";
    }
    let wire = Wire::new(&Conversation::new(&text));
    let lost = wire.data(Up, 1);
    (wire.lose(|i, _| i == lost), lost)
}

#[test]
fn a_gap_waits_for_more_than_an_acknowledgement() {
    let (wire, lost) = lossy(2_000);
    let packets = ethernet(&wire);
    let mut reader = Reader::new(Config::default());
    // Up to the PUBACK, whose segment acknowledges missing bytes, and the
    // first PINGREQ, which waits behind it.
    let ping = wire.data(Up, 1);
    for packet in &packets[..=ping] {
        reader.push(packet);
    }
    assert!(ping > lost);
    assert!(
        reader.read.events_named("gap").is_empty(),
        "declared at the first acknowledgement"
    );
    assert_eq!(reader.read.ladder(Up), ["CONNECT"]);
    // It does not wait for the end of the capture.
    for packet in &packets[ping + 1..packets.len() - 3] {
        reader.push(packet);
    }
    let so_far = reader.read.ladder(Up);
    assert!(
        so_far.len() > 1_000,
        "{} frames after 2,000 s",
        so_far.len()
    );
    let read = reader.finish();
    assert_eq!(read.ladder(Up).len(), 2_001);
    let gaps = read.events_named("gap");
    assert_eq!(gaps.len(), 1, "{:#?}", read.events);
    let publish = &Conversation::new("> PUBLISH qos=1 id=1 topic=t payload=lost");
    let length = publish.packets(Up)[0].encoded.bytes.len() as u64;
    assert_eq!((gaps[0].bytes, gaps[0].direction), (Some(length), Some(Up)));
}

/// Frames of a connection before its end, if a segment is lost and the
/// connection goes on with so many pings, so far from each other.
fn before_the_end(pings: usize, pause: &str) -> usize {
    let text = "> CONNECT client=a\n< CONNACK\n> PUBLISH qos=1 id=1 topic=t payload=lost\n\
                < PUBACK id=1\n"
        .to_owned()
        + &format!("> PINGREQ\n< PINGRESP\n{pause}").repeat(pings);
    let wire = Wire::new(&Conversation::new(&text));
    let lost = wire.data(Up, 1);
    let packets = ethernet(&wire.lose(|i, _| i == lost));
    let mut reader = Reader::new(Config::default());
    // Not the handshake at the end.
    for packet in &packets[..packets.len() - 3] {
        reader.push(packet);
    }
    reader.read.ladder(Up).len()
}

#[test]
fn a_gap_becomes_final_by_packets_or_by_time() {
    assert!(before_the_end(100, "") > 50, "enough packets");
    assert!(before_the_end(4, "! wait 2s\n") > 1, "enough time");
    assert_eq!(before_the_end(4, ""), 1, "neither");
}

#[test]
fn a_gap_of_which_only_one_direction_was_captured() {
    // No peer can acknowledge it: more patience, but not for ever.
    let (wire, _) = lossy(1_000);
    let packets = ethernet(&wire.lose(|_, s| s.way == Down));
    let mut reader = Reader::new(Config::default());
    for packet in &packets[..packets.len() - 3] {
        reader.push(packet);
    }
    let frames = reader.read.ladder(Up).len();
    assert!(frames > 500, "{frames} frames before the end");
}

#[test]
fn a_gap_that_no_peer_acknowledged_waits() {
    // The receiver asks for it with every acknowledgement: it will be sent
    // again, however late.
    let text = "> CONNECT client=a\n< CONNACK\n> PUBLISH topic=t payload=late\n".to_owned()
        + &"> PUBLISH topic=t payload=x\n".repeat(100);
    let text = Conversation::new(&text);
    let mut wire = Wire::new(&text);
    let at = wire.data(Up, 1);
    let (segment, last) = (wire.segments[at].clone(), wire.data(Up, 101));
    for later in &mut wire.segments[at..=last] {
        if later.way == Down {
            later.ack = segment.seq;
        }
    }
    let mut wire = wire.lose(|i, _| i == at);
    wire.insert(last, segment);
    let read = read_wire(&wire);
    assert_frames(&read, &text);
    assert_no_event(&read, &TROUBLE);
}

#[test]
fn an_acknowledgement_before_its_data_makes_no_gap() {
    // Multi-queue cards: the answer is captured before the question, by a few
    // packets.
    for late in 1..8 {
        let (whole, _) = lossy(20);
        let complete = Wire::new(&Conversation::new(
            &("> CONNECT client=a\n< CONNACK\n> PUBLISH qos=1 id=1 topic=t payload=lost\n< PUBACK id=1\n"
                .to_owned()
                + &"> PINGREQ\n< PINGRESP\n".repeat(20)),
        ));
        let at = complete.data(Up, 1);
        let segment = complete.segments[at].clone();
        let mut wire = complete.lose(|i, _| i == at);
        wire.insert(at + late, segment);
        let read = read_wire(&wire);
        assert_no_event(&read, &TROUBLE);
        assert_eq!(
            read.ladder(Up)[..2],
            ["CONNECT", "PUBLISH:1"],
            "{late} packets late"
        );
        assert_eq!(
            read.ladder(Up).len(),
            read_wire(&whole).ladder(Up).len() + 1
        );
    }
}

#[test]
fn a_gap_at_the_end_of_the_capture() {
    // No acknowledgement ever: waiting bytes are reported when the capture ends.
    let wire = Wire::without_pure_acks(&conversation());
    let lost = wire.data(Up, 2);
    let wire = wire.lose(|i, s| i == lost || (s.way == Down && i > lost));
    let read = read_wire(&wire);
    assert_eq!(
        read.ladder(Up),
        ["CONNECT", "PUBLISH:1", "PUBLISH:3", "PINGREQ"]
    );
    // The server's bytes are acknowledged, but not here: another gap.
    let gaps = read.events_named("gap");
    let up = gaps.iter().filter(|e| e.direction == Some(Up)).count();
    assert_eq!(up, 1, "{gaps:#?}");
}

#[test]
fn a_gap_inside_a_body_costs_that_message_only() {
    let text = Conversation::new(
        "> CONNECT client=a\n< CONNACK\n> PUBLISH qos=1 id=5 topic=big payload_size=1000\n\
         < PUBACK id=5\n> PUBLISH qos=1 id=6 topic=next payload=x\n< PUBACK id=6",
    );
    let connect = text.packets(Up)[0].encoded.bytes.len();
    let wire = Wire::new(&text).split(Up, &[connect + 100, connect + 500]);
    let lost = wire.data(Up, 2);
    let read = read_wire(&wire.lose(|i, _| i == lost));
    assert_eq!(read.ladder(Up), ["CONNECT", "PUBLISH:5", "PUBLISH:6"]);
    let [_, big, next] = read.way(Up)[..] else {
        unreachable!()
    };
    let sent = text.packets(Up);
    assert_eq!((big.missing, big.resynchronised), (400, false));
    assert_eq!(big.bytes, sent[1].encoded.bytes[..100]);
    assert_eq!(big.topic.as_deref(), Some(&b"big"[..]));
    assert_eq!(big.payload_len, Some(1_000));
    assert_eq!((next.missing, next.resynchronised), (0, false));
    assert_eq!(next.bytes, sent[2].encoded.bytes);
    assert_no_event(&read, &["gap", "resynchronised", "malformed", "unfinished"]);
}

#[test]
fn a_gap_over_a_fixed_header_means_resynchronising() {
    // The gap takes the end of one PUBLISH and the first bytes of the next,
    // whose rest must not be taken for packets.
    let text = Conversation::new(
        "> CONNECT client=a\n< CONNACK\n> PUBLISH qos=1 id=5 topic=t payload_size=300\n< PUBACK id=5\n\
         > PUBLISH qos=1 id=6 topic=t payload_size=300\n< PUBACK id=6\n\
         > PUBLISH qos=1 id=7 topic=t payload=x\n< PUBACK id=7\n\
         > PUBLISH qos=1 id=8 topic=t payload=x\n< PUBACK id=8\n> PINGREQ\n< PINGRESP\n\
         > PUBLISH qos=1 id=9 topic=t payload=x\n< PUBACK id=9\n> DISCONNECT",
    );
    let sent = text.packets(Up);
    let at = |n: usize| -> usize { sent[..n].iter().map(|p| p.encoded.bytes.len()).sum() };
    let wire = Wire::new(&text).split(Up, &[at(1) + 200, at(2) + 10]);
    let read = read_wire(&wire.lose(|_, s| {
        s.way == Up
            && s.range().start >= at(1) as i64 + 200
            && s.range().end <= at(2) as i64 + 10
            && !s.payload.is_empty()
    }));
    let ladder = read.ladder(Up);
    assert_eq!(ladder[..2], ["CONNECT", "PUBLISH:5"], "{:#?}", read.events);
    assert_eq!(
        ladder[2..],
        [
            "PUBLISH:7",
            "PUBLISH:8",
            "PINGREQ",
            "PUBLISH:9",
            "DISCONNECT"
        ]
    );
    let found = &read.way(Up)[2];
    assert!(found.resynchronised);
    assert_eq!(found.offset, at(3) as u64);
    let events = read.events_named("resynchronised");
    assert_eq!(events.len(), 1, "{:#?}", read.events);
    assert_eq!(events[0].direction, Some(Up));
    // The captured bytes of the PUBLISH whose header was lost.
    assert_eq!(events[0].bytes, Some((at(3) - at(2) - 10) as u64));
    assert_eq!(read.ladder(Down).len(), 7);
}

#[test]
fn joining_in_the_middle() {
    // The first captured byte lies inside a body.
    let text = Conversation::new(
        "! midstream\n> PUBLISH qos=1 id=5 topic=t payload_size=300\n< PUBACK id=5\n\
         > PUBLISH qos=1 id=6 topic=t payload=x\n< PUBACK id=6\n\
         > PUBLISH qos=1 id=7 topic=t payload=x\n< PUBACK id=7\n> PINGREQ\n< PINGRESP",
    );
    let wire = Wire::new(&text).split(Up, &[100]);
    let read = read_wire(&wire.lose(|i, _| i == 0));
    assert_eq!(
        read.ladder(Up),
        ["PUBLISH:6", "PUBLISH:7", "PINGREQ"],
        "{:#?}",
        read.events
    );
    assert_eq!(
        read.ladder(Down),
        ["PUBACK:5", "PUBACK:6", "PUBACK:7", "PINGRESP"]
    );
    assert!(read.frames.iter().all(|f| f.version_assumed));
    assert!(read.way(Up).iter().all(|f| f.resynchronised));
    let events = read.events_named("resynchronised");
    let up = events.iter().find(|e| e.direction == Some(Up));
    let body = text.packets(Up)[0].encoded.bytes.len() as u64;
    assert_eq!(
        up.map(|e| e.bytes),
        Some(Some(body - 100)),
        "{:#?}",
        read.events
    );
}

#[test]
fn joining_between_two_messages() {
    for version in ["3.1.1", "5"] {
        let text = Conversation::new(&format!(
            "! midstream\n! version {version}\n\
             > PUBLISH qos=1 id=5 topic=a/b payload=hello\n< PUBACK id=5\n\
             > PUBLISH qos=1 id=6 topic=a/b payload=hello\n< PUBACK id=6\n> PINGREQ\n< PINGRESP"
        ));
        let read = read_wire(&Wire::new(&text));
        assert_frames(&read, &text);
        assert!(read.frames.iter().all(|f| f.version_assumed));
        assert!(read.events_named("opened").is_empty());
    }
}

#[test]
fn an_assumed_version_gives_way() {
    // A payload that begins with 0 could be a property length of 5.0.
    let text = Conversation::new(
        "! midstream\n> PUBLISH topic=plant/7/temp payload=hex:0017\n\
         > PUBLISH topic=plant/7/temp payload=hello\n> PUBLISH topic=plant/7/temp payload=hex:0017",
    );
    let read = read_wire(&Wire::new(&text));
    let versions: Vec<_> = read.frames.iter().map(|f| f.version).collect();
    assert_eq!(versions, ["5.0", "3.1.1", "3.1.1"]);
    let payloads: Vec<_> = read.frames.iter().map(|f| f.payload.as_slice()).collect();
    assert_eq!(payloads, [&b"\x17"[..], b"hello", b"\0\x17"]);
    assert!(
        read.frames
            .iter()
            .all(|f| f.defects.is_empty() && f.version_assumed)
    );
}

#[test]
fn joining_a_quiet_connection() {
    // Two pings are all that is ever captured (and all that is sent).
    let text =
        Conversation::new("! midstream\n> PINGREQ\n< PINGRESP\n! wait 60s\n> PINGREQ\n< PINGRESP");
    assert_frames(&read_wire(&Wire::new(&text)), &text);
}

#[test]
fn late_bytes_are_an_event() {
    let (wire, lost) = lossy(2_000);
    let text = Conversation::new("> CONNECT client=a\n> PUBLISH qos=1 id=1 topic=t payload=lost");
    let bytes = &text.packets(Up)[1].encoded.bytes;
    let offset = text.packets(Up)[0].encoded.bytes.len() as i64;
    let near_the_end = wire.segments.len() - 10;
    assert!(lost < near_the_end);
    let read = read_wire(&wire.inject(near_the_end, Up, offset, bytes));
    let late = read.events_named("late");
    assert_eq!(late.len(), 1, "{:#?}", read.events);
    assert_eq!(late[0].bytes, Some(bytes.len() as u64));
    assert_eq!(late[0].packet, near_the_end as u64 + 1);
    assert_eq!(late[0].direction, Some(Up));
    // Not read as a frame: everything after it was reported already.
    assert_eq!(read.ladder(Up).len(), 2_001);
    assert_no_event(&read, &["conflict"]);
}

#[test]
fn cut_by_the_snap_length() {
    // The missing tail is a gap of known size: the frame is there, and the
    // next one too, at once.
    let text = Conversation::new(
        "> CONNECT client=a\n< CONNACK\n> PUBLISH qos=1 id=5 topic=big payload_size=500\n\
         < PUBACK id=5\n> PINGREQ\n< PINGRESP",
    );
    let packets: Vec<_> = ethernet(&Wire::new(&text))
        .into_iter()
        .map(|p| p.cut(154))
        .collect();
    let read = read(&packets);
    assert_eq!(read.ladder(Up), ["CONNECT", "PUBLISH:5", "PINGREQ"]);
    let big = &read.way(Up)[1];
    let sent = &text.packets(Up)[1].encoded.bytes;
    assert_eq!(big.bytes, sent[..100]);
    assert_eq!(big.missing, sent.len() as u64 - 100);
    assert_no_event(&read, &["gap", "resynchronised", "late", "unfinished"]);
    // Reported before the PINGREQ, not at the end.
    assert!(big.last < read.way(Up)[2].first);
}

#[test]
fn a_cut_segment_and_its_whole_copy_wait_for_an_earlier_one() {
    // The cut one may hold no payload at all: only how long it was.
    let text = Conversation::new("> CONNECT client=a\n> PUBLISH topic=t payload_size=80");
    let wire = Wire::without_pure_acks(&text);
    let (connect, publish) = (wire.data(Up, 0), wire.data(Up, 1));
    let all = ethernet(&wire);
    for snap in [54, 55, 60, 100] {
        let cut = all[publish].clone().cut(snap);
        for copies in [
            vec![cut.clone(), all[publish].clone()],
            vec![all[publish].clone(), cut.clone()],
            vec![cut.clone(), cut.clone(), all[publish].clone()],
        ] {
            let mut packets = all[..connect].to_vec();
            packets.extend(copies);
            packets.push(all[connect].clone());
            packets.extend_from_slice(&all[publish + 1..]);
            for (i, packet) in packets.iter_mut().enumerate() {
                packet.time = all[0].time + i as i64;
            }
            assert_frames(&read(&packets), &text);
        }
    }
}

#[test]
fn a_body_of_268_435_455_bytes() {
    // Framed right and counted through, mostly from lost segments: what the
    // capture holds of it is a few segments here and there.
    let text = Conversation::new("> CONNECT client=a\n< CONNACK");
    let mut wire = Wire::new(&text);
    let connect = wire.data(Up, 0);
    let start = wire.segments[connect].range().end;
    wire.segments.truncate(connect + 3);
    let body = 268_435_455_i64;
    let push = |wire: &mut Wire, way: Direction, offset: i64, payload: &[u8], ack: i64| {
        let mut segment = wire.segments[connect].clone();
        (segment.way, segment.seq, segment.ack) = (way, offset + 1, ack + 1);
        segment.payload = payload.to_vec();
        wire.insert(usize::MAX, segment);
    };
    let chunk = vec![b'x'; 65_000];
    push(&mut wire, Up, start, b"\x30\xff\xff\xff\x7f\x00\x01t", 4);
    let (mut offset, end) = (start + 8, start + 5 + body);
    while offset < end {
        let length = chunk.len().min((end - offset) as usize);
        push(&mut wire, Up, offset, &chunk[..length], 4);
        offset += length as i64;
    }
    push(&mut wire, Up, end, b"\xc0\x00", 4);
    // 268 MB would be slow to build and to check: push the packets one by one.
    let mut reader = Reader::new(Config::default());
    for segment in &wire.segments {
        for packet in Stack::default().packets(&wire, segment) {
            reader.push(&packet);
        }
    }
    let read = reader.finish();
    assert_eq!(read.ladder(Up), ["CONNECT", "PUBLISH", "PINGREQ"]);
    let publish = read.way(Up)[1];
    assert_eq!(publish.remaining_length, body as u32);
    assert_eq!(publish.payload_len, Some(body as u32 - 3));
    assert_eq!((publish.missing, publish.payload.len()), (0, 4_096));
    assert!(
        publish.bytes.len() < 70_000,
        "{} bytes kept",
        publish.bytes.len()
    );
}

#[test]
fn a_border_inside_the_remaining_length() {
    for size in [100, 130, 16_400, 2_097_200] {
        let text = Conversation::new(&format!(
            "> CONNECT client=a\n< CONNACK\n> PUBLISH topic=t payload_size={size}\n> PINGREQ"
        ));
        let connect = text.packets(Up)[0].encoded.bytes.len();
        for borders in [&[1][..], &[2], &[3], &[4], &[1, 2, 3, 4, 5]] {
            let borders: Vec<usize> = borders.iter().map(|b| connect + b).collect();
            // A segment holds less than 64 KiB.
            let rest = (1..size / 60_000 + 1).map(|i| connect + i * 60_000);
            let all: Vec<usize> = borders.iter().copied().chain(rest).collect();
            let read = read_wire(&Wire::new(&text).split(Up, &all));
            assert_eq!(
                read.ladder(Up),
                ["CONNECT", "PUBLISH", "PINGREQ"],
                "{borders:?}"
            );
            assert_eq!(read.way(Up)[1].payload_len, Some(size as u32));
            assert_no_event(&read, &TROUBLE);
        }
    }
}

#[test]
fn topic_aliases_of_the_two_directions() {
    let text = Conversation::new(
        "> CONNECT client=a version=5 topic_alias_maximum=9\n< CONNACK topic_alias_maximum=9\n\
         > PUBLISH topic=up topic_alias=1 payload=x\n< PUBLISH topic=down topic_alias=1 payload=x\n\
         > PUBLISH topic_alias=1 payload=x\n< PUBLISH topic_alias=1 payload=x\n\
         > PUBLISH topic=other topic_alias=1 payload=x\n< PUBLISH topic_alias=1 payload=x\n\
         > PUBLISH topic_alias=1 payload=x\n> PUBLISH topic_alias=2 payload=x",
    );
    let read = read_wire(&Wire::new(&text));
    assert_frames(&read, &text);
    let topics = |way| -> Vec<_> {
        let publishes = read
            .way(way)
            .into_iter()
            .filter(|f| f.kind == PacketType::Publish);
        publishes
            .map(|f| f.topic.as_deref().map(String::from_utf8_lossy))
            .collect()
    };
    let some = |t: &'static str| Some(t.into());
    assert_eq!(
        topics(Up),
        [some("up"), some("up"), some("other"), some("other"), None]
    );
    assert_eq!(topics(Down), [some("down"), some("down"), some("down")]);
}

#[test]
fn a_lost_alias_is_unknown_not_guessed() {
    let text = Conversation::new(
        "> CONNECT client=a version=5\n< CONNACK topic_alias_maximum=9\n\
         > PUBLISH topic=first topic_alias=1 payload=x\n\
         > PUBLISH topic=second topic_alias=1 payload=x\n> PUBLISH topic_alias=1 payload=x",
    );
    let wire = Wire::new(&text);
    let lost = wire.data(Up, 2);
    let read = read_wire(&wire.lose(|i, _| i == lost));
    assert_eq!(read.ladder(Up), ["CONNECT", "PUBLISH", "PUBLISH"]);
    assert_eq!(
        read.way(Up)[2].topic,
        None,
        "the lost PUBLISH may have changed the alias"
    );
}

#[test]
fn kept_payloads_are_limited() {
    // Eighty messages of 2 MiB, of each the first MiB, all wanted for output.
    let text = Conversation::new("> CONNECT client=a\n< CONNACK");
    let wire = Wire::without_pure_acks(&text);
    let connect = wire.data(Up, 0);
    let start = wire.segments[connect].range().end;
    let mut reader = Reader::new(Config {
        payload: 4 << 20,
        ..Config::default()
    });
    for number in 0..80 {
        let mut wire = wire.clone();
        wire.client.set_port(20_000 + number);
        wire.isn[0] += u32::from(number);
        wire.segments.truncate(connect + 2);
        let mut offset = start;
        for part in 0..18 {
            let mut payload = vec![b'x'; 60_000];
            if part == 0 {
                payload[..8].copy_from_slice(b"\x30\x80\x80\x80\x01\x00\x01t");
            }
            let mut segment = wire.segments[connect].clone();
            (segment.seq, segment.payload) = (offset + 1, payload);
            offset += 60_000;
            wire.insert(usize::MAX, segment);
        }
        for packet in ethernet(&wire) {
            reader.push(&packet);
        }
    }
    let read = reader.finish();
    assert!(!read.events_named("bound").is_empty());
    assert_eq!(read.events_named("unfinished").len(), 80);
}

#[test]
fn a_reached_limit_is_reported() {
    // Data waits behind a gap that nothing ever acknowledges, more and more.
    let wire = Wire::new(&Conversation::new(
        "> CONNECT client=a\n< CONNACK\n> PINGREQ",
    ));
    let ping = wire.data(Up, 1);
    let mut reader = Reader::new(Config::default());
    for packet in ethernet(&wire).iter().take(ping) {
        reader.push(packet);
    }
    let template = wire.segments[ping].clone();
    let payload = b"\xc0\x00".repeat(30_000);
    for n in 0..4_000_i64 {
        let mut segment = template.clone();
        segment.seq += 2 + n * payload.len() as i64;
        segment.payload.clone_from(&payload);
        segment.time += n;
        for packet in Stack::default().packets(&wire, &segment) {
            reader.push(&packet);
        }
        if !reader.read.events_named("bound").is_empty() {
            let waited = (n as usize + 1) * payload.len();
            assert!(waited < 2 * mqttdump::limits::WAITING_BYTES, "{waited}");
            return;
        }
    }
    panic!("240 MB wait behind a gap and nothing is reported");
}

#[test]
fn unfinished_packets_are_reported() {
    let text =
        Conversation::new("> CONNECT client=a\n< CONNACK\n> PUBLISH topic=t payload_size=100");
    let connect = text.packets(Up)[0].encoded.bytes.len();
    let wire = Wire::without_pure_acks(&text).split(Up, &[connect + 50]);
    let lost = wire.data(Up, 2);
    let read = read_wire(&wire.lose(|i, _| i >= lost));
    assert_eq!(read.ladder(Up), ["CONNECT"]);
    let unfinished = read.events_named("unfinished");
    assert_eq!(unfinished.len(), 1, "{:#?}", read.events);
    assert_eq!(
        unfinished[0].kind,
        EventKind::Unfinished {
            wanted: Some(55),
            first: Some(0x30)
        }
    );
}

#[test]
fn simultaneous_connections_are_kept_apart() {
    let text = conversation();
    let wires: Vec<Wire> = (0..20_u16)
        .map(|n| {
            let mut wire = Wire::new(&text).starting_at([n.into(), 0]);
            wire.client.set_port(1_000 + n);
            wire
        })
        .collect();
    let stack = Stack::default();
    let packets: Vec<_> = (0..wires[0].segments.len())
        .flat_map(|i| wires.iter().map(move |w| (w, i)))
        .flat_map(|(wire, i)| stack.packets(wire, &wire.segments[i]))
        .collect();
    let read = read(&packets);
    for connection in 1..=20 {
        let frames = read
            .frames
            .iter()
            .filter(|f| f.connection == connection)
            .cloned();
        let part = Read {
            frames: frames.collect(),
            ..Read::default()
        };
        assert_frames(&part, &text);
    }
    assert_eq!(read.summary.mqtt_connections, 20);
}

#[test]
fn an_answer_captured_before_its_connect_on_another_port() {
    let wire = Wire::without_pure_acks(&conversation()).between("10.0.0.7:40122", "10.0.1.1:7777");
    let mut swapped = wire.clone();
    let (connect, connack) = (wire.data(Up, 0), wire.data(Down, 0));
    assert_eq!(connack, connect + 1);
    swapped.segments.swap(connect, connack);
    let read = read_wire(&swapped);
    assert_frames(&read, &conversation());
    assert_no_event(&read, &TROUBLE);
    // A server that speaks first is something else.
    let greeting = wire.inject(connect, Down, 0, b"220 mail.example.org ESMTP\r\n");
    assert_eq!(read_wire(&greeting).ladder(Up), [] as [&str; 0]);
}

#[test]
fn a_handshake_that_nothing_follows_is_evicted() {
    let wire = Wire::new(&conversation());
    let mut reader = Reader::new(Config::default());
    for packet in &ethernet(&wire)[..3] {
        reader.push(packet);
    }
    // Others go on, for ten minutes.
    let text = Conversation::new(&"> PINGREQ\n< PINGRESP\n! wait 10s\n".repeat(60));
    for packet in ethernet(&Wire::new(&text).between("10.0.0.8:40000", "10.0.1.1:1883")) {
        reader.push(&packet);
    }
    let closed = reader.read.events_named("closed");
    assert!(
        matches!(
            closed[0].kind,
            EventKind::Closed {
                reason: CloseReason::Idle,
                ..
            }
        ),
        "{closed:?}"
    );
    assert_eq!(closed[0].connection, Some(1));
}

/// On a quiet link only the clock shows how long a connection has been silent.
#[test]
fn the_clock_alone_lets_connections_expire() {
    let wire = Wire::new(&Conversation::new("> CONNECT client=a\n< CONNACK"));
    let packets = ethernet(&wire);
    let open = packets.len() - 3;
    let mut reader = Reader::new(Config::default());
    packets[..open]
        .iter()
        .for_each(|packet| reader.push(packet));
    let last = &packets[open - 1];
    for seconds in (0..30 * 3600).step_by(600) {
        reader.tick(last, seconds);
    }
    assert!(reader.read.events_named("closed").is_empty());
    reader.tick(last, 30 * 3600 + 600);
    let closed = reader.read.events_named("closed");
    assert!(
        matches!(closed[..], [event] if matches!(event.kind, EventKind::Closed { reason: CloseReason::Idle, .. })),
        "{closed:?}"
    );

    // Part of a message, and the rest never comes: the gap is reported by time.
    let wire = Wire::new(&Conversation::new(
        "> CONNECT client=a\n< CONNACK\n> PUBLISH topic=t payload=aaaa\n> PINGREQ\n< PINGRESP",
    ));
    let lost = wire.data(Up, 1);
    let mut packets = ethernet(&wire);
    packets.remove(lost);
    packets.truncate(packets.len() - 3);
    let mut reader = Reader::new(Config::default());
    packets.iter().for_each(|packet| reader.push(packet));
    assert!(reader.read.events_named("gap").is_empty());
    reader.tick(&packets[packets.len() - 1], 5);
    assert_eq!(reader.read.events_named("gap").len(), 1);
}

#[test]
fn one_side_that_is_not_mqtt() {
    let wire = Wire::new(&Conversation::new(
        "> CONNECT client=a\n+ PUBLISH topic=t/1\n> PUBLISH topic=t/2",
    ));
    let at = wire.data(Up, 1);
    let read = read_wire(&wire.inject(at, Down, 0, b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert_eq!(read.ladder(Up), ["CONNECT", "PUBLISH", "PUBLISH"]);
    assert_eq!(read.ladder(Down), [] as [&str; 0]);
    let other = read.events_named("not_mqtt");
    assert_eq!((other.len(), other[0].direction), (1, Some(Down)));
    // Where nothing is MQTT, that is reported once, and the end.
    let wire = Wire::new(&Conversation::new("> PINGREQ\n< PINGRESP"));
    let (up, down) = (wire.data(Up, 0), wire.data(Down, 0));
    let mut ssh = wire;
    ssh.segments[up].payload = b"SSH-2.0-client\r\n".to_vec();
    ssh.segments[down].payload = b"SSH-2.0-server\r\n".to_vec();
    let read = read_wire(&ssh);
    let names: Vec<_> = read.events.iter().map(|e| e.name).collect();
    assert_eq!(names, ["opened", "not_mqtt", "closed"]);
}

#[test]
fn other_ports_by_content() {
    let wire = Wire::new(&conversation()).between("10.0.0.7:40122", "10.0.1.1:51883");
    assert_frames(&read_wire(&wire), &conversation());
    let config = Config {
        only_known_ports: true,
        ..Config::default()
    };
    let read = crate::support::read::read_with(&ethernet(&wire), config);
    assert_eq!(read.frames, []);
    assert_eq!(read.summary.other_connections, 1);
}

#[test]
fn packet_numbers_and_times() {
    let text = Conversation::new(
        "> CONNECT client=a\n< CONNACK\n> PUBLISH topic=t payload_size=90\n+ PINGREQ",
    );
    let connect = text.packets(Up)[0].encoded.bytes.len();
    let wire = Wire::new(&text).split(Up, &[connect + 40, connect + 80]);
    let (first, last) = (wire.data(Up, 1), wire.data(Up, 3));
    let read = read_wire(&wire);
    let publish = read.way(Up)[1];
    assert_eq!(
        (publish.first, publish.last),
        (first as u64 + 1, last as u64 + 1)
    );
    assert_eq!(publish.time, wire.segments[last].time);
    let ping = read.way(Up)[2];
    assert_eq!((ping.first, ping.last), (last as u64 + 1, last as u64 + 1));
}

#[test]
fn half_open_handshakes_and_unusual_flags() {
    // A SYN with ECN bits, an answer that never came, and a second SYN.
    let wire = Wire::new(&conversation());
    let mut unusual = wire.clone();
    unusual.segments[0].flags |= 0xc0;
    let mut retry: Segment = unusual.segments[0].clone();
    retry.flags = SYN;
    unusual.insert(1, retry);
    unusual
        .segments
        .iter_mut()
        .skip(5)
        .for_each(|s| s.flags |= PSH);
    let read = read_wire(&unusual);
    assert_frames(&read, &conversation());
    assert_eq!(read.events_named("opened").len(), 1, "{:#?}", read.events);
    assert_no_event(&read, &TROUBLE);
}

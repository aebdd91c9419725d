//! Fragments in every order, twice, overlapping, late, too many.

use super::*;

/// `ip` in IPv4 fragments that hold `sizes` bytes, and one with the rest.
fn split_v4(ip: &[u8], id: u16, sizes: &[usize]) -> Vec<Vec<u8>> {
    cuts(ip.len() - 20, sizes)
        .map(|(start, end, more)| {
            let mut part = join(&[&ip[..20], &ip[20 + start..20 + end]]);
            part[2..4].copy_from_slice(&((20 + end - start) as u16).to_be_bytes());
            part[4..6].copy_from_slice(&id.to_be_bytes());
            let place = (start / 8) as u16 | if more { 0x2000 } else { 0 };
            part[6..8].copy_from_slice(&place.to_be_bytes());
            part
        })
        .collect()
}

/// The same for IPv6, whose fragments name `next` as what they hold.
fn split_v6(ip: &[u8], id: u32, sizes: &[usize]) -> Vec<Vec<u8>> {
    cuts(ip.len() - 40, sizes)
        .map(|(start, end, more)| {
            let place = (start as u16 | u16::from(more)).to_be_bytes();
            let rest = join(&[
                &[ip[6], 0],
                &place,
                &id.to_be_bytes(),
                &ip[40 + start..40 + end],
            ]);
            let mut part = join(&[&ip[..40], &rest]);
            part[4..6].copy_from_slice(&(rest.len() as u16).to_be_bytes());
            part[6] = 44;
            part
        })
        .collect()
}

fn cuts(length: usize, sizes: &[usize]) -> impl Iterator<Item = (usize, usize, bool)> {
    let mut ends: Vec<usize> = sizes
        .iter()
        .scan(0, |end, size| {
            *end += size;
            Some(*end)
        })
        .collect();
    ends.push(length);
    let starts = std::iter::once(0).chain(ends.clone());
    let pairs: Vec<_> = starts.zip(ends).collect();
    pairs
        .into_iter()
        .map(move |(start, end)| (start, end, end < length))
}

/// Payloads of the segments that come of these packets, all in the same second, and the
/// earlier packets that each was joined from.
fn feed(decoder: &mut Decoder, parts: &[Vec<u8>]) -> Vec<(Vec<u8>, Vec<u64>)> {
    let mut found = Vec::new();
    for (part, number) in parts.iter().zip(1..) {
        if let Decoded::Segment(segment) = decoder.decode(&packet(RAW, part, number, 0)) {
            let numbers = segment.fragments.iter().map(|id| id.number).collect();
            found.push((segment.payload.to_vec(), numbers));
        }
    }
    found
}

fn permutations(list: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
    if list.is_empty() {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for at in 0..list.len() {
        let mut rest = list.to_vec();
        let first = rest.remove(at);
        for mut tail in permutations(&rest) {
            tail.insert(0, first.clone());
            all.push(tail);
        }
    }
    all
}

#[test]
fn join_in_every_order() {
    let splits = [
        split_v4(&v4(), 7, &[8, 16, 16]),
        split_v6(&v6(), 7, &[8, 16, 16]),
    ];
    for parts in splits {
        for order in permutations(&parts) {
            let mut decoder = Decoder::new(true);
            let found = feed(&mut decoder, &order);
            assert_eq!(found, [(PAYLOAD.to_vec(), vec![1, 2, 3])]);
            assert_eq!(decoder.counters().wrong_checksums, 0);
            assert_eq!(decoder.waiting_datagrams(), 0);
        }
    }
}

#[test]
fn second_copies_change_nothing() {
    let parts = split_v4(&v4(), 7, &[8, 16]);
    let [a, b, c] = &parts[..] else { panic!() };
    let twice = [a, a, b, b, c, c].map(Clone::clone);
    let mut decoder = Decoder::new(false);
    assert_eq!(feed(&mut decoder, &twice), [(PAYLOAD.to_vec(), vec![1, 3])]);
    assert_eq!(decoder.counters().fragments.duplicates, 1);
    assert_eq!(decoder.waiting_datagrams(), 0);
    // The same identification again, with other bytes, is another datagram.
    let mut other = v4();
    let last = other.len() - 1;
    other[last] = b'?';
    let again = split_v4(&other, 7, &[8, 16]);
    let [_, _, c] = &again[..] else { panic!() };
    let found = feed(&mut decoder, &[c.clone(), a.clone(), b.clone()]);
    assert_eq!(found.len(), 1);
    assert!(found[0].0.ends_with(b"payload?"));
}

#[test]
fn bytes_that_came_first_win_over_overlaps() {
    let ip = v4();
    let parts = split_v4(&ip, 7, &[32]);
    let [head, tail] = &parts[..] else { panic!() };
    // Starts within the first part, says otherwise there.
    let mut overlap = split_v4(&ip, 7, &[24]).remove(1);
    overlap[20..28].fill(0xee);
    let good = [head.clone(), overlap.clone()];
    let found = feed(&mut Decoder::new(true), &good);
    assert_eq!(found, [(PAYLOAD.to_vec(), vec![1])]);
    // The other way round the overlap is the first.
    let found = feed(&mut Decoder::new(false), &[overlap, head.clone()]);
    assert_eq!(found.len(), 1);
    let same = feed(&mut Decoder::new(true), &[tail.clone(), head.clone()]);
    assert_eq!(same, [(PAYLOAD.to_vec(), vec![1])]);
}

#[test]
fn a_datagram_waits_for_a_minute_only() {
    let parts = split_v4(&v4(), 7, &[16]);
    for (pause, joins) in [(60, true), (61, false)] {
        let mut decoder = Decoder::new(false);
        decoder.decode(&packet(RAW, &parts[0], 1, 100));
        let second = decoder.decode(&packet(RAW, &parts[1], 2, 100 + pause));
        assert_eq!(matches!(second, Decoded::Segment(_)), joins, "{pause}");
        let expired = decoder.counters().fragments.expired;
        assert_eq!(expired, u64::from(!joins));
    }
}

#[test]
fn the_oldest_datagram_makes_room() {
    let mut decoder = Decoder::new(false);
    let limit = limits::FRAGMENTED_DATAGRAMS;
    for id in 0..=limit {
        let part = split_v4(&v4(), id as u16, &[16]).remove(0);
        decoder.decode(&packet(RAW, &part, 1, 0));
    }
    assert_eq!(decoder.waiting_datagrams(), limit);
    assert_eq!(decoder.counters().fragments.evicted, 1);
    let finish = |id: usize| split_v4(&v4(), id as u16, &[16]).remove(1);
    let kept = finish(limit);
    assert!(matches!(
        decoder.decode(&packet(RAW, &kept, 2, 0)),
        Decoded::Segment(_)
    ));
    let lost = finish(0);
    let decoded = decoder.decode(&packet(RAW, &lost, 2, 0));
    assert!(matches!(decoded, Decoded::Other(Other::Fragment)));
}

#[test]
fn bytes_that_wait_are_bounded() {
    let big = tcp(
        PacketBuilder::ipv4([10, 0, 0, 7], [10, 0, 1, 1], 64),
        &[7; 60_000],
    );
    let mut decoder = Decoder::new(false);
    let datagrams = limits::FRAGMENT_BYTES / 60_000 + 10;
    for id in 0..datagrams {
        let part = split_v4(&big, id as u16, &[59_992]).remove(0);
        decoder.decode(&packet(RAW, &part, 1, 0));
    }
    let counters = decoder.counters().fragments;
    assert!(counters.evicted >= 10, "{counters:?}");
    let kept = decoder.waiting_datagrams();
    assert!(kept * 59_992 <= limits::FRAGMENT_BYTES && kept > datagrams - 20);
}

#[test]
fn a_cut_fragment_leaves_a_cut_segment() {
    let parts = split_v4(&v4(), 7, &[40]);
    let mut decoder = Decoder::new(true);
    let first = CapturedPacket {
        data: &parts[0][..20 + 34],
        original_len: parts[0].len() as u32,
        ..packet(RAW, &[], 1, 0)
    };
    decoder.decode(&first);
    let Decoded::Segment(segment) = decoder.decode(&packet(RAW, &parts[1], 2, 0)) else {
        panic!()
    };
    assert_eq!(segment.payload, &PAYLOAD[..2]);
    assert_eq!(segment.cut as usize, PAYLOAD.len() - 2);
    assert_eq!(segment.checksum_ok, None);
}

#[test]
fn a_fragmented_tunnel_may_hold_fragments() {
    let outer: Vec<_> = split_v4(&v4(), 7, &[16])
        .iter()
        .zip(20..)
        .flat_map(|(inner, id)| split_v4(&ip4(4, inner), id, &[24]))
        .collect();
    assert_eq!(outer.len(), 4);
    for order in permutations(&outer) {
        let mut found = feed(&mut Decoder::new(true), &order);
        found[0].1.sort_unstable();
        assert_eq!(found, [(PAYLOAD.to_vec(), vec![1, 2, 3])]);
    }
}

/// Fragments of tunnels whose fragments are fragmented, and so on.
fn nested(levels: u16) -> Vec<Vec<u8>> {
    let innermost = split_v4(&v4(), 7, &[16]);
    (1..levels).fold(innermost, |inner, level| {
        let outer = inner.iter().zip(level * 100..);
        outer
            .flat_map(|(part, id)| split_v4(&ip4(4, part), id, &[24]))
            .collect()
    })
}

#[test]
fn fragments_of_fragments_are_joined_to_a_depth() {
    let depth = limits::FRAGMENT_DEPTH as u16;
    let mut decoder = Decoder::new(true);
    assert_eq!(feed(&mut decoder, &nested(depth)).len(), 1);
    assert_eq!(decoder.counters().too_deep, 0);
    let mut decoder = Decoder::new(true);
    assert_eq!(feed(&mut decoder, &nested(depth + 1)), []);
    assert_eq!(decoder.counters().too_deep, 2);
}

#[test]
fn impossible_fragments_are_counted() {
    let mut decoder = Decoder::new(false);
    let mut beyond = split_v4(&v4(), 7, &[16]).remove(1);
    (beyond[6], beyond[7]) = (0x1f, 0xff);
    decoder.decode(&packet(RAW, &beyond, 1, 0));
    assert_eq!(decoder.counters().fragments.malformed, 1);
    // A second end, before the first.
    let [_, end] = split_v4(&v4(), 8, &[16]).try_into().unwrap();
    let [_, early, _] = split_v4(&v4(), 8, &[8, 8]).try_into().unwrap();
    let mut early: Vec<u8> = early;
    early[6] = 0;
    decoder.decode(&packet(RAW, &end, 1, 0));
    decoder.decode(&packet(RAW, &early, 1, 0));
    assert_eq!(decoder.counters().fragments.malformed, 2);
}

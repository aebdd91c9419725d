//! Saving: file after file, full disks, programs for complete files, signals.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mqttdump::capture::{Block, Capture, Item};
use mqttdump::packet::LinkType;
use proptest::prelude::*;

use crate::support::files::Format;
#[cfg(feature = "tls")]
use crate::support::program::project;
use crate::support::program::{Folder, Run, mqttdump, run, run_with_input};
use crate::support::scene::scene;
use crate::support::stack::OwnedPacket;

const PCAP: Format = Format::Pcap {
    nano: false,
    big: false,
};
/// 2014-06-30 10:15:00 UTC.
const START: i64 = 1_404_123_300;

/// Packets of these lengths, at these milliseconds, that are nothing but bytes.
fn packets(of: &[(usize, i64)]) -> Vec<OwnedPacket> {
    of.iter()
        .enumerate()
        .map(|(number, (length, millis))| {
            let mut data = vec![b'.'; *length];
            for (to, from) in data.iter_mut().zip((number as u32).to_be_bytes()) {
                *to = from;
            }
            OwnedPacket {
                link: LinkType(1),
                time: (START * 1000 + millis) * 1_000_000,
                original_len: *length as u32,
                data,
            }
        })
        .collect()
}

/// Time and bytes of each.
type Packets = Vec<(i64, Vec<u8>)>;

/// Time and bytes of every packet. Nothing may be wrong with the file.
#[track_caller]
fn read(path: &Path) -> Packets {
    let mut capture = Capture::open(path, 0).expect("a capture");
    let mut packets = Vec::new();
    while let Some(item) = capture.next().expect("a whole capture") {
        if let Item::Packet(packet) = item {
            packets.push((packet.packet.time.nanos(), packet.packet.data.to_vec()));
        }
    }
    packets
}

fn packets_of(packets: &[OwnedPacket]) -> Packets {
    packets.iter().map(|p| (p.time, p.data.clone())).collect()
}

/// Names in the folder that begin so, and their contents; by time, then by
/// number.
fn files(folder: &Folder, prefix: &str) -> Vec<(String, Packets)> {
    let mut names = folder.names();
    names.retain(|name| name.starts_with(prefix));
    // `out-TIME-NUMBER`, where no number is the first.
    names.sort_by_key(|name| {
        let mut parts = name.rsplit('-');
        let number: u64 = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let time: u64 = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        (time, number)
    });
    names
        .into_iter()
        .map(|name| (name.clone(), read(&folder.path(&name))))
        .collect()
}

fn sized(count: usize, length: usize) -> Vec<OwnedPacket> {
    packets(&(0..count).map(|n| (length, n as i64)).collect::<Vec<_>>())
}

#[test]
fn files_by_size_are_those_of_tcpdump() {
    let folder = Folder::new();
    // 24 + 10 * (16 + 84) bytes, four of which fit 300 (24 + 3 * 100 > 300).
    let input = sized(10, 84);
    let source = folder.write("in.pcap", &PCAP.write(&input));
    run(&["-r", &source, "-w", &folder.name("out-"), "-C", "1k"]).clean();
    let saved = files(&folder, "out-");
    let counts: Vec<_> = saved
        .iter()
        .map(|(name, p)| (name.as_str(), p.len()))
        .collect();
    // A file of 1024 bytes is not larger than 1k, so it gets one more.
    assert_eq!(counts, [("out-", 10)]);

    let input = sized(30, 84);
    let source = folder.write("in.pcap", &PCAP.write(&input));
    run(&["-r", &source, "-w", &folder.name("b-"), "-C", "1k"]).clean();
    let saved = files(&folder, "b-");
    let counts: Vec<_> = saved
        .iter()
        .map(|(name, p)| (name.as_str(), p.len()))
        .collect();
    assert_eq!(counts, [("b-", 11), ("b-1", 11), ("b-2", 8)]);
    let all: Vec<_> = saved.into_iter().flat_map(|(_, packets)| packets).collect();
    assert_eq!(all, packets_of(&input));
}

#[test]
fn a_ring_keeps_the_last_files() {
    let folder = Folder::new();
    let input = sized(100, 84);
    let source = folder.write("in.pcap", &PCAP.write(&input));
    let args = [
        "-r",
        &source,
        "-w",
        &folder.name("out-"),
        "-C",
        "1k",
        "-W",
        "3",
    ];
    run(&args).clean();
    // 11 packets a file: 0 1 2 0 1 2 0 1 2 0, and the last has 1.
    assert_eq!(folder.names(), ["in.pcap", "out-0", "out-1", "out-2"]);
    let ring = ["out-1", "out-2", "out-0"].map(|name| read(&folder.path(name)));
    assert_eq!(ring.concat(), packets_of(&input[77..]));
    run(&[
        "-r",
        &source,
        "-w",
        &folder.name("x"),
        "-C",
        "1k",
        "-W",
        "11",
    ])
    .clean();
    assert!(folder.names().contains(&"x00".to_owned()), "leading zeros");
    assert_eq!(read(&folder.path("x09")).len(), 1);
}

#[test]
fn files_by_time_are_named_by_time() {
    let folder = Folder::new();
    let input = packets(&[
        (60, 700),
        (60, 9_900),
        (60, 10_000),
        (60, 9_000),
        (60, 47_000),
    ]);
    let source = folder.write("in.pcap", &PCAP.write(&input));
    let name = folder.name("m-%Y%m%d-%H%M%S.pcap");
    run(&["-r", &source, "-w", &name, "-G", "10"]).clean();
    let counts: Vec<_> = files(&folder, "m-")
        .iter()
        .map(|(name, packets)| format!("{name} {}", packets.len()))
        .collect();
    assert_eq!(
        counts,
        [
            "m-20140630-101500.pcap 2",
            "m-20140630-101510.pcap 2",
            "m-20140630-101540.pcap 1"
        ]
    );
    // So many, and no more; packets that do not fit are neither saved nor shown.
    let name = folder.name("two-%s");
    let two = run(&[
        "-r", &source, "-w", &name, "-G", "10", "-W", "2", "--print", "-v",
    ]);
    assert_eq!(two.code, Some(0), "{}", two.err);
    assert!(two.err.contains("4 packets, 0 messages"), "{}", two.err);
    assert_eq!(files(&folder, "two-").len(), 2);
}

#[test]
fn a_name_without_enough_fields_is_reported() {
    let folder = Folder::new();
    let input = packets(&[(60, 0), (60, 10_000)]);
    let source = folder.write("in.pcap", &PCAP.write(&input));
    let printed = run(&["-r", &source, "-w", &folder.name("out"), "-G", "5"]);
    assert_eq!(printed.code, Some(0));
    assert!(
        printed.err.contains("use a time format in the name"),
        "{}",
        printed.err
    );
    assert_eq!(read(&folder.path("out")), packets_of(&input[1..]));
    let refused = run(&["-r", &source, "-w", &folder.name("out%"), "-G", "5"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("strftime"), "{}", refused.err);
}

#[test]
fn a_capture_without_packets_gives_one_file() {
    let folder = Folder::new();
    let source = folder.write("in.pcap", &PCAP.write(&[]));
    for name in ["a-%s", "b-%s.pcapng"] {
        run(&["-r", &source, "-w", &folder.name(name), "-G", "5"]).clean();
    }
    let saved = [files(&folder, "a-"), files(&folder, "b-")].concat();
    assert_eq!(saved.len(), 2);
    assert!(saved.iter().all(|(_, packets)| packets.is_empty()));
}

fn of_any_capture() -> impl Strategy<Value = Vec<OwnedPacket>> {
    // Mostly forwards in time, sometimes far, sometimes back.
    let step = prop_oneof![4 => 0i64..900, 1 => 1_000i64..5_000, 1 => -700i64..0];
    proptest::collection::vec((1usize..2_500, step), 1..60).prop_map(|steps| {
        let mut at = 0;
        let steps = steps.into_iter().map(|(length, step)| {
            at += step;
            (length, at)
        });
        packets(&steps.collect::<Vec<_>>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// All files one after another are the input, however it is divided.
    #[test]
    fn nothing_is_lost_or_turned_between_files(
        input in of_any_capture(),
        format in prop_oneof![Just(PCAP), Just(Format::PCAPNG)],
        pcapng in any::<bool>(),
        size in proptest::option::of(1u64..9),
        seconds in proptest::option::of(1u32..5),
        piped in any::<bool>(),
    ) {
        let folder = Folder::new();
        let bytes = format.write(&input);
        let source = folder.write("in", &bytes);
        let mut args: Vec<String> = Vec::new();
        let mut name = "out".to_owned();
        if let Some(seconds) = seconds {
            name += "-%s";
            args.extend(["-G".into(), seconds.to_string()]);
        }
        if let Some(size) = size {
            args.extend(["-C".into(), format!("{size}k")]);
        }
        // The number comes after a name that decides the format.
        name += if pcapng { ".pcapng" } else { "-" };
        args.extend(["-w".into(), folder.name(&name)]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match piped {
            true => run_with_input(&[&args[..], &["-r", "-"]].concat(), &bytes),
            false => run(&[&args[..], &["-r", &source]].concat()),
        }
        .clean();
        // Comparable: the number at the end, the time before it.
        for name in folder.names() {
            if let Some((before, number)) = name.split_once(".pcapng") {
                let plain = format!("{before}-{number}");
                std::fs::rename(folder.path(&name), folder.path(&plain)).expect("renamed");
            }
        }
        let saved = files(&folder, "out");
        let all: Vec<_> = saved.iter().flat_map(|(_, packets)| packets.clone()).collect();
        prop_assert_eq!(all, packets_of(&input));
        for (name, packets) in &saved {
            prop_assert!(input.is_empty() || !packets.is_empty(), "{} has nothing", name);
            // It was not too large before its last packet.
            if let (Some(size), [before @ .., _]) = (size, packets.as_slice()) {
                let least: usize = before.iter().map(|(_, data)| 16 + data.len()).sum();
                prop_assert!(24 + least as u64 <= size * 1024, "{name}");
            }
            // All of it is from one period.
            if let (Some(seconds), Some((_, time))) =
                (seconds, name.trim_end_matches(|c| c != '-').trim_end_matches('-').split_once('-'))
            {
                let start: i64 = time.parse().expect("a time");
                let end = start + i64::from(seconds);
                let late = packets.iter().filter(|(time, _)| time / 1_000_000_000 >= end);
                prop_assert_eq!(late.count(), 0, "{}", name);
            }
        }
    }
}

/// A pcapng block.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (12 + body.len().next_multiple_of(4)) as u32;
    let mut block = [kind.to_le_bytes(), length.to_le_bytes()].concat();
    block.extend(body);
    block.resize(length as usize - 4, 0);
    block.extend(length.to_le_bytes());
    block
}

#[test]
fn every_pcapng_file_has_the_secrets_so_far() {
    let folder = Folder::new();
    let secrets = |text: &str| {
        let length = text.len() as u32;
        let head = [0x544c_534b_u32.to_le_bytes(), length.to_le_bytes()].concat();
        block(10, &[&head, text.as_bytes()].concat())
    };
    let packet = |seconds: u64| {
        let ticks = (START as u64 + seconds) * 1_000_000;
        let mut body = 0_u32.to_le_bytes().to_vec();
        body.extend(((ticks >> 32) as u32).to_le_bytes());
        body.extend((ticks as u32).to_le_bytes());
        body.extend([4, 0, 0, 0, 4, 0, 0, 0, b'd', b'a', b't', b'a']);
        block(6, &body)
    };
    let head = Format::PCAPNG.write(&packets(&[(4, 0)]));
    let custom = block(0xbad, &[0x99, 0x7e, 0, 0, b'h', b'e', b'r', b'e']);
    let input = [
        // A section, an interface, a packet.
        head.clone(),
        custom,
        secrets("CLIENT_RANDOM 1 1"),
        packet(1),
        packet(10),
        secrets("CLIENT_RANDOM 2 2"),
        secrets("CLIENT_RANDOM 1 1"),
        packet(20),
    ]
    .concat();
    let source = folder.write("in.pcapng", &input);
    // Also those that come before the first packet, whose time names the file.
    let early = [secrets("CLIENT_RANDOM 0 0"), packet(1)].concat();
    let at = head.len() - 12 - 20 - 4;
    let early = [&head[..at], &early].concat();
    let early = folder.write("early.pcapng", &early);
    run(&[
        "-r",
        &source,
        "-w",
        &folder.name("out-%S.pcapng"),
        "-G",
        "10",
    ])
    .clean();
    run(&[
        "-r",
        &early,
        "-w",
        &folder.name("early-%S.pcapng"),
        "-G",
        "10",
    ])
    .clean();
    let blocks = |name: &str| {
        let mut capture = Capture::open(&folder.path(name), 0).expect("a capture");
        let mut blocks = Vec::new();
        while let Some(item) = capture.next().expect("a whole capture") {
            blocks.push(match item {
                Item::Block(Block::Section { .. }) => "section",
                Item::Block(Block::Interface(_)) => "interface",
                Item::Block(Block::Secrets { data, .. }) => match data {
                    b"CLIENT_RANDOM 0 0" => "0",
                    b"CLIENT_RANDOM 1 1" => "1",
                    b"CLIENT_RANDOM 2 2" => "2",
                    _ => "?",
                },
                Item::Block(Block::Custom { .. }) => "custom",
                Item::Packet(_) => "packet",
                _ => "?",
            });
        }
        blocks.join(" ")
    };
    assert_eq!(
        blocks("out-00.pcapng"),
        "section interface packet custom 1 packet"
    );
    assert_eq!(blocks("out-10.pcapng"), "section interface 1 packet 2 1");
    assert_eq!(blocks("out-20.pcapng"), "section interface 1 2 packet");
    assert_eq!(blocks("early-01.pcapng"), "section interface 0 packet");
}

/// A conversation over TLS that pauses so long that one which is not known to
/// be MQTT would be evicted; the keys are in a block of the file.
#[cfg(feature = "tls")]
fn talk_over_tls_with_a_pause() -> Vec<u8> {
    const PAUSE: i64 = 3 * 3600 * 1_000_000_000;
    let fixture = |name: &str| project("fixtures/transport").join(name);
    let mut packets: Vec<_> = read(&fixture("tls13-port-24443.pcap"))
        .into_iter()
        .map(|(time, data)| OwnedPacket {
            link: LinkType(1),
            time,
            original_len: data.len() as u32,
            data,
        })
        .collect();
    for packet in packets.iter_mut().skip(20) {
        packet.time += PAUSE;
    }
    // Something else comes, so that an eviction can happen.
    let other = scene("> CONNECT client=x").remove(0);
    let time = packets[20].time - 600 * 1_000_000_000;
    packets.insert(20, OwnedPacket { time, ..other });
    let keys = std::fs::read(fixture("tls13-port-24443.keys")).expect("keys");
    let head = [
        0x544c_534b_u32.to_le_bytes(),
        (keys.len() as u32).to_le_bytes(),
    ]
    .concat();
    let keys = block(10, &[head, keys].concat());
    let mut file = Format::PCAPNG.write(&packets);
    // After the section and the interface.
    let length =
        |at: usize| u32::from_le_bytes(file[at + 4..at + 8].try_into().expect("4")) as usize;
    let at = length(0) + length(length(0));
    file.splice(at..at, keys);
    file
}

#[cfg(feature = "tls")]
#[test]
fn a_selection_by_encrypted_fields_is_saved_whole() {
    let folder = Folder::new();
    let paused = folder.write("in.pcapng", &talk_over_tls_with_a_pause());
    let project = |name: &str| project(name).to_str().expect("UTF-8").to_owned();
    let keys = project("fixtures/transport/tls13-port-24443.keys");
    let in_block = project("fixtures/transport/tls13-secrets.pcapng");
    let beside = project("fixtures/transport/tls13-port-24443.pcap");
    for (source, name, keys) in [
        (&paused, "paused.pcapng", &[][..]),
        (&in_block, "block.pcapng", &[]),
        (&beside, "beside.pcap", &["--tls-keylog", &keys]),
    ] {
        let out = folder.name(name);
        let shown = run(&[&["-q", "-r", source], keys].concat()).clean();
        assert!(shown.lines().count() > 10, "{name}: {shown}");
        run(&[&["-r", source, "--type", "publish", "-w", &out], keys].concat()).clean();
        let saved = run(&[&["-q", "-r", &out], keys].concat()).clean();
        assert_eq!(saved, shown, "{name}");
    }
}

/// Two clients at once.
fn talk() -> Vec<OwnedPacket> {
    scene(
        "> CONNECT client=a
         < CONNACK
         ! connection 2
         > CONNECT client=b
         < CONNACK
         ! connection 1
         > PUBLISH topic=t payload=1
         ! connection 2
         > PUBLISH topic=t payload=2
         ! connection 1
         > PUBLISH topic=t payload=3
         > DISCONNECT
         ! connection 2
         > DISCONNECT",
    )
}

#[test]
fn a_selection_is_rotated_like_everything() {
    let folder = Folder::new();
    let bytes = PCAP.write(&talk());
    let source = folder.write("in.pcap", &bytes);
    let save = |name: &str, more: &[&str], piped: bool| {
        let name = folder.name(name);
        let args = [&["-w", &name, "--client", "a"], more].concat();
        match piped {
            true => run_with_input(&[&args[..], &["-r", "-"]].concat(), &bytes),
            false => run(&[&args[..], &["-r", &source]].concat()),
        }
        .clean()
    };
    save("whole", &[], false);
    save("file-", &["-C", "1k"], false);
    save("pipe-", &["-C", "1k"], true);
    let whole = read(&folder.path("whole"));
    assert!(whole.len() > 5 && whole.len() < talk().len());
    for prefix in ["file-", "pipe-"] {
        let saved = files(&folder, prefix);
        assert!(saved.len() > 1, "{prefix}");
        let mut all: Vec<_> = saved.into_iter().flat_map(|(_, packets)| packets).collect();
        // From a pipe, a beginning may come late; here there is one connection.
        all.sort();
        let mut expected = whole.clone();
        expected.sort();
        assert_eq!(all, expected, "{prefix}");
    }
}

/// A program for `-z`.
fn script(folder: &Folder, text: &str) -> String {
    let path = folder.write("program", format!("#!/bin/sh\n{text}\n").as_bytes());
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, mode).expect("a program");
    path
}

#[test]
fn a_program_gets_every_complete_file() {
    let folder = Folder::new();
    let input = sized(30, 84);
    let source = folder.write("in.pcap", &PCAP.write(&input));
    // No shell looks at the name.
    let name = folder.name("o $(touch oops); 'x-");
    let program = script(&folder, "test $# = 1 && mv \"$1\" \"$1.done\"");
    run(&["-r", &source, "-w", &name, "-C", "1k", "-z", &program]).clean();
    let mut all = Vec::new();
    for number in ["", "1", "2"] {
        let done = format!("o $(touch oops); 'x-{number}.done");
        all.extend(read(&folder.path(&done)));
    }
    assert_eq!(all, packets_of(&input), "the last one too");
    assert_eq!(folder.names().len(), 5, "{:?}", folder.names());
}

#[test]
fn a_program_that_fails_is_reported() {
    let folder = Folder::new();
    let source = folder.write("in.pcap", &PCAP.write(&sized(30, 84)));
    let name = folder.name("out-");
    let program = script(&folder, "exit 3");
    let failed = run(&["-r", &source, "-w", &name, "-C", "1k", "-z", &program]);
    assert_eq!(failed.code, Some(2));
    for file in ["out-:", "out-1:", "out-2:"] {
        assert!(
            failed.err.contains(&format!("{file} exit status: 3")),
            "{}",
            failed.err
        );
    }
    assert_eq!(files(&folder, "out-").len(), 3, "what was saved stays");
    // Before anything is done, if it cannot be run at all.
    for (program, why) in [
        ("no-such-program", "no such program"),
        (&*source, "no permission"),
    ] {
        let name = folder.name("none");
        let refused = run(&["-r", &source, "-w", &name, "-C", "1k", "-z", program]);
        assert_eq!(refused.code, Some(2));
        assert!(refused.err.contains(why), "{}", refused.err);
        assert!(!folder.path("none").exists());
    }
}

#[test]
fn a_ring_does_not_overtake_its_programs_in_silence() {
    let folder = Folder::new();
    let source = folder.write("in.pcap", &PCAP.write(&sized(60, 84)));
    let program = script(&folder, "sleep 1");
    let name = folder.name("out-");
    let ring = run(&[
        "-r", &source, "-w", &name, "-C", "1k", "-W", "2", "-z", &program,
    ]);
    assert_eq!(ring.code, Some(2));
    assert!(
        ring.err.contains("out-0: the file is overwritten"),
        "{}",
        ring.err
    );
}

/// Runs it where no file can have more than so many blocks of 512 bytes: a
/// disk that is full in the middle of a record.
fn run_in_little_room(blocks: u32, args: &[&str]) -> Run {
    let program = mqttdump();
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""
        ))
        .arg(program.get_program())
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .env("TZ", "UTC")
        .stdin(Stdio::null());
    Run::from(command.output().expect("sh starts"))
}

/// Bytes of a block of `ulimit -f`, which differ between shells.
fn block_size() -> usize {
    let folder = Folder::new();
    let path = folder.path("x");
    let test = "trap '' XFSZ; ulimit -f 1; head -c 4000 /dev/zero > \"$0\"";
    let _ = Command::new("sh")
        .args(["-c", test])
        .arg(&path)
        .stderr(Stdio::null())
        .status();
    std::fs::metadata(path).expect("some bytes").len() as usize
}

#[test]
fn a_full_disk_costs_only_the_packets_that_do_not_fit() {
    let folder = Folder::new();
    let talk = talk();
    let source = folder.write("in.pcap", &PCAP.write(&talk));
    let shown = run(&["-r", &source, "-q"]).clean();
    let block = block_size();
    for name in ["out.pcap", "out.pcapng"] {
        let name = folder.name(name);
        let full = run_in_little_room(1, &["-r", &source, "-w", &name, "--print", "-q"]);
        assert_eq!(
            (full.code, full.out),
            (Some(2), shown.clone()),
            "{}",
            full.err
        );
        let saved = read(Path::new(&name));
        assert!(std::fs::metadata(&name).expect("a file").len() <= block as u64);
        assert!(!saved.is_empty() && saved.len() < talk.len());
        assert_eq!(
            saved,
            packets_of(&talk[..saved.len()]),
            "what is there is whole"
        );
        for printed in [
            "cannot write: ".to_owned(),
            format!("not saved from packet {} on", saved.len() + 1),
            format!("{} packets were not saved", talk.len() - saved.len()),
        ] {
            assert!(full.err.contains(&printed), "{printed}: {}", full.err);
        }
    }
}

#[test]
fn saving_is_tried_again_with_the_next_file() {
    let folder = Folder::new();
    let input = sized(30, 84);
    let source = folder.write("in.pcap", &PCAP.write(&input));
    std::fs::create_dir(folder.path("out-1")).expect("in the way");
    let name = folder.name("out-");
    let run = run(&["-r", &source, "-w", &name, "-C", "1k"]);
    assert_eq!(run.code, Some(2));
    for printed in [
        "out-1: cannot write: Is a directory",
        "the following packets are not saved",
        "out-2: saving resumed",
        "11 packets were not saved, starting with packet 12",
    ] {
        assert!(run.err.contains(printed), "{printed}: {}", run.err);
    }
    assert_eq!(read(&folder.path("out-")), packets_of(&input[..11]));
    assert_eq!(read(&folder.path("out-2")), packets_of(&input[22..]));
}

#[test]
fn a_device_that_is_full() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let folder = Folder::new();
    let source = folder.write("in.pcap", &PCAP.write(&talk()));
    let shown = run(&["-r", &source]).clean();
    let full = run(&["-r", &source, "-w", "/dev/full", "--print"]);
    assert_eq!((full.code, full.out), (Some(2), shown));
    assert!(
        full.err.contains("not saved from packet 1 on"),
        "{}",
        full.err
    );
    // Two passes: the second writes.
    let full = run(&["-r", &source, "-w", "/dev/full", "--client", "a"]);
    assert_eq!(full.code, Some(2));
    assert!(full.err.contains("packets were not saved"), "{}", full.err);
}

#[test]
fn lines_that_cannot_be_written_cost_no_packets() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        return;
    };
    let folder = Folder::new();
    let talk = talk();
    let source = folder.write("in.pcap", &PCAP.write(&talk));
    for more in [&[][..], &["--client", "a"]] {
        let name = folder.name("out.pcap");
        let output = mqttdump()
            .args([&["-r", &source, "-w", &name, "--print"], more].concat())
            .stdout(full.try_clone().expect("a file"))
            .output();
        let failed = Run::from(output.expect("it starts"));
        assert_eq!(failed.code, Some(2));
        assert!(failed.err.contains("standard output: "), "{}", failed.err);
        let saved = read(Path::new(&name));
        match more {
            [] => assert_eq!(saved, packets_of(&talk)),
            _ => assert!(!saved.is_empty()),
        }
    }
}

#[test]
fn a_start_that_fails_leaves_no_file() {
    let folder = Folder::new();
    let source = folder.write("in.pcap", &PCAP.write(&talk()));
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = port.local_addr().expect("an address").to_string();
    let missing = folder.name("no-such-file");
    for more in [
        &["--tls-keylog", &missing][..],
        &["--follow", "--listen", &taken],
    ] {
        let name = folder.name("out.pcap");
        let failed = run(&[&["-r", &source, "-w", &name], more].concat());
        assert_eq!(failed.code, Some(2), "{more:?}: {}", failed.err);
        assert_eq!(folder.names(), ["in.pcap"], "{more:?}: {}", failed.err);
    }
}

#[test]
fn inputs_are_never_overwritten() {
    let folder = Folder::new();
    let bytes = PCAP.write(&sized(30, 84));
    let source = folder.write("out-1", &bytes);
    let run = run(&["-r", &source, "-w", &folder.name("out-"), "-C", "1k"]);
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("this file is being read"), "{}", run.err);
    assert_eq!(std::fs::read(&source).expect("still there"), bytes);
}

/// Waits until a file has at least so many bytes.
fn wait_for(path: &Path, bytes: u64) {
    let since = Instant::now();
    while std::fs::metadata(path).map_or(0, |metadata| metadata.len()) < bytes {
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "nothing is saved"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn signals_leave_whole_files() {
    for signal in ["INT", "TERM"] {
        let folder = Folder::new();
        let input = sized(30, 84);
        let bytes = PCAP.write(&input);
        let mut child = mqttdump()
            .args(["-r", "-", "-w", &folder.name("out-"), "-C", "1k"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        // 25.5 packets.
        pipe.write_all(&bytes[..24 + 25 * 100 + 50])
            .expect("it reads");
        wait_for(&folder.path("out-2"), 24 + 3 * 100);
        let id = child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.expect("kill starts").success());
        let _ = child.wait();
        let saved = files(&folder, "out-");
        let all: Vec<_> = saved.into_iter().flat_map(|(_, packets)| packets).collect();
        assert_eq!(all, packets_of(&input[..25]), "{signal}");
    }
}

/// Of `tcpdump … | mqttdump …` both get the Ctrl-C, and tcpdump then hands over
/// what it still has.
#[test]
fn packets_from_a_pipe_after_a_signal_are_saved() {
    let folder = Folder::new();
    let input = sized(30, 84);
    let bytes = PCAP.write(&input);
    let mut child = mqttdump()
        .args(["-r", "-", "-w", &folder.name("out")])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let (before, after) = bytes.split_at(24 + 10 * 100);
    pipe.write_all(before).expect("it reads");
    wait_for(&folder.path("out"), before.len() as u64);
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", "INT", &id]).status();
    assert!(sent.expect("kill starts").success());
    std::thread::sleep(Duration::from_millis(200));
    pipe.write_all(after).expect("it still reads");
    drop(pipe);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert_eq!(read(&folder.path("out")), packets_of(&input));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = Folder::new();
    let mut child = mqttdump()
        .args(["-r", "-", "-w", &folder.name("out")])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let bytes = PCAP.write(&sized(10, 84));
    pipe.write_all(&bytes).expect("it reads");
    wait_for(&folder.path("out"), bytes.len() as u64);
    let id = child.id().to_string();
    let since = Instant::now();
    for _ in 0..2 {
        let sent = Command::new("kill").args(["-s", "INT", &id]).status();
        assert!(sent.expect("kill starts").success());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(child.wait().expect("it ends").code(), Some(2));
    assert!(since.elapsed() < Duration::from_millis(800));
}

#[test]
fn a_signal_while_there_is_much_to_read_ends_it_well() {
    let folder = Folder::new();
    // It reads until it is stopped.
    let mut child = mqttdump()
        .args(["-r", "-", "-w", &folder.name("out")])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let bytes = PCAP.write(&sized(2_000, 1_000));
    let writer = std::thread::spawn(move || {
        let _ = pipe.write_all(&bytes);
        // Until the reader is gone, and not so fast that it fills the disk.
        while pipe.write_all(&bytes[24..24 + 100 * 1_016]).is_ok() {
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    wait_for(&folder.path("out"), 3_000_000);
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", "INT", &id]).status();
    assert!(sent.expect("kill starts").success());
    let ended = child.wait().expect("it ends");
    writer.join().expect("no panic");
    assert!(ended.code().is_none_or(|code| code == 0), "{ended}");
    assert!(read(&folder.path("out")).len() > 2_000);
}

#[test]
fn a_path_is_not_a_promise() {
    // `-w` with a folder that is not there is an error before anything else.
    let folder = Folder::new();
    let source = folder.write("in.pcap", &PCAP.write(&talk()));
    for more in [&[][..], &["-C", "1"], &["--client", "a"]] {
        let name: PathBuf = folder.path("no/such/folder");
        let name = name.to_string_lossy();
        let args = [&["-r", &source, "-w", &*name, "--print"], more].concat();
        let refused = run(&args);
        assert_eq!(
            (refused.code, refused.out.as_str()),
            (Some(2), ""),
            "{more:?}"
        );
        assert!(refused.err.contains("cannot write"), "{}", refused.err);
    }
}

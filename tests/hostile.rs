//! Input made to hurt.

use mqttdump::engine::Config;
use mqttdump::frame::Direction::{Down, Up};
use mqttdump::overhead::Share;

use crate::laws::account_by;
use crate::support::files::Format;
use crate::support::program::{TempFile, mqttdump};
use crate::support::read::{Reader, read};
use crate::support::stack::{Layer, Link, OwnedPacket, Stack};
use crate::support::transcript::Conversation;
use crate::support::wire::Wire;

/// Lengths that promise the most and deliver nothing cost no memory.
#[test]
fn huge_lengths_on_many_connections() {
    let text = Conversation::new(
        "> CONNECT client=a\n< CONNACK\n> hex 30 ff ff ff 7f 00 01 61\n< hex 30 ff ff ff 7f ff ff 61",
    );
    let mut packets = Vec::new();
    for port in 1..2_000 {
        let mut wire = Wire::new(&text);
        wire.client.set_port(port);
        packets.extend(wire.lose(|i, _| i > 9).packets(&Stack::default()));
    }
    let read = read(&packets);
    assert_eq!(read.frames.len(), 2 * 1_999);
    assert_eq!(read.events_named("unfinished").len(), 2 * 1_999);
}

/// A length of five bytes cannot be framed; it is reported once, and the other
/// direction goes on.
#[test]
fn a_five_byte_length() {
    let text = Conversation::new(
        "> CONNECT client=a\n< CONNACK\n> hex 30 ff ff ff ff 01 00 01 61\n> PINGREQ\n< PINGRESP\n< PINGRESP",
    );
    let read = read(&Wire::new(&text).packets(&Stack::default()));
    assert_eq!(read.ladder(Up), ["CONNECT"]);
    assert_eq!(read.ladder(Down), ["CONNACK", "PINGRESP", "PINGRESP"]);
    assert_eq!(
        read.events_named("malformed").len(),
        1,
        "{:#?}",
        read.events
    );
}

/// Ten thousand connections, interleaved, all read.
#[test]
fn ten_thousand_connections() {
    let text = Conversation::new("> CONNECT client=a\n< CONNACK\n> PUBLISH topic=t payload=x");
    let template = Wire::new(&text);
    let wires: Vec<Wire> = (0..10_000)
        .map(|n| {
            let mut wire = template.clone();
            wire.client.set_port(10_000 + n);
            // RFC 6528: each connection has an initial sequence number of its own.
            wire.isn[0] += u32::from(n);
            wire
        })
        .collect();
    let mut reader = Reader::new(Config::default());
    for i in 0..template.segments.len() {
        for wire in &wires {
            for packet in Stack::default().packets(wire, &wire.segments[i]) {
                reader.push(&packet);
            }
        }
    }
    let read = reader.finish();
    assert_eq!(read.frames.len(), 30_000);
    assert_eq!(read.summary.mqtt_connections, 10_000);
}

/// SYNs and fragments and early bytes that never come to anything.
#[test]
fn floods_stay_within_limits() {
    let mut packets = Vec::new();
    let wire = Wire::new(&Conversation::new("> PUBLISH topic=t payload_size=1000"));
    let stack = Stack {
        fragment: Some(512),
        ..Stack::default()
    };
    for n in 0..40_000_u32 {
        let mut wire = wire.clone();
        wire.client = format!("10.{}.{}.7:{}", n >> 16, (n >> 8) & 255, 1024 + (n & 255))
            .parse()
            .expect("an address");
        wire.segments.truncate(4);
        let data = wire.data(Up, 0);
        wire.segments[data].ip_id = n as u16;
        // The SYN, and the first fragment of some data.
        packets.extend(stack.packets(&wire, &wire.segments[0]).into_iter().take(1));
        packets.extend(
            stack
                .packets(&wire, &wire.segments[data])
                .into_iter()
                .take(1),
        );
    }
    let file = TempFile::new(
        "flood.pcap",
        &Format::Pcap {
            nano: false,
            big: false,
        }
        .write(&packets),
    );
    assert_peak(file.path(), 256);
}

/// Every other segment of a one-sided capture is missing. Twice the bytes take
/// twice the time, not four times: 3 MB took 52 s when frames that wait for
/// their labels were sorted for each frame, and now take 0.2 s.
#[test]
fn gaps_everywhere_take_linear_time() {
    let publishes = "> PUBLISH topic=a\n".repeat(100_000);
    let text = Conversation::new(&format!("> CONNECT client=a\n< CONNACK\n{publishes}"));
    let wire = Wire::without_pure_acks(&text);
    let first = wire.data(Up, 1);
    let wire = wire.lose(|i, _| i > first && i % 2 == 0);
    let started = cpu_time();
    let account = account_by(&wire.packets(&Stack::default()), Share::default());
    assert_eq!(account.bytes(), account.all.l2);
    assert!(cpu_time() - started < 10.0);
}

/// Seconds that this thread has computed.
fn cpu_time() -> f64 {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Tunnels in tunnels: as deep as a packet can be, and deeper than we look.
#[test]
fn tunnels_without_end() {
    let wire = Wire::new(&Conversation::new("> CONNECT client=a"));
    for layer in [
        Layer::IpIp,
        Layer::Gre,
        Layer::Vxlan,
        Layer::Vlan(1),
        Layer::GreEthernet,
    ] {
        for depth in [8, 64, 400] {
            read(&wire.packets(&Stack::layers(&vec![layer; depth])));
        }
    }
}

/// Every packet cut at every length, under every link type and layer.
#[test]
fn cut_anywhere() {
    let wire = Wire::new(&Conversation::new("> CONNECT client=a\n> PUBLISH topic=t"));
    for link in Link::ALL {
        for layer in [None].into_iter().chain(Layer::ALL.map(Some)) {
            let stack = Stack {
                link,
                layers: layer.into_iter().collect(),
                fragment: Some(16),
                ..Stack::default()
            };
            let packets = wire.packets(&stack);
            let longest = packets.iter().map(|p| p.data.len()).max().unwrap_or(0);
            for snap in 0..longest {
                let cut: Vec<OwnedPacket> = packets.iter().cloned().map(|p| p.cut(snap)).collect();
                read(&cut);
            }
        }
    }
}

/// Reads a file and asserts how many MiB of memory that took at most.
#[cfg(target_os = "linux")]
#[track_caller]
fn assert_peak(path: &str, mebibytes: u64) {
    // A limit on address space is the one limit that needs no other tool:
    // beyond it allocation fails and the program aborts.
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -v $1; exec \"$2\" -q -r \"$3\"", "sh"])
        .arg((mebibytes * 1024).to_string())
        .arg(mqttdump().get_program())
        .arg(path)
        .output()
        .expect("sh starts");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{message}");
}

#[cfg(not(target_os = "linux"))]
#[track_caller]
fn assert_peak(path: &str, _: u64) {
    let output = mqttdump()
        .args(["-q", "-r", path])
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(0));
}

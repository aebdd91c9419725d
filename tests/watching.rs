//! Interim and live reports: findings as they arise, deadlines that pass
//! without a packet, summaries on an interval, figures for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use mqttdump::engine::Config;
use mqttdump::facts::Facts;
use mqttdump::packet::{CapturedPacket, PacketRef};
use mqttdump::rules::{Budgets, Finding, Judge, Options, RULES};
use mqttdump::time::Timestamp;
use serde_json::Value;

use crate::rules::Dice;
use crate::support::files::Format;
use crate::support::program::{TempFile, mqttdump, run};
use crate::support::scene::scene;
use crate::support::stack::OwnedPacket;

const PCAP: Format = Format::Pcap {
    nano: true,
    big: false,
};

/// A judge whose clock can be moved.
struct CheckRun {
    facts: Facts,
    judge: Judge,
    packets: u64,
    now: i64,
}

impl CheckRun {
    fn new(options: Options) -> Self {
        let gather = options.facts();
        let judge = Judge::new(options);
        Self {
            facts: Facts::new(Config::default(), gather, &judge),
            judge,
            packets: 0,
            now: 0,
        }
    }

    fn live() -> Self {
        Self::new(Options {
            live: true,
            ..Options::default()
        })
    }

    fn push(&mut self, packet: &OwnedPacket) {
        self.packets += 1;
        self.now = packet.time;
        let captured = CapturedPacket {
            id: PacketRef {
                number: self.packets,
                file: 0,
            },
            time: Timestamp::from_nanos(packet.time),
            link_type: packet.link,
            original_len: packet.original_len,
            data: &packet.data,
        };
        self.facts.push(&captured, &mut self.judge);
        let now = Timestamp::from_nanos(packet.time);
        self.facts.settle(now, &mut self.judge);
    }

    fn tick(&mut self, nanos: i64) {
        let now = Timestamp::from_nanos(nanos);
        self.facts.tick(now, &mut self.judge);
    }

    /// Time passes, and nothing comes; returns findings by then.
    fn wait(&mut self, seconds: f64) -> Vec<Finding> {
        self.now += (seconds * 1e9) as i64;
        self.tick(self.now);
        self.judge.take_arisen()
    }

    fn finish(&mut self) -> Vec<Finding> {
        self.facts.finish(&mut self.judge);
        self.judge.take_finished()
    }
}

/// All of a finding but its context.
fn line(found: &Finding) -> String {
    format!(
        "{:?} {:?} {} {:?} by {:?} {:?} {}x {:?}: {}\n",
        found.time,
        found.connection,
        found.rule.id,
        found.verdict,
        found.by,
        found.packets.iter().map(|p| p.number).collect::<Vec<_>>(),
        found.count,
        found.clauses.len(),
        found.message
    )
}

/// `rule verdict side`, in the order of arising.
fn names(found: &[Finding]) -> Vec<String> {
    let name = |f: &Finding| {
        let by = f.by.map_or("", |by| by.name());
        format!("{} {} {by}", f.rule.id, f.verdict.name())
    };
    found.iter().map(name).collect()
}

/// Findings in the end and, if asked for, as they arose; with ticks of the dice
/// between packets, if there are any.
fn judged(packets: &[OwnedPacket], options: &Options, mut dice: Option<&mut Dice>) -> [String; 2] {
    let mut check_run = CheckRun::new(options.clone());
    let mut arisen = String::new();
    for (at, packet) in packets.iter().enumerate() {
        if let Some(dice) = &mut dice {
            let before = at.checked_sub(1).map_or(packet.time, |at| packets[at].time);
            let mut times: Vec<i64> = (0..dice.roll(6))
                .map(|_| before + dice.roll((packet.time - before).max(0) as u64 + 1) as i64)
                .collect();
            times.sort_unstable();
            for time in times {
                check_run.tick(time);
            }
        }
        check_run.push(packet);
        arisen.extend(check_run.judge.take_arisen().iter().map(line));
    }
    let finished: String = check_run.finish().iter().map(line).collect();
    arisen.extend(check_run.judge.take_arisen().iter().map(line));
    [finished, arisen]
}

fn conversations() -> impl Iterator<Item = (String, &'static str)> {
    RULES.iter().flat_map(|rule| {
        let examples = rule.examples;
        [
            ("good", examples.good),
            ("bad", examples.bad),
            ("cut", examples.cut),
        ]
        .map(|(kind, text)| (format!("{}, the {kind} one", rule.id), text))
    })
}

/// Ticks between packets change nothing; nor does being reported as it arises
/// change the findings of the end. Live findings are the same too, but that a gap
/// may be known the earlier for a tick.
#[test]
fn watching_or_not_the_findings_in_the_end_are_the_same() {
    let mut wrong = String::new();
    let mut dice = Dice(0x5bd1_e995_9e37_79b9);
    let quiet = Options {
        budgets: Budgets {
            ack: Some(Duration::from_millis(1_500)),
            ..Budgets::default()
        },
        ..Options::default()
    };
    let live = Options {
        live: true,
        ..quiet.clone()
    };
    for (name, text) in conversations() {
        let packets = scene(text);
        let [finished, nothing] = judged(&packets, &quiet, None);
        assert_eq!(nothing, "");
        let [finished_live, arisen] = judged(&packets, &live, None);
        for _ in 0..4 {
            let [ticked, _] = judged(&packets, &quiet, Some(&mut dice));
            let [ticked_live, arisen_ticked] = judged(&packets, &live, Some(&mut dice));
            let has_gaps = text.contains("! gap") || text.contains("! lost");
            if [&finished_live, &ticked, &ticked_live] != [&finished; 3]
                || (arisen != arisen_ticked && !has_gaps)
            {
                let _ = writeln!(
                    wrong,
                    "{name}:\n{finished}-- ticked\n{ticked}-- live\n{finished_live}-- both\n{ticked_live}\
                     -- arisen\n{arisen}-- ticked\n{arisen_ticked}"
                );
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", &wrong[..wrong.len().min(8000)]);
}

/// Every finding of the end was reported when it arose, unless it was
/// reported as a lesser one.
#[test]
fn watching_reports_everything_once() {
    for (name, text) in conversations() {
        let mut check_run = CheckRun::live();
        let mut arisen = Vec::new();
        for packet in scene(text) {
            check_run.push(&packet);
            arisen.extend(check_run.judge.take_arisen());
        }
        let finished = check_run.finish();
        arisen.extend(check_run.judge.take_arisen());
        let key = |f: &Finding| (f.rule.id, f.verdict, f.by.map(|by| by.name()), f.connection);
        for found in &finished {
            let as_much: Vec<_> = arisen.iter().filter(|a| key(a) == key(found)).collect();
            let more = arisen.iter().any(|a| {
                (a.rule.id, a.by, a.connection) == (found.rule.id, found.by, found.connection)
                    && a.verdict > found.verdict
            });
            assert!(
                as_much.len() == 1 || as_much.is_empty() && more,
                "{name}: {}",
                line(found)
            );
        }
        let counted: u64 = check_run.judge.tally().iter().map(|c| c.connections).sum();
        assert_eq!(counted, arisen.len() as u64, "{name}");
    }
}

fn court_after(text: &str, options: Options) -> CheckRun {
    let mut check_run = CheckRun::new(options);
    for packet in scene(text) {
        check_run.push(&packet);
    }
    check_run
}

fn live() -> Options {
    Options {
        live: true,
        ..Options::default()
    }
}

#[test]
fn watching_an_acknowledgement_that_does_not_come() {
    let opening = "! open\n> CONNECT user=u client=c keep_alive=0\n< CONNACK\n";
    for (request, rule, by) in [
        ("> PUBLISH topic=a qos=1 id=1", "missing-ack", "server"),
        (
            "> PUBLISH topic=a qos=2 id=1\n< PUBREC id=1\n> PUBREL id=1",
            "missing-pubrel",
            "server",
        ),
        ("< PUBLISH topic=a qos=1 id=1", "missing-ack", "client"),
        ("> SUBSCRIBE id=3 filter=a:1", "missing-suback", "server"),
        ("> PINGREQ", "missing-pingresp", "server"),
    ] {
        let mut check_run = court_after(&format!("{opening}{request}"), live());
        check_run.judge.take_arisen();
        assert_eq!(names(&check_run.wait(20.0)), [""; 0], "{request}");
        let arisen = check_run.wait(2.0);
        assert_eq!(
            names(&arisen),
            [format!("{rule} warning {by}")],
            "{request}"
        );
        assert!(
            arisen[0].message.ends_with("found none for 21 s"),
            "{request}: {}",
            arisen[0].message
        );
        // Once is enough; and an inconclusive result in the end is no news.
        assert_eq!(names(&check_run.wait(600.0)), [""; 0], "{request}");
        let settled = check_run.finish();
        let own: Vec<_> = settled.iter().filter(|f| f.rule.id == rule).collect();
        assert_eq!(own.len(), 1, "{request}");
        assert_eq!(own[0].verdict.name(), "cannot_tell", "{request}");
        let more = names(&check_run.judge.take_arisen());
        assert!(!more.iter().any(|name| name.starts_with(rule)), "{more:?}");
    }
}

/// An overdue answer that came after all is no finding in the end.
#[test]
fn watching_an_acknowledgement_that_comes_late() {
    let text = "\
> CONNECT user=u client=c keep_alive=0
< CONNACK
> PUBLISH topic=a qos=1 id=1
! wait 25s
< PUBACK id=1
> PUBLISH topic=a qos=1 id=1
! wait 10s
< PUBACK id=1
> DISCONNECT";
    let mut check_run = court_after(text, live());
    assert_eq!(
        names(&check_run.judge.take_arisen()),
        ["missing-ack warning server"]
    );
    assert_eq!(names(&check_run.finish()), [""; 0]);
    assert_eq!(names(&check_run.judge.take_arisen()), [""; 0]);
}

/// Packets that were not captured may have brought it.
#[test]
fn watching_a_capture_that_lost_packets() {
    let text =
        "! open\n> CONNECT user=u client=c keep_alive=10\n< CONNACK\n> PUBLISH topic=a qos=1 id=1";
    let mut check_run = court_after(text, live());
    let now = Timestamp::from_nanos(check_run.now);
    check_run.facts.dropped(7, now, &mut check_run.judge);
    assert_eq!(names(&check_run.wait(60.0)), [""; 0]);
}

#[test]
fn watching_a_budget_of_acknowledgements() {
    let options = Options {
        budgets: Budgets {
            ack: Some(Duration::from_millis(500)),
            ..Budgets::default()
        },
        ..live()
    };
    let text =
        "! open\n> CONNECT user=u client=c keep_alive=0\n< CONNACK\n> PUBLISH topic=a qos=1 id=1";
    let mut check_run = court_after(text, options.clone());
    assert_eq!(names(&check_run.wait(0.6)), [""; 0]);
    let arisen = check_run.wait(0.4);
    assert_eq!(names(&arisen), ["budget-ack-time violation server"]);
    assert!(
        arisen[0].message.contains("PUBACK within 500 ms"),
        "{}",
        arisen[0].message
    );
    // Of files it is known when both ends were there for longer than that.
    let text = text.replace("! open\n", "") + "\n! wait 2s\n> PINGREQ\n< PINGRESP\n> DISCONNECT";
    let mut check_run = court_after(
        &text,
        Options {
            live: false,
            ..options
        },
    );
    assert_eq!(
        names(&check_run.finish()),
        [
            "missing-ack warning server",
            "budget-ack-time violation server"
        ]
    );
}

#[test]
fn watching_a_client_that_falls_silent() {
    for (opening, keep_alive) in [
        ("> CONNECT user=u client=c keep_alive=60\n< CONNACK", 60.0),
        (
            "> CONNECT user=u client=c version=5 keep_alive=600\n< CONNACK server_keep_alive=60",
            60.0,
        ),
        ("> CONNECT user=u client=c keep_alive=600\n< CONNACK", 600.0),
    ] {
        let mut check_run = court_after(&format!("! open\n{opening}"), live());
        // The margin is a tenth.
        assert_eq!(
            names(&check_run.wait(keep_alive * 1.1)),
            [""; 0],
            "{opening}"
        );
        assert_eq!(
            names(&check_run.wait(2.0)),
            ["client-silent warning client"],
            "{opening}"
        );
        assert_eq!(
            names(&check_run.wait(keep_alive * 0.45)),
            [""; 0],
            "{opening}"
        );
        assert_eq!(
            names(&check_run.wait(keep_alive * 0.1)),
            ["dead-client-kept warning server"],
            "{opening}"
        );
        assert_eq!(
            names(&check_run.wait(keep_alive * 100.0)),
            [""; 0],
            "{opening}"
        );
        // One silence, however long it lasts.
        let times: Vec<u64> = check_run.judge.tally().iter().map(|c| c.times).collect();
        assert_eq!(times, [1, 1], "{opening}");
    }
    // No peer has to send without a Keep Alive, or after a farewell.
    for text in [
        "! open\n> CONNECT user=u client=c keep_alive=0\n< CONNACK",
        "! open\n> CONNECT user=u client=c keep_alive=10\n< CONNACK\n> DISCONNECT",
        "! open\n> CONNECT user=u client=c keep_alive=10\n< CONNACK\n! fin <",
        "> CONNECT user=u client=c keep_alive=10\n< CONNACK\n> DISCONNECT",
    ] {
        let mut check_run = court_after(text, live());
        check_run.judge.take_arisen();
        let found = check_run.wait(100_000.0);
        assert!(
            !names(&found).iter().any(|n| n.starts_with("client-silent")),
            "{text}: {:?}",
            names(&found)
        );
    }
}

/// A server that throws a silent client out shows that it was silent.
#[test]
fn a_silence_that_ends_with_the_connection() {
    let text = "> CONNECT user=u client=c keep_alive=10\n< CONNACK\n! wait 16s\n! fin <";
    let mut check_run = court_after(text, Options::default());
    assert_eq!(names(&check_run.finish()), ["client-silent warning client"]);
}

/// The program, with its standard input in our hands.
struct Piped {
    child: Child,
    input: Option<ChildStdin>,
    out: mpsc::Receiver<String>,
    err: mpsc::Receiver<String>,
}

const PATIENCE: Duration = Duration::from_secs(30);

impl Piped {
    fn start(args: &[&str]) -> Self {
        let mut child = mqttdump()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let input = child.stdin.take();
        let out = lines(child.stdout.take().expect("a pipe"));
        let err = lines(child.stderr.take().expect("a pipe"));
        Self {
            child,
            input,
            out,
            err,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("it is open");
        input.write_all(bytes).expect("the program reads");
        input.flush().expect("the program reads");
    }

    fn line(&self) -> String {
        self.out.recv_timeout(PATIENCE).expect("a line in time")
    }

    /// Ends the input; the lines that are left, and the exit code.
    fn end(mut self) -> (Vec<String>, Option<i32>) {
        drop(self.input.take());
        let mut lines = Vec::new();
        while let Ok(line) = self.out.recv_timeout(PATIENCE) {
            lines.push(line);
        }
        let code = self.child.wait().expect("the program ends").code();
        let printed: Vec<String> = self.err.iter().collect();
        assert!(
            !printed.iter().any(|l| l.contains("panicked")),
            "{printed:?}"
        );
        (lines, code)
    }
}

fn lines(from: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            drop(sender.send(line));
        }
    });
    receiver
}

const FAULTY: &str = "\
! open
> CONNECT user=u client=sensor-7 keep_alive=0
< CONNACK
> PUBLISH topic=a dup=1
> PUBLISH topic=a dup=1
! wait 8s
> PUBLISH topic=a dup=1
! wait 7s
> PUBLISH topic=b qos=1 id=9
! wait 30s
> PINGREQ
< PINGRESP";

#[test]
fn check_reports_findings_of_an_open_pipe() {
    let packets = scene(FAULTY);
    let bytes = PCAP.write(&packets);
    let mut program = Piped::start(&["check", "-l", "--format", "ndjson", "-"]);
    program.write(&bytes);
    for (rule, verdict) in [
        ("dup-with-qos-0", "violation"),
        ("fault-then-close", "warning"),
        ("missing-ack", "warning"),
    ] {
        let found = json(&program.line());
        assert_eq!(found["rule"], rule);
        assert_eq!(
            (&found["verdict"], &found["count"]),
            (&verdict.into(), &1.into())
        );
    }
    let (rest, code) = program.end();
    assert_eq!(code, Some(1));
    let last = json(rest.last().expect("a summary"));
    let rules = last["summary"]["rules"].as_array().expect("counts");
    let dup = rules.iter().find(|r| r["rule"] == "dup-with-qos-0");
    assert_eq!(dup.expect("it was found")["count"], 3, "{last}");
    assert_eq!(last["summary"]["violations"], 1, "{last}");
}

#[test]
fn check_sums_up_on_an_interval() {
    let file = TempFile::new("x.pcap", &PCAP.write(&scene(FAULTY)));
    let run = run(&["check", "--every", "10s", file.path()]);
    let text = run.out.replace(file.path(), "x.pcap");
    assert_eq!(
        text,
        "\
10:15:00.007000 connection 1, client \"sensor-7\"
  VIOLATION by client: A PUBLISH of QoS 0 has DUP 0
    PUBLISH: expected DUP 0 with QoS 0, found DUP 1 (topic \"a\")
    dup-with-qos-0 [3.1.1 MQTT-3.3.1-2, 3.1.1 MQTT-4.3.1-1], packet 8
          4 10:15:00.003000 > CONNECT
          6 10:15:00.005000 < CONNACK
    *     8 10:15:00.007000 > PUBLISH qos0 dup \"a\"

10:15:10.000000 x.pcap: 1 violation (5 messages on 1 connection, 65 rules applied)
  VIOLATION dup-with-qos-0 by client: 3 times on 1 connection

10:15:15.014000 connection 1, client \"sensor-7\"
  WARNING by server: The receiver of a malformed packet closes the connection
    expected the connection to be closed over a malformed packet, found it open 15 s later
    fault-then-close [3.1.1 MQTT-4.8.0-1], packets 8 15
          4 10:15:00.003000 > CONNECT
          6 10:15:00.005000 < CONNACK
          8 10:15:00.007000 > PUBLISH qos0 dup \"a\"
         10 10:15:00.009000 > PUBLISH qos0 dup \"a\"
         12 10:15:08.011000 > PUBLISH qos0 dup \"a\"
         14 10:15:15.013000 > PUBLISH id 9 qos1 \"b\"
10:15:36.514000 connection 1, client \"sensor-7\"
  WARNING by server: PUBLISH of QoS 1 is answered by PUBACK, QoS 2 by PUBREC
    expected PUBACK for PUBLISH with id 9, found none for 21 s
    missing-ack [3.1.1 MQTT-3.3.4-1, 3.1.1 MQTT-3.3.5-2], packet 14
          4 10:15:00.003000 > CONNECT
          6 10:15:00.005000 < CONNACK
          8 10:15:00.007000 > PUBLISH qos0 dup \"a\"
         10 10:15:00.009000 > PUBLISH qos0 dup \"a\"
         12 10:15:08.011000 > PUBLISH qos0 dup \"a\"
    *    14 10:15:15.013000 > PUBLISH id 9 qos1 \"b\"

10:15:40.000000 x.pcap: 1 violation, 2 warnings (6 messages on 1 connection, 71 rules applied)
  VIOLATION dup-with-qos-0 by client: 3 times on 1 connection
  WARNING fault-then-close by server: 1 time on 1 connection
  WARNING missing-ack by server: 1 time on 1 connection

x.pcap: 1 violation, 2 warnings (8 messages on 1 connection, 72 rules applied)
  VIOLATION dup-with-qos-0 by client: 3 times on 1 connection
  WARNING fault-then-close by server: 1 time on 1 connection
  WARNING missing-ack by server: 1 time on 1 connection
"
    );
}

/// A packet whose clock is ahead, of whatever protocol, makes no peer late.
#[test]
fn one_clock_that_is_ahead_accuses_no_peer() {
    let mut packets = scene(
        "> CONNECT user=u client=sensor-7 keep_alive=45
< CONNACK
> PUBLISH topic=b qos=1 id=9
! wait 1s
< PUBACK id=9
! wait 1s
> PINGREQ
< PINGRESP
> DISCONNECT
! fin >",
    );
    let middle = packets.len() / 2;
    let mut ahead = packets[middle].clone();
    ahead.time += 3600 * 1_000_000_000;
    ahead.data.truncate(14);
    // ARP, of which only the type is there.
    ahead.data[12..14].copy_from_slice(&[8, 6]);
    ahead.original_len = 14;
    packets.insert(middle, ahead);
    let mut program = Piped::start(&["check", "-l", "--format", "ndjson", "-"]);
    program.write(&PCAP.write(&packets));
    let (lines, code) = program.end();
    assert_eq!((lines.len(), code), (1, Some(0)), "{lines:?}");
}

/// Every byte is in one interval, and all are in the whole.
#[test]
fn overhead_by_intervals_adds_up() {
    for file in [
        "fixtures/captures/seed-5.0-qos2.pcap",
        "fixtures/captures/seed-3.1-qos0.pcap",
    ] {
        let run = run(&["overhead", "--every", "5ms", "--format", "ndjson", file]);
        let lines: Vec<Value> = run.clean().lines().map(json).collect();
        let (whole, parts) = lines.split_last().expect("lines");
        assert!(parts.len() > 1, "{file}");
        for key in ["frames", "foreign_bytes", "bytes"] {
            let sum: u64 = parts.iter().filter_map(|part| part[key].as_u64()).sum();
            assert_eq!(Some(sum), whole[key].as_u64(), "{file}: {key}");
        }
        for key in ["layers", "causes"] {
            let mut sums = BTreeMap::<&str, u64>::new();
            for (name, bytes) in parts.iter().filter_map(|p| p[key].as_object()).flatten() {
                *sums.entry(name).or_default() += bytes.as_u64().expect("bytes");
            }
            let whole = whole[key].as_object().expect("sums");
            let whole = whole.iter().map(|(name, b)| (name.as_str(), b.as_u64()));
            assert_eq!(
                sums.into_iter()
                    .map(|(n, b)| (n, Some(b)))
                    .collect::<Vec<_>>(),
                whole
                    .collect::<BTreeMap<_, _>>()
                    .into_iter()
                    .collect::<Vec<_>>(),
                "{file}"
            );
        }
    }
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn watching_options_that_make_no_sense() {
    for (args, words) in [
        (&["-r", "x.pcap", "--every", "10s"][..], "--every"),
        (&["check", "x.pcap", "--every", "soon"], "10s"),
        (&["check", "x.pcap", "--listen", "9883"], "--listen"),
        (&["check", "-", "--listen", "broker"], "--listen"),
    ] {
        let run = run(args);
        assert_eq!(run.code, Some(2), "{args:?}");
        assert!(run.err.contains(words), "{args:?}: {}", run.err);
    }
}

#[cfg(feature = "metrics")]
mod figures {
    use std::io::Read;
    use std::net::TcpStream;

    use super::*;

    /// The address that the program reports.
    fn address(program: &Piped) -> String {
        loop {
            let line = program.err.recv_timeout(PATIENCE).expect("the address");
            if let Some((_, rest)) = line.split_once("http://") {
                return rest.trim_end_matches("/metrics").to_owned();
            }
        }
    }

    fn get(address: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    /// The figures, once there is such a line.
    fn scrape_until(address: &str, line: &str) -> String {
        for _ in 0..600 {
            let answer = get(address, "/metrics");
            if answer.lines().any(|l| l == line) {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no {line} in {}", get(address, "/metrics"));
    }

    fn value(answer: &str, name: &str) -> f64 {
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let line = line.unwrap_or_else(|| panic!("no {name} in\n{answer}"));
        line.parse().expect("a number")
    }

    const BUSY: &str = "\
! open
> CONNECT user=u client=c keep_alive=0
< CONNACK
> PUBLISH topic=a qos=1 id=1
! wait 30ms
< PUBACK id=1
> PUBLISH topic=a qos=2 id=2
< PUBREC id=2
> PUBREL id=2
< PUBCOMP id=2
> PUBLISH topic=a dup=1
> PUBLISH topic=a dup=1
! gap 40 <
> PINGREQ
< PINGRESP
> PINGREQ
< PINGRESP
! wait 5s
> PINGREQ
< PINGRESP";

    #[test]
    fn of_every_command() {
        let packets = scene(BUSY);
        let bytes = PCAP.write(&packets);
        for command in [&["check"][..], &["overhead"], &["-r"]] {
            let args = [command, &["-", "--listen", ":0"]].concat();
            let mut program = Piped::start(&args);
            program.write(&bytes);
            let address = address(&program);
            assert!(address.starts_with("127.0.0.1:"), "{address}");
            let all = format!("mqttdump_packets_captured_total {}", packets.len());
            let answer = scrape_until(&address, &all);
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.contains("application/openmetrics-text"), "{answer}");
            assert!(answer.trim_end().ends_with("# EOF"), "{answer}");
            for (name, count) in [
                (
                    r#"mqttdump_messages_total{type="PUBLISH",direction="up",qos="0"}"#,
                    2.0,
                ),
                (
                    r#"mqttdump_messages_total{type="PINGREQ",direction="up",qos=""}"#,
                    3.0,
                ),
                (
                    r#"mqttdump_acknowledgement_seconds_count{direction="up",qos="1"}"#,
                    1.0,
                ),
                (
                    r#"mqttdump_acknowledgement_seconds_count{direction="up",qos="2"}"#,
                    1.0,
                ),
                (
                    r#"mqttdump_acknowledgement_seconds_bucket{le="0.025",direction="up",qos="1"}"#,
                    0.0,
                ),
                (
                    r#"mqttdump_acknowledgement_seconds_bucket{le="0.05",direction="up",qos="1"}"#,
                    1.0,
                ),
                (r#"mqttdump_gaps_total{direction="down"}"#, 1.0),
                (r#"mqttdump_gap_bytes_total{direction="down"}"#, 40.0),
                (r#"mqttdump_packets_dropped_total{by="kernel"}"#, 0.0),
                ("mqttdump_connections_open", 1.0),
                ("mqttdump_connections_total", 1.0),
            ] {
                assert_eq!(value(&answer, name), count, "{command:?}: {name}\n{answer}");
            }
            let wire: usize = packets.iter().map(|packet| packet.data.len()).sum();
            let layers: f64 = answer
                .lines()
                .filter(|line| line.starts_with("mqttdump_bytes_total{"))
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum();
            let other = value(&answer, "mqttdump_other_bytes_total");
            // The last acknowledgements wait for the packets they acknowledge.
            assert!(
                layers + other > wire as f64 * 0.9 && layers + other <= wire as f64,
                "{layers} and {other} of {wire}"
            );
            if command == ["check"] {
                let name = r#"mqttdump_findings_total{rule="dup-with-qos-0",verdict="violation",by="client"}"#;
                assert_eq!(value(&answer, name), 2.0, "{answer}");
            }
            assert!(get(&address, "/").starts_with("HTTP/1.1 404"));
            let (_, code) = program.end();
            assert_eq!(code, Some(i32::from(command == ["check"])), "{command:?}");
        }
    }

    /// Nothing a scraper sends ends the program or what it reads.
    #[test]
    fn scrapers_that_misbehave() {
        let packets = scene(BUSY);
        let bytes = PCAP.write(&packets);
        let mut program = Piped::start(&["-q", "-r", "-", "--listen", "0"]);
        let middle = bytes.len() / 2;
        program.write(&bytes[..middle]);
        let address = address(&program);
        let endless = b"GET / HTTP/1.1\r\n".iter().copied();
        let endless: Vec<u8> = endless.chain(b"A: x\r\n".repeat(100_000)).collect();
        for request in [
            &b"GET /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"[..],
            &endless,
            b"\x16\x03\x01",
            &b"GET /metrics HTTP/1.1\r\n\r\n".repeat(100),
        ] {
            let mut stream = TcpStream::connect(&address).expect("it listens");
            // It may be closed before all is sent.
            let _ = stream.write_all(request);
        }
        let idle: Vec<TcpStream> = (0..200)
            .map(|_| TcpStream::connect(&address).expect("it listens"))
            .collect();
        program.write(&bytes[middle..]);
        let mut last = String::new();
        for _ in 0..16 {
            last = program.line();
        }
        assert!(last.contains("PINGRESP"), "{last}");
        drop(idle);
        assert_eq!(program.end().1, Some(0));
    }

    /// Those who ask and never listen hold nothing up.
    #[test]
    fn scrapers_that_hang() {
        let packets = scene(BUSY);
        let bytes = PCAP.write(&packets);
        let mut program = Piped::start(&["-q", "-r", "-", "--listen", "0"]);
        let middle = bytes.len() / 2;
        program.write(&bytes[..middle]);
        let address = address(&program);
        let hanging: Vec<TcpStream> = (0..20)
            .map(|at| {
                let mut stream = TcpStream::connect(&address).expect("it listens");
                let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
                let part = if at % 2 == 0 { request.len() } else { 10 };
                stream
                    .write_all(&request.as_bytes()[..part])
                    .expect("it reads");
                stream
            })
            .collect();
        program.write(&bytes[middle..]);
        let mut last = String::new();
        for _ in 0..16 {
            last = program.line();
        }
        assert!(last.contains("PINGRESP"), "{last}");
        drop(hanging);
        assert_eq!(program.end().1, Some(0));
    }
}

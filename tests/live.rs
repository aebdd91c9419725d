//! Live capture on loopback, with a real broker and real clients.
//!
//! Needs the right to capture (root, or cap_net_raw) and Mosquitto's programs.
//! Where either lacks, it says `skipped` and why: that is no pass. Root in a
//! network namespace of its own, if `unshare` is there, so that nothing else is
//! seen.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mqttdump");
const PORT: &str = "18911";
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    if let Err(why) = possible() {
        println!("live capture: skipped: {why}");
        return ExitCode::SUCCESS;
    }
    let tests: [(&str, fn(&Path)); 6] = [
        ("three levels of QoS appear as they happen", as_it_happens),
        ("root is given up before the first packet", without_root),
        ("what is saved can be read by anybody", saving),
        ("SIGTERM ends it, and so does a closed pipe", endings),
        ("a quiet link does not hang it", quiet),
        ("-c and --frames end it", limits),
    ];
    let broker = Broker::start();
    for (name, test) in tests {
        test(&broker.folder);
        println!("live capture: {name}: ok");
    }
    ExitCode::SUCCESS
}

/// Whether there is anything to try.
fn possible() -> Result<(), String> {
    for program in ["mosquitto", "mosquitto_pub", "mosquitto_sub"] {
        if find(program).is_none() {
            return Err(format!("{program} is not installed"));
        }
    }
    let mut child = Command::new(PROGRAM)
        .args(["-i", "lo", "-q"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut line = String::new();
    let said = child.stderr.take().expect("a pipe");
    BufReader::new(said)
        .read_line(&mut line)
        .map_err(|error| error.to_string())?;
    signal("INT", &child);
    let _ = child.wait();
    match line.contains("listening on lo") {
        true => Ok(()),
        false => Err(line.trim().to_owned()),
    }
}

fn find(program: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.exists())
}

fn signal(name: &str, child: &Child) {
    let id = child.id().to_string();
    let status = Command::new("kill").args(["-s", name, &id]).status();
    assert!(status.expect("kill starts").success());
}

struct Broker {
    child: Child,
    folder: PathBuf,
}

impl Broker {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live");
        fs::create_dir_all(&folder).expect("a folder");
        let settings = folder.join("mosquitto.conf");
        let text = format!("listener {PORT} 127.0.0.1\nallow_anonymous true\n");
        fs::write(&settings, text).expect("a file");
        let child = Command::new(find("mosquitto").expect("it was there"))
            .arg("-c")
            .arg(&settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto starts");
        let since = Instant::now();
        while std::net::TcpStream::connect(format!("127.0.0.1:{PORT}")).is_err() {
            assert!(since.elapsed() < PATIENCE, "mosquitto does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, folder }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program at work.
struct Live {
    child: Child,
    lines: Receiver<(Instant, String)>,
}

impl Live {
    /// Starts it, and waits until it listens.
    fn start(args: &[&str]) -> Self {
        let decode = format!("{PORT}=mqtt");
        let mut child = Command::new(PROGRAM)
            .args(["-i", "lo", "-l", "--decode", &decode])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut said = String::new();
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe"));
        errors.read_line(&mut said).expect("a line");
        assert!(said.contains("listening on lo"), "{said}");
        child.stderr = Some(errors.into_inner());
        let (send, lines) = channel();
        let out = child.stdout.take().expect("a pipe");
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if send.send((Instant::now(), line)).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line that has a word in it.
    fn line(&self, word: &str) -> (Instant, String) {
        loop {
            let (when, line) = self
                .lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("no line with {word:?}"));
            if line.contains(word) {
                return (when, line);
            }
        }
    }

    /// Ends it; what it said, and its exit code.
    fn end(mut self, by: &str) -> (String, Option<i32>) {
        signal(by, &self.child);
        self.wait()
    }

    fn wait(&mut self) -> (String, Option<i32>) {
        let since = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status.code();
            }
            assert!(since.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut said = String::new();
        let mut errors = self.child.stderr.take().expect("a pipe");
        errors.read_to_string(&mut said).expect("text");
        (said, code)
    }
}

fn publish(qos: u8) -> Instant {
    let qos = qos.to_string();
    let topic = format!("live/{qos}");
    let status = Command::new("mosquitto_pub")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            PORT,
            "-t",
            &topic,
            "-q",
            &qos,
            "-m",
            "on",
        ])
        .status();
    assert!(status.expect("mosquitto_pub starts").success());
    Instant::now()
}

/// Messages are printed while they are exchanged, each once, and the counts at
/// the end are true.
fn as_it_happens(_: &Path) {
    let live = Live::start(&["-q"]);
    let mut messages = 0;
    for (qos, types) in [
        (0, &["PUBLISH"][..]),
        (1, &["PUBLISH", "PUBACK"]),
        (2, &["PUBLISH", "PUBREC", "PUBREL", "PUBCOMP"]),
    ] {
        let done = publish(qos);
        let mut last = done;
        let types = [&["CONNECT", "CONNACK"], types, &["DISCONNECT"]].concat();
        messages += types.len();
        for kind in types {
            let (when, line) = live.lines.recv_timeout(PATIENCE).expect("a line");
            assert!(line.contains(&format!("type: {kind},")), "{kind}: {line}");
            last = when;
        }
        println!(
            "live capture: QoS {qos}: the last line came {:.1} ms after the client had ended",
            last.saturating_duration_since(done).as_secs_f64() * 1e3
        );
    }
    let (said, code) = live.end("INT");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(&format!("{messages} messages shown")),
        "{said}"
    );
    assert!(said.contains("0 packets dropped by kernel"), "{said}");
}

/// While it reads it is somebody else, has no capability and can get none.
fn without_root(_: &Path) {
    let live = Live::start(&[]);
    publish(0);
    live.line("DISCONNECT");
    let path = format!("/proc/{}/status", live.child.id());
    let status = fs::read_to_string(path).expect("Linux tells");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.unwrap_or_default()
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .to_owned()
    };
    let root = Command::new("id")
        .arg("-u")
        .output()
        .expect("id starts")
        .stdout
        == b"0\n";
    if root {
        assert_ne!(field("Uid:"), "0");
        assert_eq!(field("NoNewPrivs:"), "1");
        assert_eq!(field("CapEff:").trim_start_matches('0'), "");
        assert_eq!(field("CapPrm:").trim_start_matches('0'), "");
    }
    live.end("INT");
}

/// `-w` while watching; what is in the file is what was seen.
fn saving(folder: &Path) {
    let path = folder.join("saved.pcap");
    let path = path.to_str().expect("UTF-8");
    let live = Live::start(&["-w", path, "--print", "-q"]);
    publish(2);
    let mut seen = Vec::new();
    while seen
        .last()
        .is_none_or(|line: &String| !line.contains("DISCONNECT"))
    {
        seen.push(live.line("MQTTFrame").1);
    }
    let (said, code) = live.end("INT");
    assert_eq!(code, Some(0), "{said}");
    let decode = format!("{PORT}=mqtt");
    let read = Command::new(PROGRAM)
        .args(["-q", "-r", path, "--decode", &decode])
        .output()
        .expect("it starts");
    let read = String::from_utf8(read.stdout).expect("text");
    assert_eq!(read.lines().collect::<Vec<_>>(), seen);
}

fn endings(_: &Path) {
    let live = Live::start(&[]);
    publish(0);
    live.line("DISCONNECT");
    let (said, code) = live.end("TERM");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("packets captured"), "{said}");

    let mut live = Live::start(&[]);
    // Nobody reads any more.
    live.lines = channel().1;
    for _ in 0..3 {
        publish(0);
        std::thread::sleep(Duration::from_millis(50));
    }
    let (said, code) = live.wait();
    assert_eq!(code, Some(0), "{said}");
}

fn quiet(_: &Path) {
    let live = Live::start(&["tcp", "port", "9"]);
    std::thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    let (said, code) = live.end("INT");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("0 packets captured"), "{said}");
    println!(
        "live capture: ended {:.0} ms after Ctrl-C on a quiet link",
        asked.elapsed().as_secs_f64() * 1e3
    );
}

fn limits(_: &Path) {
    for args in [&["-c", "4"][..], &["--frames", "2"]] {
        let mut live = Live::start(args);
        publish(1);
        let (said, code) = live.wait();
        assert_eq!(code, Some(0), "{args:?}: {said}");
    }
}

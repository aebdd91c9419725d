//! Live capture: the real program, a real broker, real clients, real
//! interfaces.
//!
//! ```text
//! loopback   Mosquitto ⇄ mosquitto_pub     ─┐
//! va ═ vb    packets of a transcript → vb  ─┴→ mqttdump -i … → lines, counts, files
//! ```
//!
//! Needs the right to capture (root, or cap_net_raw) and Mosquitto's programs.
//! Where either is missing, it prints `skipped` and why: that is no pass. Root gets a
//! network namespace of its own, if `unshare` and `ip` are there, so that nothing
//! else is captured and interfaces can be made and taken away.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

#[allow(dead_code, unreachable_pub)]
#[path = "support/mod.rs"]
mod support;

use support::scene::{merged, wires};
use support::stack::{Layer, OwnedPacket, Stack};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mqttdump");
const PORT: &str = "18911";
const PATIENCE: Duration = Duration::from_secs(20);
/// Marks this process as being in a namespace of its own.
const INSIDE: &str = "--inside-a-namespace";

/// Result of a test: its part, or why it could not run.
type Tried = Result<(), String>;
/// A name, and its function.
type Test = (&'static str, fn(&Network) -> Tried);

fn main() -> ExitCode {
    let inside = std::env::args().any(|arg| arg == INSIDE);
    if !inside && is_root() && find("unshare").is_some() && find("ip").is_some() {
        let own = std::env::current_exe().expect("a path");
        let status = Command::new("unshare")
            .arg("--net")
            .arg(own)
            .arg(INSIDE)
            .status();
        return match status.expect("unshare starts").code() {
            Some(0) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        };
    }
    if inside {
        ip(&["link", "set", "lo", "up"]);
    }
    if let Err(why) = possible() {
        println!("live capture: skipped: {why}");
        return ExitCode::SUCCESS;
    }
    let tests: [Test; 23] = [
        ("three levels of QoS appear as they happen", as_it_happens),
        ("it prints what it listens to and how to widen it", banner),
        ("root is dropped before the first packet", without_root),
        ("cap_net_raw is enough, and dropped too", with_a_capability),
        (
            "without permission it prints what to do",
            without_permission,
        ),
        ("what is saved can be read by anybody", saving),
        ("signals end it, and so does a closed pipe", endings),
        ("a quiet link does not hang it", quiet),
        ("-c and --frames end it", limits),
        ("on any, each line has its interface", any),
        ("check and overhead listen too", commands),
        ("a baseline that cannot be written is reported", baseline),
        ("findings of a faulty client come as they arise", findings),
        ("a deadline passes although nothing comes", deadline),
        ("figures can be scraped while it captures", figures),
        ("files follow each other by time on a quiet link", rotation),
        ("programs of -z do not get the packets", no_socket),
        ("SIGUSR1 asks for the counts", counts),
        ("-D lists the interfaces for -i", listing),
        ("VLAN tags hide nothing", tags),
        ("-Q chooses by direction", directions),
        ("what the kernel drops is printed and leaves doubt", drops),
        ("an interface that vanishes ends it", vanishing),
    ];
    let network = Network::new(inside);
    let mut skipped = 0;
    for (name, test) in tests {
        match test(&network) {
            Ok(()) => println!("live capture: {name}: ok"),
            Err(why) => {
                skipped += 1;
                println!("live capture: {name}: skipped: {why}");
            }
        }
    }
    println!(
        "live capture: {} passed, {skipped} skipped",
        tests.len() - skipped
    );
    ExitCode::SUCCESS
}

/// Whether there is anything to try.
fn possible() -> Result<(), String> {
    for program in ["mosquitto", "mosquitto_pub"] {
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
    let printed = child.stderr.take().expect("a pipe");
    BufReader::new(printed)
        .read_line(&mut line)
        .map_err(|error| error.to_string())?;
    signal("INT", &child);
    let _ = child.wait();
    match line.contains("listening on lo") {
        true => Ok(()),
        false => Err(line.trim().to_owned()),
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.expect("id starts").stdout == b"0\n"
}

fn find(program: &str) -> Option<PathBuf> {
    [
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
        "/usr/local/sbin",
        "/usr/local/bin",
    ]
    .iter()
    .map(|folder| Path::new(folder).join(program))
    .find(|path| path.exists())
}

fn ip(words: &[&str]) {
    let status = Command::new(find("ip").expect("ip")).args(words).status();
    assert!(status.expect("ip starts").success(), "ip {words:?}");
}

fn signal(name: &str, child: &Child) {
    let id = child.id().to_string();
    let status = Command::new("kill").args(["-s", name, &id]).status();
    assert!(status.expect("kill starts").success());
}

/// A broker on loopback, a folder, and perhaps a pair of interfaces.
struct Network {
    broker: Child,
    /// Ours alone, and open to everybody.
    folder: PathBuf,
    has_pair: bool,
}

impl Network {
    fn new(inside: bool) -> Self {
        let folder = std::env::temp_dir().join(format!("mqttdump-live-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("ours");
        let settings = folder.join("mosquitto.conf");
        let text = format!("listener {PORT} 127.0.0.1\nallow_anonymous true\n");
        fs::write(&settings, text).expect("a file");
        let broker = Command::new(find("mosquitto").expect("it was there"))
            .arg("-c")
            .arg(&settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto starts");
        let network = Self {
            broker,
            folder,
            has_pair: inside && Self::pair(),
        };
        let since = Instant::now();
        while TcpStream::connect(format!("127.0.0.1:{PORT}")).is_err() {
            assert!(since.elapsed() < PATIENCE, "mosquitto does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        network
    }

    /// Makes va and vb: bytes sent on one are received on the other.
    fn pair() -> bool {
        let made = Command::new(find("ip").expect("ip"))
            .args(["link", "add", "va", "type", "veth", "peer", "name", "vb"])
            .stderr(Stdio::null())
            .status();
        if !made.expect("ip starts").success() {
            return false;
        }
        for name in ["va", "vb"] {
            // No packets but ours.
            let quiet = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
            let _ = fs::write(quiet, "1");
            ip(&["link", "set", name, "up"]);
        }
        true
    }

    fn needs_pair(&self) -> Tried {
        match self.has_pair {
            true => Ok(()),
            false => Err("no pair of interfaces can be made here".to_owned()),
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.broker.kill();
        let _ = self.broker.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The program at work.
struct Live {
    child: Child,
    lines: Receiver<(Instant, String)>,
    printed: BufReader<std::process::ChildStderr>,
    /// The first line on standard error.
    banner: String,
}

impl Live {
    /// Starts it on loopback, and waits until it listens.
    fn start(args: &[&str]) -> Self {
        let decode = format!("{PORT}=mqtt");
        Self::run(&[&["-i", "lo", "--decode", &decode], args].concat())
    }

    fn run(args: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(args);
        Self::started(command)
    }

    fn started(mut command: Command) -> Self {
        let mut child = command
            .env_remove("SUDO_UID")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let mut printed = BufReader::new(child.stderr.take().expect("a pipe"));
        printed.read_line(&mut line).expect("a line");
        assert!(line.contains("listening on "), "{line}");
        let (send, lines) = channel();
        let out = child.stdout.take().expect("a pipe");
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // The receiver is gone: the pipe closes.
                if send.send((Instant::now(), line)).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            lines,
            printed,
            banner: line,
        }
    }

    /// The next line on standard error.
    #[track_caller]
    fn printed_line(&mut self) -> String {
        let mut line = String::new();
        self.printed.read_line(&mut line).expect("text");
        line
    }

    /// The next line that has a word in it.
    #[track_caller]
    fn line(&self, word: &str) -> (Instant, String) {
        loop {
            let next = self.lines.recv_timeout(PATIENCE);
            let (when, line) = next.unwrap_or_else(|_| panic!("no line with {word:?}"));
            if line.contains(word) {
                return (when, line);
            }
        }
    }

    /// All lines that have come and will come.
    fn rest(&self) -> Vec<String> {
        self.lines.iter().map(|(_, line)| line).collect()
    }

    /// Ends it; returns its output and exit code.
    #[track_caller]
    fn end(&mut self, by: &str) -> (String, Option<i32>) {
        signal(by, &self.child);
        self.wait()
    }

    #[track_caller]
    fn wait(&mut self) -> (String, Option<i32>) {
        let since = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status.code();
            }
            assert!(since.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut printed = String::new();
        self.printed.read_to_string(&mut printed).expect("text");
        (printed, code)
    }

    /// A field of the process's status in Linux.
    fn status(&self, name: &str) -> String {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    }

    /// It can do nothing that not everybody can, now and ever.
    #[track_caller]
    fn has_no_privileges(&self) {
        assert_ne!(self.status("Uid:").split('\t').next(), Some("0"));
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(self.status(set).trim_start_matches('0'), "", "{set}");
        }
        assert_eq!(self.status("NoNewPrivs:"), "1");
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number in `12 packets captured`.
#[track_caller]
fn counted(printed: &str, what: &str) -> u64 {
    let line = printed.lines().find(|line| line.ends_with(what));
    let line = line.unwrap_or_else(|| panic!("no {what:?} in {printed}"));
    let number = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    number.unwrap_or_else(|| panic!("{line}"))
}

/// A client publishes one message.
fn publish(qos: u8) -> Instant {
    let qos = qos.to_string();
    let topic = format!("live/{qos}");
    let status = Command::new(find("mosquitto_pub").expect("it was there"))
        .args(["-h", "127.0.0.1", "-p", PORT])
        .args(["-t", &topic, "-q", &qos, "-m", "on"])
        .status();
    assert!(status.expect("mosquitto_pub starts").success());
    Instant::now()
}

/// Sends on va.
fn send(packets: &[OwnedPacket]) {
    let mut va = pcap::Capture::from_device("va")
        .expect("va")
        .open()
        .expect("va");
    for packet in packets {
        va.sendpacket(packet.data.as_slice()).expect("sent");
    }
}

/// Nothing more can come of the sent packets.
fn settle() {
    std::thread::sleep(Duration::from_millis(150));
}

/// Messages are printed while they are exchanged, each once, and the counts at
/// the end are true.
fn as_it_happens(_: &Network) -> Tried {
    let mut live = Live::start(&["-q"]);
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
    let (printed, code) = live.end("INT");
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(
        counted(&printed, "messages shown"),
        messages as u64,
        "{printed}"
    );
    assert_eq!(counted(&printed, "dropped by kernel"), 0, "{printed}");
    // Loopback shows every packet twice. A handshake, five messages with what
    // acknowledges them, and the end: no less than 11 packets, no more than 20.
    let captured = counted(&printed, "packets captured");
    assert!((33..=60).contains(&captured), "{printed}");
    Ok(())
}

/// Also which packets the default expression leaves out.
fn banner(_: &Network) -> Tried {
    // The interface, and the expression for the known ports.
    let mut live = Live::run(&["-i", "lo"]);
    assert!(
        live.banner
            .starts_with("mqttdump: listening on lo, link-type EN10MB"),
        "{}",
        live.banner
    );
    assert_eq!(
        live.printed_line(),
        "filter: tcp port 1883 or tcp port 8883, and with VLAN tags; use the expression `tcp` for all ports\n"
    );
    publish(0);
    settle();
    let (printed, code) = live.end("INT");
    assert_eq!((code, counted(&printed, "packets captured")), (Some(0), 0));

    // That of `--decode` is one of them.
    let decode = format!("{PORT}=mqtt");
    let mut live = Live::run(&["-i", "lo", "--decode", &decode]);
    let filter = live.printed_line();
    assert!(filter.contains(&format!("tcp port {PORT}")), "{filter}");
    assert_eq!(live.end("INT").1, Some(0));

    // The advice works: all ports, MQTT recognised by content.
    let mut live = Live::run(&["-i", "lo", "tcp"]);
    assert_eq!(live.printed_line(), "filter: tcp\n");
    publish(1);
    live.line("PUBACK");
    assert_eq!(live.end("INT").1, Some(0));
    Ok(())
}

/// While it reads it is another user, has no capability and can get none.
fn without_root(_: &Network) -> Tried {
    if !is_root() {
        return Err("not root".to_owned());
    }
    let mut live = Live::start(&[]);
    publish(0);
    live.line("DISCONNECT");
    live.has_no_privileges();
    // Root of a container without CAP_SETPCAP cannot change it.
    const SETPCAP: u64 = 1 << 8;
    let ours = fs::read_to_string("/proc/self/status").expect("a status");
    let ours = ours.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let ours = ours.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    if ours.is_some_and(|set| set & SETPCAP != 0) {
        assert_eq!(live.status("CapBnd:").trim_start_matches('0'), "");
    }
    let uid = live.status("Uid:");
    assert_eq!(live.status("Groups:"), live.status("Gid:")[..5], "{uid}");
    live.end("INT");

    // Who called sudo, in the groups of that user.
    let mut command = Command::new(PROGRAM);
    command
        .args(["-i", "lo"])
        .env("SUDO_UID", "4711")
        .env("SUDO_GID", "4712");
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let mut printed = BufReader::new(child.stderr.take().expect("a pipe"));
    printed.read_line(&mut line).expect("a line");
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("a status");
    signal("INT", &child);
    child.wait().expect("it ends");
    assert!(
        status.contains("\nUid:\t4711\t4711\t4711\t4711\n"),
        "{status}"
    );
    assert!(
        status.contains("\nGid:\t4712\t4712\t4712\t4712\n"),
        "{status}"
    );

    let mut live = Live::start(&["-Z", "root"]);
    assert_eq!(live.status("Uid:"), "0\t0\t0\t0");
    live.end("INT");
    Ok(())
}

/// A copy of the program that anybody may run and with cap_net_raw.
fn with_a_capability(network: &Network) -> Tried {
    if !is_root() {
        return Err("not root".to_owned());
    }
    let setcap = find("setcap").ok_or("setcap is not installed")?;
    let copy = network.folder.join("mqttdump");
    fs::copy(PROGRAM, &copy).expect("a copy");
    let set = Command::new(setcap)
        .arg("cap_net_raw=ep")
        .arg(&copy)
        .status();
    if !set.expect("setcap starts").success() {
        return Err("no capability can be set on a file here".to_owned());
    }
    let decode = format!("{PORT}=mqtt");
    let mut command = Command::new(&copy);
    command
        .uid(65_534)
        .gid(65_534)
        .args(["-i", "lo", "--decode", &decode]);
    let mut live = Live::started(command);
    publish(1);
    live.line("PUBACK");
    live.has_no_privileges();
    assert_eq!(live.end("INT").1, Some(0));
    Ok(())
}

fn without_permission(network: &Network) -> Tried {
    if !is_root() {
        return Err("not root".to_owned());
    }
    let copy = network.folder.join("without");
    fs::copy(PROGRAM, &copy).expect("a copy");
    let run = Command::new(&copy)
        .uid(65_534)
        .gid(65_534)
        .args(["-i", "lo"])
        .output()
        .expect("it starts");
    let printed = String::from_utf8(run.stderr).expect("text");
    assert_eq!(run.status.code(), Some(2), "{printed}");
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let what = format!("sudo setcap cap_net_raw=ep {}", copy.display());
    assert!(printed.contains(&what), "{printed}");
    Ok(())
}

/// `-w` while watching; the file has the packets that were shown, and the file
/// belongs to whom root became.
fn saving(network: &Network) -> Tried {
    let path = network.folder.join("saved.pcap");
    let name = path.to_str().expect("UTF-8");
    let mut live = Live::start(&["-w", name, "--print", "-q"]);
    publish(2);
    let mut shown = Vec::new();
    while shown
        .last()
        .is_none_or(|line: &String| !line.contains("DISCONNECT"))
    {
        shown.push(live.line("MQTTFrame").1);
    }
    let user = live.status("Uid:");
    let (printed, code) = live.end("INT");
    assert_eq!(code, Some(0), "{printed}");
    let owner = fs::metadata(&path).expect("a file").uid().to_string();
    assert!(user.starts_with(&owner), "{owner}: {user}");
    assert_eq!(read_back(name), shown);
    Ok(())
}

/// The frames that `-q` shows of a file, which has to be complete.
#[track_caller]
fn read_back(path: &str) -> Vec<String> {
    let decode = format!("{PORT}=mqtt");
    let read = Command::new(PROGRAM)
        .args(["-q", "-r", path, "--decode", &decode])
        .output()
        .expect("it starts");
    let printed = String::from_utf8(read.stderr).expect("text");
    assert_eq!(read.status.code(), Some(0), "{printed}");
    let read = String::from_utf8(read.stdout).expect("text");
    read.lines().map(str::to_owned).collect()
}

fn endings(network: &Network) -> Tried {
    for by in ["INT", "TERM"] {
        // -v prints more, but not that it reads a file: `start` looks.
        let mut live = Live::start(&["-v"]);
        publish(0);
        live.line("DISCONNECT");
        let (printed, code) = live.end(by);
        assert_eq!(code, Some(0), "{printed}");
        assert!(printed.contains("packets captured"), "{printed}");
    }
    // Packets captured before the signal are still shown.
    let mut live = Live::start(&["-q"]);
    publish(0);
    let (printed, code) = live.end("INT");
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(live.rest().len(), 4, "{printed}");

    // The reader is gone, while messages come, and while none do. What is
    // saved is complete all the same.
    for messages in [3, 0] {
        let path = network.folder.join(format!("closed-{messages}.pcap"));
        let name = path.to_str().expect("UTF-8");
        let mut live = Live::start(&["-q", "-w", name, "--print"]);
        publish(1);
        live.line("DISCONNECT");
        live.lines = channel().1;
        // The thread that reads holds the pipe until a line comes.
        publish(0);
        for _ in 0..messages {
            std::thread::sleep(Duration::from_millis(50));
            publish(0);
        }
        let since = Instant::now();
        let (printed, code) = live.wait();
        assert_eq!(code, Some(0), "{printed}");
        println!(
            "live capture: ended {:.0} ms after its reader",
            since.elapsed().as_secs_f64() * 1e3
        );
        assert!(read_back(name).len() >= 5);
    }
    Ok(())
}

fn quiet(_: &Network) -> Tried {
    let mut live = Live::start(&["tcp", "port", "9"]);
    std::thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    let (printed, code) = live.end("INT");
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(counted(&printed, "packets captured"), 0, "{printed}");
    println!(
        "live capture: ended {:.0} ms after Ctrl-C on a quiet link",
        asked.elapsed().as_secs_f64() * 1e3
    );

    // Its reader goes, and nothing is ever written.
    let mut command = Command::new(PROGRAM);
    command.args(["-i", "lo", "tcp", "port", "9"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let since = Instant::now();
    while child.try_wait().expect("it can be waited for").is_none() {
        assert!(since.elapsed() < PATIENCE, "it waits for no packet");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(child.wait().expect("it ended").code(), Some(0));
    Ok(())
}

fn limits(_: &Network) -> Tried {
    for (args, what, count) in [
        (&["-c", "4"][..], "packets captured", 4),
        (&["--frames", "2"], "messages shown", 2),
    ] {
        let mut live = Live::start(args);
        publish(1);
        let (printed, code) = live.wait();
        assert_eq!(code, Some(0), "{args:?}: {printed}");
        assert_eq!(counted(&printed, what), count, "{args:?}: {printed}");
    }
    Ok(())
}

fn any(_: &Network) -> Tried {
    let decode = format!("{PORT}=mqtt");
    for (more, shown) in [
        (&[][..], " lo In 127.0.0.1:"),
        (
            &["-e"],
            " lo In 00:00:00:00:00:00, ethertype IPv4 (0x0800), length ",
        ),
    ] {
        let args = [&["-i", "any", "--decode", &decode, "-nn"], more].concat();
        let mut live = Live::run(&args);
        publish(1);
        let (_, line) = live.line("PUBACK");
        assert!(line.contains(shown), "{line}");
        let (printed, code) = live.end("INT");
        assert_eq!(code, Some(0), "{printed}");
        assert_eq!(counted(&printed, "messages shown"), 5, "{printed}");
    }
    Ok(())
}

/// With every command that takes files, in any order.
fn commands(_: &Network) -> Tried {
    let decode = format!("{PORT}=mqtt");
    for (args, shown) in [
        (
            &["check", "-i", "lo", "--decode", &decode][..],
            "5 messages on 1 connection",
        ),
        (
            &["-i", "lo", "overhead", "--decode", &decode],
            "1 message, 1 connection",
        ),
    ] {
        let mut live = Live::run(args);
        publish(1);
        settle();
        let (printed, code) = live.end("INT");
        assert_eq!(code, Some(0), "{args:?}: {printed}");
        let lines = live.rest().join("\n");
        assert!(lines.contains(shown), "{args:?}: {lines}");
    }
    Ok(())
}

/// Of a user who is root no more, at the start and not at the end.
fn baseline(network: &Network) -> Tried {
    if !is_root() {
        return Err("only root gives up being root".to_owned());
    }
    // The folder is root's.
    let file = network.folder.join("baseline");
    let file = file.to_str().expect("UTF-8");
    let args = [
        "check",
        "-i",
        "lo",
        "-Z",
        "nobody",
        "--write-baseline",
        file,
    ];
    let mut child = Command::new(PROGRAM)
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut printed = String::new();
    let mut err = BufReader::new(child.stderr.take().expect("a pipe"));
    err.read_line(&mut printed).expect("a line");
    // It may be listening, if it is wrong.
    let _ = child.kill();
    let _ = child.wait();
    assert!(
        printed.contains("--write-baseline: cannot write "),
        "{printed}"
    );
    assert!(
        printed.contains("as nobody; -Z USER names another"),
        "{printed}"
    );
    Ok(())
}

/// CONNECT of client `c`, 3.1.1, 60 s.
const CONNECT: &[u8] = b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c";

/// The broker's answer does not matter: it was sent.
fn findings(_: &Network) -> Tried {
    let decode = format!("{PORT}=mqtt");
    let args = ["check", "-i", "lo", "--decode", &decode, "--every", "200ms"];
    let mut live = Live::run(&args);
    let mut client = TcpStream::connect(format!("127.0.0.1:{PORT}")).expect("it listens");
    client.write_all(CONNECT).expect("sent");
    client.read_exact(&mut [0; 4]).expect("CONNACK");
    // QoS 0, and a second copy all the same.
    client.write_all(b"\x38\x05\0\x01ton").expect("sent");
    let sent = Instant::now();
    let (when, _) = live.line("VIOLATION dup-with-qos-0 by client");
    println!(
        "live capture: a finding came {:.1} ms after its packet",
        when.saturating_duration_since(sent).as_secs_f64() * 1e3
    );
    // It goes on, and sums up, although nothing more comes.
    live.line(" lo: 1 violation");
    live.line("dup-with-qos-0 by client: 1 time on 1 connection");
    let (printed, code) = live.end("INT");
    assert_eq!(code, Some(1), "{printed}");
    Ok(())
}

/// A server that takes a message and never answers.
fn deadline(_: &Network) -> Tried {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("an address");
    let decode = format!("{}=mqtt", address.port());
    let args = ["check", "-i", "lo", "--decode", &decode];
    let mut live = Live::run(&[&args[..], &["--max-ack-ms", "300"]].concat());
    let mut client = TcpStream::connect(address).expect("it listens");
    let (mut accepted, _) = server.accept().expect("a client");
    client.write_all(CONNECT).expect("sent");
    accepted.write_all(b"\x20\x02\0\0").expect("sent");
    client.read_exact(&mut [0; 4]).expect("CONNACK");
    client.write_all(b"\x32\x07\0\x01t\0\x01on").expect("sent");
    let sent = Instant::now();
    let (when, _) = live.line("budget-ack-time");
    println!(
        "live capture: a deadline of 300 ms was reported {:.0} ms after the request",
        when.saturating_duration_since(sent).as_secs_f64() * 1e3
    );
    let (printed, code) = live.end("INT");
    assert_eq!(code, Some(1), "{printed}");
    Ok(())
}

fn figures(_: &Network) -> Tried {
    if !cfg!(feature = "metrics") {
        return Err("built without the feature metrics".to_owned());
    }
    let mut live = Live::start(&["--listen", "0"]);
    publish(1);
    live.line("DISCONNECT");
    // Passed on four times a second.
    std::thread::sleep(Duration::from_millis(500));
    let mut printed = String::new();
    while !printed.contains("http://") {
        printed.clear();
        assert!(live.printed.read_line(&mut printed).expect("a line") > 0);
    }
    let (_, address) = printed.trim().split_once("http://").expect("an address");
    let answer = scrape(address.trim_end_matches("/metrics"));
    for line in [
        "mqttdump_messages_total{type=\"PUBLISH\",direction=\"up\",qos=\"1\"} 1",
        "mqttdump_acknowledgement_seconds_count{direction=\"up\",qos=\"1\"} 1",
        "mqttdump_packets_dropped_total{by=\"kernel\"} 0",
    ] {
        assert!(
            answer.lines().any(|expected| expected == line),
            "{line}: {answer}"
        );
    }
    assert_eq!(live.end("TERM").1, Some(0));
    Ok(())
}

/// The program's response at an address.
fn scrape(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

/// Each second has its file, a whole one, and after two of them it ends.
fn rotation(network: &Network) -> Tried {
    let folder = network.folder.join("rotation");
    fs::create_dir(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("ours");
    let name = folder.join("%s.pcap");
    let name = name.to_str().expect("UTF-8");
    let mut live = Live::start(&["-w", name, "-G", "1", "-W", "2", "tcp", "port", "9"]);
    let (printed, code) = live.wait();
    assert_eq!(code, Some(0), "{printed}");
    let mut files = 0;
    for file in fs::read_dir(&folder).expect("a folder") {
        let path = file.expect("a file").path();
        let path = path.to_str().expect("UTF-8");
        assert_eq!(read_back(path), [""; 0], "{path}");
        files += 1;
    }
    assert_eq!(files, 2, "{printed}");
    Ok(())
}

/// File descriptors of a program of `-z`, and which sockets capture packets, as it
/// sees them.
fn no_socket(network: &Network) -> Tried {
    let folder = network.folder.join("no-socket");
    fs::create_dir(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("ours");
    let program = folder.join("program");
    let script =
        "#!/bin/sh\nls -l /proc/$$/fd > \"$1.fds\"\ncat /proc/net/packet > \"$1.sockets\"\n";
    fs::write(&program, script).expect("a file");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("ours");
    let name = folder.join("%s");
    let (name, program) = (name.to_str(), program.to_str());
    let (name, program) = (name.expect("UTF-8"), program.expect("UTF-8"));
    let mut live = Live::start(&["-w", name, "-G", "1", "-W", "2", "-z", program]);
    let (printed, code) = live.wait();
    assert_eq!(code, Some(0), "{printed}");
    let mut sockets = 0;
    for file in fs::read_dir(&folder).expect("a folder") {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "fds") {
            continue;
        }
        let descriptors = fs::read_to_string(&path).expect("a file");
        assert!(descriptors.contains("0 -> /dev/null"), "{descriptors}");
        let packet = fs::read_to_string(path.with_extension("sockets")).expect("a file");
        for line in packet.lines().skip(1) {
            let inode = line.split_whitespace().last().expect("columns");
            assert!(
                !descriptors.contains(&format!("socket:[{inode}]")),
                "{descriptors}"
            );
            sockets += 1;
        }
    }
    assert!(sockets > 0, "no capture while the programs ran");
    Ok(())
}

fn counts(_: &Network) -> Tried {
    let mut live = Live::start(&[]);
    publish(0);
    live.line("DISCONNECT");
    signal("USR1", &live.child);
    let mut line = String::new();
    while !line.contains(" packets captured, 0 packets dropped by kernel") {
        line.clear();
        assert!(live.printed.read_line(&mut line).expect("a line") > 0);
    }
    // It goes on.
    publish(1);
    live.line("PUBACK");
    assert_eq!(live.end("INT").1, Some(0));
    Ok(())
}

fn listing(_: &Network) -> Tried {
    let list = Command::new(PROGRAM).arg("-D").output().expect("it starts");
    let list = String::from_utf8(list.stdout).expect("text");
    let line = list
        .lines()
        .find(|line| line.contains(".lo "))
        .unwrap_or_else(|| panic!("no lo in {list}"));
    assert!(line.contains("[Up, Running, Loopback]"), "{line}");
    assert!(line.contains(" 127.0.0.1"), "{line}");
    let number = line.split('.').next().unwrap_or_default();
    let decode = format!("{PORT}=mqtt");
    let mut live = Live::run(&["-i", number, "--decode", &decode]);
    publish(0);
    live.line("PUBLISH");
    assert_eq!(live.end("INT").1, Some(0));
    Ok(())
}

const CONVERSATION: &str = "
    > CONNECT client=c
    < CONNACK
    > PUBLISH topic=t qos=1 id=1
    < PUBACK id=1
    ! wait 30s
    > DISCONNECT
";

/// The default filter sees packets behind VLAN tags, be they in the packet (where
/// it is sent) or beside it (the kernel takes the outer one out of what it
/// receives).
fn tags(network: &Network) -> Tried {
    network.needs_pair()?;
    for layers in [
        &[][..],
        &[Layer::Vlan(5)],
        &[Layer::Qinq(6)],
        &[Layer::Qinq(6), Layer::Vlan(5)],
    ] {
        let packets = merged(&wires(CONVERSATION), &Stack::layers(layers));
        for side in ["va", "vb"] {
            let mut live = Live::run(&["-i", side, "-e"]);
            send(&packets);
            settle();
            let (printed, code) = live.end("INT");
            assert_eq!(code, Some(0), "{printed}");
            let count = counted(&printed, "packets captured");
            assert_eq!(count, packets.len() as u64, "{side}, {layers:?}");
            let lines = live.rest();
            let shown: Vec<_> = lines.iter().filter(|l| l.contains("MQTTFrame")).collect();
            assert_eq!(shown.len(), 5, "{side}, {layers:?}: {lines:?}");
            for line in shown {
                let tags = line.matches("vlan ").count();
                assert_eq!(tags, layers.len(), "{side}, {layers:?}: {line}");
            }
        }
    }
    // On any, at least the side that has received them.
    let packets = merged(&wires(CONVERSATION), &Stack::layers(&[Layer::Vlan(5)]));
    let mut live = Live::run(&["-i", "any"]);
    send(&packets);
    let (_, line) = live.line("DISCONNECT");
    assert!(line.contains(" vb P "), "{line}");
    live.end("INT");
    Ok(())
}

fn directions(network: &Network) -> Tried {
    network.needs_pair()?;
    let packets = merged(&wires(CONVERSATION), &Stack::default());
    for (way, on_va, on_vb) in [("in", 0, 5), ("out", 5, 0), ("inout", 5, 5)] {
        for (side, count) in [("va", on_va), ("vb", on_vb)] {
            let mut live = Live::run(&["-i", side, "-Q", way, "-q"]);
            send(&packets);
            settle();
            let (printed, code) = live.end("INT");
            assert_eq!(code, Some(0), "{printed}");
            assert_eq!(live.rest().len(), count, "-Q {way} on {side}");
        }
    }
    Ok(())
}

/// A ring that is much too small, and a program that is kept from reading it.
fn drops(network: &Network) -> Tried {
    network.needs_pair()?;
    let ours = merged(&wires(CONVERSATION), &Stack::default());
    // Of another connection, over and over.
    let both = wires(&format!(
        "> CONNECT client=x\n! connection 2\n{CONVERSATION}"
    ));
    let other = merged(&both[1..], &Stack::default());
    let flood: Vec<OwnedPacket> = other.iter().cycle().take(10_000).cloned().collect();
    let sent = (2 * ours.len() + flood.len()) as u64;
    let mut live = Live::run(&["-i", "vb", "-B", "512", "--format", "ndjson"]);
    send(&ours);
    settle();
    signal("STOP", &live.child);
    send(&flood);
    signal("CONT", &live.child);
    settle();
    send(&ours);
    settle();
    let (_, line) = live.line("\"event\":\"dropped\"");
    assert!(
        line.contains("dropped before they could be captured"),
        "{line}"
    );
    let (printed, code) = live.end("INT");
    assert_eq!(code, Some(0), "{printed}");
    let dropped = counted(&printed, "dropped by kernel");
    let captured = counted(&printed, "packets captured");
    assert!(dropped > 1_000, "{printed}");
    assert_eq!(captured + dropped, sent, "{printed}");

    // An acknowledgement of nothing, unless it was of a dropped packet.
    let unusual = wires("> CONNECT client=c\n< CONNACK\n< PUBACK id=9\n> DISCONNECT");
    let unusual = merged(&unusual, &Stack::default());
    let (before, after) = unusual.split_at(6);
    for (dropping, code, verdict) in [
        (false, 1, "\"verdict\":\"violation\""),
        (true, 0, "\"reason\":\"dropped\""),
    ] {
        let mut live = Live::run(&["check", "-i", "vb", "-B", "512", "--format", "ndjson"]);
        send(before);
        if dropping {
            settle();
            signal("STOP", &live.child);
            send(&flood);
            signal("CONT", &live.child);
        }
        settle();
        send(after);
        settle();
        let (printed, ended) = live.end("INT");
        let lines = live.rest();
        let dropped = counted(&printed, "dropped by kernel");
        assert_eq!(dropped > 1_000, dropping, "{printed}");
        // The summary reports it too.
        let summary = lines.last().expect("a summary");
        let expected = format!("\"dropped\":{dropped}");
        assert_eq!(summary.contains(&expected), dropping, "{summary}");
        assert_eq!(ended, Some(code), "{lines:?}");
        let found = |line: &&String| line.contains("unknown-ack");
        let line = lines
            .iter()
            .find(found)
            .unwrap_or_else(|| panic!("{lines:?}"));
        assert!(line.contains(verdict), "{line}");
    }
    Ok(())
}

/// Everything that was captured is shown and saved.
fn vanishing(network: &Network) -> Tried {
    network.needs_pair()?;
    let path = network.folder.join("vanished.pcap");
    let name = path.to_str().expect("UTF-8");
    let mut live = Live::run(&["-i", "vb", "-q", "-w", name, "--print"]);
    send(&merged(&wires(CONVERSATION), &Stack::default()));
    ip(&["link", "del", "va"]);
    let (printed, code) = live.wait();
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("vb: capture ended: "), "{printed}");
    let shown = live.rest();
    assert_eq!(shown.len(), 5, "{printed}");
    assert_eq!(read_back(name), shown);
    Ok(())
}

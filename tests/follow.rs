//! A file that grows while it is read.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::support::files::Format;
use crate::support::program::{Folder, mqttdump, run};
use crate::support::stack::{OwnedPacket, Stack};
use crate::support::transcript::Conversation;
use crate::support::wire::Wire;

const PCAP: Format = Format::Pcap {
    nano: false,
    big: false,
};
const PATIENCE: Duration = Duration::from_secs(20);

fn talk() -> Vec<OwnedPacket> {
    Wire::new(&Conversation::new(
        "> CONNECT client=a\n< CONNACK\n> PUBLISH topic=t payload=x\n> PUBLISH topic=t payload=y\n\
         > DISCONNECT",
    ))
    .packets(&Stack::default())
}

/// The program, following a file that the test writes.
struct Follower {
    child: Child,
    lines: Receiver<String>,
    file: File,
    folder: Folder,
}

impl Follower {
    fn start(start: &[u8], args: &[&str]) -> Self {
        Self::start_in(Folder::new(), start, args)
    }

    fn start_in(folder: Folder, start: &[u8], args: &[&str]) -> Self {
        let path = folder.write("growing.pcap", start);
        let mut child = mqttdump()
            .args(args)
            .args(["-r", &path, "--follow"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let out = child.stdout.take().expect("a pipe");
        let (to, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = to.send(line);
            }
        });
        let file = OpenOptions::new().append(true).open(path);
        Self {
            child,
            lines,
            file: file.expect("a file"),
            folder,
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        self.file.write_all(bytes).expect("written");
    }

    /// Waits for a line with these words.
    #[track_caller]
    fn shows(&self, words: &str) {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect(words);
            if line.contains(words) {
                return;
            }
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("kill starts").success());
    }

    /// Exit code and standard error; kept: the folder.
    fn ends(mut self) -> (Option<i32>, String, Folder) {
        let mut printed = String::new();
        let mut err = self.child.stderr.take().expect("a pipe");
        err.read_to_string(&mut printed).expect("text");
        let code = self.child.wait().expect("it ends").code();
        (code, printed, self.folder)
    }
}

#[test]
fn lines_come_as_the_file_grows() {
    for signal in ["INT", "TERM"] {
        for format in [PCAP, Format::PCAPNG] {
            let bytes = format.write(&talk());
            let mut follower = Follower::start(&bytes[..24], &["-q"]);
            let third = bytes.len() / 3;
            // Torn anywhere: a part is waited for.
            for part in [24..third, third..bytes.len() - 7] {
                std::thread::sleep(Duration::from_millis(150));
                follower.append(&bytes[part]);
            }
            follower.shows("CONNECT");
            follower.shows("PUBLISH");
            follower.append(&bytes[bytes.len() - 7..]);
            follower.shows("DISCONNECT");
            follower.signal(signal);
            let (code, printed, _) = follower.ends();
            assert_eq!((code, printed.as_str()), (Some(0), ""), "{format:?}");
        }
    }
}

#[test]
fn a_part_at_the_end_is_no_damage() {
    let bytes = PCAP.write(&talk());
    let follower = Follower::start(&bytes[..bytes.len() - 3], &["-q"]);
    follower.shows("PUBLISH");
    follower.signal("INT");
    let (code, printed, _) = follower.ends();
    assert_eq!((code, printed.as_str()), (Some(0), ""));
}

#[test]
fn enough_is_enough() {
    let bytes = PCAP.write(&talk());
    for args in [["-c", "5"], ["--frames", "2"]] {
        let (code, printed, _) = Follower::start(&bytes, &args).ends();
        assert_eq!((code, printed.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn parts_before_the_last_are_read_first() {
    let packets = talk();
    let (first, second) = packets.split_at(packets.len() / 2);
    let folder = Folder::new();
    let before = folder.write("before.pcap", &PCAP.write(first));
    let follower = Follower::start_in(folder, &PCAP.write(second), &["-q", "-r", &before]);
    follower.shows("CONNECT");
    follower.shows("DISCONNECT");
    follower.signal("INT");
    assert_eq!(follower.ends().0, Some(0));
}

#[test]
fn saving_goes_on_by_time_without_packets() {
    let folder = Folder::new();
    let name = folder.name("out-%s");
    let args = ["-w", &name, "-G", "1", "-W", "3"];
    // No writer is active, yet three files are written, and that is all.
    let bytes = PCAP.write(&talk());
    let (code, printed, folder) = Follower::start_in(folder, &bytes, &args).ends();
    assert_eq!((code, printed.as_str()), (Some(0), ""));
    let mut names = folder.names();
    names.retain(|name| name.starts_with("out-"));
    assert_eq!(names.len(), 3, "{names:?}");
    for name in names {
        run(&["-r", &folder.name(&name)]).clean();
    }
}

#[test]
fn a_selection_is_saved_while_the_file_grows() {
    let folder = Folder::new();
    let name = folder.name("out");
    let bytes = PCAP.write(&talk());
    let args = ["-w", &name, "--client", "a", "--print", "-q"];
    let mut follower = Follower::start_in(folder, &bytes[..300], &args);
    follower.append(&bytes[300..]);
    follower.shows("DISCONNECT");
    follower.signal("INT");
    let (code, printed, _folder) = follower.ends();
    assert_eq!((code, printed.as_str()), (Some(0), ""));
    assert_eq!(std::fs::read(name).expect("saved"), bytes);
}

#[test]
fn check_and_overhead_follow_too() {
    let bytes = PCAP.write(&talk());
    for command in ["check", "overhead"] {
        let follower = Follower::start(&bytes, &[command]);
        // The existing bytes are read before the end.
        std::thread::sleep(Duration::from_millis(300));
        follower.signal("INT");
        let lines = follower.lines.iter().take(1).count();
        let (code, printed, _) = follower.ends();
        assert_eq!((code, lines), (Some(0), 1), "{command}: {printed}");
    }
}

#[test]
fn a_file_that_is_cut_or_taken_away_is_reported() {
    let bytes = PCAP.write(&talk());
    let follower = Follower::start(&bytes, &["-q"]);
    follower.shows("DISCONNECT");
    follower.file.set_len(24).expect("cut");
    let (code, printed, _) = follower.ends();
    assert_eq!(code, Some(2));
    assert!(printed.contains("was cut to 24 bytes"), "{printed}");

    let middle = bytes.len() / 2;
    let mut follower = Follower::start(&bytes[..middle], &["-q"]);
    follower.shows("CONNECT");
    let (old, new) = (
        follower.folder.path("growing.pcap"),
        follower.folder.path("old"),
    );
    std::fs::rename(old, new).expect("renamed");
    // Its writer has not noticed yet.
    follower.append(&bytes[middle..]);
    follower.shows("DISCONNECT");
    let (code, printed, _) = follower.ends();
    assert_eq!(code, Some(2));
    assert!(printed.contains("was renamed or removed"), "{printed}");
}

#[test]
fn inputs_that_cannot_be_followed() {
    let folder = Folder::new();
    let plain = PCAP.write(&talk());
    let file = folder.write("f.pcap", &plain);
    let pipe = folder.name("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo starts").success());
    let packed = folder.write("f.gz", &crate::support::files::gz(&plain));
    for (args, why) in [
        (&["--follow"][..], "-r FILE"),
        (&["--follow", "-r", "-"], "needs no --follow"),
        (&["--follow", "-r", "no/such/file"], "cannot open"),
        // No program will ever write to it.
        (&["--follow", "-r", &pipe], "is no regular file"),
        (&["--follow", "-r", &packed], "is compressed with gzip"),
        (
            &["--follow", "-i", "lo", "-r", &file],
            "cannot be used with",
        ),
        (&["check", "--follow", &file, &file], "give one FILE"),
    ] {
        let refused = run(args);
        assert_eq!(
            (refused.code, refused.out.as_str()),
            (Some(2), ""),
            "{args:?}"
        );
        assert!(refused.err.contains(why), "{args:?}: {}", refused.err);
    }
}

/// `sessions` writes a line as each connection closes, and not before.
#[test]
fn sessions_are_reported_as_they_close() {
    let talk = |client: &str, port: u16, after: u64| {
        let text = format!("> CONNECT client={client}\n< CONNACK\n> DISCONNECT");
        Wire::new(&Conversation::new(&text))
            .between(&format!("10.0.0.7:{port}"), "10.0.1.1:1883")
            .after(Duration::from_secs(after))
            .packets(&Stack::default())
    };
    let packets = [talk("first", 40_001, 0), talk("second", 40_002, 60)];
    let bytes = PCAP.write(&packets.concat());
    let until = PCAP.write(&packets[0]).len();
    let mut follower = Follower::start(&bytes[..until], &["sessions"]);
    // Packets of the second show that time has passed for the first.
    follower.append(&bytes[until..until + 200]);
    follower.shows("1 first: client sent DISCONNECT");
    follower.append(&bytes[until + 200..]);
    follower.signal("INT");
    follower.shows("2 second: client sent DISCONNECT");
    let (code, printed, _) = follower.ends();
    assert_eq!((code, printed.as_str()), (Some(0), ""));
}

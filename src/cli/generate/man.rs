//! The manual page, one for all commands.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::super::command::{Commands, Entry};

/// The page, in roff.
pub(super) fn page(commands: &Commands) -> io::Result<Vec<u8>> {
    let mut root = commands.read.define();
    root.build();
    let man = Man::new(root.clone()).manual("User Commands");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    synopsis(commands).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    heading("SH", "OPTIONS").to_writer(&mut page)?;
    options(&root, &mut page)?;
    for entry in commands.others {
        command(entry, &root, &mut page)?;
    }
    examples(commands).to_writer(&mut page)?;
    sections().to_writer(&mut page)?;
    Ok(ascii(&String::from_utf8_lossy(&page)).into())
}

/// Escapes non-ASCII characters: groff reads bytes as Latin 1 by default.
fn ascii(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    for char in page.chars() {
        match char.is_ascii() {
            true => text.push(char),
            false => text += &format!("\\[u{:04X}]", u32::from(char)),
        }
    }
    text
}

fn heading(macro_name: &str, text: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control(macro_name, [text]);
    roff
}

fn synopsis(commands: &Commands) -> Roff {
    let mut roff = heading("SH", "SYNOPSIS");
    let entries = std::iter::once(&commands.read).chain(commands.others);
    let lines = entries.flat_map(|entry| entry.usage.lines());
    for (number, line) in lines.enumerate() {
        if number > 0 {
            roff.control("br", []);
        }
        roff.text([roman(line)]);
    }
    roff
}

/// Options by heading, as subsections.
fn options(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let mut rendered = Vec::new();
    Man::new(command.clone()).render_options_section(&mut rendered)?;
    let rendered = String::from_utf8_lossy(&rendered);
    for line in rendered.lines() {
        match line.strip_prefix(".SH ") {
            Some(heading) => page.extend(format!(".SS {heading}\n").bytes()),
            None => page.extend(format!("{line}\n").bytes()),
        }
    }
    Ok(())
}

/// A command, with the options that reading does not have.
fn command(entry: &Entry, root: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let mut command = entry.define();
    command.build();
    let name = format!("MQTTDUMP {}", entry.name.to_uppercase());
    let mut roff = heading("SH", &name);
    let about = command.get_long_about().or(command.get_about());
    roff.text([roman(about.map(ToString::to_string).unwrap_or_default())]);
    let is_shared = |arg: &clap::Arg| {
        let same = |other: &clap::Arg| {
            other.get_id() == arg.get_id()
                && other.get_help().map(ToString::to_string)
                    == arg.get_help().map(ToString::to_string)
        };
        !arg.is_positional() && root.get_arguments().any(same)
    };
    let mut shared: Vec<&str> = Vec::new();
    for arg in command.get_arguments().filter(|arg| is_shared(arg)) {
        if let Some(heading) = arg.get_help_heading()
            && !shared.contains(&heading)
        {
            shared.push(heading);
        }
    }
    if !shared.is_empty() {
        roff.control("PP", []);
        roff.text([roman(format!(
            "Options described above that apply as well: those of {}, as far as {} has them \
             (see mqttdump {} --help).",
            shared.join(", "),
            entry.name,
            entry.name
        ))]);
    }
    roff.to_writer(page)?;
    let own: Vec<_> = command
        .get_arguments()
        .filter(|arg| !is_shared(arg) && arg.get_id() != "help")
        .cloned()
        .collect();
    let only = Command::new(entry.name)
        .disable_help_flag(true)
        .args(own.into_iter().map(unlink));
    options(&only, page)
}

/// Removes relations to options that are not on the page.
fn unlink(arg: clap::Arg) -> clap::Arg {
    use clap::builder::Resettable::Reset;
    arg.conflicts_with(Reset).requires(Reset)
}

fn examples(commands: &Commands) -> Roff {
    let mut roff = heading("SH", "EXAMPLES");
    for entry in std::iter::once(&commands.read).chain(commands.others) {
        for (line, remark) in entry.examples {
            roff.control("TP", []);
            roff.text([bold(*line)]);
            roff.text([roman(format!("{}.", capital(remark)))]);
        }
    }
    roff
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

fn sections() -> Roff {
    let mut roff = heading("SH", "EXIT STATUS");
    for (code, text) in [
        ("0", "Done. A closed pipe is success."),
        (
            "1",
            "check has findings at or above --fail-on, or a budget was exceeded.",
        ),
        (
            "2",
            "Something requested could not be done or read: wrong usage, unreadable or \
             damaged input, no permission. Readable input is reported all the same.",
        ),
    ] {
        item(&mut roff, code, text);
    }
    roff.control("SH", ["FILES"]);
    item(
        &mut roff,
        ".mqttdump.toml",
        "Settings of a repository for check and overhead, in the current folder or the nearest one \
         above it up to the repository's root. A section is a command, a key one of its options: \
         [check] with fail-on = \"warning\". Typed options replace settings; lists are appended.",
    );
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, text) in [
        (
            "SSLKEYLOGFILE",
            "Key log to decrypt TLS with, without --tls-keylog.",
        ),
        ("NO_COLOR", "If set and not empty, output is not coloured."),
        ("TZ", "Time zone of printed times, without --utc."),
    ] {
        item(&mut roff, name, text);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold("tcpdump"),
        roman("(1), "),
        bold("tshark"),
        roman("(1), "),
        bold("pcap-filter"),
        roman("(7), "),
        italic("MQTT Version 5.0"),
        roman(" and "),
        italic("MQTT Version 3.1.1"),
        roman(" (OASIS)"),
    ]);
    roff
}

fn item(roff: &mut Roff, name: &str, text: &str) {
    roff.control("TP", []);
    roff.text([bold(name)]);
    roff.text([roman(text)]);
}

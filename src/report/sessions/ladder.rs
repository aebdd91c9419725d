//! A ladder in characters: a column for each client and one for the server.
//!
//! ```text
//!                  sender                 server                 wild
//!        4         │──── CONNECT 21 B ────▶│                       │
//! +0.1   6         │◀─── CONNACK 4 B ──────│                       │
//! +2.3   8         │─ PUBLISH q1 id 1 [a] ▶│                       │
//! ```
//! `[a]` marks the packets of one exchange of QoS 1 or 2.

use std::collections::HashMap;

use anstyle::{AnsiColor, Style};

use super::visible;
use crate::frame::Direction;
use crate::mqtt::PacketType;
use crate::sessions::{Ladder, Participant, Rung, Shown};

/// How a ladder is drawn.
#[derive(Clone, Copy, Debug)]
pub struct LadderStyle {
    /// Columns.
    pub width: usize,
    /// Box-drawing characters instead of ASCII.
    pub unicode: bool,
    /// Terminal colours by packet type.
    pub colour: bool,
    /// Rungs; all, if `None`.
    pub limit: Option<usize>,
}

/// Columns for the time since the rung before, and the packet.
const MARGIN: usize = 18;
/// Columns that a client needs at least.
const NARROW: usize = 14;

struct Marks {
    line: char,
    dash: char,
    right: char,
    left: char,
    gap: char,
    tcp: char,
    micro: &'static str,
}

const UNICODE: Marks = Marks {
    line: '│',
    dash: '─',
    right: '▶',
    left: '◀',
    gap: '╌',
    tcp: '·',
    micro: "µs",
};
const ASCII: Marks = Marks {
    line: '|',
    dash: '-',
    right: '>',
    left: '<',
    gap: '~',
    tcp: '.',
    micro: "us",
};

/// Draws a ladder.
pub fn put_ladder(ladder: &Ladder, style: LadderStyle, out: &mut Vec<u8>) {
    let marks = match style.unicode {
        true => &UNICODE,
        false => &ASCII,
    };
    let room = style.width.max(60) - MARGIN;
    let most = (room / NARROW).max(2) - 1;
    // With more clients than columns, those with the most rungs are drawn.
    let mut counts = vec![0_usize; ladder.participants().len()];
    for rung in ladder.rungs() {
        counts[rung.participant] += 1;
    }
    let mut drawn: Vec<usize> = (0..counts.len()).collect();
    drawn.sort_by_key(|participant| std::cmp::Reverse(counts[*participant]));
    drawn.truncate(most);
    drawn.sort_unstable();
    let (left, right): (Vec<usize>, Vec<usize>) = drawn
        .iter()
        .partition(|participant| ladder.participants()[**participant].publishes);
    // A ladder has the client on the left if there is one alone.
    let (left, right) = match left.is_empty() {
        true => (right, left),
        false => (left, right),
    };
    let columns = left.len() + right.len() + 1;
    let step = match columns {
        1 => room,
        n => (room - 1) / (n - 1),
    };
    let mut at: HashMap<usize, usize> = HashMap::new();
    for (column, participant) in left.iter().enumerate() {
        at.insert(*participant, column * step);
    }
    let server = left.len() * step;
    for (column, participant) in right.iter().enumerate() {
        at.insert(*participant, (left.len() + 1 + column) * step);
    }
    heading(ladder, &at, server, (step, room), out);
    let mut exchanges: HashMap<u64, String> = HashMap::new();
    let mut before = None;
    let mut left_out = 0_u64;
    for (drawn, rung) in ladder.rungs().iter().enumerate() {
        let Some(&client) = at.get(&rung.participant) else {
            left_out += 1;
            continue;
        };
        if style.limit.is_some_and(|limit| drawn >= limit) {
            left_out += 1;
            continue;
        }
        let mut line = vec![' '; room];
        for column in at.values().copied().chain([server]) {
            line[column] = marks.line;
        }
        let label = label(rung, &mut exchanges);
        draw(rung, client, server, &label, marks, &mut line);
        let since = before.map_or(String::new(), |before| {
            elapsed(rung.time.since(before), marks)
        });
        before = Some(rung.time);
        let ink = match style.colour {
            true => colour(rung),
            false => Style::new(),
        };
        let text: String = line.into_iter().collect();
        let number = rung.packet.number;
        let drawn = format!("{since:>10} {number:>6} {ink}{}{ink:#}\n", text.trim_end());
        out.extend_from_slice(drawn.as_bytes());
    }
    let more = left_out + ladder.more();
    if more > 0 {
        out.extend_from_slice(format!("{more} more are not drawn\n").as_bytes());
    }
}

fn name(participant: &Participant) -> String {
    match &participant.client_id {
        Some(id) => visible(id),
        None => participant.client.to_string(),
    }
}

fn heading(
    ladder: &Ladder,
    at: &HashMap<usize, usize>,
    server: usize,
    (step, room): (usize, usize),
    out: &mut Vec<u8>,
) {
    let mut names: Vec<(usize, String)> = at
        .iter()
        .map(|(participant, column)| (*column, name(&ladder.participants()[*participant])))
        .collect();
    names.push((server, "server".to_owned()));
    names.sort();
    let mut line = " ".repeat(MARGIN);
    let mut column = 0;
    for (at, name) in names {
        let name: String = name.chars().take(step.saturating_sub(1)).collect();
        // The last name ends where the ladder does.
        let len = name.chars().count();
        let at = at.min(room.saturating_sub(len));
        while column < at {
            line.push(' ');
            column += 1;
        }
        line += &name;
        column += len;
    }
    line.push('\n');
    out.extend_from_slice(line.as_bytes());
}

/// `PUBLISH plant/1 q1 id 7 54 B [a]`, the most important first.
fn label(rung: &Rung, exchanges: &mut HashMap<u64, String>) -> Vec<String> {
    match &rung.what {
        Shown::Packet {
            header,
            id,
            topic,
            code,
            exchange,
            missing,
            ..
        } => {
            let kind = header.packet_type();
            let mut parts = vec![kind.name().to_owned()];
            if let Some(exchange) = exchange {
                let next = exchanges.len();
                let tag = exchanges.entry(*exchange).or_insert_with(|| letters(next));
                parts.push(format!("[{tag}]"));
            }
            if *missing > 0 {
                parts.push(format!("{missing} B missing"));
            }
            if let Some(code) = code.filter(|code| *code != 0) {
                parts.push(format!("0x{code:02X}"));
            }
            if kind == PacketType::Publish {
                parts.push(format!("q{}", header.qos()));
                if header.dup() {
                    parts.push("dup".to_owned());
                }
                if header.retain() {
                    parts.push("retain".to_owned());
                }
            }
            parts.extend(id.map(|id| format!("id {id}")));
            parts.push(format!("{} B", header.packet_len()));
            parts.extend(topic.as_deref().map(visible));
            parts
        }
        Shown::Gap { bytes, .. } => match bytes {
            Some(bytes) => vec![format!("gap of {bytes} B")],
            None => vec!["gap".to_owned()],
        },
        Shown::Tcp { what, .. } => vec![what.clone()],
        Shown::Opened => vec!["opened".to_owned()],
        Shown::Closed { by } => match by {
            Some(side) => vec![format!("closed by {}", side.name())],
            None => vec!["ended".to_owned()],
        },
    }
}

/// `a` … `z`, `aa` …
pub(super) fn letters(mut number: usize) -> String {
    let mut out = Vec::new();
    loop {
        out.insert(0, b'a' + (number % 26) as u8);
        if number < 26 {
            return out.into_iter().map(char::from).collect();
        }
        number = number / 26 - 1;
    }
}

/// Draws an arrow between the columns of a client and the server, with as much of the
/// label as fits.
fn draw(
    rung: &Rung,
    client: usize,
    server: usize,
    label: &[String],
    marks: &Marks,
    line: &mut [char],
) {
    let (low, high) = (client.min(server), client.max(server));
    let to_server = match rung.what {
        Shown::Packet { direction, .. }
        | Shown::Gap { direction, .. }
        | Shown::Tcp { direction, .. } => Some(direction == Direction::Up),
        Shown::Opened | Shown::Closed { .. } => None,
    };
    let dash = match rung.what {
        Shown::Packet { .. } => marks.dash,
        Shown::Gap { .. } => marks.gap,
        Shown::Tcp { .. } => marks.tcp,
        _ => ' ',
    };
    for cell in &mut line[low + 1..high] {
        *cell = dash;
    }
    if let Some(to_server) = to_server {
        let points_right = to_server == (server > client);
        match points_right {
            true => line[high - 1] = marks.right,
            false => line[low + 1] = marks.left,
        }
    }
    let room = (high - low).saturating_sub(6);
    let mut text = String::new();
    for part in label {
        let more = text.chars().count() + part.chars().count() + 1;
        if more <= room {
            if !text.is_empty() {
                text.push(' ');
            }
            text += part;
        } else if text.is_empty() {
            text = part.chars().take(room).collect();
        }
    }
    let len = text.chars().count();
    let begin = low + 1 + (high - low - 1 - len) / 2;
    if len > 0 {
        line[begin - 1] = ' ';
        for (cell, c) in line[begin..].iter_mut().zip(text.chars()) {
            *cell = c;
        }
        line[begin + len] = ' ';
    }
}

fn elapsed(time: std::time::Duration, marks: &Marks) -> String {
    match time.as_micros() {
        us @ 0..1_000 => format!("+{us} {}", marks.micro),
        us @ 1_000..1_000_000 => format!("+{:.1} ms", us as f64 / 1e3),
        us => format!("+{:.3} s", us as f64 / 1e6),
    }
}

fn colour(rung: &Rung) -> Style {
    // Yellow is not legible on white, and grey not on all backgrounds.
    match &rung.what {
        Shown::Packet { header, .. } => match header.packet_type() {
            PacketType::Publish => AnsiColor::Green.on_default(),
            PacketType::Connect | PacketType::Connack | PacketType::Auth => {
                AnsiColor::Magenta.on_default()
            }
            PacketType::Disconnect => AnsiColor::Red.on_default(),
            PacketType::Pingreq | PacketType::Pingresp => Style::new().dimmed(),
            _ => AnsiColor::Cyan.on_default(),
        },
        Shown::Gap { .. } => AnsiColor::Red.on_default(),
        Shown::Tcp { .. } | Shown::Opened | Shown::Closed { .. } => Style::new().dimmed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_count_on() {
        let all: Vec<String> = [0, 25, 26, 27, 701, 702].map(letters).into();
        assert_eq!(all, ["a", "z", "aa", "ab", "zz", "aaa"]);
    }
}

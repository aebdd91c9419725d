//! The account as text: a summary, and with `-v` its details (the bill, bytes by layer
//! and cause, cost of messages, the frames of a typical one, what-ifs).
//!
//! Everything printed here is in the JSON report too.

mod answer;
mod bill;
mod bytes;
mod layout;
mod messages;
mod savings;
mod units;

use std::fmt::Write as _;

use anstyle::Style;
use jiff::tz::TimeZone;

use super::super::{Format, Report, escape};
use super::{Counted, Overhead, OverheadItem, OverheadNeeds, Passed};
use crate::overhead::{Figures, Layer};
use crate::report::wrap::shortened;
use units::{number, period, plural};

/// `overhead --format text`
pub(super) static TEXT: Format<Overhead> = Format {
    name: "text",
    help: "for reading: the answer, and with -v all views",
    needs: OverheadNeeds { messages: false },
    new: |options| {
        Box::new(Text {
            colour: options.colour,
            width: options.width.unwrap_or(80).clamp(60, 200),
            terminal: options.width.is_some(),
            verbose: options.verbose,
            zone: options.zone.clone(),
            first: true,
        })
    },
};

struct Text {
    colour: bool,
    width: usize,
    /// It is that of a terminal: lines for scripts are not wrapped.
    terminal: bool,
    verbose: bool,
    zone: TimeZone,
    first: bool,
}

impl Report<Overhead> for Text {
    fn put(&mut self, item: &OverheadItem<'_>, out: &mut Vec<u8>) {
        match item {
            OverheadItem::Interval(passed) => self.interval(passed, out),
            OverheadItem::Capture(counted) => self.capture(counted, out),
        }
    }
}

impl Text {
    /// `10:15:10 12,345 bytes in 89 packets in 10 s, 41 messages, 3 connections open`
    /// `         link 9.1 %, IP 13.0 %, TCP 20.9 %, MQTT 12.0 %, payload 45.0 %`
    fn interval(&mut self, passed: &Passed<'_>, out: &mut Vec<u8>) {
        self.first = false;
        let totals = passed.totals;
        let bytes = totals.bytes();
        let time = jiff::Timestamp::from_nanosecond(passed.to.nanos().into()).unwrap_or_default();
        let time = time.to_zoned(self.zone.clone()).strftime("%H:%M:%S");
        let seconds = passed.seconds();
        let mut text = format!(
            "{time} {} in {} in {}",
            plural(bytes, "byte"),
            plural(totals.all.packets, "packet"),
            period(seconds)
        );
        if seconds > 0.0 {
            let _ = write!(text, " ({} B/s)", number((bytes as f64 / seconds) as u64));
        }
        let _ = writeln!(
            text,
            ", {} messages, {} connections open",
            number(passed.control_packets),
            number(totals.open)
        );
        let parts: Vec<String> = [
            ("link", is_link as fn(Layer) -> bool),
            ("IP", |layer| {
                matches!(layer, Layer::IpHeader | Layer::IpOptions)
            }),
            ("TCP", |layer| {
                matches!(layer, Layer::TcpHeader | Layer::TcpOptions)
            }),
            ("MQTT", |layer| layer.is_mqtt() && layer != Layer::App),
            ("payload", |layer| layer == Layer::App),
        ]
        .into_iter()
        .map(|(name, is)| {
            let layers = Layer::ALL.into_iter().filter(|layer| is(*layer));
            (name, layers.map(|layer| totals.layers.get(layer)).sum())
        })
        .chain([("not MQTT", totals.level.of(&totals.foreign))])
        .filter(|(_, part): &(_, u64)| *part > 0 && bytes > 0)
        .map(|(name, part)| format!("{name} {:.1} %", 100.0 * part as f64 / bytes as f64))
        .collect();
        if !parts.is_empty() {
            let _ = writeln!(text, "         {}", parts.join(", "));
        }
        out.extend_from_slice(text.replace(layout::JOIN, " ").as_bytes());
    }

    fn capture(&mut self, counted: &Counted<'_>, out: &mut Vec<u8>) {
        let mut text = String::new();
        if !std::mem::take(&mut self.first) {
            text += "\n";
        }
        let figures = counted.figures;
        let account = figures.account;
        let title = format!(
            "{}: {} in {}, {}",
            escape::visible(counted.name),
            plural(account.bytes(), "byte"),
            plural(account.all.packets, "packet"),
            period(account.seconds())
        );
        for line in self.filled(&title).lines() {
            let _ = writeln!(text, "{}", self.paint(Style::new().bold(), line));
        }
        if account.connection_count == 0 {
            let selected = if counted.selecting { " selected" } else { "" };
            let _ = writeln!(text, "  no MQTT connection{selected}");
        } else {
            self.answer(figures, &mut text);
            self.views(figures, &mut text);
        }
        for warning in figures.warnings() {
            self.fill("! ", &warning, &mut text);
        }
        // Writing to a String cannot fail, nor to memory.
        out.extend_from_slice(text.replace(layout::JOIN, " ").as_bytes());
    }

    /// Details: all with `-v`, else those requested by options.
    fn views(&self, figures: &Figures<'_>, text: &mut String) {
        let asked = figures.request.asked;
        if self.verbose || asked.project {
            self.bill(figures, text);
        } else if asked.link {
            self.links(figures, text);
        }
        if self.verbose {
            self.totals(figures, text);
            self.where_bytes_go(figures, text);
            self.connections(figures.account, text);
            self.messages(figures, text);
            self.ladder(figures.account, text);
        } else {
            self.extras(figures, text);
        }
        if self.verbose || asked.what_if {
            self.savings(figures, text);
        }
        if !self.verbose {
            self.more(figures, text);
        }
    }

    fn paint(&self, style: Style, text: &str) -> String {
        match self.colour {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    /// A line by itself: on a terminal, as many as it takes.
    fn filled(&self, line: &str) -> String {
        let mut text = String::new();
        match self.terminal {
            true => layout::fill("", line, self.width, &mut text),
            false => text += line,
        }
        text
    }

    fn heading(&self, title: &str, text: &mut String) {
        text.push('\n');
        for line in self.filled(title).lines() {
            let _ = writeln!(text, "{}", self.paint(Style::new().bold(), line));
        }
    }

    /// A name; on a terminal, its end in so many columns.
    fn name(&self, name: &[u8], columns: usize) -> String {
        let name = units::shown(name);
        match self.terminal {
            true => shortened(&name, columns, 0),
            false => name,
        }
    }

    fn fill(&self, mark: &str, words: &str, text: &mut String) {
        layout::fill(mark, words, self.width, text);
    }
}

fn is_link(layer: Layer) -> bool {
    !layer.is_ip()
}

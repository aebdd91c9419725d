//! The account for a reader, in five views: the bill, where the bytes go, what
//! messages cost, the ladder of a typical one, what would save.
//!
//! Everything printed here is in the JSON report too.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use jiff::tz::TimeZone;

use super::super::{Format, Report, escape};
use super::{Counted, Overhead, OverheadItem, OverheadNeeds, Passed};
use crate::frame::{Direction, PerDirection};
use crate::overhead::{
    Account, Billed, Cause, Counts, Figures, Group, GroupKey, Layer, Level, MONTH, Mechanism,
    Profile, Purpose, Saving, TAILS_MILLIS, Term, apportion, latency_text, period,
};

/// `overhead --format text`
pub(super) static TEXT: Format<Overhead> = Format {
    name: "text",
    help: "five views for reading: bill, layers, messages, a ladder, savings",
    needs: OverheadNeeds { messages: false },
    new: |options| {
        Box::new(Text {
            colour: options.colour,
            width: options.width.unwrap_or(80).clamp(60, 200),
            verbose: options.verbose,
            zone: options.zone.clone(),
            first: true,
        })
    },
};

struct Text {
    colour: bool,
    width: usize,
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
    /// `10:15:10 12,345 bytes in 89 frames in 10 s, 41 control packets, 3 connections open`
    /// `         link 9.1 %, IP 13.0 %, TCP 20.9 %, MQTT 12.0 %, payload 45.0 %`
    fn interval(&mut self, passed: &Passed<'_>, out: &mut Vec<u8>) {
        self.first = false;
        let totals = passed.totals;
        let bytes = totals.bytes();
        let time = jiff::Timestamp::from_nanosecond(passed.to.nanos().into()).unwrap_or_default();
        let time = time.to_zoned(self.zone.clone()).strftime("%H:%M:%S");
        let seconds = passed.seconds();
        let mut text = format!(
            "{time} {} bytes in {} frames in {}",
            number(bytes),
            number(totals.all.packets),
            period(seconds)
        );
        if seconds > 0.0 {
            let _ = write!(text, " ({} B/s)", number((bytes as f64 / seconds) as u64));
        }
        let _ = writeln!(
            text,
            ", {} control packets, {} connections open",
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
        out.extend_from_slice(text.as_bytes());
    }

    fn capture(&mut self, counted: &Counted<'_>, out: &mut Vec<u8>) {
        let mut text = String::new();
        if !std::mem::take(&mut self.first) {
            text += "\n";
        }
        let figures = counted.figures;
        self.summary(counted, &mut text);
        if figures.account.connection_count > 0 {
            self.bill(figures, &mut text);
            self.where_bytes_go(figures, &mut text);
            self.messages(figures, &mut text);
            self.ladder(figures.account, &mut text);
            self.savings(figures, &mut text);
        }
        for warning in figures.warnings() {
            self.fill("! ", &warning, &mut text);
        }
        // Writing to a String cannot fail, nor to memory.
        out.extend_from_slice(text.as_bytes());
    }
}

fn is_link(layer: Layer) -> bool {
    !layer.is_ip()
}

impl Text {
    fn paint(&self, style: Style, text: &str) -> String {
        match self.colour {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    fn heading(&self, title: &str, text: &mut String) {
        let _ = writeln!(text, "\n{}", self.paint(Style::new().bold(), title));
    }

    /// Words in lines of at most the width, after a mark.
    fn fill(&self, mark: &str, words: &str, text: &mut String) {
        let mut line = mark.to_owned();
        let indent = " ".repeat(mark.len());
        for word in words.split_whitespace() {
            if line.len() > indent.len()
                && line.chars().count() + word.chars().count() >= self.width
            {
                let _ = writeln!(text, "{}", line.trim_end());
                line.clone_from(&indent);
            }
            line += word;
            line.push(' ');
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }

    fn table(&self, head: &[&str], left: usize) -> Table {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.width as u16)
            .set_header(head.iter().map(|name| (*name).to_owned()));
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_padding((if i == 0 { 2 } else { 0 }, 1));
            if i >= left {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    fn put(&self, table: &Table, text: &mut String) {
        for line in table.lines() {
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }

    fn summary(&self, counted: &Counted<'_>, text: &mut String) {
        let figures = counted.figures;
        let account = figures.account;
        let level = account.level;
        let title = format!(
            "{}: {} bytes in {} frames, {}",
            escape::visible(counted.name),
            number(account.bytes()),
            number(account.all.packets),
            period(account.seconds())
        );
        let _ = writeln!(text, "{}", self.paint(Style::new().bold(), &title));
        let _ = writeln!(text, "  counted: {} ({})", level, about_level(level));
        if account.foreign.packets > 0 {
            let _ = writeln!(
                text,
                "  not MQTT, or not asked for: {} bytes in {} frames",
                number(level.of(&account.foreign)),
                number(account.foreign.packets)
            );
        }
        if account.copies.packets > 0 {
            let _ = writeln!(
                text,
                "  of these second copies of packets: {} bytes in {} frames",
                number(level.of(&account.copies)),
                number(account.copies.packets)
            );
        }
        if account.connection_count == 0 {
            let _ = writeln!(text, "  no MQTT connection");
            return;
        }
        let _ = writeln!(
            text,
            "  MQTT: {} bytes on {} with {}",
            number(account.mqtt_bytes()),
            plural(account.connection_count, "connection"),
            plural(account.message_count(), "message")
        );
        let PerDirection { up, down } = &figures.by_direction;
        let mut table = self.table(&["", "both", "up", "down", ""], 1);
        let mut row =
            |name: &str, of: &dyn Fn(&crate::overhead::Ratios) -> String, formula: &str| {
                table.add_row([
                    name.to_owned(),
                    of(&figures.both),
                    of(up),
                    of(down),
                    formula.to_owned(),
                ]);
            };
        row("total bytes", &|r| number(r.total), "");
        row("app: PUBLISH payload", &|r| number(r.app), "first copies");
        row(
            "payload efficiency",
            &|r| percent(r.efficiency),
            "app / total",
        );
        row(
            "overhead ratio",
            &|r| ratio(r.overhead),
            "(total - app) / app",
        );
        row("expansion", &|r| ratio(r.expansion), "total / app");
        row("goodput B/s", &|r| rate(r.goodput), "app / time");
        row("throughput B/s", &|r| rate(r.throughput), "total / time");
        if let Some(column) = table.column_mut(4) {
            column.set_cell_alignment(CellAlignment::Left);
        }
        self.put(&table, text);
        if let Some(loss) = figures.loss.filter(|&loss| loss > 0.0) {
            let _ = writeln!(
                text,
                "  loss overhead: {} = (retx + dupack) / total",
                percent(Some(loss))
            );
        }
        let claimed = figures.claimed;
        let total = figures.both.total;
        if account.message_count() > 0 && total >= claimed {
            self.fill(
                "  ",
                &format!(
                    "\"2 bytes, a topic and the payload\" are {} of these bytes ({}); the other {} are what follows",
                    number(claimed),
                    percent(Some(claimed as f64 / total.max(1) as f64)),
                    number(total - claimed)
                ),
                text,
            );
        }
        for (name, bytes) in &figures.extras {
            let _ = writeln!(
                text,
                "  {name}: {} bytes more on the medium, in no total (check sequence, gaps, padding)",
                number(*bytes)
            );
        }
    }

    fn where_bytes_go(&self, figures: &Figures<'_>, text: &mut String) {
        let account = figures.account;
        self.heading("Where the bytes go", text);
        let is_link = |layer| !Layer::is_ip(layer);
        let is_tcp_ip = |layer: Layer| layer.is_ip() && !layer.is_payload();
        let is_mqtt = |layer: Layer| layer.is_mqtt() && layer != Layer::App;
        let layers = [
            ("app", figures.layers(|layer| layer == Layer::App)),
            ("mqtt", figures.layers(is_mqtt)),
            ("tcp+ip", figures.layers(is_tcp_ip)),
            ("link", figures.layers(is_link)),
            ("unparsed", figures.layers(|layer| layer == Layer::Unparsed)),
            ("per packet", account.mqtt_bytes() - account.layers.total()),
        ];
        self.bar(&layers, text);
        let causes = &account.causes;
        let packets =
            |purpose| causes.purpose(purpose) - causes.get(Cause(purpose, Mechanism::Ack));
        let messages = packets(Purpose::Msg) + packets(Purpose::MsgDup);
        let bare = causes.mechanism(Mechanism::Ack)
            - causes.get(Cause(Purpose::Keepalive, Mechanism::Ack))
            - causes.get(Cause(Purpose::Setup, Mechanism::Ack))
            - causes.get(Cause(Purpose::Sub, Mechanism::Ack))
            - causes.get(Cause(Purpose::Teardown, Mechanism::Ack))
            - causes.get(Cause(Purpose::Unknown, Mechanism::Ack));
        let setup = causes.purpose(Purpose::Setup)
            + causes.purpose(Purpose::Sub)
            + causes.purpose(Purpose::Teardown);
        let purposes = [
            ("msg", messages),
            ("acks", packets(Purpose::MsgAck) + bare),
            ("keepalive", causes.purpose(Purpose::Keepalive)),
            ("setup", setup),
            ("recovery", causes.purpose(Purpose::Recovery)),
            ("unknown", causes.purpose(Purpose::Unknown)),
        ];
        self.bar(&purposes, text);
        let mut table = self.table(
            &["layer", "bytes", "%", "", "purpose/mechanism", "bytes", "%"],
            1,
        );
        let total = account.mqtt_bytes().max(1) as f64;
        let share = |bytes: u64| format!("{:.1}", 100.0 * bytes as f64 / total);
        let layers: Vec<_> = account.layers.iter().collect();
        let causes: Vec<_> = causes.iter().collect();
        for i in 0..layers.len().max(causes.len()) {
            let mut row = match layers.get(i) {
                Some((layer, bytes)) => vec![layer.name().into(), number(*bytes), share(*bytes)],
                None => vec![String::new(); 3],
            };
            row.push(String::new());
            row.extend(match causes.get(i) {
                Some((cause, bytes)) => vec![cause.to_string(), number(*bytes), share(*bytes)],
                None => vec![String::new(); 3],
            });
            table.add_row(row);
        }
        if let Some(column) = table.column_mut(4) {
            column.set_cell_alignment(CellAlignment::Left);
        }
        self.put(&table, text);
        if self.verbose {
            self.connections(account, text);
        }
    }

    /// A bar of 60 cells, and what they stand for.
    fn bar(&self, parts: &[(&str, u64)], text: &mut String) {
        const CELLS: u64 = 60;
        const FILLS: [char; 6] = ['█', '▓', '▒', '░', '·', '?'];
        const COLOURS: [AnsiColor; 6] = [
            AnsiColor::Green,
            AnsiColor::Cyan,
            AnsiColor::Yellow,
            AnsiColor::Blue,
            AnsiColor::Magenta,
            AnsiColor::Red,
        ];
        let weights: Vec<u64> = parts.iter().map(|(_, bytes)| *bytes).collect();
        let total: u64 = weights.iter().sum();
        if total == 0 {
            return;
        }
        text.push_str("  ");
        for (i, cells) in apportion(CELLS, &weights).into_iter().enumerate() {
            let fill = FILLS[i].to_string().repeat(cells as usize);
            let style = Style::new().fg_color(Some(COLOURS[i].into()));
            text.push_str(&self.paint(style, &fill));
        }
        text.push('\n');
        let legend: Vec<String> = parts
            .iter()
            .zip(FILLS)
            .filter(|((_, bytes), _)| *bytes > 0)
            .map(|((name, bytes), fill)| format!("{fill} {name} {}", number(*bytes)))
            .collect();
        let _ = writeln!(text, "  {} = {}", legend.join("  "), number(total));
    }

    fn connections(&self, account: &Account, text: &mut String) {
        self.heading("Connections", text);
        let head = [
            "id",
            "client",
            "MQTT",
            "msgs",
            "bytes",
            "up",
            "down",
            "fixed",
            "fixed/msg",
        ];
        let mut table = self.table(&head, 3);
        for connection in &account.connections {
            let PerDirection { up, down } = connection.bytes.map(|bytes| account.level.of(&bytes));
            let id = connection.client_id.as_deref().unwrap_or_default();
            let version = connection.version.map(|version| version.to_string());
            table.add_row([
                connection.number.to_string(),
                shown(id),
                version.unwrap_or_default(),
                number(connection.message_count),
                number(up + down),
                number(up),
                number(down),
                number(connection.fixed),
                match connection.message_count {
                    0 => "unallocated".to_owned(),
                    n => number(connection.fixed / n),
                },
            ]);
        }
        self.put(&table, text);
    }

    fn messages(&self, figures: &Figures<'_>, text: &mut String) {
        let account = figures.account;
        if account.message_count() == 0 {
            return;
        }
        self.heading("Cost per message, in bytes", text);
        let mut groups: Vec<(&GroupKey, &Group)> = account.groups.iter().collect();
        groups.sort_by_key(|(key, group)| (std::cmp::Reverse(group.costs.marginal.sum), **key));
        let wide = self.width >= 120;
        let mut head = vec!["topic", "QoS", "dir", "n", "payload", "min", "mean"];
        head.extend(if wide { vec!["median", "p99"] } else { vec![] });
        head.extend(["max", "loaded"]);
        head.extend(if wide {
            vec!["up", "down", "eff. %", "msgs/MB"]
        } else {
            vec!["eff. %"]
        });
        let mut table = self.table(&head, 1);
        let most = if self.verbose { usize::MAX } else { 20 };
        let mut add =
            |name: String, qos: String, direction: String, costs: &crate::overhead::Costs| {
                let n = costs.n().max(1);
                let mean = costs.marginal.mean().unwrap_or(0.0);
                let quantile = |share| {
                    costs
                        .marginal
                        .quantile(share)
                        .map_or_else(String::new, number)
                };
                let mut row = vec![
                    name,
                    qos,
                    direction,
                    number(costs.n()),
                    format!("{:.1}", costs.payload as f64 / n as f64),
                    costs.marginal.min().map_or_else(String::new, number),
                    format!("{mean:.1}"),
                ];
                if wide {
                    row.extend([quantile(0.5), quantile(0.99)]);
                }
                row.push(costs.marginal.max().map_or_else(String::new, number));
                row.push(
                    costs
                        .loaded
                        .mean()
                        .map_or_else(String::new, |mean| format!("{mean:.1}")),
                );
                if wide {
                    row.push(number(costs.bytes.up / n));
                    row.push(number(costs.bytes.down / n));
                }
                let sum = costs.marginal.sum.max(1);
                row.push(format!("{:.1}", 100.0 * costs.payload as f64 / sum as f64));
                if wide {
                    row.push(number((1e6 / mean.max(1.0)) as u64));
                }
                table.add_row(row);
            };
        for (key, group) in groups.iter().take(most) {
            let topic = &account.topics[key.topic as usize].name;
            let name = match key.topic {
                0 => "(unknown)".to_owned(),
                _ => shown(topic),
            };
            add(
                name,
                key.qos.to_string(),
                key.direction.name().to_owned(),
                &group.costs,
            );
        }
        if groups.len() > 1 {
            for qos in 0..=2 {
                let costs = account.of_qos(qos);
                if costs.n() > 0 {
                    add(
                        "(all of this QoS)".to_owned(),
                        qos.to_string(),
                        String::new(),
                        &costs,
                    );
                }
            }
        }
        self.put(&table, text);
        if groups.len() > most {
            let _ = writeln!(text, "  … {} more; -v shows all", groups.len() - most);
        }
        let legend = "min, mean, max: marginal, the bytes of the message's own frames and their acknowledgements. \
                      loaded: with its part of set-up, keep-alive, teardown. eff.: payload / marginal.";
        self.fill("  ", legend, text);
    }

    fn ladder(&self, account: &Account, text: &mut String) {
        let largest = account
            .groups
            .iter()
            .max_by_key(|(_, group)| group.costs.marginal.sum);
        let Some((key, group)) = largest else { return };
        let median = group.costs.marginal.quantile(0.5).unwrap_or(0);
        let ladders = account.ladders.iter().filter(|ladder| ladder.key == *key);
        let Some(ladder) =
            ladders.min_by_key(|l| (l.marginal.abs_diff(median), l.connection, l.message))
        else {
            return;
        };
        let title = format!(
            "A typical one: connection {}, message {}, QoS {}, {} bytes",
            ladder.connection,
            ladder.message,
            key.qos,
            number(ladder.marginal)
        );
        self.heading(&title, text);
        let _ = writeln!(
            text,
            "  {:<10} {:>36}   {:>7}  {:>7}",
            "client", "server", "bytes", "sum"
        );
        let mut sum = 0;
        let start = ladder.steps.first().map(|step| step.time);
        let mut bare = 0;
        for step in &ladder.steps {
            sum += step.bytes;
            let name = step.packet_type.map_or("?", |kind| kind.name());
            let is_bare = step.cause.1 == Mechanism::Ack;
            bare += u64::from(is_bare);
            let what = match step.cause.1 {
                Mechanism::Ack => format!("ack of {name}"),
                Mechanism::Retx => format!("{name} again"),
                _ => name.to_owned(),
            };
            let arrow = match (step.direction, is_bare) {
                (Direction::Up, false) => format!("──{what:─^32}─▶"),
                (Direction::Down, false) => format!("◀─{what:─^32}──"),
                (Direction::Up, true) => format!("··{what:·^32}·>"),
                (Direction::Down, true) => format!("<·{what:·^32}··"),
            };
            let arrow = match is_bare {
                true => self.paint(Style::new().dimmed(), &arrow),
                false => arrow,
            };
            let after = start.map_or(0.0, |start| step.time.since(start).as_secs_f64() * 1000.0);
            let _ = writeln!(
                text,
                "  {after:>7.1} ms {arrow}   {:>7}  {sum:>7}",
                step.bytes
            );
        }
        let packets = ladder.steps.len() as u64 - bare;
        if key.qos > 0 && bare > 1 {
            let _ = writeln!(
                text,
                "  ! {bare} bare acknowledgements for {packets} packets; 1 would do, were the others piggybacked"
            );
        }
    }

    fn bill(&self, figures: &Figures<'_>, text: &mut String) {
        let month = &figures.now.month;
        let (title, column) = match month.projected {
            true => (
                format!(
                    "A month of 30 days, {}",
                    plural(month.devices as u64, "device")
                ),
                "a month",
            ),
            false => ("The capture as a bill".to_owned(), "n"),
        };
        self.heading(&title, text);
        let which = match figures.connections == figures.account.connection_count {
            true => String::new(),
            false => format!(
                "; from the {} on which messages went up",
                plural(figures.connections, "connection")
            ),
        };
        let level = figures.account.level;
        let mut table = self.table(
            &["scales with", column, "each, bytes", "bytes", "where from"],
            1,
        );
        for (name, count, amount, _) in figures.counts() {
            let bytes = amount.at(level);
            let each = if count.per_month > 0.0 {
                bytes / count.per_month
            } else {
                0.0
            };
            table.add_row([
                name.to_owned(),
                number(count.per_month.round() as u64),
                format!("{each:.1}"),
                amount_of(bytes),
                count.source.clone(),
            ]);
        }
        let recovery = month.bill.both(Term::Recovery).at(level);
        if recovery > 0.0 {
            table.add_row([
                "loss".into(),
                String::new(),
                String::new(),
                amount_of(recovery),
                "the same part of everything".to_owned(),
            ]);
        }
        table.add_row([
            "total".to_owned(),
            String::new(),
            String::new(),
            amount_of(figures.now.bytes),
            format!("at {level}{which}"),
        ]);
        if let Some(column) = table.column_mut(4) {
            column.set_cell_alignment(CellAlignment::Left);
        }
        self.put(&table, text);
        if month.projected {
            let _ = writeln!(
                text,
                "  an hour {}, a day {}",
                amount_of(figures.now.bytes / 720.0),
                amount_of(figures.now.bytes / 30.0)
            );
        }
        if !figures.now.bills.is_empty() {
            let mut table = self.table(
                &["link or plan", "counts", "up", "down", "billed", "note"],
                2,
            );
            for (name, billed) in &figures.now.bills {
                let profile = &figures.request.links[name];
                table.add_row([
                    name.clone(),
                    profile.counts_text().to_owned(),
                    if_any(billed.up),
                    if_any(billed.down),
                    billed_text(profile, billed),
                    note(profile, billed, month.devices),
                ]);
            }
            if let Some(column) = table.column_mut(5) {
                column.set_cell_alignment(CellAlignment::Left);
            }
            self.put(&table, text);
            let links = figures.request.links.iter();
            let assumed: Vec<_> = links
                .filter(|(_, profile)| !profile.assumed.is_empty())
                .map(|(name, profile)| format!("{name} ({})", profile.assumed.join(", ")))
                .collect();
            if !assumed.is_empty() {
                let list = assumed.join(", ");
                self.fill("  ", &format!("assumed, not from a source: {list}"), text);
            }
        }
        let wakes = &figures.account.wakes;
        let bursts: Vec<String> = TAILS_MILLIS
            .iter()
            .zip(wakes.bursts.iter().zip(&wakes.on))
            .map(|(tail, (bursts, on))| {
                format!(
                    "{} s: {bursts} ({})",
                    *tail as f64 / 1000.0,
                    period(on.as_secs_f64())
                )
            })
            .collect();
        self.fill(
            "  ",
            &format!(
                "wake-ups (radio-on time) in the capture for idle tails of {}",
                bursts.join(", ")
            ),
            text,
        );
    }

    fn savings(&self, figures: &Figures<'_>, text: &mut String) {
        if figures.savings.is_empty() {
            return;
        }
        self.heading("What would change it", text);
        let projected = figures.now.month.projected;
        let column = if projected { "a month" } else { "bytes" };
        let mut table = self.table(
            &["what if", column, "saves", "%", "mark", "wakes/day", "but"],
            1,
        );
        let row = |saving: &Saving| -> [String; 7] {
            let saved = figures.now.bytes - saving.bytes;
            let share = 100.0 * saved / figures.now.bytes.max(1.0);
            let mut but = saving.outcome.notes.clone();
            if let Some(latency) = saving.outcome.latency {
                but.insert(0, latency_text(latency));
            }
            if let Some((low, high)) = saving.bounds {
                but.push(format!(
                    "between {} and {}",
                    amount_of(low),
                    amount_of(high)
                ));
            }
            [
                saving.name.clone(),
                amount_of(saving.bytes),
                amount_of(saved),
                format!("{share:.1}"),
                saving.outcome.mark.name().to_owned(),
                match projected {
                    true => format!("{:.0}", saving.wakes),
                    false => String::new(),
                },
                but.join("; "),
            ]
        };
        let mut as_it_is = row(&figures.now);
        as_it_is[0] = "(as it is)".to_owned();
        as_it_is[2].clear();
        as_it_is[3].clear();
        table.add_row(as_it_is);
        for saving in &figures.savings {
            table.add_row(row(saving));
        }
        for column in [4, 6] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Left);
            }
        }
        self.put(&table, text);
        self.fill(
            "  ",
            "exact: bytes changed within segments that stay; model: frames appear or vanish, acknowledged as in this \
             capture; bound: only limits are known. wakes/day: of a device, with an idle tail of 10 s. Not modelled: \
             header compression (ROHC, SCHC), retransmission below IP.",
            text,
        );
    }
}

fn about_level(level: Level) -> &'static str {
    match level {
        Level::L2 => "frames as captured",
        Level::L3 => "IP packets",
        Level::L3Plus(_) => "IP packets and so many bytes for each",
        Level::Tcp => "TCP payload",
        Level::Mqtt => "MQTT control packets",
        Level::App => "PUBLISH payload",
    }
}

fn billed_text(profile: &Profile, billed: &Billed) -> String {
    let is_bytes = matches!(profile.counts(), Counts::Level(_)) || profile.increment == Some(1);
    match billed.units.filter(|_| !is_bytes) {
        Some(units) => format!("{} units", number(units.round() as u64)),
        None => amount_of(billed.billed),
    }
}

fn note(profile: &Profile, billed: &Billed, devices: f64) -> String {
    let mut notes = Vec::new();
    if let Some(increment) = profile.increment.filter(|&increment| increment > 1) {
        notes.push(format!("units of {} B", number(increment)));
    }
    if let Some(plan) = profile.plan.filter(|&plan| plan > 0) {
        notes.push(format!(
            "{:.0} % of the plan",
            100.0 * billed.billed / plan as f64
        ));
    }
    if let Some(seconds) = billed.airtime.filter(|&seconds| seconds > 0.0) {
        let floor = if profile.lora.is_some() {
            ""
        } else {
            "at least "
        };
        notes.push(format!("{floor}{} on air", period(seconds)));
    }
    if billed.too_long {
        notes.push("some are too long".to_owned());
    }
    if let (Some(duty), Some(seconds)) = (profile.duty, billed.airtime)
        && seconds / devices.max(1.0) > duty * MONTH
    {
        notes.push(format!("over the duty cycle of {} %", 100.0 * duty));
    }
    notes.join("; ")
}

/// Text from the wire, safe for a terminal.
fn shown(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    escape::escaped(bytes, escape::Within::Cell, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// `1,234,567`
fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn plural(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        _ => format!("{} {what}s", number(n)),
    }
}

/// `1.23 MB`: thousands, as plans count them.
fn amount_of(bytes: f64) -> String {
    let size = bytes.abs();
    match size {
        _ if size < 9_999.5 => format!("{bytes:.0} B"),
        _ if size < 999_950.0 => format!("{:.1} kB", bytes / 1e3),
        _ if size < 999_950_000.0 => format!("{:.2} MB", bytes / 1e6),
        _ => format!("{:.2} GB", bytes / 1e9),
    }
}

fn if_any(bytes: f64) -> String {
    match bytes > 0.0 {
        true => amount_of(bytes),
        false => String::new(),
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(
        || "n/a".to_owned(),
        |share| format!("{:.1} %", 100.0 * share),
    )
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.2}"))
}

fn rate(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.1}"))
}

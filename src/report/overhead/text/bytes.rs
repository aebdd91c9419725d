//! Where the bytes go: totals, ratios, layers, purposes, connections.

use anstyle::{AnsiColor, Style};

use super::layout::{Column, Rows, fill};
use super::units::{joined, number, percent, plural, rate, ratio};
use super::{Text, is_link};
use crate::frame::PerDirection;
use crate::overhead::{
    Account, Cause, Figures, Layer, Level, Mechanism, Purpose, Ratios, apportion,
};

impl Text {
    pub(super) fn totals(&self, figures: &Figures<'_>, text: &mut String) {
        let account = figures.account;
        let level = account.level;
        self.heading("Totals", text);
        let mut say = |words: &str| fill("  ", words, self.width, text);
        say(&format!("counted: {level} ({})", about_level(level)));
        if account.foreign.packets > 0 {
            say(&format!(
                "not MQTT, or not selected: {} in {}",
                plural(level.of(&account.foreign), "byte"),
                plural(account.foreign.packets, "frame")
            ));
        }
        if account.copies.packets > 0 {
            say(&format!(
                "of these, duplicate packets: {} in {}",
                plural(level.of(&account.copies), "byte"),
                plural(account.copies.packets, "frame")
            ));
        }
        say(&format!(
            "MQTT: {} on {} with {}",
            plural(account.mqtt_bytes(), "byte"),
            plural(account.connection_count, "connection"),
            plural(account.message_count(), "message")
        ));
        let columns = [
            Column::name(""),
            Column::number("both"),
            Column::number("up"),
            Column::number("down"),
            Column::name("").rank(1),
        ];
        let PerDirection { up, down } = &figures.by_direction;
        let row = |name: &str, of: &dyn Fn(&Ratios) -> String, formula: &str| {
            vec![
                name.to_owned(),
                of(&figures.both),
                of(up),
                of(down),
                formula.to_owned(),
            ]
        };
        let rows = vec![
            row("total bytes", &|r| number(r.total), ""),
            row(
                "app: PUBLISH payload",
                &|r| number(r.app),
                "without duplicates",
            ),
            row(
                "payload efficiency",
                &|r| percent(r.efficiency),
                "app / total",
            ),
            row(
                "overhead ratio",
                &|r| ratio(r.overhead),
                "(total - app) / app",
            ),
            row("expansion", &|r| ratio(r.expansion), "total / app"),
            row("goodput B/s", &|r| rate(r.goodput), "app / time"),
            row("throughput B/s", &|r| rate(r.throughput), "total / time"),
        ];
        Rows {
            columns: &columns,
            rows,
        }
        .put(self.width, text);
        if let Some(loss) = figures.loss.filter(|&loss| loss > 0.0) {
            let words = format!(
                "loss overhead: {} = (retx + dupack) / total",
                percent(Some(loss))
            );
            self.fill("  ", &words, text);
        }
        let claimed = figures.claimed;
        let total = figures.both.total;
        if account.message_count() > 0 && total >= claimed {
            let words = format!(
                "minimal PUBLISH packets (2 bytes, topic, payload) would need {} bytes ({}); the other {} are overhead",
                number(claimed),
                percent(Some(claimed as f64 / total.max(1) as f64)),
                number(total - claimed)
            );
            self.fill("  ", &words, text);
        }
        self.extras(figures, text);
    }

    /// Bytes that the medium adds.
    pub(super) fn extras(&self, figures: &Figures<'_>, text: &mut String) {
        for (name, bytes) in &figures.extras {
            let words = format!(
                "{name}: {} more on the medium, in no total (check sequence, gaps, padding)",
                plural(*bytes, "byte")
            );
            self.fill("  ", &words, text);
        }
    }

    pub(super) fn where_bytes_go(&self, figures: &Figures<'_>, text: &mut String) {
        let account = figures.account;
        self.heading("Where the bytes go", text);
        let is_tcp_ip = |layer: Layer| layer.is_ip() && !layer.is_payload();
        let is_mqtt = |layer: Layer| layer.is_mqtt() && layer != Layer::App;
        let layers = [
            ("app", figures.layers(|layer| layer == Layer::App)),
            ("mqtt", figures.layers(is_mqtt)),
            ("tcp+ip", figures.layers(is_tcp_ip)),
            ("link", figures.layers(is_link)),
            ("tls+ws", figures.layers(Layer::is_carrier)),
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
        let columns = [
            Column::name("layer"),
            Column::number("bytes"),
            Column::number("%"),
            Column::name(""),
            Column::name("purpose/mechanism"),
            Column::number("bytes"),
            Column::number("%"),
        ];
        let total = account.mqtt_bytes().max(1) as f64;
        let share = |bytes: u64| format!("{:.1}", 100.0 * bytes as f64 / total);
        let layers: Vec<_> = account.layers.iter().collect();
        let causes: Vec<_> = causes.iter().collect();
        let rows = (0..layers.len().max(causes.len())).map(|i| {
            let mut row = match layers.get(i) {
                Some((layer, bytes)) => {
                    vec![layer.name().to_owned(), number(*bytes), share(*bytes)]
                }
                None => vec![String::new(); 3],
            };
            row.push(String::new());
            row.extend(match causes.get(i) {
                Some((cause, bytes)) => vec![cause.to_string(), number(*bytes), share(*bytes)],
                None => vec![String::new(); 3],
            });
            row
        });
        Rows {
            columns: &columns,
            rows: rows.collect(),
        }
        .put(self.width, text);
    }

    /// A bar of 56 cells, and its legend.
    fn bar(&self, parts: &[(&str, u64)], text: &mut String) {
        const CELLS: u64 = 56;
        const FILLS: [char; 7] = ['█', '▓', '▒', '░', '▪', '·', '?'];
        // Yellow is not legible on white, and blue not on black. The fill tells two
        // parts of one colour apart.
        const COLOURS: [AnsiColor; 7] = [
            AnsiColor::Green,
            AnsiColor::Cyan,
            AnsiColor::Magenta,
            AnsiColor::Green,
            AnsiColor::Cyan,
            AnsiColor::Red,
            AnsiColor::Red,
        ];
        let weights: Vec<u64> = parts.iter().map(|(_, bytes)| *bytes).collect();
        let total: u64 = weights.iter().sum();
        if total == 0 {
            return;
        }
        text.push_str("  ");
        for (i, cells) in apportion(CELLS, &weights).into_iter().enumerate() {
            let cells = FILLS[i].to_string().repeat(cells as usize);
            let style = Style::new().fg_color(Some(COLOURS[i].into()));
            text.push_str(&self.paint(style, &cells));
        }
        text.push('\n');
        let legend: Vec<String> = parts
            .iter()
            .zip(FILLS)
            .filter(|((_, bytes), _)| *bytes > 0)
            .map(|((name, bytes), fill)| joined(&format!("{fill} {name} {}", number(*bytes))))
            .collect();
        let total = joined(&format!("= {}", number(total)));
        fill(
            "  ",
            &format!("{} {total}", legend.join(" ")),
            self.width,
            text,
        );
    }

    pub(super) fn connections(&self, account: &Account, text: &mut String) {
        self.heading("Connections", text);
        let columns = [
            Column::name("id"),
            Column::name("client"),
            Column::name("MQTT").rank(2),
            Column::number("msgs"),
            Column::number("bytes"),
            Column::number("up").rank(3),
            Column::number("down").rank(3),
            Column::number("fixed").rank(4),
            Column::number("fixed/msg").rank(1),
        ];
        let rows = account.connections.iter().map(|connection| {
            let PerDirection { up, down } = connection.bytes.map(|bytes| account.level.of(&bytes));
            let version = connection.version.map(|version| version.to_string());
            vec![
                connection.number.to_string(),
                self.name(
                    connection.client_id.as_deref().unwrap_or_default(),
                    self.width / 2,
                ),
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
            ]
        });
        Rows {
            columns: &columns,
            rows: rows.collect(),
        }
        .put(self.width, text);
    }
}

fn about_level(level: Level) -> &'static str {
    match level {
        Level::L2 => "packets as captured",
        Level::L3 => "IP packets",
        Level::L3Plus(_) => "IP packets and so many bytes for each",
        Level::Tcp => "TCP payload",
        Level::Mqtt => "MQTT control packets",
        Level::App => "PUBLISH payload",
    }
}

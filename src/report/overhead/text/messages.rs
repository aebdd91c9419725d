//! Cost of messages: a row for each topic, and the frames of a typical message.

use std::fmt::Write as _;

use anstyle::Style;

use super::Text;
use super::layout::{Column, Rows};
use super::units::number;
use crate::frame::Direction;
use crate::overhead::{Account, Costs, Figures, Group, GroupKey, Mechanism};

const COLUMNS: [Column; 15] = [
    Column::name("topic"),
    Column::number("QoS"),
    Column::name("dir"),
    Column::number("n"),
    Column::number("payload").rank(2),
    Column::number("min").rank(4),
    Column::number("mean"),
    Column::number("median").rank(6),
    Column::number("p99").rank(7),
    Column::number("max").rank(3),
    Column::number("loaded").rank(1),
    Column::number("up").rank(8),
    Column::number("down").rank(8),
    Column::number("eff. %").rank(5),
    Column::number("msgs/MB").rank(9),
];

fn row(name: String, qos: u8, direction: &str, costs: &Costs) -> Vec<String> {
    let n = costs.n().max(1);
    let mean = costs.marginal.mean().unwrap_or(0.0);
    let whole = |n: Option<u64>| n.map_or_else(String::new, number);
    let loaded = costs.loaded.mean().map(|mean| format!("{mean:.1}"));
    let sum = costs.marginal.sum.max(1);
    vec![
        name,
        qos.to_string(),
        direction.to_owned(),
        number(costs.n()),
        format!("{:.1}", costs.payload as f64 / n as f64),
        whole(costs.marginal.min()),
        format!("{mean:.1}"),
        whole(costs.marginal.quantile(0.5)),
        whole(costs.marginal.quantile(0.99)),
        whole(costs.marginal.max()),
        loaded.unwrap_or_default(),
        number(costs.bytes.up / n),
        number(costs.bytes.down / n),
        format!("{:.1}", 100.0 * costs.payload as f64 / sum as f64),
        number((1e6 / mean.max(1.0)) as u64),
    ]
}

impl Text {
    pub(super) fn messages(&self, figures: &Figures<'_>, text: &mut String) {
        let account = figures.account;
        if account.message_count() == 0 {
            return;
        }
        self.heading("Cost per message, in bytes", text);
        let mut groups: Vec<(&GroupKey, &Group)> = account.groups.iter().collect();
        groups.sort_by_key(|(key, group)| (std::cmp::Reverse(group.costs.marginal.sum), **key));
        let mut rows: Vec<_> = groups
            .iter()
            .map(|(key, group)| {
                let name = match key.topic {
                    0 => "(unknown)".to_owned(),
                    topic => self.name(&account.topics[topic as usize].name, self.width - 2),
                };
                row(name, key.qos, key.direction.name(), &group.costs)
            })
            .collect();
        if groups.len() > 1 {
            for qos in 0..=2 {
                let costs = account.of_qos(qos);
                if costs.n() > 0 {
                    rows.push(row("(all of this QoS)".to_owned(), qos, "", &costs));
                }
            }
        }
        Rows {
            columns: &COLUMNS,
            rows,
        }
        .put(self.width, text);
        let legend = "min, mean, max: marginal, the bytes of the message's own packets and their acknowledgements. \
                      loaded: with its part of set-up, keep-alive, teardown. eff.: payload / marginal.";
        self.fill("  ", legend, text);
    }

    pub(super) fn ladder(&self, account: &Account, text: &mut String) {
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
            "A typical message: connection {}, message {}, QoS {}, {} bytes",
            ladder.connection,
            ladder.message,
            key.qos,
            number(ladder.marginal)
        );
        self.heading(&title, text);
        // The arrows get the width that is left.
        let arrow_width = (self.width - 2 - 11 - 3 - 7 - 2 - 7).clamp(24, 36);
        let inner = arrow_width - 4;
        let _ = writeln!(
            text,
            "  {:<10} {:>arrow_width$}   {:>7}  {:>7}",
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
                (Direction::Up, false) => format!("──{what:─^inner$}─▶"),
                (Direction::Down, false) => format!("◀─{what:─^inner$}──"),
                (Direction::Up, true) => format!("··{what:·^inner$}·>"),
                (Direction::Down, true) => format!("<·{what:·^inner$}··"),
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
            let words = format!(
                "{bare} bare acknowledgements for {packets} packets; 1 would do, were the others piggybacked"
            );
            self.fill("  ! ", &words, text);
        }
    }
}

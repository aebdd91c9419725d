//! A month as a bill, for one device and for all.

use super::layout::{Column, Rows, fill};
use super::units::{amount, if_any, joined, number, period, plural};
use super::{Text, units};
use crate::overhead::{Billed, Counts, Figures, MONTH, Profile, TAILS_MILLIS, Term};

impl Text {
    pub(super) fn bill(&self, figures: &Figures<'_>, text: &mut String) {
        let month = &figures.now.month;
        let devices = month.devices;
        let many = devices > 1.0;
        let title = match (month.projected, many) {
            (true, false) => "A month of 30 days".to_owned(),
            (true, true) => format!(
                "A month of 30 days, of a device and of {}",
                plural(devices as u64, "device")
            ),
            (false, false) => "The capture as a bill".to_owned(),
            (false, true) => format!(
                "The capture as a bill, of a device and of {}",
                plural(devices as u64, "device")
            ),
        };
        self.heading(&title, text);
        let level = figures.account.level;
        let mut columns = vec![
            Column::name("scales with"),
            Column::number("n"),
            Column::number("each, bytes"),
            Column::number("a device"),
        ];
        if many {
            columns.push(Column::number("all"));
        }
        columns.push(Column::words("where from"));
        let mut rows = Vec::new();
        let mut add = |name: &str, n: String, each: String, bytes: f64, from: String| {
            let mut row = vec![name.to_owned(), n, each, amount(bytes / devices)];
            row.extend(many.then(|| amount(bytes)));
            row.push(from);
            rows.push(row);
        };
        for (name, count, part, _) in figures.counts() {
            let bytes = part.at(level);
            let each = if count.per_month > 0.0 {
                bytes / count.per_month
            } else {
                0.0
            };
            add(
                name,
                units::rounded(count.per_month / devices),
                format!("{each:.1}"),
                bytes,
                count.source.clone(),
            );
        }
        let recovery = month.bill.both(Term::Recovery).at(level);
        if recovery > 0.0 {
            let from = "the same part of everything".to_owned();
            add("loss", String::new(), String::new(), recovery, from);
        }
        let which = match figures.connections == figures.account.connection_count {
            true => String::new(),
            false => format!(
                "; from the {} on which messages went up",
                plural(figures.connections, "connection")
            ),
        };
        add(
            "total",
            String::new(),
            String::new(),
            figures.now.bytes,
            format!("at {level}{which}"),
        );
        Rows {
            columns: &columns,
            rows,
        }
        .put(self.width, text);
        if month.projected {
            let each = figures.now.bytes / devices;
            let words = format!(
                "a device: an hour {}, a day {}",
                amount(each / 720.0),
                amount(each / 30.0)
            );
            self.fill("  ", &words, text);
        }
        self.links(figures, text);
        let wakes = &figures.account.wakes;
        let bursts: Vec<String> = TAILS_MILLIS
            .iter()
            .enumerate()
            .map(|(i, tail)| {
                joined(&format!(
                    "{} s: {} ({})",
                    *tail as f64 / 1000.0,
                    wakes.bursts[i],
                    period(wakes.on(i).as_secs_f64())
                ))
            })
            .collect();
        let words = format!(
            "wake-ups (radio-on time) in the capture for idle tails of {}",
            bursts.join(", ")
        );
        fill("  ", &words, self.width, text);
    }

    /// Billed bytes and units for each link and plan, for all devices.
    pub(super) fn links(&self, figures: &Figures<'_>, text: &mut String) {
        let links = &figures.request.links;
        if links.is_empty() {
            return;
        }
        let columns = [
            Column::name("link or plan"),
            Column::name("counts").rank(1),
            Column::number("up").rank(2),
            Column::number("down").rank(2),
            Column::number("billed"),
            Column::words("note"),
        ];
        let month = &figures.now.month;
        let rows = figures
            .bills(&figures.now)
            .into_iter()
            .map(|(name, billed)| {
                let profile = &links[name];
                vec![
                    name.to_owned(),
                    profile.counts_text().to_owned(),
                    if_any(billed.up),
                    if_any(billed.down),
                    billed_text(profile, &billed),
                    note(profile, &billed, month.devices),
                ]
            });
        Rows {
            columns: &columns,
            rows: rows.collect(),
        }
        .put(self.width, text);
        let assumed: Vec<_> = links
            .iter()
            .filter(|(_, profile)| !profile.assumed.is_empty())
            .map(|(name, profile)| format!("{name} ({})", profile.assumed.join(", ")))
            .collect();
        if !assumed.is_empty() {
            let list = assumed.join(", ");
            self.fill("  ", &format!("assumed, not from a source: {list}"), text);
        }
    }
}

fn billed_text(profile: &Profile, billed: &Billed) -> String {
    let is_bytes = matches!(profile.counts(), Counts::Level(_)) || profile.increment == Some(1);
    match billed.units.filter(|_| !is_bytes) {
        Some(units) => joined(&format!("{} units", number(units.round() as u64))),
        None => amount(billed.billed),
    }
}

fn note(profile: &Profile, billed: &Billed, devices: f64) -> String {
    let mut notes = Vec::new();
    if let Some(increment) = profile.increment.filter(|&increment| increment > 1) {
        notes.push(format!(
            "units of {}",
            joined(&format!("{} B", number(increment)))
        ));
    }
    if let Some(plan) = profile.plan.filter(|&plan| plan > 0) {
        notes.push(format!(
            "{:.0}\u{a0}% of the plan",
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
        notes.push(format!("over the duty cycle of {}\u{a0}%", 100.0 * duty));
    }
    notes.join("; ")
}

//! The summary: the cost of a message, the monthly cost of a device, and the changes
//! that would save most.

use super::units::{amount, joined, number, percent, period, plural, tenths};
use super::{Text, layout};
use crate::overhead::{Costs, Figures, Saving, latency_text};

/// Columns of the labels.
const LABEL: usize = 18;
/// Maximum number of changes in the summary.
const CHANGES: usize = 2;

impl Text {
    pub(super) fn answer(&self, figures: &Figures<'_>, text: &mut String) {
        let account = figures.account;
        let mut costs = Costs::default();
        for group in account.groups.values() {
            costs.merge(&group.costs);
        }
        if let (Some(mean), Some(min), Some(max)) = (
            costs.marginal.mean(),
            costs.marginal.min(),
            costs.marginal.max(),
        ) {
            let payload = costs.payload as f64 / costs.n() as f64;
            let spread = match min == max {
                true => String::new(),
                false => format!(" on average ({} to {})", number(min), number(max)),
            };
            let share = percent(Some(payload / mean.max(1.0)));
            let words = format!(
                "{}\u{a0}bytes{spread} with its acknowledgements; {} of them ({share}) are payload",
                tenths(mean),
                tenths(payload)
            );
            self.line("a message costs", &words, text);
        }
        self.device(figures, text);
        // Another protocol is listed only if requested.
        let useful = figures.savings.iter().filter(|saving| {
            let saved = figures.now.bytes - saving.bytes;
            saved > 0.005 * figures.now.bytes
                && (figures.request.asked.what_if || saving.keeps_mqtt)
        });
        for (i, saving) in useful.take(CHANGES).enumerate() {
            let label = if i == 0 { "largest savings" } else { "" };
            self.line(label, &change(figures, saving), text);
        }
    }

    /// Cost of a device, then of all devices.
    fn device(&self, figures: &Figures<'_>, text: &mut String) {
        let month = &figures.now.month;
        if figures.messages == 0 {
            return;
        }
        let each = amount(figures.now.bytes / month.devices);
        let happens = |per_month: f64, what: &str| {
            let n = (per_month / month.devices).round();
            (n > 0.0).then(|| plural(n as u64, what))
        };
        let what: Vec<String> = [
            happens(month.messages.per_month, "message"),
            happens(month.connections.per_month, "connection"),
            happens(month.pings.per_month, "ping"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let what = what.join(", ");
        let words = match month.projected {
            true => format!("{each} a month of 30 days: {what}"),
            false => format!(
                "{each} in these {}: {what}",
                period(figures.account.seconds())
            ),
        };
        self.line("a device costs", &words, text);
        if month.devices > 1.0 {
            let all = number(month.devices as u64);
            let label = format!("{all} devices cost");
            self.line(&label, &amount(figures.now.bytes), text);
        }
    }

    fn line(&self, label: &str, words: &str, text: &mut String) {
        layout::fill(&format!("  {label:<LABEL$}"), words, self.width, text);
    }

    /// What `-v` prints in addition.
    pub(super) fn more(&self, figures: &Figures<'_>, text: &mut String) {
        let asked = figures.request.asked;
        let bill = if asked.project { "" } else { "the bill, " };
        let tried = match asked.what_if {
            true => String::new(),
            false => format!(", {} what-ifs", figures.savings.len()),
        };
        let line = format!("-v adds {bill}bytes by layer and cause, topics{tried}");
        self.fill("  ", &line, text);
    }
}

/// `qos=0 saves 26.6 %, 276.50 MB are left (what is lost stays lost)`
fn change(figures: &Figures<'_>, saving: &Saving) -> String {
    let saved = 1.0 - saving.bytes / figures.now.bytes.max(1.0);
    let left = amount(saving.bytes / saving.month.devices);
    let mut but: Vec<String> = saving
        .outcome
        .latency
        .map(latency_text)
        .into_iter()
        .collect();
    but.extend(saving.outcome.notes.iter().cloned());
    let but = match but.is_empty() {
        true => String::new(),
        false => format!(" ({})", but.join("; ")),
    };
    format!(
        "{} saves {}: {left} a device{but}",
        joined(&saving.name),
        percent(Some(saved))
    )
}

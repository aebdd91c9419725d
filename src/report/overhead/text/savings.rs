//! What-ifs, the largest saving first.

use super::Text;
use super::layout::{Column, Rows};
use super::units::amount;
use crate::overhead::{Figures, Saving, latency_text};

impl Text {
    pub(super) fn savings(&self, figures: &Figures<'_>, text: &mut String) {
        if figures.savings.is_empty() {
            return;
        }
        self.heading("What-ifs, for a device", text);
        let month = &figures.now.month;
        let columns = [
            Column::name("what if"),
            Column::number(if month.projected { "a month" } else { "bytes" }),
            Column::number("saves"),
            Column::number("%"),
            Column::name("mark"),
            Column::number(if month.projected { "wakes/day" } else { "" }).rank(1),
            Column::words("but"),
        ];
        let row = |saving: &Saving| {
            let of_device = |bytes: f64| amount(bytes / saving.month.devices);
            let saved = figures.now.bytes - saving.bytes;
            let share = 100.0 * saved / figures.now.bytes.max(1.0);
            let mut but: Vec<String> = saving
                .outcome
                .latency
                .map(latency_text)
                .into_iter()
                .collect();
            but.extend(saving.outcome.notes.iter().cloned());
            if let Some((low, high)) = saving.bounds {
                but.push(format!(
                    "between {} and {}",
                    of_device(low),
                    of_device(high)
                ));
            }
            vec![
                saving.name.clone(),
                of_device(saving.bytes),
                of_device(saved),
                format!("{share:.1}"),
                saving.mark().name().to_owned(),
                match month.projected {
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
        if month.projected {
            // The row of the unchanged capture.
            as_it_is[4].clear();
        }
        let rows = std::iter::once(as_it_is).chain(figures.savings.iter().map(row));
        Rows {
            columns: &columns,
            rows: rows.collect(),
        }
        .put(self.width, text);
        let legend = "exact: in the capture, to the byte; model: frames appear or vanish, acknowledged as in this \
                      capture, or a sample stands for all; bound: only limits are known. wakes/day: with an idle \
                      tail of 10\u{a0}s. Not modelled: header compression (ROHC, SCHC), retransmission below IP.";
        self.fill("  ", legend, text);
    }
}

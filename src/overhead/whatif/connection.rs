//! Changes of connections: keep alive, TCP options, layers between TCP and
//! MQTT.

use super::super::amount::Amount;
use super::super::term::Term;
use super::super::traffic::Gaps;
use super::model::Model;
use crate::frame::Direction;

impl Model<'_> {
    /// Pings as the gaps of the connection would need them, under the policy
    /// that explains those that were sent best: after silence of the client, or
    /// of both.
    pub(super) fn keep_alive(&mut self, seconds: f64) {
        let connection = self.connection;
        let Some(old) = connection.keep_alive.filter(|&k| k > 0) else {
            return;
        };
        let old = f64::from(old);
        let needed = |gaps: &Gaps, keep_alive: f64| -> f64 {
            let pings = |gap: u64| {
                ((gap as f64 - 1.0) / (1000.0 * keep_alive))
                    .floor()
                    .max(0.0)
            };
            gaps.iter().map(|(gap, n)| n as f64 * pings(gap)).sum()
        };
        let seen = connection.pings as f64;
        // What a ping costs is a guess then.
        self.depends_on_bound |= seen == 0.0;
        let off = |gaps| (needed(gaps, old) - seen).abs();
        let gaps = match off(&connection.gaps_out) <= off(&connection.gaps_any) {
            true => &connection.gaps_out,
            false => &connection.gaps_any,
        };
        let pings = match seconds > 0.0 {
            false => 0.0,
            true => (seen + needed(gaps, seconds) - needed(gaps, old)).max(0.0),
        };
        for direction in Direction::ALL {
            let measured = self.bill.get(Term::Time, direction);
            let new = match seen > 0.0 {
                true => measured * (pings / seen),
                false => measured + self.cycle[direction] * pings,
            };
            *self.bill.get_mut(Term::Time, direction) = new;
        }
        self.pings = pings;
    }

    pub(super) fn no_timestamps(&mut self) {
        for direction in Direction::ALL {
            let headers = &self.connection.headers[direction];
            let saved = headers.timestamps as f64;
            let all: f64 = Term::ALL
                .into_iter()
                .map(|term| self.connection.terms.get(term, direction).packets as f64)
                .sum();
            for term in Term::ALL {
                let packets = self.connection.terms.get(term, direction).packets as f64;
                let part = if all > 0.0 { packets / all } else { 0.0 };
                self.add(term, direction, Amount::less_header(saved * part));
            }
            // Frames added by other changes and by a projection have none either.
            let each = saved / headers.packets.max(1) as f64;
            self.header_less[direction] += each;
            self.cycle[direction] += Amount::less_header(each * self.ping_frames[direction]);
        }
        let syn = self.connection.syn.timestamps as f64 / 2.0;
        self.add(Term::Connection, Direction::Up, Amount::less_header(syn));
        self.add(Term::Connection, Direction::Down, Amount::less_header(syn));
    }

    /// Additional bytes for opening the connection.
    pub(super) fn open(&mut self, direction: Direction, bytes: f64, frames: f64) {
        if self.connection.is_from_start || self.opens > 1.0 {
            let once = self.header(direction) * frames + Amount::tcp(bytes);
            self.add(Term::Connection, direction, once * self.opens);
        }
    }

    /// Additional bytes for each segment with control packets.
    pub(super) fn each_write(&mut self, more: impl Fn(Direction, f64) -> f64) {
        for direction in Direction::ALL {
            let at = direction;
            let writes = self.connection.writes[at] as f64;
            let bytes: f64 = Term::ALL
                .into_iter()
                .map(|term| self.connection.terms.get(term, direction).mqtt as f64)
                .sum();
            let each = more(direction, if writes > 0.0 { bytes / writes } else { 0.0 });
            let messages: f64 = self.groups.iter().map(|group| group.data[at]).sum();
            let rest = self.other_writes[at];
            self.cycle[direction] += Amount::tcp(each);
            for (term, n) in [
                (Term::Message, messages),
                (Term::Time, self.pings),
                (Term::Connection, rest),
            ] {
                self.add(term, direction, Amount::tcp(each * n));
            }
        }
    }
}

//! Projection of a capture to an hour, a day, a month.
//!
//! ```text
//! bytes = messages · per message + connections · per connection
//!       + pings · per ping, and a proportional part for loss
//! ```
//! A capture is never scaled by its length: one CONNECT within ten minutes does
//! not mean 4,320 a month. Every count names its source.

use super::account::Account;
use super::amount::{Amount, Bill};
use super::error::OptionError;
use super::outcome::Outcome;
use super::profile::{Counts, Per, Profile};
use super::term::Term;
use super::traffic::ConnectionTraffic;
use crate::frame::Direction;

/// Seconds of a month of 30 days.
pub const MONTH: f64 = 30.0 * 86_400.0;
/// Seconds of the shortest capture from which a month is projected unasked.
const SHORTEST: f64 = 60.0;
/// Seconds of a day.
pub const DAY: f64 = 86_400.0;

/// What is to be projected.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Projection {
    /// Number of devices; as in the capture if not given.
    pub devices: Option<f64>,
    /// Seconds between messages of a device; as in the capture if not given.
    pub every: Option<f64>,
    /// Seconds between connections of a device; as in the capture if not given.
    pub reconnect: Option<f64>,
}

impl Projection {
    /// Reads `devices=40,every=60s,reconnect=1d`.
    ///
    /// # Errors
    ///
    /// What was expected and what was found.
    ///
    /// ```
    /// use mqttdump::overhead::Projection;
    ///
    /// let projection = Projection::parse("devices=40,every=1m").unwrap();
    /// assert_eq!((projection.devices, projection.every), (Some(40.0), Some(60.0)));
    /// assert!(Projection::parse("devices").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, OptionError> {
        let mut projection = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key {
                "devices" => {
                    let devices = value
                        .parse()
                        .ok()
                        .filter(|n| (1..=1_000_000_000).contains(n));
                    let devices: u32 = devices.ok_or_else(|| {
                        OptionError::value("devices", value, "a number of devices")
                    })?;
                    projection.devices = Some(devices.into());
                }
                "every" => projection.every = Some(seconds("every", value)?),
                "reconnect" => projection.reconnect = Some(seconds("reconnect", value)?),
                _ => {
                    let expected = "devices=N, every=TIME or reconnect=TIME";
                    return Err(OptionError::form(part, expected));
                }
            }
        }
        Ok(projection)
    }
}

/// A time such as `60s`, `5m`, `1h`, `1d`, `500ms`; seconds without a unit.
pub(super) fn seconds(key: &'static str, text: &str) -> Result<f64, OptionError> {
    let units = [
        ("ms", 0.001),
        ("s", 1.0),
        ("m", 60.0),
        ("min", 60.0),
        ("h", 3600.0),
        ("d", DAY),
        ("", 1.0),
    ];
    let digits = text.len()
        - text
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
            .len();
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit);
    match (number.parse::<f64>(), factor) {
        (Ok(number), Some((_, factor))) if number > 0.0 => Ok(number * factor),
        _ => Err(OptionError::value(
            key,
            text,
            "a time such as 60s, 5m, 1h or 1d",
        )),
    }
}

/// Source of a count.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    /// How many in a month, of all devices.
    pub per_month: f64,
    /// Where from.
    pub source: String,
}

/// Cost of one message, one connection and one ping, and their numbers in a
/// month.
#[derive(Clone, Debug, PartialEq)]
pub struct Month {
    /// Devices.
    pub devices: f64,
    /// Messages.
    pub messages: Count,
    /// Connections.
    pub connections: Count,
    /// Keep-alive cycles.
    pub pings: Count,
    /// Bytes of a month, by what they scale with.
    pub bill: Bill,
    /// Whether this is a month. If the capture is too short to estimate rates, it is
    /// the cost of the capture.
    pub projected: bool,
}

/// Basis of a projection: the connections of publishing clients, and the rates on
/// them.
#[derive(Debug)]
pub struct Basis<'a> {
    /// The connections.
    pub connections: Vec<&'a ConnectionTraffic>,
    /// Messages that went up; if there are none, all.
    pub messages: u64,
    /// Whether those are messages that went up.
    pub up: bool,
    /// Seconds of the capture.
    pub seconds: f64,
    /// Clients.
    pub clients: u64,
    /// Connections that began within the capture.
    pub begun: u64,
}

impl<'a> Basis<'a> {
    /// The connections on which messages went up, or all if none did.
    pub fn of(account: &'a Account) -> Self {
        let all = || account.shape.connections.iter();
        let sent = |connection: &ConnectionTraffic| connection.messages(Some(Direction::Up)) > 0;
        let up = all().any(sent);
        let connections: Vec<_> = all().filter(|c| !up || sent(c)).collect();
        let which = up.then_some(Direction::Up);
        let mut clients: Vec<_> = connections.iter().map(|c| &c.client).collect();
        clients.sort_unstable();
        clients.dedup();
        Self {
            messages: connections.iter().map(|c| c.messages(which)).sum(),
            up,
            seconds: account.seconds(),
            clients: clients.len() as u64,
            begun: connections.iter().filter(|c| c.is_from_start).count() as u64,
            connections,
        }
    }

    /// Cost of these connections in the capture.
    pub fn measured(&self) -> Bill {
        let mut bill = Bill::default();
        for connection in &self.connections {
            bill += connection.terms.into();
        }
        bill
    }

    /// PINGREQ packets in the capture.
    pub fn pings(&self) -> f64 {
        self.connections.iter().map(|c| c.pings as f64).sum()
    }

    /// Projects the actual (or estimated) cost of the connections to a month.
    pub fn month(&self, projection: &Projection, outcome: &Outcome) -> Month {
        self.month_of(projection, outcome, &outcome.bill)
    }

    /// The same with another bill.
    pub(super) fn month_of(
        &self,
        projection: &Projection,
        outcome: &Outcome,
        paid: &Bill,
    ) -> Month {
        let is_long = self.seconds >= SHORTEST && self.messages >= 2;
        if projection.every.is_none() && !is_long {
            return self.as_captured(outcome, paid);
        }
        let devices = projection.devices.unwrap_or(self.clients.max(1) as f64);
        let scale = devices / self.clients.max(1) as f64;
        let messages = match projection.every {
            Some(every) => Count {
                per_month: devices * MONTH / every,
                source: format!("one every {} from each device", period(every)),
            },
            None => Count {
                per_month: scale * per(self.messages as f64, self.seconds) * MONTH,
                source: format!("{} in {}", self.messages, period(self.seconds)),
            },
        };
        let connections = match projection.reconnect {
            Some(every) => Count {
                per_month: devices * (MONTH / every).max(1.0),
                source: format!("one every {} from each device", period(every)),
            },
            None if outcome.connects_for_each => Count {
                per_month: messages.per_month,
                source: "one for each message".to_owned(),
            },
            None if outcome.connections > 1.5 * self.clients as f64 => Count {
                per_month: scale * per(outcome.connections, self.seconds) * MONTH,
                source: format!("{} in {}", outcome.connections, period(self.seconds)),
            },
            None => Count {
                per_month: devices,
                source: "assumed: one from each device, which stays".to_owned(),
            },
        };
        let keep_alive = outcome.keep_alive;
        let pings = match (projection.every, keep_alive) {
            // A client that sends more often than it must has no need to ping.
            (Some(every), Some(keep_alive)) if every > keep_alive => Count {
                per_month: devices * (MONTH / every) * ((every - 0.001) / keep_alive).floor(),
                source: format!("Keep Alive of {}", period(keep_alive)),
            },
            (Some(_), keep_alive) => Count {
                per_month: 0.0,
                source: match keep_alive {
                    Some(keep_alive) => {
                        format!(
                            "none needed: messages within the Keep Alive of {}",
                            period(keep_alive)
                        )
                    }
                    None => "no Keep Alive".to_owned(),
                },
            },
            (None, _) => Count {
                per_month: scale * per(outcome.pings, self.seconds) * MONTH,
                source: format!("{} in {}", outcome.pings.round(), period(self.seconds)),
            },
        };
        let mut bill = Bill::default();
        let parts = [
            (Term::Message, self.messages as f64, messages.per_month),
            (Term::Connection, outcome.connections, connections.per_month),
            (Term::Time, outcome.pings, pings.per_month),
        ];
        let mut seen = Amount::default();
        for (term, counted, per_month) in parts {
            for direction in Direction::ALL {
                let measured = paid.get(term, direction);
                let one = match (term, counted > 0.0) {
                    (_, true) => measured * (1.0 / counted),
                    // No ping was captured, but its size is known.
                    (Term::Time, false) => outcome.cycle[direction],
                    (_, false) => Amount::default(),
                };
                *bill.get_mut(term, direction) = one * per_month;
                seen += measured;
            }
        }
        // Loss adds the same fraction to everything.
        for direction in Direction::ALL {
            let lost = paid.get(Term::Recovery, direction);
            if lost.l2 > 0.0 && seen.l2 > 0.0 {
                let without = bill.total();
                *bill.get_mut(Term::Recovery, direction) = lost * (without.l2 / seen.l2);
            }
        }
        Month {
            devices,
            messages,
            connections,
            pings,
            bill,
            projected: true,
        }
    }

    /// The capture itself, instead of a month.
    fn as_captured(&self, outcome: &Outcome, paid: &Bill) -> Month {
        let count = |n: f64| Count {
            per_month: n,
            source: "as in the capture".to_owned(),
        };
        Month {
            devices: self.clients.max(1) as f64,
            messages: count(self.messages as f64),
            connections: count(outcome.connections),
            pings: count(outcome.pings),
            bill: *paid,
            projected: false,
        }
    }
}

fn per(count: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { count / seconds } else { 0.0 }
}

/// A time for a reader: `90 s`, `5 min`, `2.5 h`.
pub fn period(seconds: f64) -> String {
    let round = |value: f64| {
        let text = format!("{value:.1}");
        text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
    };
    match seconds {
        s if s > 0.0 && s < 1.0 => format!("{} ms", round(1000.0 * s)),
        s if s < 120.0 => format!("{} s", round(s)),
        s if s < 7200.0 => format!("{} min", round(s / 60.0)),
        s if s < 172_800.0 => format!("{} h", round(s / 3600.0)),
        s => format!("{} d", round(s / DAY)),
    }
}

/// Bytes that a plan bills.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Billed {
    /// Bytes up and down, before rounding.
    pub up: f64,
    /// The same, down.
    pub down: f64,
    /// Bytes after rounding, or the increments counted, times their size.
    pub billed: f64,
    /// Increments: credits, messages, kilobytes.
    pub units: Option<f64>,
    /// Messages longer than the link allows.
    pub too_long: bool,
    /// Seconds of airtime; for packet links a floor.
    pub airtime: Option<f64>,
}

/// Bill of a month under a plan.
pub fn bill(profile: &Profile, month: &Month, basis: &Basis<'_>, outcome: &Outcome) -> Billed {
    let direction = |direction| {
        Term::ALL
            .into_iter()
            .map(|term| month.bill.get(term, direction))
            .fold(Amount::default(), |sum, part| sum + part)
    };
    let (up, down) = (direction(Direction::Up), direction(Direction::Down));
    let increment = profile.increment.unwrap_or(1).max(1) as f64;
    match profile.counts() {
        Counts::Level(level) => {
            let (up, down) = (up.at(level), down.at(level));
            let total = up + down;
            let rounded = |parts: f64| match parts > 0.0 {
                true => (total / parts / increment).ceil() * parts * increment,
                false => total,
            };
            let billed = match profile.per {
                Per::Nothing => total,
                Per::Month => rounded(month.devices),
                Per::Session => {
                    let forced = profile.session.filter(|_| month.projected);
                    let forced = forced.map_or(0.0, |seconds| MONTH / seconds as f64);
                    rounded(month.connections.per_month.max(forced * month.devices))
                }
                Per::Message => rounded(month.messages.per_month),
            };
            let time =
                |bytes: f64, rate: Option<f64>| rate.map(|rate| 8.0 * bytes / (1000.0 * rate));
            Billed {
                up,
                down,
                billed,
                units: (profile.per != Per::Nothing).then_some(billed / increment),
                too_long: false,
                airtime: time(up, profile.up)
                    .zip(time(down, profile.down))
                    .map(|(a, b)| a + b),
            }
        }
        Counts::Message(more) => {
            let mut billed = Billed::default();
            let (mut n, mut bytes, mut units, mut airtime) = (0.0, 0.0, 0.0, 0.0);
            for (shape, direction, _, count) in &outcome.shapes {
                let len = u64::from(shape.payload) + u64::from(more);
                let (direction, count) = (*direction, *count);
                n += if !basis.up || direction == Direction::Up {
                    count
                } else {
                    0.0
                };
                bytes += count * len as f64;
                units += count * (len as f64 / increment).ceil().max(1.0);
                airtime += count * profile.lora.map_or(0.0, |lora| lora.airtime(len));
                billed.too_long |= profile.limit.is_some_and(|limit| len > limit);
            }
            let scale = if n > 0.0 {
                month.messages.per_month / n
            } else {
                0.0
            };
            billed.up = bytes * scale;
            billed.billed = units * increment * scale;
            billed.units = Some(units * scale);
            billed.airtime = profile.lora.map(|_| airtime * scale);
            billed
        }
        Counts::Broker => {
            let (mut n, mut units) = (0.0, 0.0);
            for (shape, direction, qos, count) in &outcome.shapes {
                let len = f64::from(shape.topic) + f64::from(shape.payload);
                let (direction, qos, count) = (*direction, *qos, *count);
                n += if !basis.up || direction == Direction::Up {
                    count
                } else {
                    0.0
                };
                // A PUBACK that a device sends counts as a message.
                let answer = if direction == Direction::Down && qos == 1 {
                    1.0
                } else {
                    0.0
                };
                units += count * ((len / increment).ceil().max(1.0) + answer);
            }
            let scale = if n > 0.0 {
                month.messages.per_month / n
            } else {
                0.0
            };
            // CONNECT, and as many SUBSCRIBE packets as in the capture.
            let subscribes: f64 = basis.connections.iter().map(|c| c.subscribes as f64).sum();
            let each = 1.0 + subscribes / basis.connections.len().max(1) as f64;
            let units = units * scale + month.connections.per_month * each;
            Billed {
                billed: units * increment,
                units: Some(units),
                ..Billed::default()
            }
        }
    }
}

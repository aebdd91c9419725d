//! How clients come back: the delays between their connections, identifiers with two
//! owners, the herd after a broker's restart, and the silence that the path survives.
//!
//! All of it is read from records. Attempts that never sent a CONNECT have no client
//! identifier; they count for the client if only one used that address.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use crate::net::Endpoint;
use crate::time::Timestamp;

use super::cause::Cause;
use super::record::Record;

/// How the clients of a capture reconnect.
#[derive(Clone, Debug, Default)]
pub struct Reconnects {
    /// Clients with more than one connection, by identifier. Of identifiers that differ
    /// in digits only, and number more than eight, one entry for all.
    pub clients: Vec<ClientDelays>,
    /// Identifiers that take connections over from each other.
    pub loops: Vec<Loop>,
    /// Clients that came back after a server had closed all its connections.
    pub herds: Vec<Herd>,
    /// The longest silence after which a connection went on.
    pub survived: Option<(Duration, u64)>,
    /// The shortest silence after which a connection was lost.
    pub lost: Option<(Duration, u64)>,
}

/// Identifiers of one pattern beyond which they are reported together.
const MANY: usize = 8;

/// The delays of a client between the end of a connection and the next attempt.
#[derive(Clone, Debug)]
pub struct ClientDelays {
    /// Client identifier; of several, with `#` for digits.
    pub client_id: String,
    /// How many identifiers.
    pub clients: usize,
    /// The delays, in the order of the attempts.
    pub delays: Vec<Duration>,
    /// How they develop.
    pub growth: Growth,
}

/// How the delays of a client develop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Growth {
    /// There is none: the client comes back at once.
    None,
    /// The same each time.
    Fixed,
    /// The same each time, give or take: with jitter.
    FixedWithJitter,
    /// Longer each time.
    Growing {
        /// Short again after a connection that was accepted.
        resets: bool,
    },
    /// Neither.
    Irregular,
}

impl Growth {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "no delay",
            Self::Fixed => "fixed delay",
            Self::FixedWithJitter => "fixed delay with jitter",
            Self::Growing { resets: false } => "growing delay",
            Self::Growing { resets: true } => "growing delay, short again after success",
            Self::Irregular => "irregular delay",
        }
    }

    /// Of delays, with whether the connection before each was accepted.
    fn of(delays: &[(Duration, bool)]) -> Self {
        let seconds = || delays.iter().map(|(delay, _)| delay.as_secs_f64());
        let (least, most) = (
            seconds().fold(f64::MAX, f64::min),
            seconds().fold(0.0, f64::max),
        );
        if most < 0.1 {
            return Self::None;
        }
        if most <= least * 1.05 + 0.02 {
            return Self::Fixed;
        }
        // Each delay against the one before it, unless a success lies between them.
        let steps = || delays.windows(2).filter(|pair| !pair[1].1);
        let grows = steps()
            .filter(|pair| pair[1].0 > pair[0].0.mul_f64(1.3))
            .count();
        let falls = steps()
            .filter(|pair| pair[1].0 < pair[0].0.mul_f64(0.7))
            .count();
        let resets = delays
            .windows(2)
            .any(|pair| pair[1].1 && pair[1].0 < pair[0].0.mul_f64(0.7));
        if grows > 0 && falls == 0 && most > least * 1.8 {
            return Self::Growing { resets };
        }
        match most <= least * 2.0 {
            true => Self::FixedWithJitter,
            false => Self::Irregular,
        }
    }
}

/// Two or more owners of one identifier that throw each other out.
#[derive(Clone, Debug)]
pub struct Loop {
    /// The identifier.
    pub client_id: Box<[u8]>,
    /// The server.
    pub server: Endpoint,
    /// Addresses from which it connects.
    pub addresses: BTreeSet<IpAddr>,
    /// How often a connection was taken over.
    pub times: usize,
    /// From the first takeover to the last.
    pub within: Duration,
    /// The first and the last connection.
    pub connections: (u64, u64),
}

/// Clients that come back together.
#[derive(Clone, Debug)]
pub struct Herd {
    /// The server.
    pub server: Endpoint,
    /// Connections that it closed.
    pub closed: usize,
    /// When.
    pub at: Timestamp,
    /// Connections that were accepted afterwards, within a minute of the first.
    pub back: usize,
    /// How long they took, from the first to the last.
    pub within: Duration,
    /// Attempts that were refused by TCP in between.
    pub refused: usize,
}

/// Takeovers of one identifier that make a loop.
const LOOP: usize = 3;
/// How long a herd is waited for.
const HERD: Duration = Duration::from_secs(60);

impl Reconnects {
    /// Reads records, in any order.
    pub fn of(records: &[Box<Record>]) -> Self {
        let mut all: Vec<&Record> = records.iter().map(Box::as_ref).collect();
        all.sort_by_key(|record| (record.captured.0, record.connection));
        Self {
            clients: delays(&all),
            loops: loops(&all),
            herds: herds(&all),
            survived: all
                .iter()
                .map(|record| (record.longest_idle, record.connection))
                .filter(|(idle, _)| *idle > Duration::from_secs(1))
                .max(),
            lost: all
                .iter()
                .filter(|record| record.close.cause == Cause::NetworkLoss)
                .map(|record| (record.longest_idle, record.connection))
                .min(),
        }
    }
}

/// Delays, each with whether the connection before it was accepted.
type Delays = Vec<(Duration, bool)>;

/// The client of each attempt: its identifier at its address, or that of the
/// only client of the address.
fn delays(all: &[&Record]) -> Vec<ClientDelays> {
    let mut ids: HashMap<IpAddr, BTreeSet<&[u8]>> = HashMap::new();
    for record in all {
        if let Some(id) = record.client_id.as_deref() {
            ids.entry(record.client.addr).or_default().insert(id);
        }
    }
    let only = |addr: IpAddr| match ids.get(&addr) {
        Some(ids) if ids.len() == 1 => ids.first().copied(),
        _ => None,
    };
    let mut attempts: BTreeMap<(&[u8], IpAddr), Vec<&Record>> = BTreeMap::new();
    for record in all {
        let id = record
            .client_id
            .as_deref()
            .or_else(|| only(record.client.addr));
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            attempts
                .entry((id, record.client.addr))
                .or_default()
                .push(record);
        }
    }
    let mut patterns: BTreeMap<String, Vec<(&[u8], Delays)>> = BTreeMap::new();
    for ((id, _), attempts) in attempts {
        let delays: Delays = attempts
            .windows(2)
            .filter_map(|pair| {
                // A connection that begins before the other ends does not come back.
                let ended = pair[0]
                    .closed
                    .filter(|ended| *ended <= pair[1].captured.0)?;
                let accepted = pair[0].frames.down > 0 && pair[0].close.cause != Cause::Refused;
                Some((pair[1].captured.0.since(ended), accepted))
            })
            .collect();
        if !delays.is_empty() {
            patterns.entry(folded(id)).or_default().push((id, delays));
        }
    }
    let mut found = Vec::new();
    for (pattern, clients) in patterns {
        let one = |name: String, clients: usize, delays: Delays| ClientDelays {
            client_id: name,
            clients,
            growth: Growth::of(&delays),
            delays: delays.into_iter().map(|(delay, _)| delay).collect(),
        };
        if clients.len() > MANY {
            let count = clients.len();
            let delays = clients.into_iter().flat_map(|(_, delays)| delays).collect();
            found.push(one(pattern, count, delays));
        } else {
            for (id, delays) in clients {
                found.push(one(String::from_utf8_lossy(id).into_owned(), 1, delays));
            }
        }
    }
    found
}

/// `sensor-17` as `sensor-#`.
fn folded(id: &[u8]) -> String {
    let mut out = String::new();
    for c in String::from_utf8_lossy(id).chars() {
        match c {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            c => out.push(c),
        }
    }
    out
}

fn loops(all: &[&Record]) -> Vec<Loop> {
    let mut taken: BTreeMap<(Endpoint, &[u8]), Vec<&Record>> = BTreeMap::new();
    let mut from: HashMap<(Endpoint, &[u8]), BTreeSet<IpAddr>> = HashMap::new();
    for record in all {
        let Some(id) = record.client_id.as_deref() else {
            continue;
        };
        from.entry((record.server, id))
            .or_default()
            .insert(record.client.addr);
        if record.close.cause == Cause::TakenOver {
            taken.entry((record.server, id)).or_default().push(record);
        }
    }
    let mut found = Vec::new();
    for ((server, id), records) in taken {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            continue;
        };
        if records.len() < LOOP {
            continue;
        }
        found.push(Loop {
            client_id: id.into(),
            server,
            addresses: from.remove(&(server, id)).unwrap_or_default(),
            times: records.len(),
            within: last.captured.1.since(first.captured.1),
            connections: (first.connection, last.connection),
        });
    }
    found
}

fn herds(all: &[&Record]) -> Vec<Herd> {
    let mut stops: BTreeMap<(Endpoint, i64), (usize, Timestamp)> = BTreeMap::new();
    for record in all {
        if record.close.cause == Cause::BrokerStopped
            && let Some(at) = record.closed
        {
            // Those of one stop end within a second.
            let slot = at.seconds() / 2;
            let near =
                (slot - 1..=slot + 1).find(|slot| stops.contains_key(&(record.server, *slot)));
            let stop = stops
                .entry((record.server, near.unwrap_or(slot)))
                .or_insert((0, at));
            stop.0 += 1;
            stop.1 = stop.1.max(at);
        }
    }
    let mut found = Vec::new();
    for ((server, _), (closed, at)) in stops {
        let later = || {
            all.iter()
                .filter(|r| r.server == server && r.captured.0 > at)
        };
        let mut back: Vec<Timestamp> = later()
            .filter(|record| record.frames.down > 0)
            .map(|record| record.captured.0)
            .collect();
        back.sort_unstable();
        let Some(&first) = back.first() else {
            continue;
        };
        back.retain(|time| time.since(first) <= HERD);
        let last = back.last().copied().unwrap_or(first);
        found.push(Herd {
            server,
            closed,
            at,
            back: back.len(),
            within: last.since(first),
            refused: later()
                .filter(|r| r.close.cause == Cause::TcpRefused && r.captured.0 < first)
                .count(),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_by_how_they_develop() {
        let growth = |delays: &[(u64, bool)]| {
            let delays: Vec<_> = delays
                .iter()
                .map(|(ms, accepted)| (Duration::from_millis(*ms), *accepted))
                .collect();
            Growth::of(&delays)
        };
        assert_eq!(growth(&[(1, true), (2, true)]), Growth::None);
        assert_eq!(growth(&[(1000, true), (1004, false)]), Growth::Fixed);
        assert_eq!(
            growth(&[(1000, true), (1400, false), (1200, false)]),
            Growth::FixedWithJitter
        );
        assert_eq!(
            growth(&[(1000, true), (2000, false), (4000, false)]),
            Growth::Growing { resets: false }
        );
        assert_eq!(
            growth(&[(1000, true), (2000, false), (4000, false), (1000, true)]),
            Growth::Growing { resets: true }
        );
        assert_eq!(
            growth(&[(5000, true), (1000, false), (9000, false)]),
            Growth::Irregular
        );
    }

    #[test]
    fn digits_fold() {
        assert_eq!(folded(b"pump-17/b2"), "pump-#/b#");
    }
}

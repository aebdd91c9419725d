//! Figures derived from an account: ratios, a month, bills, savings.

use super::account::Account;
use super::amount::Amount;
use super::cause::Mechanism;
use super::layer::Layer;
use super::outcome::{Mark, Outcome};
use super::profile::Profiles;
use super::project::{Basis, Billed, Count, DAY, Month, Projection, bill};
use super::term::Term;
use super::whatif::{Scenario, Stage};
use crate::frame::{Direction, PerDirection};

/// Which figures were requested explicitly: reports print these in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Scenarios.
    pub what_if: bool,
    /// Links and plans.
    pub link: bool,
    /// A projection.
    pub project: bool,
}

/// Requested figures.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// What to project.
    pub projection: Projection,
    /// What-ifs.
    pub scenarios: Vec<Scenario>,
    /// Links and plans to bill, by name.
    pub links: Profiles,
    /// Add bytes of the medium that captures do not contain.
    pub extras: bool,
    /// Which of these were requested explicitly.
    pub asked: Asked,
}

/// Common ratios. `None` where they would divide by zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ratios {
    /// Bytes that count.
    pub total: u64,
    /// Bytes of payload in first copies.
    pub app: u64,
    /// app / total
    pub efficiency: Option<f64>,
    /// (total − app) / app
    pub overhead: Option<f64>,
    /// total / app
    pub expansion: Option<f64>,
    /// app / time, in bytes per second
    pub goodput: Option<f64>,
    /// total / time, in bytes per second
    pub throughput: Option<f64>,
}

impl Ratios {
    fn new(total: u64, app: u64, seconds: f64) -> Self {
        let by = |a: u64, b: u64| (b > 0).then(|| a as f64 / b as f64);
        let rate = |bytes: u64| (seconds > 0.0).then(|| bytes as f64 / seconds);
        Self {
            total,
            app,
            efficiency: by(app, total).filter(|_| app > 0),
            overhead: by(total.saturating_sub(app), app),
            expansion: by(total, app),
            goodput: rate(app),
            throughput: rate(total),
        }
    }
}

/// A line of the savings list.
#[derive(Clone, Debug)]
pub struct Saving {
    /// Estimated savings.
    pub name: String,
    /// In the capture.
    pub outcome: Outcome,
    /// In a month.
    pub month: Month,
    /// Bytes of a month at the account's level.
    pub bytes: f64,
    /// The same with the fewest and the most acknowledgements.
    pub bounds: Option<(f64, f64)>,
    /// Wake-ups of a device in a day, with a tail of ten seconds.
    pub wakes: f64,
    /// It is still MQTT over TCP.
    pub keeps_mqtt: bool,
}

impl Saving {
    /// How sure the bytes of the month are: not exact if they are projected.
    pub fn mark(&self) -> Mark {
        match self.month.projected {
            true => self.outcome.mark.max(Mark::Model),
            false => self.outcome.mark,
        }
    }
}

/// All derived figures.
#[derive(Debug)]
pub struct Figures<'a> {
    /// The account they are derived from.
    pub account: &'a Account,
    /// The request.
    pub request: &'a Request,
    /// Ratios of both directions together.
    pub both: Ratios,
    /// Ratios up and down.
    pub by_direction: PerDirection<Ratios>,
    /// (retransmissions + acknowledgements without progress) / total
    pub loss: Option<f64>,
    /// Bytes of "2 bytes, a topic and the payload", of all messages.
    pub claimed: u64,
    /// As it is.
    pub now: Saving,
    /// As it could be, the largest saving first.
    pub savings: Vec<Saving>,
    /// Messages of the connections that the projection rests on.
    pub messages: u64,
    /// Of those connections, how many.
    pub connections: u64,
    /// Bytes on the medium beyond the captured ones, by link.
    pub extras: Vec<(String, u64)>,
    /// The connections that the projection rests on.
    basis: Basis<'a>,
}

/// Seconds that a radio stays on after a packet, for wake-ups of a day.
const TAIL: f64 = 10.0;

impl<'a> Figures<'a> {
    /// Derives them.
    pub fn new(account: &'a Account, request: &'a Request) -> Self {
        let seconds = account.seconds();
        let app = |direction: Option<Direction>| -> u64 {
            let groups = account.groups.iter();
            groups
                .filter(|(key, _)| direction.is_none_or(|d| key.direction == d))
                .map(|(_, group)| group.costs.payload)
                .sum()
        };
        let total = |direction| account.level.of(&account.terms.total(direction));
        let by_direction = PerDirection::from_fn(|direction| {
            Ratios::new(total(direction), app(Some(direction)), seconds)
        });
        let mqtt_bytes = account.mqtt_bytes();
        let causes = &account.causes;
        let lost = causes.mechanism(Mechanism::Retx) + causes.mechanism(Mechanism::DupAck);

        let basis = Basis::of(account);
        let stage = Stage::new(account, &basis, request.projection);
        let saving = |scenario: &Scenario| {
            let outcome = stage.play(scenario);
            let month = basis.month(&request.projection, &outcome);
            let at_bound = |bill| {
                let month = basis.month_of(&request.projection, &outcome, &bill);
                month.bill.total().at(account.level)
            };
            Saving {
                name: scenario.name.clone(),
                bytes: month.bill.total().at(account.level),
                bounds: outcome
                    .bounds
                    .map(|(low, high)| (at_bound(low), at_bound(high))),
                wakes: wakes(&month, &outcome),
                keeps_mqtt: scenario.keeps_mqtt(),
                month,
                outcome,
            }
        };
        let now = saving(&Scenario::default());
        let known = request.scenarios.iter().filter(|s| stage.can_tell(s));
        let mut savings: Vec<Saving> = known.map(saving).collect();
        savings.sort_by(|a, b| a.bytes.total_cmp(&b.bytes));
        let all = account.shape.connections.iter().flat_map(|c| &c.groups);
        let claimed = all
            .flat_map(|(_, group)| &group.shapes)
            .map(|&(shape, n)| n * (2 + u64::from(shape.topic) + u64::from(shape.payload)))
            .sum();
        let extras = request.links.iter().filter(|_| request.extras);
        let extras = extras.filter_map(|(name, profile)| {
            let frames = account.terms.total(Direction::Up).packets
                + account.terms.total(Direction::Down).packets;
            let short = if profile.pads { account.short } else { 0 };
            Some((name.clone(), profile.extra? * frames + short))
        });
        Self {
            both: Ratios::new(mqtt_bytes, app(None), seconds),
            by_direction,
            loss: (mqtt_bytes > 0).then(|| lost as f64 / mqtt_bytes as f64),
            claimed,
            now,
            savings,
            messages: basis.messages,
            connections: basis.connections.len() as u64,
            extras: extras.collect(),
            basis,
            account,
            request,
        }
    }

    /// Bills of a month by links and plans, by name.
    pub fn bills(&self, saving: &Saving) -> Vec<(&'a str, Billed)> {
        let Saving { month, outcome, .. } = saving;
        let links = self.request.links.iter();
        links
            .map(|(name, profile)| (&**name, bill(profile, month, &self.basis, outcome)))
            .collect()
    }

    /// Warnings about the figures.
    pub fn warnings(&self) -> Vec<String> {
        let account = self.account;
        let doubts = account.doubts;
        let mut warnings = Vec::new();
        if doubts.offloaded > 0 {
            warnings.push(format!(
                "{} longer than the MSS allows: captured above segmentation offload. On the link they are {} more \
                 packets, whose headers are in no total",
                counted(doubts.offloaded, "segment is", "segments are"),
                doubts.offload_frames
            ));
        }
        if doubts.cut > 0 {
            warnings.push(format!(
                "the snap length cut {}: totals and lower layers are right, MQTT layers may be counted as unparsed",
                counted(doubts.cut, "packet", "packets")
            ));
        }
        if doubts.one_sided > 0 {
            warnings.push(format!(
                "of {} only one direction was captured: the other's bytes are in no total",
                counted(doubts.one_sided, "connection", "connections")
            ));
        }
        if doubts.joined > 0 {
            warnings.push(format!(
                "{} before the capture: set-up costs are too low",
                counted(doubts.joined, "connection began", "connections began")
            ));
        }
        if doubts.unparsed > 0 {
            warnings.push(format!(
                "{} not be read as MQTT (purpose unknown)",
                counted(
                    doubts.unparsed,
                    "byte of TCP payload could",
                    "bytes of TCP payload could"
                )
            ));
        }
        let unread = self.account.shape.connections.iter().filter(|c| !c.is_read);
        let unread = unread.count() as u64;
        let left_out = self.request.scenarios.len() - self.savings.len();
        if unread > 0 {
            let what = match left_out {
                0 => String::new(),
                _ => "; what-ifs that need its control packets are omitted".to_owned(),
            };
            warnings.push(format!(
                "of {} no control packet could be read (encrypted, or not MQTT){what}",
                counted(unread, "connection", "connections")
            ));
        }
        if doubts.unlabelled > 0 {
            warnings.push(format!(
                "{} sent again after their labels were evicted: their purpose is unknown",
                counted(doubts.unlabelled, "byte was", "bytes were")
            ));
        }
        if account.shape.omitted > 0 || account.messages_omitted > 0 {
            warnings.push(format!(
                "{} and {} are in the totals only: limit reached",
                counted(account.shape.omitted, "connection", "connections"),
                counted(account.messages_omitted, "message", "messages")
            ));
        }
        let projects = self.request.projection;
        let counts = counted(self.messages, "message", "messages");
        let time = super::period(account.seconds());
        if self.messages > 0 && !self.now.month.projected {
            warnings.push(format!(
                "{counts} in {time}: too short to project to a month; set the interval of messages with --project every=TIME"
            ));
        } else if self.messages > 0
            && projects.every.is_none()
            && (self.messages < 20 || account.seconds() < 600.0)
        {
            warnings.push(format!(
                "{counts} in {time}: the estimate for a month is rough; set the interval of messages with --project every=TIME"
            ));
        }
        let skipped: u64 = account
            .topics
            .iter()
            .map(|topic| topic.samples.skipped)
            .sum();
        let compresses = self.savings.iter().any(|s| s.name.contains("deflate"));
        if compresses && skipped > 0 {
            warnings.push(format!(
                "compression was not tried on {}: too long, or not captured completely",
                counted(skipped, "payload", "payloads")
            ));
        }
        warnings
    }

    /// The counts of the projection by name.
    pub fn counts(&self) -> [(&'static str, &Count, Amount, Term); 3] {
        let month = &self.now.month;
        let part = |term| month.bill.both(term);
        [
            (
                "messages",
                &month.messages,
                part(Term::Message),
                Term::Message,
            ),
            (
                "connections",
                &month.connections,
                part(Term::Connection),
                Term::Connection,
            ),
            ("pings", &month.pings, part(Term::Time), Term::Time),
        ]
    }

    /// Bytes of MQTT connections in some layers.
    pub fn layers(&self, of: impl Fn(Layer) -> bool) -> u64 {
        let layers = self.account.layers.iter();
        layers
            .filter(|(layer, _)| of(*layer))
            .map(|(_, bytes)| bytes)
            .sum()
    }

    /// How sure the month is.
    pub fn mark(&self) -> Mark {
        self.now.outcome.mark
    }
}

/// `1 frame`, `2 frames`.
fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Wake-ups of a device in a day: for each batch of messages, each ping and each
/// connection, unless the radio never sleeps between them.
fn wakes(month: &Month, outcome: &Outcome) -> f64 {
    let happenings = month.messages.per_month / outcome.batch
        + month.pings.per_month
        + month.connections.per_month;
    let per_day = happenings / month.devices.max(1.0) / 30.0;
    match per_day * TAIL > DAY {
        true => 1.0,
        false => per_day,
    }
}

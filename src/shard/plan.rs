//! Plans: which flow carried which client, learned in a first pass, so that all
//! connections of a client go to one shard.
//!
//! ```json
//! {"format":"mqttdump-plan","version":1,
//!  "flows":[["10.0.0.7:40122","10.0.1.1:1883","sensor-7"]]}
//! ```
//! A plan is a set of flows with client identifiers. Plans of several machines are
//! put together by the union of the sets, in any order.
//!
//! A pair of ports that is used again may have carried several clients; then these are
//! one group, with all their flows. The server is not part of a session's key: clients
//! that move between the addresses of a cluster, or were captured before and after
//! NAT, stay together.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::{hash_of, mix};
use crate::limits;
use crate::net::Endpoint;

/// The two endpoints of a connection, the lower one first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Flow(Endpoint, Endpoint);

impl Flow {
    /// That of what `src` sends to `dst`, and of the opposite direction.
    #[inline]
    pub fn new(src: Endpoint, dst: Endpoint) -> Self {
        match src <= dst {
            true => Self(src, dst),
            false => Self(dst, src),
        }
    }

    /// A hash that is the same on every machine and in every version.
    #[inline]
    pub fn hash(&self) -> u64 {
        mix(hash_of(self.0), hash_of(self.1))
    }
}

/// Flows and the clients that they carried.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    pairs: BTreeSet<(Flow, Box<str>)>,
    left_out: u64,
}

impl Plan {
    /// Adds a flow that carried a client.
    pub fn add(&mut self, flow: Flow, client_id: &[u8]) {
        self.add_up_to(limits::PLAN_FLOWS, flow, client_id);
    }

    fn add_up_to(&mut self, most: usize, flow: Flow, client_id: &[u8]) {
        if client_id.is_empty() {
            return;
        }
        let pair = (flow, String::from_utf8_lossy(client_id).into());
        if self.pairs.len() >= most && !self.pairs.contains(&pair) {
            self.left_out += 1;
            return;
        }
        self.pairs.insert(pair);
    }

    /// Adds all of another plan.
    pub fn merge(&mut self, other: Self) {
        self.pairs.extend(other.pairs);
        self.left_out += other.left_out;
    }

    /// Pairs that did not fit; their flows are placed by their addresses.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Number of pairs of a flow and a client.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether it has no flow.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The group of each flow.
    pub fn grouping(&self) -> Grouping {
        // Clients and flows are nodes of a graph; its components are groups. The
        // least client of a component represents it.
        let mut clients: Vec<&str> = self.pairs.iter().map(|(_, id)| &**id).collect();
        clients.sort_unstable();
        clients.dedup();
        let index: HashMap<&str, usize> = (0..).zip(&clients).map(|(i, id)| (*id, i)).collect();
        let mut parents: Vec<usize> = (0..clients.len()).collect();
        let root = |parents: &mut Vec<usize>, mut at: usize| {
            while parents[at] != at {
                parents[at] = parents[parents[at]];
                at = parents[at];
            }
            at
        };
        let mut of: HashMap<Flow, usize> = HashMap::new();
        for (flow, id) in &self.pairs {
            let client = index[&**id];
            let other = *of.entry(*flow).or_insert(client);
            let (a, b) = (root(&mut parents, client), root(&mut parents, other));
            let (low, high) = (a.min(b), a.max(b));
            parents[high] = low;
        }
        let hash = |id: &str| id.bytes().fold(1, |hash, byte| mix(hash, byte.into()));
        let of = of.into_iter().map(|(flow, client)| {
            let group = root(&mut parents, client);
            (flow, hash(clients[group]))
        });
        Grouping(of.collect())
    }

    /// The plan as JSON.
    pub fn to_json(&self) -> String {
        let flows = self.pairs.iter();
        let flows = flows.map(|(Flow(a, b), id)| (a.to_string(), b.to_string(), id.to_string()));
        let file = PlanFile {
            format: FORMAT.into(),
            version: VERSION,
            flows: flows.collect(),
        };
        let json = serde_json::to_string(&file).unwrap_or_default();
        json.replace("],[", "],\n[") + "\n"
    }

    /// Reads a plan. The error says what is wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        let file: PlanFile = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if (file.format.as_str(), file.version) != (FORMAT, VERSION) {
            return Err(format!(
                "expected {FORMAT} version {VERSION}, found {} version {}",
                file.format, file.version
            ));
        }
        let mut plan = Self::default();
        for (a, b, id) in &file.flows {
            let (Some(one), Some(other)) = (endpoint(a), endpoint(b)) else {
                return Err(format!(
                    "expected two addresses with ports, found {a} and {b}"
                ));
            };
            plan.add(Flow::new(one, other), id.as_bytes());
        }
        Ok(plan)
    }
}

const FORMAT: &str = "mqttdump-plan";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct PlanFile {
    format: String,
    version: u32,
    flows: Vec<(String, String, String)>,
}

fn endpoint(text: &str) -> Option<Endpoint> {
    let address: std::net::SocketAddr = text.parse().ok()?;
    Some(Endpoint {
        addr: address.ip(),
        port: address.port(),
    })
}

/// The group of each flow of a plan, as a hash.
#[derive(Clone, Debug, Default)]
pub struct Grouping(HashMap<Flow, u64>);

impl Grouping {
    /// The hash of the group of a flow; `None` for a flow that is not in the plan.
    #[inline]
    pub fn of(&self, flow: &Flow) -> Option<u64> {
        self.0.get(flow).copied()
    }

    /// Whether there are no groups.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(a: &str, b: &str) -> Flow {
        Flow::new(endpoint(a).unwrap(), endpoint(b).unwrap())
    }

    fn plan(pairs: &[(&str, &str)]) -> Plan {
        let mut plan = Plan::default();
        for (from, id) in pairs {
            plan.add(flow(from, "10.0.0.1:1883"), id.as_bytes());
        }
        plan
    }

    #[test]
    fn flows_beyond_the_limit_are_counted() {
        let mut plan = Plan::default();
        for port in 1..=5 {
            let from = format!("10.0.0.7:{port}");
            plan.add_up_to(3, flow(&from, "10.0.0.1:1883"), b"a");
        }
        // The same again needs no room.
        plan.add_up_to(3, flow("10.0.0.7:1", "10.0.0.1:1883"), b"a");
        assert_eq!((plan.len(), plan.left_out()), (3, 2));
        let groups = plan.grouping();
        let of = |from| groups.of(&flow(from, "10.0.0.1:1883"));
        assert!(of("10.0.0.7:3").is_some() && of("10.0.0.7:4").is_none());
    }

    #[test]
    fn clients_of_one_flow_are_one_group() {
        let plan = plan(&[
            ("10.0.0.7:1", "a"),
            ("10.0.0.7:2", "a"),
            ("10.0.0.7:2", "b"),
            ("10.0.0.7:3", "b"),
            ("10.0.0.7:4", "c"),
        ]);
        let groups = plan.grouping();
        let of = |from| groups.of(&flow(from, "10.0.0.1:1883"));
        assert_eq!(of("10.0.0.7:1"), of("10.0.0.7:3"));
        assert_ne!(of("10.0.0.7:1"), of("10.0.0.7:4"));
        assert_eq!(of("10.0.0.7:5"), None);
        assert_eq!(Plan::from_json(plan.to_json().as_bytes()), Ok(plan));
    }

    #[test]
    fn plans_are_merged_in_any_order() {
        let plans = [
            plan(&[("10.0.0.7:1", "a"), ("10.0.0.7:2", "b")]),
            plan(&[("[::1]:1", "a")]),
            plan(&[("10.0.0.7:1", "a"), ("10.0.0.7:1", "c")]),
        ];
        let merged = |order: [usize; 3]| {
            let mut all = Plan::default();
            order.iter().for_each(|i| all.merge(plans[*i].clone()));
            all.to_json()
        };
        assert_eq!(merged([0, 1, 2]), merged([2, 0, 1]));
        assert_eq!(merged([0, 1, 2]), merged([1, 2, 0]));
    }

    #[test]
    fn what_is_not_a_plan_is_refused() {
        for json in [
            "",
            "{}",
            "[]",
            r#"{"format":"x","version":1,"flows":[]}"#,
            r#"{"format":"mqttdump-plan","version":2,"flows":[]}"#,
            r#"{"format":"mqttdump-plan","version":1,"flows":[["a","b","c"]]}"#,
        ] {
            assert!(Plan::from_json(json.as_bytes()).is_err(), "{json}");
        }
    }
}

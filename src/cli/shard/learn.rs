//! The first pass of `shard --by session`: which flow carried which client.

use mqttdump::facts::{Fact, Sink};
use mqttdump::mqtt::PacketType;
use mqttdump::shard::{Flow, Plan};

use crate::cli::driver::{Driver, Job};
use crate::cli::reading::Reading;
use crate::cli::source::Source;
use crate::cli::stop::Stop;

/// Reads a capture for its clients. Also returns whether it could be read to its end.
pub(super) fn learn(reading: &mut Reading, source: &Source) -> Result<(Plan, bool), Stop> {
    reading.engine.payload = 0;
    // The other addresses of a connection behind NAT belong to the same client.
    let keep_views = std::mem::replace(&mut reading.engine.keep_views, true);
    let mut job = Learning(Clients::default());
    let mut driver = Driver::new(reading)?;
    let outcome = driver.read(source, &mut job)?;
    reading.engine.keep_views = keep_views;
    Ok((job.0.plan, outcome.whole))
}

struct Learning(Clients);

impl Job for Learning {
    type Sink = Clients;

    fn sink(&mut self) -> &mut Clients {
        &mut self.0
    }
}

/// Collects client identifiers of CONNECT, and those that CONNACK assigns.
#[derive(Default)]
struct Clients {
    plan: Plan,
}

impl Sink for Clients {
    fn fact(&mut self, fact: Fact<'_>) {
        let Fact::Frame(fact) = fact else { return };
        let frame = fact.frame;
        if matches!(
            frame.header.packet_type(),
            PacketType::Connect | PacketType::Connack
        ) && let Some(client_id) = &frame.connection.client_id
        {
            let flow = Flow::new(frame.connection.client, frame.connection.server);
            self.plan.add(flow, client_id);
        }
    }

    fn earlier(&mut self, fact: Fact<'_>, _: mqttdump::time::Timestamp) {
        self.fact(fact);
    }
}

//! Selection of connections and control packets.

use std::sync::Arc;

use clap::{ArgAction, Args};
use jiff::tz::TimeZone;
use mqttdump::filter::Filter;
use mqttdump::mqtt::PacketType;
use mqttdump::mqtt::topic::TopicFilter;
use mqttdump::select::Selection;

use super::value;

/// Selection of connections.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Messages")]
pub(crate) struct Connections {
    /// Select the connections of this client identifier. Repeatable
    ///
    /// The identifier is the one in CONNECT, or the one that the server assigned.
    /// Connections whose client identifier is unknown are not selected.
    #[arg(long, value_name = "ID", action = ArgAction::Append)]
    pub(crate) client: Vec<String>,

    /// Select this TCP connection, by its number as printed with -v. Repeatable
    ///
    /// Connections are numbered from 1 in the order of their first packets:
    /// Wireshark's tcp.stream plus 1.
    #[arg(long, value_name = "N", action = ArgAction::Append, value_delimiter = ',',
          value_parser = value::count)]
    pub(crate) connection: Vec<u64>,

    /// Accept a capture without MQTT, and a selection that selects nothing
    #[arg(long)]
    pub(crate) allow_empty: bool,
}

impl Connections {
    /// The selection.
    pub(crate) fn selection(&self) -> Selection {
        let clients = self.client.iter().map(|client| client.as_bytes().into());
        Selection {
            clients: clients.collect(),
            connections: self.connection.clone(),
            ..Selection::default()
        }
    }
}

/// Selection of control packets.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Messages")]
pub(crate) struct Selecting {
    #[command(flatten)]
    pub(crate) connections: Connections,

    /// Select control packets by a display filter in Wireshark's language
    ///
    /// For example `mqtt.topic contains "temp" && mqtt.qos > 0`, or
    /// `topic ~ "plant/+/temp" and payload.json.value > 80`. `mqttdump fields` lists
    /// the fields: Wireshark's, and the keys of the NDJSON format. The filter is
    /// evaluated for each control packet.
    #[arg(short = 'Y', long = "display-filter", value_name = "EXPRESSION")]
    pub(crate) display_filter: Option<String>,

    /// Select messages of these topics; wildcards as in subscriptions. Repeatable
    ///
    /// `+` matches one level and `#` the remaining ones; neither matches the first
    /// level of a topic that starts with `$`. Selects PUBLISH packets of these
    /// topics (also through Topic Aliases), SUBSCRIBE and UNSUBSCRIBE with an
    /// overlapping filter, CONNECT with a matching will, and the acknowledgements of
    /// all these. A message whose topic is unknown, because the capture started later
    /// or lost packets, is kept and marked `?`.
    #[arg(long, value_name = "FILTER", action = ArgAction::Append)]
    pub(crate) topic: Vec<String>,

    /// Select control packets of these types, such as connect,connack
    #[arg(long = "type", value_name = "TYPE", action = ArgAction::Append,
          value_delimiter = ',', ignore_case = true, value_parser = value::packet_type())]
    pub(crate) types: Vec<PacketType>,

    /// Select PUBLISH packets of this QoS, with their acknowledgements
    ///
    /// An acknowledgement has the QoS of the PUBLISH that it answers. If that PUBLISH
    /// was not captured, PUBACK counts as QoS 1, and PUBREC, PUBREL and PUBCOMP as
    /// QoS 2. Other control packets have no QoS.
    #[arg(long, value_name = "N", action = ArgAction::Append, value_delimiter = ',',
          value_parser = value::number(0u8..=3, "a QoS from 0 to 3"))]
    pub(crate) qos: Vec<u8>,
}

impl Selecting {
    /// The selection, or the error message. `zone` applies to times without an
    /// offset in the display filter.
    pub(crate) fn selection(&self, zone: &TimeZone) -> Result<Selection, String> {
        let topics = self
            .topic
            .iter()
            .map(|filter| {
                TopicFilter::parse(filter.as_bytes())
                    .map_err(|why| format!("--topic {filter:?} is not a topic filter: {why}"))
            })
            .collect::<Result<_, _>>()?;
        let filter = match &self.display_filter {
            Some(text) => Some(
                Filter::with_zone(text, zone)
                    .map(Arc::new)
                    .map_err(|error| format!("-Y: {error}"))?,
            ),
            None => None,
        };
        Ok(Selection {
            topics,
            filter,
            types: self.types.clone(),
            qos: self.qos.clone(),
            ..self.connections.selection()
        })
    }
}

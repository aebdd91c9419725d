//! Messages about a selection that selects nothing.

use mqttdump::mqtt::PacketType;
use mqttdump::select::{Criterion, There, Unmatched};

use super::console::complain;
use super::nearest::nearest;

/// Maximum number of names in a message.
const LISTED: usize = 8;

/// Reports the criteria that selected nothing in all captures; `None` if that is
/// accepted. Returns whether there are none.
pub(crate) fn report(unmatched: Option<&Unmatched>) -> bool {
    let Some(unmatched) = unmatched else {
        return true;
    };
    let mut all_selected = true;
    for criterion in unmatched.criteria() {
        complain(&message(criterion, unmatched.there()));
        all_selected = false;
    }
    all_selected
}

fn message(criterion: &Criterion, there: &There) -> String {
    let names = |names: &std::collections::BTreeSet<Box<[u8]>>| {
        let names = names.iter().map(|name| text(name));
        names.collect::<Vec<String>>()
    };
    let (option, asked, what, there) = match criterion {
        Criterion::Topic(filter) => {
            let asked = vec![text(filter.bytes())];
            ("--topic", asked, "topics", names(&there.topics))
        }
        Criterion::Client(id) => ("--client", vec![text(id)], "clients", names(&there.clients)),
        Criterion::Connection(number) => {
            let numbers = there.connections.iter().map(u64::to_string).collect();
            (
                "--connection",
                vec![number.to_string()],
                "connections",
                numbers,
            )
        }
        Criterion::Types(types) => {
            let names = |types: &mut dyn Iterator<Item = &PacketType>| {
                types.map(|it| it.name().to_owned()).collect()
            };
            let there = names(&mut there.types.iter());
            ("--type", names(&mut types.iter()), "types", there)
        }
        Criterion::Qos(asked) => {
            let there = there.qos.iter().map(u8::to_string).collect();
            let asked = asked.iter().map(u8::to_string).collect();
            ("--qos", asked, "QoS", there)
        }
    };
    let near = match (criterion, &asked[..]) {
        (Criterion::Topic(_) | Criterion::Client(_), [asked]) => {
            nearest(asked, there.iter().map(String::as_str))
        }
        _ => None,
    };
    let asked = asked.join(",");
    let hint = match (near, &there[..]) {
        (Some(name), _) => format!("did you mean {name}?"),
        (None, []) => format!("no {what}"),
        (None, all) if all.len() > LISTED => {
            let more = all.len() - LISTED;
            format!("{what}: {} and {more} more", all[..LISTED].join(", "))
        }
        (None, all) => format!("{what}: {}", all.join(", ")),
    };
    format!("no message matches {option} {asked} ({hint}); accept with --allow-empty")
}

/// A name from the wire, escaped for terminals.
fn text(name: &[u8]) -> String {
    if name.is_empty() {
        return r#""""#.to_owned();
    }
    String::from_utf8_lossy(name).escape_debug().to_string()
}

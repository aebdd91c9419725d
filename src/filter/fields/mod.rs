//! All fields, by name; and the page that lists them.

mod ours;
mod packet;
mod wireshark;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use super::field::{Access, Field, Kind, PathStep, Values};
use crate::mqtt::{DEFINITIONS, DataType};

static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let mut fields = wireshark::fields();
    fields.extend(packet::fields());
    fields.extend(ours::fields());
    fields.extend(properties());
    fields
});

static BY_NAME: LazyLock<HashMap<&'static str, &'static Field>> =
    LazyLock::new(|| FIELDS.iter().map(|field| (&*field.name, field)).collect());

/// All fields, Wireshark's first, in the order of the documentation.
pub fn all() -> &'static [Field] {
    &FIELDS
}

/// The field with a name: one of the listed fields, a User Property
/// (`properties.user_property.NAME`), or a value in a payload
/// (`payload.json.A.B`).
pub(super) fn find(name: &str) -> Option<Cow<'static, Field>> {
    if let Some(field) = BY_NAME.get(name) {
        return Some(Cow::Borrowed(field));
    }
    for (prefix, will) in [
        ("properties.user_property.", false),
        ("will.properties.user_property.", true),
    ] {
        if let Some(property) = name.strip_prefix(prefix).filter(|name| !name.is_empty()) {
            return Some(Cow::Owned(Field {
                name: Cow::Owned(name.to_owned()),
                kind: Kind::Text,
                help: Cow::Borrowed("a User Property"),
                values: Values::None,
                access: Access::UserProperty {
                    name: Arc::from(property.as_bytes()),
                    will,
                },
            }));
        }
    }
    let path = ours::PAYLOAD_ROOTS
        .iter()
        .find_map(|root| name.strip_prefix(root)?.strip_prefix('.'))?;
    let names: Vec<_> = path.split('.').collect();
    if names.iter().any(|name| name.is_empty()) {
        return None;
    }
    let steps = names.into_iter().map(|name| PathStep::Name(name.into()));
    Some(Cow::Owned(Field {
        name: Cow::Owned(name.to_owned()),
        kind: Kind::Any,
        help: Cow::Borrowed("a value inside the payload"),
        values: Values::None,
        access: Access::Payload(steps.collect()),
    }))
}

/// The known name that is most similar to this one, if any is similar.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let (distance, found) = FIELDS
        .iter()
        .map(|field| (distance(&lower, &field.name), &*field.name))
        .min_by_key(|(distance, _)| *distance)?;
    if distance <= 1 + name.len() / 4 {
        return Some(found);
    }
    // The last component alone, as in `mqtt.username` for `mqtt.connect.username`.
    let last = lower.rsplit('.').next().filter(|last| last.len() > 2)?;
    FIELDS
        .iter()
        .map(|field| &*field.name)
        .find(|known| known.rsplit('.').next() == Some(last))
}

/// Levenshtein's distance: insertions, deletions and substitutions.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = i;
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        for (j, b) in other.bytes().enumerate() {
            let above = row[j + 1];
            let substituted = diagonal + usize::from(a != b);
            row[j + 1] = substituted.min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// One field for each property of MQTT 5.0, of packets and of wills.
fn properties() -> impl Iterator<Item = Field> {
    [("properties", false), ("will.properties", true)]
        .into_iter()
        .flat_map(|(prefix, will)| {
            DEFINITIONS.iter().map(move |definition| {
                let help = match (definition.data_type, will) {
                    (DataType::Pair, _) => {
                        "User Properties: names and values; …user_property.NAME for one".to_owned()
                    }
                    (_, false) => format!("the property {}", definition.name),
                    (_, true) => format!("the property {} of the will", definition.name),
                };
                Field {
                    name: format!("{prefix}.{}", definition.snake_name).into(),
                    kind: match definition.data_type {
                        DataType::String if definition.snake_name.ends_with("topic") => Kind::Topic,
                        DataType::String | DataType::Pair => Kind::Text,
                        DataType::Binary => Kind::Bytes,
                        DataType::Byte
                        | DataType::TwoByteInteger
                        | DataType::FourByteInteger
                        | DataType::VariableByteInteger => Kind::Number,
                    },
                    help: help.into(),
                    values: Values::None,
                    access: Access::Property {
                        id: definition.id.into(),
                        will,
                    },
                }
            })
        })
}

/// The list of fields as a page of the documentation.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Fields of `-Y`\n\n\
         Generated from the program's own table; `mqttdump fields` prints the same list. \
         [filter.md](filter.md) explains the language.\n",
    );
    let mut group = "";
    for field in all() {
        let heading = match field.name.split('.').next() {
            Some("mqtt") => "Wireshark's: MQTT",
            Some("frame" | "tcp" | "ip" | "ipv6" | "tls" | "websocket") => "Wireshark's: transport",
            _ if field.name.contains("properties.") => "MQTT 5.0 properties",
            _ => "The keys of NDJSON",
        };
        if heading != group {
            group = heading;
            let _ = write!(
                page,
                "\n## {group}\n\n| field | type | description |\n|---|---|---|\n"
            );
        }
        let _ = writeln!(
            page,
            "| `{}` | {} | {} |",
            field.name,
            field.kind.name(),
            field.help
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_explained() {
        let mut names: Vec<_> = all().iter().map(|field| &*field.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for field in all() {
            assert!(
                !field.help.is_empty() && !field.help.contains(['\n', '|']),
                "{}",
                field.name
            );
        }
    }

    #[test]
    fn the_nearest_name() {
        for (wrong, right) in [
            ("mqtt.topik", Some("mqtt.topic")),
            ("MQTT.TOPIC", Some("mqtt.topic")),
            ("mqtt.client_id", Some("mqtt.clientid")),
            ("clientid", Some("client_id")),
            ("mqtt.connect.username", Some("mqtt.username")),
            ("entirely_different", None),
        ] {
            assert_eq!(nearest(wrong), right, "{wrong}");
        }
    }
}

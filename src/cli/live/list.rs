//! `-D`: lists the interfaces for `-i`, as tcpdump does, with addresses.

use std::fmt::Write as _;

use mqttdump::capture::{Listed, interfaces};

/// A line for each interface.
pub(crate) fn list() -> Result<String, String> {
    Ok(lines(&interfaces().map_err(|error| error.to_string())?))
}

fn lines(interfaces: &[Listed]) -> String {
    let mut lines = String::new();
    for (number, interface) in (1..).zip(interfaces) {
        let Listed {
            name,
            description,
            addresses,
            state,
        } = interface;
        let _ = write!(lines, "{number}.{name}");
        if let Some(description) = description {
            let _ = write!(lines, " ({description})");
        }
        if !state.is_empty() {
            let _ = write!(lines, " [{}]", state.join(", "));
        }
        for address in addresses {
            let _ = write!(lines, " {address}");
        }
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_tcpdump_with_addresses() {
        let listed = |name: &str, description: Option<&str>, addresses: &[&str], state| Listed {
            name: name.to_owned(),
            description: description.map(str::to_owned),
            addresses: addresses
                .iter()
                .map(|a| a.parse().expect("an address"))
                .collect(),
            state,
        };
        let interfaces = [
            listed(
                "eth0",
                None,
                &["10.0.0.7", "fe80::1"],
                vec!["Up", "Running", "Connected"],
            ),
            listed(
                "any",
                Some("Pseudo-device that captures on all interfaces"),
                &[],
                vec!["Up", "Running"],
            ),
            listed("wlan0", None, &[], vec!["Wireless"]),
            listed("dummy0", None, &[], vec![]),
        ];
        assert_eq!(
            lines(&interfaces),
            "1.eth0 [Up, Running, Connected] 10.0.0.7 fe80::1\n\
             2.any (Pseudo-device that captures on all interfaces) [Up, Running]\n\
             3.wlan0 [Wireless]\n\
             4.dummy0\n"
        );
    }
}

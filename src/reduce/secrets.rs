//! TLS keys of the connections that are left.

use std::collections::HashSet;

use super::Sample;

/// Bytes of the random value that names a TLS connection in a key log.
const RANDOM: usize = 32;

/// The lines of a key log (NSS format) of TLS connections whose ClientHello is in these
/// packets, so that the keys of others are not given away.
pub fn needed(key_log: &[u8], samples: &[Sample]) -> Vec<u8> {
    let lines = || key_log.split_inclusive(|byte| *byte == b'\n');
    let known: HashSet<[u8; RANDOM]> = lines().filter_map(random).collect();
    if known.is_empty() {
        return Vec::new();
    }
    let mut used = HashSet::new();
    for sample in samples {
        let windows = sample.data.windows(RANDOM);
        used.extend(
            windows
                .filter_map(|window| <[u8; RANDOM]>::try_from(window).ok())
                .filter(|window| known.contains(window)),
        );
    }
    lines()
        .filter(|line| random(line).is_some_and(|random| used.contains(&random)))
        .flatten()
        .copied()
        .collect()
}

/// The random value of a line: its second field, in hexadecimal.
fn random(line: &[u8]) -> Option<[u8; RANDOM]> {
    let field = line.split(|byte| *byte == b' ').nth(1)?;
    let text = std::str::from_utf8(field).ok()?.trim_end();
    if text.len() != 2 * RANDOM || !text.is_ascii() {
        return None;
    }
    let mut random = [0; RANDOM];
    for (at, byte) in random.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{LinkType, PacketRef};
    use crate::time::Timestamp;

    #[test]
    fn keys_of_other_connections_are_left_out() {
        let sample = Sample {
            id: PacketRef::default(),
            time: Timestamp::from_nanos(0),
            link_type: LinkType(1),
            original_len: 42,
            data: [&[1; 5][..], &[0xab; 32], &[2; 5]].concat(),
        };
        let line = |byte: &str| format!("CLIENT_RANDOM {} 00ff\n", byte.repeat(32));
        let log = format!("# keys\n{}{}\nCLIENT_RANDOM zz", line("ab"), line("cd"));
        let needed = needed(log.as_bytes(), &[sample]);
        assert_eq!(needed, line("ab").as_bytes());
    }
}

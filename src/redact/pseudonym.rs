//! Keyed pseudonyms of the same length and kind.
//!
//! A value is split into digits of different radices ([`Shape`](super::shape)): a
//! small letter is a digit of radix 26, an octet of an address one of radix 256.
//! The digits go through a Feistel network with HMAC-SHA-256 as its round function.
//! That is a permutation: different values of a shape have different pseudonyms, and
//! the same value has the same one wherever it stands, also in another capture that
//! is redacted under the same key.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::shape::{self, Shape};
use crate::limits;

/// Kinds of values that can be left as they are, and that are listed in the mapping.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// IP addresses.
    Addresses,
    /// Client identifiers.
    ClientIds,
    /// MAC addresses.
    Macs,
    /// Payloads of PUBLISH packets and of wills.
    Payloads,
    /// Ports of clients.
    Ports,
    /// Topic names and topic filters.
    Topics,
    /// User names.
    UserNames,
}

impl Kind {
    /// Every kind, by name.
    pub const ALL: [Self; 7] = [
        Self::Addresses,
        Self::ClientIds,
        Self::Macs,
        Self::Payloads,
        Self::Ports,
        Self::Topics,
        Self::UserNames,
    ];

    /// Its name on the command line and in the mapping.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Addresses => "addresses",
            Self::ClientIds => "client-ids",
            Self::Macs => "macs",
            Self::Payloads => "payloads",
            Self::Ports => "ports",
            Self::Topics => "topics",
            Self::UserNames => "user-names",
        }
    }
}

/// Original values and their pseudonyms.
pub type Mapping = BTreeMap<(Kind, Box<[u8]>), Box<[u8]>>;

/// Domains that are permuted independently of each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Domain {
    /// Names: client identifiers, user names, topic levels, JSON keys. One domain, so
    /// that a topic level that is a client identifier stays one.
    Name = 1,
    Payload,
    Secret,
    Address,
    Mac,
    Port,
    Checksum,
}

/// A value, and what it is.
type Original = (Domain, Box<[u8]>);

/// Makes pseudonyms under a key.
pub(super) struct Pseudonyms {
    key: Hmac<Sha256>,
    keep: Vec<Kind>,
    /// Ports by which protocols are recognised: neither replaced nor given.
    known_ports: Vec<u16>,
    known: HashMap<Original, Box<[u8]>>,
    mapping: Option<Mapping>,
    /// The mapping has no room for all values.
    lacks_values: bool,
    /// How many values each of them may have.
    most: usize,
}

/// Rounds of the network; NIST SP 800-38G has 8 to 10.
const ROUNDS: u8 = 10;
/// Values of more digits are not permuted, but added to digits that depend on all of
/// them: a collision is as unlikely as in a hash.
const PERMUTED: usize = 64;

impl Pseudonyms {
    pub(super) fn new(key: &[u8], keep: Vec<Kind>, known_ports: Vec<u16>, mapped: bool) -> Self {
        // A key of any length becomes one of a block.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&Sha256::digest(key));
        Self {
            key: Hmac::new(&block.into()),
            keep,
            known_ports,
            known: HashMap::new(),
            mapping: mapped.then(Mapping::new),
            lacks_values: false,
            most: limits::REDACTED_VALUES,
        }
    }

    pub(super) fn keeps(&self, kind: Kind) -> bool {
        self.keep.contains(&kind)
    }

    pub(super) fn lacks_values(&self) -> bool {
        self.lacks_values
    }

    pub(super) fn take_mapping(&mut self) -> Option<Mapping> {
        self.mapping.take()
    }

    /// Client identifier, user name, topic name or filter: level after level.
    pub(super) fn levels(&mut self, kind: Option<Kind>, bytes: &mut [u8]) {
        if kind.is_some_and(|kind| self.keeps(kind)) {
            return;
        }
        let original: Box<[u8]> = (&*bytes).into();
        let is_system = bytes.starts_with(b"$SYS/");
        for (index, level) in bytes.split_mut(|&byte| byte == b'/').enumerate() {
            let is_kept = (index == 0 && level.starts_with(b"$"))
                || shape::SPARKPLUG.contains(&&*level)
                || (is_system && shape::SYSTEM.contains(&&*level));
            if !is_kept {
                self.name(level);
            }
        }
        self.note(kind, original, bytes);
    }

    /// A name without levels.
    pub(super) fn name(&mut self, bytes: &mut [u8]) {
        let shape = Shape::text(bytes);
        self.permute_known(Domain::Name, &shape, bytes, |name| {
            !shape::SPARKPLUG.contains(&name)
        });
    }

    /// A payload: JSON keeps its structure, text its punctuation and its encoding.
    pub(super) fn payload(&mut self, bytes: &mut [u8]) {
        if self.keeps(Kind::Payloads) {
            return;
        }
        if shape::is_json(bytes) {
            let (keys, values) = Shape::json(bytes);
            for key in keys {
                self.permute(Domain::Name, &key, bytes);
            }
            self.permute(Domain::Payload, &values, bytes);
        } else {
            self.permute(Domain::Payload, &Shape::payload(bytes), bytes);
        }
    }

    /// Text that is not listed: HTTP fields, reasons.
    pub(super) fn text(&mut self, bytes: &mut [u8]) {
        self.permute(Domain::Payload, &Shape::text(bytes), bytes);
    }

    /// Bytes without a structure, such as passwords.
    pub(super) fn opaque(&mut self, bytes: &mut [u8]) {
        self.permute(Domain::Secret, &Shape::opaque(bytes), bytes);
    }

    /// An IP address of the same kind: private, link-local, global … Multicast and
    /// loopback addresses stay.
    pub(super) fn address(&mut self, address: IpAddr) -> IpAddr {
        if self.keeps(Kind::Addresses) {
            return address;
        }
        let (bytes, pseudonym) = match address {
            IpAddr::V4(v4) => {
                let mut octets = v4.octets();
                let class = shape::class_of_v4(octets);
                self.permute_known(Domain::Address, &Shape::v4(class), &mut octets, |octets| {
                    <[u8; 4]>::try_from(octets).is_ok_and(|o| shape::class_of_v4(o) == class)
                });
                (v4.octets().to_vec(), IpAddr::V4(Ipv4Addr::from(octets)))
            }
            IpAddr::V6(v6) => {
                let mut octets = v6.octets();
                let shape = Shape::v6(octets);
                self.permute_known(Domain::Address, &shape, &mut octets, |_| true);
                (v6.octets().to_vec(), IpAddr::V6(Ipv6Addr::from(octets)))
            }
        };
        let text = pseudonym.to_string();
        if self.mapping.is_some() && !bytes.is_empty() {
            let original = address.to_string();
            self.note(
                Some(Kind::Addresses),
                original.into_bytes().into(),
                text.as_bytes(),
            );
        }
        pseudonym
    }

    /// A MAC address. Group addresses stay, and so does the bit of local ones.
    pub(super) fn mac(&mut self, mac: &mut [u8]) {
        let is_group = mac.first().is_none_or(|first| first & 1 != 0);
        if self.keeps(Kind::Macs) || is_group || mac.iter().all(|&byte| byte == 0) {
            return;
        }
        let original = hex(mac);
        self.permute_known(Domain::Mac, &Shape::mac(mac), mac, |_| true);
        self.note(Some(Kind::Macs), original, &hex(mac));
    }

    /// The port of a client of a server at another port. Order stays, because the
    /// lower port is taken for the server's where nothing else shows it; and ephemeral
    /// ports stay such, so that nearly all do not depend on the server's.
    pub(super) fn port(&mut self, port: u16, server: u16) -> u16 {
        const REGISTERED: u16 = 1024;
        const EPHEMERAL: u16 = 32_768;
        let stays = port < REGISTERED || port == server || self.known_ports.contains(&port);
        if stays || self.keeps(Kind::Ports) {
            return port;
        }
        let known = std::mem::take(&mut self.known_ports);
        let mut bytes = port.to_be_bytes();
        // The other side of the server is another domain, so the cache of values is
        // not used.
        loop {
            self.permute(Domain::Port, &Shape::octets(2), &mut bytes);
            let new = u16::from_be_bytes(bytes);
            let is_alike = (new > server) == (port > server)
                && (new >= EPHEMERAL) == (port >= EPHEMERAL)
                && new >= REGISTERED;
            if is_alike && !known.contains(&new) && new != server {
                break;
            }
        }
        self.known_ports = known;
        let new = u16::from_be_bytes(bytes);
        if self.mapping.is_some() {
            let original = port.to_string().into_bytes().into();
            self.note(Some(Kind::Ports), original, new.to_string().as_bytes());
        }
        new
    }

    /// What stands in place of a checksum that was wrong or cannot be verified:
    /// duplicates of a packet are recognised by it.
    pub(super) fn checksum(&mut self, checksum: u16) -> u16 {
        let mut bytes = checksum.to_be_bytes();
        self.permute_known(Domain::Checksum, &Shape::octets(2), &mut bytes, |_| true);
        u16::from_be_bytes(bytes)
    }

    fn note(&mut self, kind: Option<Kind>, original: Box<[u8]>, pseudonym: &[u8]) {
        let (Some(mapping), Some(kind)) = (&mut self.mapping, kind) else {
            return;
        };
        let key = (kind, original);
        if mapping.len() < self.most || mapping.contains_key(&key) {
            mapping.insert(key, pseudonym.into());
        } else {
            self.lacks_values = true;
        }
    }

    /// Permutes within the values that `fits` accepts, and remembers the result.
    fn permute_known(
        &mut self,
        domain: Domain,
        shape: &Shape,
        bytes: &mut [u8],
        fits: impl Fn(&[u8]) -> bool,
    ) {
        if shape.is_empty() {
            return;
        }
        let key = (domain, (&*bytes).into());
        if let Some(known) = self.known.get(&key) {
            bytes.copy_from_slice(known);
            return;
        }
        loop {
            self.permute(domain, shape, bytes);
            if fits(bytes) {
                break;
            }
        }
        if self.known.len() >= self.most {
            self.known.clear();
        }
        self.known.insert(key, (&*bytes).into());
    }

    fn permute(&self, domain: Domain, shape: &Shape, bytes: &mut [u8]) {
        let mut digits = shape.digits(bytes);
        let n = digits.len();
        if n == 0 {
            return;
        }
        // The shape is an input of every round; not where in a payload it begins, so
        // that a JSON key is the same everywhere.
        let first = shape.slots()[0].0;
        let mut mac = self.key.clone();
        mac.update(&[domain as u8]);
        mac.update(&(n as u64).to_be_bytes());
        for &(at, _, radix) in shape.slots() {
            mac.update(&((at - first) as u64).to_be_bytes());
            mac.update(&radix.to_be_bytes());
        }
        let radix = |index: usize| shape.slots()[index].2;
        if n > PERMUTED {
            mac.update(&digits);
            let mut stream = Stream::new(mac);
            for (index, digit) in digits.iter_mut().enumerate() {
                add(digit, stream.next(), radix(index));
            }
        } else {
            let half = n / 2;
            for round in 0..ROUNDS {
                let (left, right) = digits.split_at_mut(half);
                let (to, from, first) = match round % 2 {
                    0 => (right, &*left, half),
                    _ => (left, &*right, 0),
                };
                let mut mac = mac.clone();
                mac.update(&[round]);
                mac.update(from);
                let mut stream = Stream::new(mac);
                for (index, digit) in to.iter_mut().enumerate() {
                    add(digit, stream.next(), radix(first + index));
                }
            }
        }
        shape.put(&digits, bytes);
    }
}

fn add(digit: &mut u8, random: u16, radix: u16) {
    *digit = ((u16::from(*digit) + random % radix) % radix) as u8;
}

fn hex(bytes: &[u8]) -> Box<[u8]> {
    let octets: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    octets.join(":").into_bytes().into()
}

/// Pseudorandom numbers from the result of an HMAC.
struct Stream {
    seed: [u8; 32],
    block: [u8; 32],
    used: usize,
    blocks: u64,
}

impl Stream {
    fn new(mac: Hmac<Sha256>) -> Self {
        let seed: [u8; 32] = mac.finalize().into_bytes().into();
        Self {
            seed,
            block: seed,
            used: 32,
            blocks: 0,
        }
    }

    fn next(&mut self) -> u16 {
        if self.used == self.block.len() {
            let mut hash = Sha256::new();
            hash.update(self.seed);
            hash.update(self.blocks.to_be_bytes());
            self.block = hash.finalize().into();
            self.blocks += 1;
            self.used = 0;
        }
        let pair = [self.block[self.used], self.block[self.used + 1]];
        self.used += 2;
        u16::from_be_bytes(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn pseudonyms() -> Pseudonyms {
        Pseudonyms::new(b"a key of the tests", Vec::new(), vec![1883], false)
    }

    #[test]
    fn different_names_stay_different_and_keep_their_kind() {
        let mut names = pseudonyms();
        let mut seen = HashSet::new();
        for one in b'a'..=b'z' {
            for digit in b'0'..=b'9' {
                let mut name = [one, b'-', digit];
                names.name(&mut name);
                assert!(name[0].is_ascii_lowercase() && name[1] == b'-');
                assert!(name[2].is_ascii_digit());
                assert!(seen.insert(name));
            }
        }
    }

    #[test]
    fn values_beyond_the_limit_are_replaced_alike_but_not_listed() {
        let replace = |names: &mut Pseudonyms, text: &str| {
            let mut name = text.as_bytes().to_vec();
            names.levels(Some(Kind::ClientIds), &mut name);
            name
        };
        let mut all = Pseudonyms {
            mapping: Some(Mapping::new()),
            ..pseudonyms()
        };
        let mut few = Pseudonyms {
            most: 3,
            mapping: Some(Mapping::new()),
            ..pseudonyms()
        };
        for text in ["one", "two", "three", "one", "four", "five", "one"] {
            assert_eq!(replace(&mut few, text), replace(&mut all, text));
            assert!(few.known.len() <= 3);
            assert_eq!(few.lacks_values(), all.known.len() > 3);
        }
        let listed = few.take_mapping().expect("a mapping");
        assert_eq!((listed.len(), all.lacks_values()), (3, false));
    }

    #[test]
    fn topics_keep_their_structure() {
        let mut names = pseudonyms();
        let mut of = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            names.levels(Some(Kind::Topics), &mut bytes);
            String::from_utf8(bytes).expect("UTF-8")
        };
        let whole = of("plant/Kiln-7/temp");
        assert_eq!(
            of("plant/+/temp").split('/').next(),
            whole.split('/').next()
        );
        assert!(of("plant/#").ends_with("/#"));
        assert!(of("$share/group/plant/#").starts_with("$share/"));
        assert!(of("spBv1.0/line/NBIRTH/node").contains("/NBIRTH/"));
        assert_eq!(of("$SYS/broker/uptime"), "$SYS/broker/uptime");
        assert_ne!(of("$SYS/brokers/emqx"), "$SYS/brokers/emqx");
        assert_eq!(of("a//b").len(), 4);
    }

    #[test]
    fn addresses_keep_their_kind() {
        let mut names = pseudonyms();
        for (text, is_alike) in [
            ("10.1.2.3", "10."),
            ("192.168.7.9", "192.168."),
            ("127.0.0.1", "127.0.0.1"),
            ("224.0.0.251", "224.0.0.251"),
            ("::1", "::1"),
            ("fe80::1234", "fe80::"),
        ] {
            let address: IpAddr = text.parse().expect("an address");
            let pseudonym = names.address(address).to_string();
            assert!(pseudonym.starts_with(is_alike), "{text} {pseudonym}");
            assert_eq!(names.address(address).to_string(), pseudonym);
        }
        let public = names.address("93.184.216.34".parse().expect("an address"));
        assert!(matches!(public, IpAddr::V4(v4) if !v4.is_private() && !v4.is_multicast()));
    }

    #[test]
    fn ports_stay_on_their_side_of_the_server() {
        let mut names = pseudonyms();
        let mut seen = HashSet::new();
        for port in [1884, 1885, 49152, 65535, 8883] {
            let new = names.port(port, 1883);
            assert!(new > 1883 && seen.insert(new));
        }
        assert!((1024..1883).contains(&names.port(1500, 1883)));
        assert_eq!(names.port(1883, 1883), 1883);
    }
}

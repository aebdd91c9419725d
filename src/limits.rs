//! Every bound on what input can make the program keep, in one place. (to be extended)

/// Nested IP headers and tunnels that are followed in one packet.
pub const TUNNEL_DEPTH: usize = 8;
/// IP datagrams that may be waiting for fragments at once.
pub const FRAGMENTED_DATAGRAMS: usize = 1024;
/// Bytes of IP fragments that may be waiting.
pub const FRAGMENT_BYTES: usize = 16 << 20;
/// Seconds (of capture time) a datagram may wait for its fragments, as RFC 791
/// and RFC 8200 have it.
pub const FRAGMENT_SECONDS: u64 = 60;
/// Largest captured packet that a file may claim, in bytes: what tcpdump
/// accepts, and the largest snap length in use.
pub const PACKET_BYTES: usize = 16 << 20;

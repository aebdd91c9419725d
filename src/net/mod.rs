//! (to be written)
mod segment;

pub use segment::{Endpoint, Segment, TcpFlags};

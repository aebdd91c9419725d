//! What the tests are written with.
//!
//! ```text
//! transcript ─Conversation→ wire ─Segments→ stack ─OwnedPackets→ files ─bytes→ program
//!  (encode)                                          └────────→ read (the library)
//! ```

pub mod encode;
pub mod files;
pub mod program;
pub mod read;
pub mod stack;
pub mod transcript;
pub mod wire;

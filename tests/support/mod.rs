//! Tools of the tests.
//!
//! ```text
//! transcript ─Conversation→ wire ─Segments→ stack ─OwnedPackets→ files ─bytes→ program
//!  (encode)                                          └────────→ read (the library)
//! ```

pub(crate) mod encode;
pub(crate) mod files;
pub(crate) mod program;
pub(crate) mod read;
pub(crate) mod recorded;
pub(crate) mod scene;
pub(crate) mod stack;
pub(crate) mod transcript;
pub(crate) mod wire;

//! [`Since`]: which entries of a table were added since it was last looked at.

/// Identifiers of new entries. Operations that apply once to each entry of a table are
/// applied to these alone, so that many gaps, or many connections of a session, do not
/// walk the whole table each time.
#[derive(Debug, Default)]
pub(super) struct Since(Vec<u16>);

impl Since {
    /// An entry was added. `contains` returns whether an identifier is still in
    /// the table, which has `len` entries.
    pub(super) fn add(&mut self, id: u16, len: usize, contains: impl Fn(u16) -> bool) {
        if self.0.len() > 2 * len + 64 {
            self.0.sort_unstable();
            self.0.dedup();
            self.0.retain(|id| contains(*id));
        }
        self.0.push(id);
    }

    /// The added entries, each once; some may have been removed.
    pub(super) fn ids(&self) -> Vec<u16> {
        let mut ids = self.0.clone();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The added entries, which may have been removed, and may be repeated.
    pub(super) fn take(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.0)
    }
}

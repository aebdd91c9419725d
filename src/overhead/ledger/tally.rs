//! What is counted of frames: for a connection that is kept individually, or for
//! all others together.

use super::super::account::{Account, Doubts};
use super::super::cause::Causes;
use super::super::layer::Layers;
use super::super::term::Terms;
use super::super::wake::Wakes;

/// Counts of frames and their bytes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) layers: Layers,
    pub(super) causes: Causes,
    pub(super) terms: Terms,
    pub(super) wakes: Wakes,
    /// Acknowledgements without an open exchange.
    pub(super) orphans: u64,
    pub(super) doubts: Doubts,
    /// Bytes by which frames are shorter than Ethernet's minimum.
    pub(super) short: u64,
}

impl Tally {
    /// Adds it to the account.
    pub(super) fn enter(&self, account: &mut Account) {
        account.layers.merge(&self.layers);
        account.causes.merge(&self.causes);
        account.terms.merge(&self.terms);
        account.wakes.merge(&self.wakes);
        account.orphans += self.orphans;
        account.doubts.add_connection(&self.doubts);
        account.short += self.short;
    }
}

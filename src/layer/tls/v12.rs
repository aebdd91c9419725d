//! Reading one direction of TLS 1.2.
//!
//! ```text
//! client  Hello … KeyExchange │ ChangeCipherSpec │ Finished, data, Hello … │ ChangeCipherSpec │ …
//!         plain               │                  │ keys 1                  │                  │ keys 2
//! ```
//! Each handshake gives the keys that its side's ChangeCipherSpec sequencer on. A
//! second handshake (renegotiation) is sealed with the keys of the first; its
//! messages are read like any, and so give the next keys if the key log has
//! its secret. Types of records are visible without any key.

use super::cipher::Opener;
use super::facts::Negotiated;
use super::keylog::{KeyLog, Random, Secret};
use super::schedule;
use super::search::Trial;
use super::suite::Suite;
use super::v13::{Jump, Outcome, Under};
use crate::direction::Direction;

/// The keys of one direction, and how far it is.
#[derive(Default)]
pub(super) struct Reader {
    /// How often it changed its cipher.
    changes: usize,
    /// The keys since the last time, once known.
    opener: Option<Opener>,
    sequence: u64,
}

impl Reader {
    /// Whether nothing is sealed yet, as far as is known.
    pub(super) fn is_plain(&self) -> bool {
        self.changes == 0
    }

    /// Whether Finished, the first record that the keys seal, was read.
    pub(super) fn is_finished(&self) -> bool {
        self.sequence > 0
    }

    /// A ChangeCipherSpec was captured.
    pub(super) fn change(&mut self) {
        self.changes += 1;
        self.opener = None;
        self.sequence = 0;
    }

    /// Its keys are not those, after all.
    pub(super) fn drop_keys(&mut self) {
        self.opener = None;
    }

    /// The suite of the keys in use.
    pub(super) fn suite(&self) -> Option<Suite> {
        self.opener.as_ref().map(Opener::suite)
    }

    /// Opens a record. `negotiated` has the parameters of each handshake, first to last.
    pub(super) fn open(
        &mut self,
        direction: Direction,
        negotiated: &[Negotiated],
        keys: &KeyLog,
        mut trial: Trial<'_>,
    ) -> Outcome {
        let key = |changes: usize| -> Option<Result<Opener, ()>> {
            let negotiated = negotiated.get(changes.checked_sub(1)?)?;
            let master = master(negotiated, &negotiated.client_random?, keys);
            let opener = |master| schedule::connection(negotiated, &master, direction);
            Some(master.and_then(opener).ok_or(()))
        };
        let mut missing = false;
        if self.opener.is_none() {
            match key(self.changes) {
                Some(Ok(opener)) => self.opener = Some(opener),
                Some(Err(())) => missing = true,
                None => {}
            }
        }
        if let Some(opener) = &self.opener {
            let next = self.sequence;
            if let Some((sequence, opened)) = trial.open(opener, next) {
                self.sequence = sequence.saturating_add(1);
                return Outcome::Opened(opened, jump(sequence - next, Under::Same));
            }
        }
        // The ChangeCipherSpec may have been lost.
        if !trial.is_sure() || self.is_plain() {
            match key(self.changes + 1) {
                Some(Ok(opener)) => {
                    if let Some((sequence, opened)) = trial.open_anew(&opener) {
                        self.change();
                        self.opener = Some(opener);
                        self.sequence = sequence.saturating_add(1);
                        return Outcome::Opened(opened, jump(sequence, Under::Next));
                    }
                }
                Some(Err(())) => missing = true,
                None => {}
            }
        }
        match missing {
            true => Outcome::Missing,
            false if self.opener.is_none() => Outcome::Unknown,
            false => Outcome::Refused,
        }
    }
}

fn jump(missed: u64, keys: Under) -> Jump {
    Jump { missed, keys }
}

fn master(negotiated: &Negotiated, random: &Random, keys: &KeyLog) -> Option<Secret> {
    let secrets = keys.find(random)?;
    let made = || schedule::master(negotiated, secrets.premaster.as_ref()?);
    secrets.master.clone().or_else(made)
}

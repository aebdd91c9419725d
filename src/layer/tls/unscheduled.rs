//! Stands for the key schedule where ciphers were not built in: there are no
//! keys.

use super::cipher::Opener;
use super::facts::Negotiated;
use super::keylog::Secret;
use super::suite::{Hash, Suite};
use crate::direction::Direction;

pub(super) fn traffic(_: Suite, _: &Secret) -> Option<Opener> {
    None
}

pub(super) fn updated(_: Hash, _: &Secret) -> Option<Secret> {
    None
}

pub(super) fn connection(_: &Negotiated, _: &Secret, _: Direction) -> Option<Opener> {
    None
}

pub(super) fn master(_: &Negotiated, _: &Secret) -> Option<Secret> {
    None
}

//! First bytes of a stream, held until it is clear what they are.

use crate::flow::At;
use crate::layer::{Piece, Place, Seal};

/// Pieces of one direction, in order.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    pieces: Vec<(usize, Place, At, Option<Seal>)>,
}

impl Held {
    /// Another piece.
    pub(super) fn push(&mut self, piece: Piece<'_>) {
        self.bytes.extend_from_slice(piece.bytes);
        self.pieces
            .push((piece.bytes.len(), piece.place, piece.at, piece.seal));
    }

    /// Nothing has come yet.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Memory that it takes.
    pub(super) fn kept(&self) -> usize {
        self.bytes.capacity()
            + self.pieces.capacity() * size_of::<(usize, Place, At, Option<Seal>)>()
    }

    /// All bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The pieces, as they came.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut rest = self.bytes.as_slice();
        self.pieces.iter().map(move |&(len, place, at, seal)| {
            let (bytes, after) = rest.split_at(len.min(rest.len()));
            rest = after;
            Piece {
                bytes,
                place,
                at,
                seal,
            }
        })
    }
}

//! A stream's pieces of large chunks.

use bytes::Bytes;

use super::{Generation, Stream};
use crate::{
    model::frame::Reference,
    store::{Appended, Piece, memory::transaction::Transaction},
};

impl Stream {
    pub fn put(&mut self, transaction: &Transaction, piece: &Piece) -> Appended {
        let renewed = self.renew(transaction, piece.generation, piece.producer, piece.lease);
        if !matches!(renewed, Appended::Done { .. }) {
            return renewed;
        }
        let pieces = self.current.pieces.entry(piece.large.id).or_default();
        if pieces.len() < piece.index {
            return Appended::Incomplete;
        }
        if pieces.len() == piece.index {
            pieces.push(piece.data.clone());
            self.current.stored += piece.data.len();
            self.bytes += piece.data.len() as u64;
            self.updated_at = transaction.wall_ms;
        }
        renewed
    }

    pub fn piece(&self, large: &Reference, index: usize) -> Option<Bytes> {
        let kept = std::iter::once(&self.current).chain(&self.previous);
        let mut of = kept.filter(|generation| generation.ordinal == large.ordinal);
        of.next()?.pieces.get(&large.id)?.get(index).cloned()
    }
}

impl Generation {
    /// Whether all pieces are there.
    pub fn has(&self, large: &Reference) -> bool {
        let pieces = self.pieces.get(&large.id);
        pieces.is_some_and(|pieces| pieces.len() >= large.pieces())
    }
}

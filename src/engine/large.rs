//! Large chunks: cut into pieces on their way to the store, and joined for whoever reads them
//! (`docs/adr/0031-large-chunks.md`).
//!
//! Everybody in this process who reads one at the same time shares it, with its producer as long as that keeps it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use bytes::Bytes;
use tokio::sync::Semaphore;
use ulid::Ulid;

use crate::{
    model::frame::{EncodedFrame, FrameBuilder, Kind, PIECE, Reference},
    sse::{Body, Format},
    util::{sync::lock, ulids::next_ulid},
};

/// So many chunks are joined at once.
const LOADS: usize = 4;

/// A large chunk as a whole.
#[derive(Debug)]
pub struct Large {
    /// What stands for it in a frame.
    pub reference: Reference,
    /// All of it; UTF-8 if it is text.
    pub data: Bytes,
}

impl Large {
    /// A new one, of the generation with this ordinal.
    pub fn new(kind: Kind, data: &[u8], ordinal: u64) -> Arc<Self> {
        Arc::new(Self {
            reference: Reference {
                id: next_ulid(),
                ordinal,
                kind,
                length: data.len(),
            },
            data: Bytes::copy_from_slice(data),
        })
    }

    /// One of its pieces, counted from 0.
    pub fn piece(&self, index: usize) -> Bytes {
        let start = (index * PIECE).min(self.data.len());
        self.data.slice(start..self.data.len().min(start + PIECE))
    }

    /// The frame that refers to it.
    pub fn frame(&self) -> Option<EncodedFrame> {
        let mut builder = FrameBuilder::default();
        builder.push(Kind::Large, &self.reference.encode());
        builder.take(1, 0)
    }
}

/// The large chunks that are in use in this process.
pub struct Larges {
    entries: Mutex<HashMap<Ulid, Arc<Entry>>>,
    pub(super) loads: Semaphore,
}

#[derive(Default)]
pub(super) struct Entry {
    /// Held by the one who joins it.
    pub(super) joining: tokio::sync::Mutex<()>,
    /// Held by the one who frames it.
    pub(super) framing: tokio::sync::Mutex<()>,
    pub(super) whole: Mutex<Weak<Large>>,
    pub(super) bodies: Mutex<HashMap<Format, Weak<Body>>>,
}

impl Entry {
    fn is_unused(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1
            && lock(&self.whole).strong_count() == 0
            && lock(&self.bodies).values().all(|body| body.strong_count() == 0)
    }
}

impl Default for Larges {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            loads: Semaphore::new(LOADS),
        }
    }
}

impl Larges {
    /// A producer of this process has it: readers need not fetch it for as long.
    pub fn know(&self, large: &Arc<Large>) {
        *lock(&self.entry(large.reference.id).whole) = Arc::downgrade(large);
    }

    /// The entry of a large chunk; drops entries that are no longer used.
    pub(super) fn entry(&self, id: Ulid) -> Arc<Entry> {
        let mut entries = lock(&self.entries);
        entries.retain(|known, entry| *known == id || !entry.is_unused());
        Arc::clone(entries.entry(id).or_default())
    }
}

/// What the pieces of a large chunk make together.
pub(super) fn join(pieces: &[Bytes], reference: &Reference) -> std::result::Result<Bytes, &'static str> {
    let data = pieces.concat();
    if data.len() != reference.length {
        return Err("a large chunk whose pieces do not add up");
    }
    if reference.kind == Kind::Text && std::str::from_utf8(&data).is_err() {
        return Err("text that is not UTF-8");
    }
    Ok(data.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_what_was_cut() {
        for length in [4 * PIECE + 1, 5 * PIECE, 8 * PIECE - 1] {
            let text: String = "héllo 🌊 ".chars().cycle().take(length).collect();
            let large = Large::new(
                Kind::Text,
                &text.as_bytes()[..text.floor_char_boundary(length)],
                1,
            );
            let count = large.reference.pieces();
            let pieces: Vec<_> = (0..count).map(|index| large.piece(index)).collect();
            assert!(
                pieces
                    .iter()
                    .all(|piece| !piece.is_empty() && piece.len() <= PIECE)
            );
            assert_eq!(join(&pieces, &large.reference).as_ref(), Ok(&large.data));
            assert!(large.piece(count).is_empty());
            assert!(join(&pieces[1..], &large.reference).is_err());
        }
    }

    #[test]
    fn what_nobody_has_is_forgotten() {
        let larges = Larges::default();
        let one = Large::new(Kind::Bytes, &vec![0; 2 << 20], 1);
        larges.know(&one);
        let two = Large::new(Kind::Bytes, &vec![0; 2 << 20], 1);
        larges.know(&two);
        assert_eq!(lock(&larges.entries).len(), 2);
        drop(one);
        larges.know(&two);
        assert_eq!(lock(&larges.entries).len(), 1);
    }
}

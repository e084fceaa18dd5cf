//! What this process remembers of a log between its appends.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use ulid::Ulid;

use crate::Cursor;

/// The state of the log after the last append.
pub(super) struct Turn {
    pub writer: Ulid,
    batches: Arc<AtomicU64>,
    /// The last chunk of the log that this engine knows of: `None` before its first append.
    pub known: Option<Cursor>,
    /// The ordinal of that generation.
    pub ordinal: u64,
    /// How many of its entries are open.
    pub open: u64,
}

impl Turn {
    pub fn new(writer: Ulid, batches: Arc<AtomicU64>) -> Self {
        Self {
            writer,
            batches,
            known: None,
            ordinal: 0,
            open: 0,
        }
    }

    pub fn next_batch(&self) -> u64 {
        self.batches.fetch_add(1, Ordering::Relaxed) + 1
    }
}

//! Who appends to a log in this process, one after the other.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex as Lock,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{Mutex, MutexGuard};
use ulid::Ulid;

use crate::{
    Cursor, StreamId,
    util::{sync::lock, ulids::next_ulid},
};

/// How many logs are remembered while nobody appends to them.
const REMEMBERED: usize = 1000;

/// The logs that this process appends to.
pub struct Lines {
    by_stream: Lock<HashMap<StreamId, Arc<Line>>>,
    /// By what the store knows this engine.
    writer: Ulid,
    batches: Arc<AtomicU64>,
}

/// One log. Whoever has its turn appends.
pub(super) struct Line(Mutex<Turn>);

/// What is known of the log from the last append.
pub(super) struct Turn {
    pub writer: Ulid,
    batches: Arc<AtomicU64>,
    /// Its last chunk, as far as this engine has heard: `None` before its first append.
    pub known: Option<Cursor>,
    /// The ordinal of that generation.
    pub ordinal: u64,
    /// How many of its entries are open.
    pub open: u64,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            by_stream: Lock::default(),
            writer: next_ulid(),
            batches: Arc::default(),
        }
    }
}

impl Lines {
    pub(super) fn of(&self, stream: &StreamId) -> Arc<Line> {
        let mut lines = lock(&self.by_stream);
        if let Some(line) = lines.get(stream) {
            return Arc::clone(line);
        }
        if lines.len() >= REMEMBERED {
            lines.retain(|_, line| Arc::strong_count(line) > 1);
        }
        let line = Arc::new(Line(Mutex::new(Turn {
            writer: self.writer,
            batches: Arc::clone(&self.batches),
            known: None,
            ordinal: 0,
            open: 0,
        })));
        lines.insert(stream.clone(), Arc::clone(&line));
        line
    }
}

impl Line {
    /// In the order in which it is asked for.
    pub async fn turn(&self) -> MutexGuard<'_, Turn> {
        self.0.lock().await
    }
}

impl Turn {
    pub fn next_batch(&self) -> u64 {
        self.batches.fetch_add(1, Ordering::Relaxed) + 1
    }
}

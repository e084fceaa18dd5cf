//! The producers of an engine: by their handles, and by their streams, since most news is of one stream.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::producer::Producer;
use crate::{StreamId, engine::events::Handle};

/// The live producers of one engine.
#[derive(Default)]
pub(crate) struct Producers {
    by_handle: HashMap<Handle, Arc<Producer>>,
    by_stream: HashMap<StreamId, Vec<Arc<Producer>>>,
    /// Those that have come since they were last taken.
    started: Vec<Handle>,
}

impl Producers {
    pub fn insert(&mut self, producer: Arc<Producer>) {
        let theirs = self.by_stream.entry(producer.stream.clone()).or_default();
        theirs.push(Arc::clone(&producer));
        self.started.push(producer.handle);
        self.by_handle.insert(producer.handle, producer);
    }

    /// Those that have come since this was last asked; some may be gone again.
    pub fn take_started(&mut self) -> Vec<Handle> {
        std::mem::take(&mut self.started)
    }

    pub fn handles(&self) -> Vec<Handle> {
        self.by_handle.keys().copied().collect()
    }

    pub fn remove(&mut self, handle: Handle) {
        let Some(producer) = self.by_handle.remove(&handle) else {
            return;
        };
        if let Entry::Occupied(mut theirs) = self.by_stream.entry(producer.stream.clone()) {
            theirs.get_mut().retain(|known| known.handle != handle);
            if theirs.get().is_empty() {
                theirs.remove();
            }
        }
    }

    pub fn get(&self, handle: Handle) -> Option<&Arc<Producer>> {
        self.by_handle.get(&handle)
    }

    /// The producers of a stream.
    pub fn of(&self, stream: &StreamId) -> &[Arc<Producer>] {
        self.by_stream.get(stream).map_or(&[], Vec::as_slice)
    }

    pub fn is_empty(&self) -> bool {
        self.by_handle.is_empty()
    }

    pub fn all(&self) -> Vec<Arc<Producer>> {
        self.by_handle.values().cloned().collect()
    }
}

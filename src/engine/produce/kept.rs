//! An accepted frame, as long as it is kept.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{engine::large::Large, model::frame::Frame};

/// A frame that the store has accepted, as long as it may have to be written once more (G1).
#[derive(Clone)]
pub(super) struct Kept {
    pub at: Instant,
    pub frame: Frame,
    /// The large chunk that it refers to.
    pub large: Option<Arc<Large>>,
}

impl Kept {
    pub fn large_bytes(&self) -> usize {
        self.large.as_ref().map_or(0, |large| large.data.len())
    }
}

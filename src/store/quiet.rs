//! What is known of streams on which nothing happens.

use std::time::Duration;

use ulid::Ulid;

use crate::StreamId;

/// Who vouches for a generation's producers; see [`Store::vouch`](super::Store::vouch).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vouched {
    /// Whose producers they are.
    pub node: Ulid,
    /// How long they count as alive with it, if they give no other sign.
    pub left: Duration,
}

/// An active generation as somebody knows it.
#[derive(Debug, Clone)]
pub struct Known {
    /// Whose it is.
    pub stream: StreamId,
    /// Which one it is.
    pub generation: Ulid,
    /// The seq of its last chunk.
    pub seq: u64,
    /// Whether there should be no later one; else those of others may not be known.
    pub is_all: bool,
}

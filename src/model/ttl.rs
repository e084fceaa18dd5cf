//! How long stored data is kept.

use std::time::Duration;

/// How long keys live, from the last write (`active`) and from the terminal entry (`done`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    /// While the generation has no terminal entry; refreshed by writes past half of it.
    pub active: Duration,
    /// After the terminal entry.
    pub done: Duration,
}

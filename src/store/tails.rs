//! Where streams end, for those who look at many of them.

use serde::Serialize;

/// The end of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tail {
    /// The current or last generation.
    pub generation: String,
    /// The seq before its first chunk.
    pub base: u64,
    /// The last seq of the stream.
    pub seq: u64,
    /// The stream's owner.
    pub owner: Option<String>,
    /// Of a fork, the cursors of [`Fork::origins`](super::forks::Fork::origins).
    pub origins: Vec<String>,
}

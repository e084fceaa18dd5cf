//! Streams as a list shows them, for those who look at many of them.

use serde::Serialize;

/// A stream in a list: what changes all the time, and what it is found and sorted by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Glance {
    /// The unescaped id.
    pub stream_id: String,
    /// `active`, or the outcome.
    pub state: String,
    /// Why it ended; null while active or when there is nothing to say.
    pub reason: Option<String>,
    /// The current or last generation.
    pub generation: String,
    /// The first seq of the generation, whether or not it has been written.
    pub first_seq: u64,
    /// The last seq of the stream.
    pub last_seq: u64,
    /// Encoded bytes appended in this generation.
    pub bytes: u64,
    /// Bytes that are kept of these: fewer, once they are sealed.
    pub stored_bytes: u64,
    /// Producers whose leases are valid.
    pub producers: u32,
    /// The process of one of these, as [`Config::process`](crate::Config::process) names it, if it is known.
    pub process: Option<String>,
    /// The reason of a stop that was requested.
    pub stop: Option<String>,
    /// Given at the start.
    pub owner: Option<String>,
    /// When the generation started, in milliseconds since 1970.
    pub started_at: u64,
    /// The last write, in milliseconds since 1970.
    pub updated_at: u64,
    /// How many chunks the consumer or group that is furthest behind has not acknowledged; `None` without any. Of more than
    /// [`SHOWN_CONSUMERS`](super::SHOWN_CONSUMERS) consumers, some are not looked at.
    pub lag: Option<u64>,
    /// Who reads it, which the engine adds.
    pub readers: Readers,
}

/// Who reads a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Readers {
    /// Readers of this engine.
    pub here: usize,
    /// Other processes with readers, without one whose own producer is the only one; `None` where that is not known.
    pub elsewhere: Option<u64>,
}

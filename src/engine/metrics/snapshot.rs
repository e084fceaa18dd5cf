//! The values of the metrics, as the host shows them.

use serde::Serialize;

use crate::model::connection::ConnectionState;

/// The current values.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Now {
    /// How Redis can be reached.
    pub state: ConnectionState,
    /// Producers that have not ended.
    pub producers: usize,
    /// Open subscriptions.
    pub readers: usize,
    /// Streams with one of them.
    pub streams: usize,
    /// Bytes that wait to be accepted, of all producers.
    pub queued_bytes: usize,
    /// The longest queue of a producer: its bytes and the overhead of its chunks.
    pub longest_queue_bytes: usize,
    /// Events, and subscriptions with something to deliver, that wait for the host.
    pub undelivered: usize,
}

/// Everything, as the host shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "index.d.ts says it, under the same names")]
pub struct Snapshot {
    #[serde(flatten)]
    pub now: Now,
    pub chunks_in: u64,
    pub bytes_in: u64,
    pub encoded_bytes: u64,
    pub saved_bytes: u64,
    pub batches: u64,
    pub chunks_out: u64,
    pub bytes_out: u64,
    pub resume_hits: u64,
    pub resume_misses: u64,
    pub gaps: u64,
    pub gaps_repaired: u64,
    pub duplicates_dropped: u64,
    pub retries: u64,
    pub reconnects: u64,
    pub ended: Ended,
    pub append_seconds: HistogramSnapshot,
    pub delivery_seconds: HistogramSnapshot,
    pub stop_request_seconds: HistogramSnapshot,
    pub stop_seconds: HistogramSnapshot,
}

/// Producers that have ended.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the outcomes' names")]
pub struct Ended {
    pub complete: u64,
    pub failed: u64,
    pub stopped: u64,
    pub interrupted: u64,
    /// By an error: fenced, cut off, given up.
    pub lost: u64,
}

/// A histogram, as the host shows it.
#[derive(Debug, Serialize)]
pub struct HistogramSnapshot {
    /// Cumulative, ascending.
    pub buckets: Vec<Bucket>,
    /// All observations.
    pub count: u64,
    /// Their sum in seconds.
    pub sum: f64,
}

/// Observations of at most `le` seconds.
#[derive(Debug, Serialize)]
pub struct Bucket {
    /// Values up to this one are counted, in seconds.
    pub le: f64,
    /// How many.
    pub count: u64,
}

//! What an engine counts. Whoever does the work adds to it with relaxed atomics; nothing here takes a lock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;
use ulid::Ulid;

use super::{
    events::{Event, Handle},
    large::Large,
    sink::{Sink, Waits},
};
use crate::{
    Error, Result,
    model::{
        connection::ConnectionState,
        ending::{End, Outcome, Terminal},
        frame::{Chunk, EncodedFrame},
    },
    store::Seal,
};

/// Upper bounds of the histograms' buckets, in microseconds. Above the last one there is one bucket more.
const BOUNDS: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];

/// Something that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Adds so many.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long something took.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS.len() + 1],
    microseconds: Counter,
}

impl Histogram {
    /// Adds one observation.
    pub fn observe(&self, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < microseconds);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.one();
        }
        self.microseconds.add(microseconds);
    }

    fn snapshot(&self) -> HistogramSnapshot {
        let mut count = 0;
        let mut counts = self.buckets.iter().map(|bucket| {
            count += bucket.get();
            count
        });
        let buckets = BOUNDS
            .iter()
            .zip(counts.by_ref())
            .map(|(bound, count)| Bucket {
                le: seconds(*bound),
                count,
            })
            .collect();
        HistogramSnapshot {
            buckets,
            count: counts.last().unwrap_or_default(),
            sum: seconds(self.microseconds.get()),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

/// See the module.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "index.d.ts says it, under the same names")]
pub struct Metrics {
    pub chunks_in: Counter,
    pub bytes_in: Counter,
    pub encoded_bytes: Counter,
    pub saved_bytes: Counter,
    pub batches: Counter,
    pub resume_hits: Counter,
    pub resume_misses: Counter,
    pub gaps_repaired: Counter,
    pub duplicates_dropped: Counter,
    pub retries: Counter,
    pub reconnects: Counter,
    pub append: Histogram,
    pub stop_request: Histogram,
    pub stop: Histogram,
    ended: [Counter; 5],
    /// A connection was lost since everything was well.
    lost: AtomicBool,
    pub delivered: Delivered,
}

/// What the host's thread counts, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Delivered {
    chunks: Counter,
    bytes: Counter,
    gaps: Counter,
    latency: Histogram,
}

impl Metrics {
    /// A batch was accepted; its oldest chunk had waited so long. `large` is the length of the chunk that it refers to.
    pub fn accepted(&self, frame: &EncodedFrame, large: Option<usize>, latency: Option<Duration>) {
        self.chunks_in.add(frame.count);
        self.bytes_in.add(large.unwrap_or(frame.payload_len) as u64);
        self.encoded_bytes
            .add((frame.bytes.len() + large.unwrap_or_default()) as u64);
        self.batches.one();
        if let Some(latency) = latency {
            self.append.observe(latency);
        }
    }

    /// The host has been given what was ready since then.
    pub fn waited(&self, waits: &mut Waits) {
        let now = Instant::now();
        for since in waits.drain(..) {
            self.delivered
                .latency
                .observe(now.saturating_duration_since(since));
        }
    }

    /// What had been accepted was sealed.
    pub fn sealed(&self, seal: &Seal) {
        let saved = seal.replaced.saturating_sub(seal.frame.bytes.len());
        self.saved_bytes.add(saved as u64);
    }

    /// A producer of this engine has ended.
    pub fn ended(&self, how: &Result<Terminal>) {
        let index = how.as_ref().map_or(4, |terminal| terminal.outcome as usize);
        if let Some(counter) = self.ended.get(index) {
            counter.one();
        }
    }

    /// The connection's state has changed.
    pub fn entered(&self, state: ConnectionState) {
        match state {
            ConnectionState::Reconnecting | ConnectionState::Degraded => {
                self.lost.store(true, Ordering::Relaxed);
            }
            ConnectionState::Ready if self.lost.swap(false, Ordering::Relaxed) => self.reconnects.one(),
            _ => {}
        }
    }

    /// What is counted now.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        let ended = |outcome: Outcome| self.ended[outcome as usize].get();
        Snapshot {
            now,
            chunks_in: self.chunks_in.get(),
            bytes_in: self.bytes_in.get(),
            encoded_bytes: self.encoded_bytes.get(),
            saved_bytes: self.saved_bytes.get(),
            batches: self.batches.get(),
            chunks_out: self.delivered.chunks.get(),
            bytes_out: self.delivered.bytes.get(),
            resume_hits: self.resume_hits.get(),
            resume_misses: self.resume_misses.get(),
            gaps: self.delivered.gaps.get(),
            gaps_repaired: self.gaps_repaired.get(),
            duplicates_dropped: self.duplicates_dropped.get(),
            retries: self.retries.get(),
            reconnects: self.reconnects.get(),
            ended: Ended {
                complete: ended(Outcome::Complete),
                failed: ended(Outcome::Failed),
                stopped: ended(Outcome::Stopped),
                interrupted: ended(Outcome::Interrupted),
                lost: self.ended[4].get(),
            },
            append_seconds: self.append.snapshot(),
            delivery_seconds: self.delivered.latency.snapshot(),
            stop_request_seconds: self.stop_request.snapshot(),
            stop_seconds: self.stop.snapshot(),
        }
    }
}

/// Counts what a drain delivers, and adds it up once.
pub(super) struct Counted<'a> {
    sink: &'a mut dyn Sink,
    metrics: &'a Delivered,
    chunks: u64,
    bytes: u64,
}

impl<'a> Counted<'a> {
    pub fn new(sink: &'a mut dyn Sink, metrics: &'a Metrics) -> Self {
        Self {
            sink,
            metrics: &metrics.delivered,
            chunks: 0,
            bytes: 0,
        }
    }

    /// Chunks delivered so far.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if self.chunks > 0 {
            self.metrics.chunks.add(self.chunks);
            self.metrics.bytes.add(self.bytes);
        }
    }
}

impl Sink for Counted<'_> {
    fn is_full(&self) -> bool {
        self.sink.is_full()
    }

    fn generation(&mut self, subscription: Handle, generation: Ulid) {
        self.sink.generation(subscription, generation);
    }

    fn chunk(&mut self, subscription: Handle, seq: u64, chunk: Chunk<'_>) -> u64 {
        self.chunks += 1;
        self.bytes += chunk.data.len() as u64;
        self.sink.chunk(subscription, seq, chunk)
    }

    fn large(&mut self, subscription: Handle, seq: u64, large: Arc<Large>) -> u64 {
        self.chunks += 1;
        self.bytes += large.data.len() as u64;
        self.sink.large(subscription, seq, large)
    }

    fn piece(
        &mut self,
        subscription: Handle,
        chunk: Option<usize>,
        write: &mut dyn FnMut(&mut Vec<u8>),
    ) -> u64 {
        if let Some(length) = chunk {
            self.chunks += 1;
            self.bytes += length as u64;
        }
        self.sink.piece(subscription, chunk, write)
    }

    fn end(&mut self, subscription: Handle, end: End) {
        if matches!(end, End::Error(Error::Gap { .. })) {
            self.metrics.gaps.one();
        }
        self.sink.end(subscription, end);
    }

    fn event(&mut self, event: Event) {
        self.sink.event(event);
    }
}

/// What there is at this moment.
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
    /// The longest depth of a producer: its bytes, and what its chunks cost beside them.
    pub longest_queue_bytes: usize,
    /// Events, and subscriptions with something to deliver, that wait for the host.
    pub undelivered: usize,
}

/// Everything, as the host shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "index.d.ts says it, under the same names")]
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
#[allow(missing_docs, reason = "the outcomes' names")]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_to_and_including_its_bounds() {
        let histogram = Histogram::default();
        for microseconds in [0, 250, 251, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(microseconds));
        }
        let snapshot = histogram.snapshot();
        let counts: Vec<_> = snapshot.buckets.iter().map(|bucket| bucket.count).collect();
        assert_eq!(counts, [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]);
        assert_eq!(snapshot.count, 5);
        assert!((snapshot.sum - 20.000_502).abs() < 1e-9, "{}", snapshot.sum);
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn a_reconnection_is_counted_once_however_it_went() {
        let metrics = Metrics::default();
        for state in [
            ConnectionState::Connecting,
            ConnectionState::Ready,
            ConnectionState::Reconnecting,
            ConnectionState::Degraded,
            ConnectionState::Reconnecting,
            ConnectionState::Ready,
            ConnectionState::Ready,
        ] {
            metrics.entered(state);
        }
        assert_eq!(metrics.reconnects.get(), 1);
    }
}

//! An engine's counters. The code that does the work adds to them with relaxed atomics; nothing here takes a lock.

pub(super) mod counted;
pub mod snapshot;

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use self::snapshot::{Bucket, Ended, HistogramSnapshot, Now, Snapshot};
use super::sink::Waits;
use crate::{
    Result,
    model::{
        connection::ConnectionState,
        ending::{Outcome, Terminal},
        frame::EncodedFrame,
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

    /// Adds a number.
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

#[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

/// An engine's counters.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "index.d.ts says it, under the same names")]
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

/// The counters of the host's thread, on separate cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Delivered {
    chunks: Counter,
    bytes: Counter,
    gaps: Counter,
    latency: Histogram,
}

impl Metrics {
    /// A batch was accepted, of one frame, or of several that were appended together: see [`Self::accepted`].
    pub fn batch(&self) {
        self.batches.one();
    }

    /// A frame was accepted; its oldest chunk waited for `latency`. `large` is the length of the large chunk that it refers to.
    pub fn accepted(&self, frame: &EncodedFrame, large: Option<usize>, latency: Option<Duration>) {
        self.chunks_in.add(frame.count);
        self.bytes_in.add(large.unwrap_or(frame.payload_len) as u64);
        self.encoded_bytes
            .add((frame.bytes.len() + large.unwrap_or_default()) as u64);
        if let Some(latency) = latency {
            self.append.observe(latency);
        }
    }

    /// The host has taken events that were ready since then.
    pub fn waited(&self, waits: &mut Waits) {
        let now = Instant::now();
        for since in waits.drain(..) {
            self.delivered
                .latency
                .observe(now.saturating_duration_since(since));
        }
    }

    /// Accepted frames were sealed.
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

    /// The counters now.
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

//! How many chunks may be delivered to a reader without being acknowledged, and for how long.

use std::time::Duration;

use tokio::time::Instant;

/// The options of a reader that acknowledges.
#[derive(Debug, Clone)]
pub struct AckTerms {
    /// The most chunks; `None` counts them without a bound.
    pub window: Option<u64>,
    /// How long chunks may wait for the next acknowledgement.
    pub timeout: Option<Duration>,
    /// The consumer whose acknowledgements count, on any server.
    pub consumer: Option<String>,
}

/// The chunks of one reader that are delivered and not acknowledged. Their seqs have no holes.
#[derive(Debug)]
pub(crate) struct Window {
    size: u64,
    /// The last seq that needs no acknowledgement any more; `None` before the first delivery.
    acked: Option<u64>,
    delivered: u64,
    /// When the reader was given the first of them, or acknowledged others.
    since: Instant,
}

impl Window {
    pub fn new(ack: &AckTerms) -> Self {
        Self {
            size: ack.window.unwrap_or(u64::MAX),
            acked: None,
            delivered: 0,
            since: Instant::now(),
        }
    }

    /// Whether the chunk after `seq`, its reader's cursor, may be delivered.
    pub fn has_room(&self, seq: u64) -> bool {
        seq.saturating_sub(self.acked.unwrap_or(seq)) < self.size
    }

    /// The chunk after `seq` is delivered.
    pub fn deliver(&mut self, seq: u64) {
        if self.unacknowledged() == 0 {
            self.since = Instant::now();
        }
        self.acked.get_or_insert(seq);
        self.delivered = seq + 1;
    }

    /// Everything up to `seq` is acknowledged, as far as it was delivered; whether that is news.
    pub fn acknowledge(&mut self, seq: u64) -> bool {
        let seq = seq.min(self.delivered);
        let is_news = self.acked.is_some_and(|acked| acked < seq);
        if is_news {
            self.acked = Some(seq);
            self.since = Instant::now();
        }
        is_news
    }

    /// How many chunks wait for an acknowledgement.
    pub fn unacknowledged(&self) -> u64 {
        self.delivered
            .saturating_sub(self.acked.unwrap_or(self.delivered))
    }

    /// Since when one has waited, if any does.
    pub fn waiting_since(&self) -> Option<Instant> {
        (self.unacknowledged() > 0).then_some(self.since)
    }

    pub fn is_full(&self) -> bool {
        self.unacknowledged() >= self.size
    }
}

//! How much a reader may have been given and not acknowledged, and for how long.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::{Inner, subscription::Subscription};
use crate::{Error, StreamId};

/// Acknowledgements that other processes have taken are looked for this often while a reader waits for one.
const LOOK: Duration = Duration::from_millis(500);

/// What a reader asks for.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most chunks; `None` counts them without a bound.
    pub window: Option<u64>,
    /// How long chunks may wait for the next acknowledgement.
    pub timeout: Option<Duration>,
    /// Whose acknowledgements count, wherever they arrive.
    pub consumer: Option<String>,
}

/// The chunks of one reader that are delivered and not acknowledged. Their seqs have no holes.
#[derive(Debug)]
pub(super) struct Window {
    size: u64,
    /// The last seq that needs no acknowledgement any more; `None` before the first delivery.
    acked: Option<u64>,
    delivered: u64,
    /// When the reader was given the first of them, or acknowledged others.
    since: Instant,
}

impl Window {
    pub fn new(limits: &Limits) -> Self {
        Self {
            size: limits.window.unwrap_or(u64::MAX),
            acked: None,
            delivered: 0,
            since: Instant::now(),
        }
    }

    /// Whether the chunk after `seq`, where the reader stands, may be delivered.
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

    /// Since when, if any do.
    pub fn waiting_since(&self) -> Option<Instant> {
        (self.unacknowledged() > 0).then_some(self.since)
    }

    fn is_full(&self) -> bool {
        self.unacknowledged() >= self.size
    }
}

/// Watches a reader's window for as long as there is a reader: learns what other processes were told, and ends the reader
/// when its time is up.
pub(super) async fn watch(reader: Weak<Subscription>, inner: Weak<Inner>, limits: Limits) {
    let Limits {
        timeout, consumer, ..
    } = limits;
    loop {
        let Some(pause) = reader
            .upgrade()
            .map(|reader| pause(&reader, timeout, consumer.is_some()))
        else {
            return;
        };
        tokio::time::sleep(pause).await;
        let (Some(reader), Some(inner)) = (reader.upgrade(), inner.upgrade()) else {
            return;
        };
        let (is_full, since) = reader.with_window(|window| (window.is_full(), window.waiting_since()));
        let late = timeout.filter(|timeout| since.is_some_and(|since| since.elapsed() >= *timeout));
        if let Some(consumer) = &consumer
            && (is_full || late.is_some())
            && look(&reader, &inner, consumer).await
        {
            continue;
        }
        if let Some(timeout) = late {
            reader.give_up(Error::AckTimeout {
                stream: reader.hub().stream().to_string(),
                chunks: reader.with_window(Window::unacknowledged),
                milliseconds: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            });
            return;
        }
    }
}

/// Until the next look. What is delivered meanwhile has its whole time from then on.
fn pause(reader: &Arc<Subscription>, timeout: Option<Duration>, has_consumer: bool) -> Duration {
    let since = reader.with_window(Window::waiting_since);
    let left = timeout.map(|timeout| {
        let waited = since.map(|since| since.elapsed()).unwrap_or_default();
        timeout.saturating_sub(waited)
    });
    match (left, has_consumer) {
        (Some(left), true) => left.min(LOOK),
        (Some(left), false) => left,
        (None, _) => LOOK,
    }
}

/// Whether the consumer has acknowledged more meanwhile, somewhere.
async fn look(reader: &Subscription, inner: &Inner, consumer: &str) -> bool {
    let stream: &StreamId = reader.hub().stream();
    match inner.store().cursor(stream, consumer).await {
        Ok(Some(cursor)) => reader.acknowledge(cursor.seq),
        // Where the store is away, only time tells.
        _ => false,
    }
}
